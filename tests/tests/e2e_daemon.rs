//! One daemon does not harm another, and one that cannot start leaves nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use tp_tests::exchange::{ConfigText, Exchange, Site, Tpd, binary};
use tp_tests::lab::{Ns, Signal};

/// How long a process may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn release_under_a_living_daemon_is_refused_and_traffic_goes_on() {
    let site = serving("daemon-release");
    let before = traces(&site.exchange);
    assert_eq!(before.len(), 8, "{before:?}");
    let output = release(&site.exchange);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_says(&output, "nothing is released: a tpd runs with the bpffs");
    assert_says(&output, &format!("(process {})", site.tpd.process().id()));
    assert_says(&output, "stop that tpd first");
    assert_eq!(traces(&site.exchange), before);
    site.assert_forwards();

    let Site { tpd, exchange } = site;
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    // What cannot be released is told, and keeps nothing else from being released.
    let strange = exchange.lab.directory().join("bpf/links/aa");
    std::fs::create_dir(&strange).unwrap();
    let output = release(&exchange);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_says(&output, "released: cl0, ix0; not released:");
    assert_says(&output, strange.to_str().unwrap());
    assert_eq!(traces(&exchange), ["mount"]);
    std::fs::remove_dir(&strange).unwrap();
    assert!(release(&exchange).status.success());
    assert_eq!(traces(&exchange), [""; 0]);
}

#[test]
fn a_file_where_the_socket_shall_be_is_refused_and_left_as_it_is() {
    let exchange = Exchange::new("daemon-file", 1).unwrap();
    let file = exchange.lab.directory().join("api.sock");
    std::fs::write(&file, "precious").unwrap();
    let output = refused(&exchange, &good_text(&exchange));
    assert_says(&output, "there is a file that is no socket");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    std::fs::remove_file(file).unwrap();
    assert_eq!(traces(&exchange), [""; 0]);
}

#[test]
fn what_a_living_daemon_has_is_refused_to_another_and_stays() {
    let site = serving("daemon-second");
    let before = traces(&site.exchange);
    let good = good_text(&site.exchange);
    let own_state = good.replace("/state\"", "/state2\"");
    let own_bpffs = own_state.replace("/bpf\"", "/bpf2\"");
    for (text, reason) in [
        (&own_state, "another tpd runs with the bpffs"),
        (&own_bpffs, "another process serves it"),
    ] {
        let output = refused(&site.exchange, text);
        assert_says(&output, reason);
        assert_eq!(traces(&site.exchange), before, "{reason}");
        assert!(
            site.tpd
                .tpctl(&["show", "status"])
                .unwrap()
                .status
                .success()
        );
        site.assert_forwards();
    }
    assert!(!site.exchange.lab.directory().join("bpf2").exists());
    // A file that is no terminal gets no colours.
    let log = site.tpd.process().stderr();
    assert!(log.contains("serving") && !log.contains('\x1b'), "{log}");
}

#[test]
fn a_start_that_fails_leaves_nothing_and_what_a_predecessor_held() {
    let exchange = Exchange::new("daemon-fails", 1).unwrap();
    let good = good_text(&exchange);
    // What no check of the file finds: the driver of the second port has no zero-copy.
    let bad = good.replace("[ports.cl0]", "[ports.cl0]\nmode = \"zero-copy\"");
    let output = refused(&exchange, &bad);
    assert_says(&output, "the portal could not start");
    assert_says(&output, "cl0");
    assert_eq!(traces(&exchange), [""; 0]);

    let tpd = Tpd::start(&exchange.lab, &exchange.portal, &good).unwrap();
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    let held = [
        "program on ix0",
        "program on cl0",
        "tp-tun",
        "tp-tap",
        "rules",
        "mount",
    ];
    assert_eq!(traces(&exchange), held);
    let output = refused(&exchange, &bad);
    assert_says(&output, "cl0");
    assert_eq!(traces(&exchange), held);

    // A file that is refused as such: the one that was good is named.
    let output = refused(&exchange, &good.replace("workers", "wrokers"));
    let last_good = exchange.lab.directory().join("state/last-good.toml");
    assert_says(&output, "wrokers");
    assert_says(&output, last_good.to_str().unwrap());
    assert_eq!(std::fs::read_to_string(last_good).unwrap(), good);
    assert!(release(&exchange).status.success());
}

#[test]
fn signals_during_the_start_are_served_after_it() {
    let exchange = Exchange::new("daemon-signals", 1).unwrap();
    let file = exchange.lab.directory().join("tpd.toml");
    let text = good_text(&exchange).replace("\"hold\"", "\"release\"");
    std::fs::write(&file, text).unwrap();
    let mut command = exchange.portal.command(&binary("tpd").unwrap());
    let tpd = exchange
        .lab
        .spawn("tpd", command.arg("--config").arg(&file))
        .unwrap();
    let socket = exchange.lab.directory().join("api.sock");
    let deadline = Instant::now() + PATIENCE;
    while !socket.exists() {
        assert!(Instant::now() < deadline, "{}", tpd.stderr());
        std::thread::sleep(Duration::from_millis(1));
    }
    tpd.signal(Signal::SIGHUP).unwrap();
    tpd.signal(Signal::SIGTERM).unwrap();
    let log = tpd.stderr();
    assert!(!log.contains("serving"), "the signals came late: {log}");
    let status = tpd.wait(PATIENCE).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    assert_eq!(traces(&exchange), [""; 0]);
}

#[test]
fn a_file_that_is_not_there_is_told_once() {
    let exchange = Exchange::new("daemon-missing", 1).unwrap();
    let mut command = exchange.portal.command(&binary("tpd").unwrap());
    let output = command.args(["--check", "/nonexist"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.matches("No such file").count(), 1, "{text}");
    assert_says(&output, "cannot read /nonexist");
}

/// The laboratory with its clients and a daemon.
#[track_caller]
fn serving(name: &str) -> Site {
    let mut exchange = Exchange::new(name, 1).unwrap();
    exchange.start_clients().unwrap();
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
    site.assert_forwards();
    site
}

fn good_text(exchange: &Exchange) -> String {
    ConfigText::default().text(exchange.lab.directory())
}

/// Runs `tpd` with a file of this text, which it must refuse.
#[track_caller]
fn refused(exchange: &Exchange, text: &str) -> Output {
    let file = exchange.lab.directory().join("other.toml");
    std::fs::write(&file, text).unwrap();
    let output = bounded(&exchange.portal, &["--config".as_ref(), &file]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    output
}

fn release(exchange: &Exchange) -> Output {
    let bpffs = exchange.lab.directory().join("bpf");
    bounded(
        &exchange.portal,
        &["--release".as_ref(), "--bpffs".as_ref(), &bpffs],
    )
}

/// Runs `tpd` to its end; should it serve instead, it must not hang.
fn bounded(portal: &Ns, arguments: &[&Path]) -> Output {
    let command = portal.command(&binary("tpd").unwrap());
    let mut bounded = std::process::Command::new("timeout");
    bounded
        .arg(PATIENCE.as_secs().to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .args(arguments);
    bounded.output().unwrap()
}

/// What a daemon has made and is there: programs on ports, its mount, its socket, neighbour entries.
fn traces(exchange: &Exchange) -> Vec<String> {
    let ask = |arguments: &[&str]| {
        let mut command = exchange.portal.command("ip");
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut found = Vec::new();
    for port in ["ix0", "cl0"] {
        if ask(&["-details", "link", "show", "dev", port]).contains("prog/xdp") {
            found.push(format!("program on {port}"));
        }
    }
    for device in ["tp-tun", "tp-tap"] {
        if exchange.portal.link(device).is_ok() {
            found.push(device.to_owned());
        }
    }
    if ["-4", "-6"]
        .iter()
        .any(|f| ask(&[f, "rule", "show"]).contains("iif tp-"))
    {
        found.push("rules".to_owned());
    }
    let directory = exchange.lab.directory();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    if mounts.contains(directory.to_str().unwrap()) {
        found.push("mount".to_owned());
    }
    if directory.join("api.sock").exists() {
        found.push("socket".to_owned());
    }
    let neighbours = ask(&["neighbour", "show"]);
    // Of a kernel that knows no managed entries they would at least bear the daemon's number.
    let ours = |line: &&str| line.contains("managed") || line.contains("proto 84");
    // How fresh an entry is changes with time: only whose it is counts.
    let mut addresses: Vec<_> = neighbours.lines().filter(ours).collect();
    addresses.sort_unstable();
    if !addresses.is_empty() {
        let first = |line: &&str| line.split(' ').next().map(str::to_owned);
        let all: Vec<_> = addresses.iter().filter_map(first).collect();
        found.push(format!("neighbours {}", all.join(" ")));
    }
    found
}

/// Compares without the frame that messages are drawn into, and without white space: lines break anywhere.
#[track_caller]
fn assert_says(output: &Output, expected: &str) {
    let squeeze =
        |text: &str| text.replace(|c: char| "│├╰─╭▶×".contains(c) || c.is_whitespace(), "");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        squeeze(&text).contains(&squeeze(expected)),
        "no {expected:?} in {text}"
    );
}
