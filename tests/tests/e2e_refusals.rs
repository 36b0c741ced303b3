//! Bad input is refused with its place and reason, and nothing is half applied: by `tpd --check`, at start,
//! and by a running portal that goes on as it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;
use tp_tests::exchange::{Client, ConfigText, Exchange, Isp, Site, assert_counters_close, binary};
use tp_tests::lab::{End, Lab, Ns, Signal};

/// A mistake in a configuration that is good otherwise.
struct Mistake {
    /// What stands there, once in the file.
    good: &'static str,
    /// What is written instead.
    bad: &'static str,
    /// Where the refusal points: the last place of this text in the file.
    at: &'static str,
    /// Words of the reason.
    reason: &'static str,
}

/// One of each kind of bad input that the portal must refuse. The laboratory has a device `big0` with an MTU of
/// 1900, and a route to 10.77.0.0/24 into a TUN device.
const MISTAKES: &[Mistake] = &[
    Mistake {
        good: "[clients.a]\n",
        bad: "[clients.a]\ncolour = \"red\"\n",
        at: "colour",
        reason: "unknown field `colour`",
    },
    Mistake {
        good: "[\"198.51.100.128/25\"]\n\n[tunnels.b-isp1]",
        bad: "[\"198.51.100.64/26\", \"198.51.100.128/25\"]\n\n[tunnels.b-isp1]",
        at: "\"198.51.100.64/26\"",
        reason: "198.51.100.64/26 of client b overlaps 198.51.100.0/25 of client a",
    },
    Mistake {
        good: "client = \"a\"\nupstream = \"isp2\"",
        bad: "client = \"a\"\nupstream = \"isp9\"",
        at: "\"isp9\"",
        reason: "tunnel a-isp2 leads to upstream `isp9`, which is not in [upstreams]",
    },
    Mistake {
        good: "next_hop = \"192.0.2.1\"\n",
        bad: "next_hop = \"192.0.2.1\"\nsource_macs = [\"02:00:00:00:01:02\"]\n",
        at: "\"02:00:00:00:01:02\"",
        reason: "upstreams isp1 and isp2 have one source MAC 02:00:00:00:01:02 on one port and VLAN",
    },
    Mistake {
        good: "key = 2\n",
        bad: "key = 1\n",
        at: "a-isp2",
        reason: "tunnel a-isp1 and tunnel a-isp2 have one outer header: 10.0.0.1 to 10.9.0.2, gre with key 1",
    },
    Mistake {
        good: "[ports.cl0]\n",
        bad: "[ports.cl0]\n[ports.eth7]\n",
        at: "eth7",
        reason: "there is no device eth7",
    },
    Mistake {
        good: "[ports.cl0]\n",
        bad: "[ports.cl0]\n[ports.big0]\n",
        at: "big0",
        reason: "port big0 has an MTU of 1900, more than the 1770 that a chunk of 2048 bytes holds",
    },
    Mistake {
        good: "workers = [0]",
        bad: "workers = [0, 1]",
        at: "[0, 1]",
        reason: "2 workers, but port ix0 has 1 receive and 1 transmit queues",
    },
    Mistake {
        good: "workers = [0]",
        bad: "workers = [0, 0]",
        at: "0]\non_stop",
        reason: "CPU 0 is listed twice",
    },
    Mistake {
        good: "\"02:00:00:00:01:02\"",
        bad: "\"03:00:00:00:01:02\"",
        at: "\"03:00:00:00:01:02\"",
        reason: "03:00:00:00:01:02",
    },
    Mistake {
        good: "local = \"10.0.0.2\"\nremote = \"10.0.0.20\"\n",
        bad: "local = \"10.0.0.2\"\nremote = \"10.77.0.1\"\n",
        at: "\"10.77.0.1\"",
        reason: "the route to 10.77.0.1, the far end of tunnel b-isp2, leads into tun7, a tun device",
    },
    Mistake {
        good: "local = \"10.0.0.2\"\nremote = \"10.0.0.20\"\n",
        bad: "local = \"10.0.0.3\"\nremote = \"10.0.0.20\"\n",
        at: "\"10.0.0.3\"",
        reason: "10.0.0.3, the local address of tunnel b-isp2, is not an address of this host",
    },
    Mistake {
        good: "[upstreams.isp2]\n",
        bad: "[upstreams.isp2\n",
        at: "\nport = \"ix0\"\nnext_hop = \"02:00:00:00:01:02\"",
        reason: "not TOML",
    },
];

impl Mistake {
    fn text(&self, good: &str) -> String {
        assert_eq!(
            good.matches(self.good).count(),
            1,
            "{:?} is not there once",
            self.good
        );
        good.replace(self.good, self.bad)
    }

    /// `line:column`, both from 1, counted by hand.
    fn place(&self, text: &str) -> String {
        let at = text.rfind(self.at).expect("the place is in the text");
        let line = text[..at].lines().count().max(1) + usize::from(text[..at].ends_with('\n'));
        let column = at - text[..at].rfind('\n').map_or(0, |newline| newline + 1) + 1;
        format!("{line}:{column}")
    }
}

fn exchange(name: &str) -> Exchange {
    let exchange = Exchange::new(name, 1).unwrap();
    let portal = &exchange.portal;
    exchange
        .lan()
        .plug(End::new(portal, "big0").mtu(1900))
        .unwrap();
    run(
        portal,
        "ip",
        &["tuntap", "add", "dev", "tun7", "mode", "tun"],
    );
    portal.link_up("tun7").unwrap();
    portal.address("tun7", "10.77.0.2/24").unwrap();
    exchange
}

fn run(ns: &Ns, program: &str, arguments: &[&str]) -> Output {
    let output = ns.command(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    output
}

fn good_text(lab: &Lab) -> String {
    ConfigText::default().text(lab.directory())
}

/// Runs `tpd` with a file of this text to its end.
fn tpd(lab: &Lab, ns: &Ns, task: &str, text: &str) -> (PathBuf, Output) {
    let file = lab.directory().join("other.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = ns.command(&binary("tpd").unwrap());
    // Should it serve instead of refusing, it must not hang.
    let mut bounded = std::process::Command::new("timeout");
    bounded
        .arg("20")
        .arg(command.get_program())
        .args(command.get_args());
    command = bounded;
    let output = command.arg(task).arg(&file).output().unwrap();
    (file, output)
}

/// Text without the frame that it is drawn into, and without white space: lines break anywhere.
fn squeezed(text: impl AsRef<[u8]>) -> String {
    let text = String::from_utf8_lossy(text.as_ref()).into_owned();
    text.replace(|c: char| "│├╰─╭▶×".contains(c) || c.is_whitespace(), "")
}

#[track_caller]
fn assert_contains(output: &[u8], expected: &str) {
    let all = String::from_utf8_lossy(output);
    assert!(
        squeezed(output).contains(&squeezed(expected)),
        "no {expected:?} in {all}"
    );
}

#[track_caller]
fn assert_says(output: &[u8], mistake: &Mistake, file: &Path, text: &str) {
    let place = format!("{}:{}", file.display(), mistake.place(text));
    assert_contains(output, &place);
    assert_contains(output, mistake.reason);
}

#[test]
fn a_check_names_place_and_reason_and_a_start_leaves_nothing() {
    let exchange = exchange("refuse-check");
    let (lab, portal) = (&exchange.lab, &exchange.portal);
    let good = good_text(lab);
    let untouched = traces(lab, portal);
    for mistake in MISTAKES {
        let text = mistake.text(&good);
        for task in ["--check", "--config"] {
            let (file, output) = tpd(lab, portal, task, &text);
            assert_eq!(output.status.code(), Some(1), "{task}: {output:?}");
            assert_says(&output.stderr, mistake, &file, &text);
        }
        assert_eq!(traces(lab, portal), untouched, "{}", mistake.reason);
    }
    let (_, output) = tpd(lab, portal, "--check", &good);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_contains(&output.stdout, "good");
    assert_eq!(traces(lab, portal), untouched);
}

/// What a portal leaves in its namespace and directory: programs, neighbour entries, mounts, sockets.
fn traces(lab: &Lab, portal: &Ns) -> (Vec<String>, String, Vec<String>) {
    let links = String::from_utf8(run(portal, "ip", &["-o", "link"]).stdout).unwrap();
    let programs = links
        .lines()
        .filter(|line| line.contains("xdp"))
        .map(str::to_owned)
        .collect();
    let neighbours = String::from_utf8(run(portal, "ip", &["neighbour"]).stdout).unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let directory = lab.directory().display().to_string();
    let mut left: Vec<String> = mounts
        .lines()
        .filter(|line| line.contains(&directory))
        .map(str::to_owned)
        .collect();
    for name in ["api.sock", "state/last-good.toml"] {
        left.extend(lab.directory().join(name).exists().then(|| name.to_owned()));
    }
    (programs, neighbours, left)
}

#[test]
fn a_running_portal_refuses_and_goes_on_as_it_was() {
    let mut exchange = exchange("refuse-reload");
    exchange.start_clients().unwrap();
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
    site.assert_forwards();
    let good = good_text(&site.exchange.lab);
    let file = site.exchange.lab.directory().join("tpd.toml");
    let before = state(&site);
    for mistake in MISTAKES {
        let text = mistake.text(&good);
        let output = site.tpd.reload(&text).unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_says(&output.stderr, mistake, &file, &text);
        assert_eq!(state(&site), before, "{}", mistake.reason);

        let refused = refusals(&site);
        site.tpd.process().signal(Signal::SIGHUP).unwrap();
        wait(|| refusals(&site) > refused);
        assert_eq!(state(&site), before, "by SIGHUP: {}", mistake.reason);
    }
    site.assert_forwards();
    // The good file is what is in force: nothing changes, and the generation tells.
    let output = site.tpd.reload(&good).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(state(&site), before);
    site.assert_forwards();
    assert_counters_close(&site.tpd.counters_at_rest().unwrap());
    assert!(
        site.tpd
            .stop()
            .unwrap()
            .is_some_and(|status| status.success())
    );
}

/// All that the portal tells of its state, but what time changes.
fn state(site: &Site) -> Vec<Value> {
    let show = |what: &[&str]| site.tpd.json(&[&["show"], what].concat()).unwrap();
    let mut status = show(&["status"]);
    let status = status.as_object_mut().expect("a table");
    status.retain(|name, _| !["uptime_s", "kernel"].contains(&name.as_str()));
    let mut all = vec![Value::Object(status.clone())];
    for what in [
        "ports",
        "upstreams",
        "clients",
        "tunnels",
        "neighbours",
        "vfib",
    ] {
        all.push(show(&[what]));
    }
    all.extend(Isp::ALL.map(|isp| show(&["vfib", isp.name()])));
    all
}

fn refusals(site: &Site) -> usize {
    site.tpd
        .process()
        .stderr()
        .matches("the configuration is refused")
        .count()
}

#[track_caller]
fn wait(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_needs_a_restart_is_refused_by_name() {
    let exchange = Exchange::new("refuse-restart", 1).unwrap();
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
    let good = good_text(&site.exchange.lab);
    let before = state(&site);
    let settings = [
        ("workers = [0]", "workers = [1]", "the list of workers"),
        ("on_stop", "busy_poll = true\non_stop", "busy_poll"),
        ("on_stop", "memory = { frames = 8192 }\non_stop", "memory"),
        ("/api.sock\"", "/other.sock\"", "the path of the API socket"),
        ("/bpf\"", "/other\"", "the path of the bpffs"),
        ("/state\"", "/other\"", "the state directory"),
    ];
    for (old, new, name) in settings {
        assert_eq!(good.matches(old).count(), 1, "{old}");
        let output = site.tpd.reload(&good.replace(old, new)).unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let expected = format!("{name} cannot change while tpd runs; restart it");
        assert_contains(&output.stderr, &expected);
        assert_eq!(state(&site), before, "{name}");
    }
    assert_counters_close(&site.tpd.counters_at_rest().unwrap());
    // What a stop leaves may change at any time.
    let output = site
        .tpd
        .reload(&good.replace("\"hold\"", "\"release\""))
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        site.tpd
            .stop()
            .unwrap()
            .is_some_and(|status| status.success())
    );
}

#[test]
fn a_second_daemon_is_refused_and_a_check_disturbs_nothing() {
    let mut exchange = Exchange::new("refuse-second", 1).unwrap();
    exchange.start_clients().unwrap();
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
    let (lab, portal) = (&site.exchange.lab, &site.exchange.portal);
    let good = good_text(lab);
    let before = state(&site);
    let neighbours = || String::from_utf8(run(portal, "ip", &["neighbour"]).stdout).unwrap();
    let managed = neighbours().matches("managed").count();
    assert_eq!(managed, 3, "{}", neighbours());

    let (_, output) = tpd(lab, portal, "--config", &good);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let expected = format!(
        "another tpd runs with the state directory {}/state",
        lab.directory().display()
    );
    assert_contains(&output.stderr, &expected);
    assert_eq!(state(&site), before);

    for _ in 0..3 {
        let (_, output) = tpd(lab, portal, "--check", &good);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(
            neighbours().matches("managed").count(),
            managed,
            "{}",
            neighbours()
        );
        assert_eq!(state(&site), before);
        site.assert_forwards();
    }
    assert_counters_close(&site.tpd.counters_at_rest().unwrap());
}

#[test]
fn tpctl_says_when_there_is_no_daemon_and_answers_where_packets_would_go() {
    let mut exchange = Exchange::new("refuse-tpctl", 1).unwrap();
    exchange.start_clients().unwrap();
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();

    let to_server = site.tpd.json(&["lookup", "isp2", "203.0.113.80"]).unwrap();
    assert_eq!(to_server["route"]["prefix"], "0.0.0.0/0", "{to_server:#}");
    assert_eq!(to_server["route"]["upstream"], "isp2");
    assert_eq!(to_server["egress"]["port"], "ix0");
    assert_eq!(to_server["egress"]["mac"], "02:00:00:00:01:02");
    let to_a = site.tpd.json(&["lookup", "isp2", "198.51.100.77"]).unwrap();
    assert_eq!(
        to_a["route"]["tunnel"],
        Client::A.tunnel(Isp::Two),
        "{to_a:#}"
    );
    assert_eq!(to_a["egress"]["outer"]["key"], 2);
    assert_eq!(to_a["egress"]["outer"]["destination"], "10.9.0.2");
    let to_b = site
        .tpd
        .json(&["lookup", "isp1", "198.51.100.129"])
        .unwrap();
    assert_eq!(to_b["egress"]["outer"]["kind"], "ipip", "{to_b:#}");
    assert_eq!(to_b["egress"]["outer"]["source"], "10.0.0.1");
    let nowhere = site.tpd.json(&["lookup", "isp1", "127.0.0.1"]).unwrap();
    assert_eq!(nowhere["drop"], "martian-destination", "{nowhere:#}");

    let unknown = site.tpd.tpctl(&["lookup", "isp9", "203.0.113.80"]).unwrap();
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert_contains(&unknown.stderr, "there is no virtual FIB \"isp9\"");

    assert_counters_close(&site.tpd.counters_at_rest().unwrap());
    // Nothing is forwarded any more, and tpctl says why it has no answer.
    let (lab, portal) = (&site.exchange.lab, &site.exchange.portal);
    let socket = lab.directory().join("api.sock");
    let mut tpctl = portal.command(&binary("tpctl").unwrap());
    tpctl.arg("--socket").arg(&socket).args(["show", "status"]);
    assert!(
        site.tpd
            .stop()
            .unwrap()
            .is_some_and(|status| status.success())
    );
    let output = tpctl.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_contains(&output.stderr, &socket.display().to_string());
    assert_contains(&output.stderr, "start the daemon");
}
