//! What a daemon leaves that was killed, or that stopped: client packets never become the kernel's.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use tp_tests::exchange::{
    Bypass, Client, ConfigText, Exchange, Isp, SERVER, Site, Tpd, Wire, assert_counters_close,
    binary,
};
use tp_tests::packet::{Frame, Ipv4, Transport};
use tp_tests::traffic::{Ping, UdpFlow, UdpRunning};
use tp_wire::MacAddr;

/// Datagrams a second of each flow.
const RATE: u32 = 2000;
/// No test lasts longer, so no flow has to.
const LONGEST: Duration = Duration::from_secs(150);
/// How long traffic may take to come or to cease.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn killed_under_traffic_the_kernel_forwards_nothing_and_a_new_start_resumes() {
    let (exchange, mut bypass) = laboratory("killed");
    assert_kernel_forwards(&exchange, &bypass);

    let Site { tpd, exchange } = serve(exchange, "hold");
    bypass.forget(&exchange).unwrap();
    let inward = start(bypass.inward(&exchange));
    let outward = start(bypass.outward(&exchange));
    await_arrivals(&inward);
    tpd.kill().unwrap();
    assert_ceases(&inward);
    assert_link_protocols_pass(&exchange);

    let tpd = again(&exchange, "hold");
    await_arrivals(&inward);
    // A second life ends like the first: the program of the first is not in its way.
    tpd.kill().unwrap();
    assert_ceases(&inward);
    let site = Site {
        tpd: again(&exchange, "hold"),
        exchange,
    };
    await_arrivals(&inward);
    site.assert_forwards();

    inward.stop();
    outward.stop();
    let (inward, outward) = (inward.finish().unwrap(), outward.finish().unwrap());
    assert_eq!((inward.damaged, inward.duplicated), (0, 0));
    assert!(outward.sent > 0);
    assert_eq!(
        outward.received, 0,
        "client packets outside any tunnel went through"
    );
    assert_eq!(bypass.forwarded(&site.exchange).unwrap(), 0);
    let counters = site.tpd.counters_at_rest().unwrap();
    assert_counters_close(&counters);
}

#[test]
fn link_protocols_to_hosts_are_not_forwarded_either() {
    let (exchange, mut bypass) = laboratory("igmp");
    send_igmp_to_hosts(&exchange);
    let control = bypass.forwarded(&exchange).unwrap();
    assert_eq!(control, 40, "the kernel would forward all of it");

    let Site { tpd, exchange } = serve(exchange, "hold");
    bypass.forget(&exchange).unwrap();
    send_igmp_to_hosts(&exchange);
    assert_eq!(bypass.forwarded(&exchange).unwrap(), 0, "while it serves");
    assert_link_protocols_pass(&exchange);
    tpd.kill().unwrap();
    send_igmp_to_hosts(&exchange);
    assert_eq!(bypass.forwarded(&exchange).unwrap(), 0, "after its death");
}

#[test]
fn release_leaves_nothing_of_a_killed_daemon() {
    let (exchange, mut bypass) = laboratory("release");
    let Site { tpd, exchange } = serve(exchange, "hold");
    assert_eq!(traces(&exchange).len(), 4, "{:?}", traces(&exchange));
    tpd.kill().unwrap();
    bypass.forget(&exchange).unwrap();
    let inward = start(bypass.inward(&exchange));
    assert_ceases(&inward);
    assert_eq!(bypass.forwarded(&exchange).unwrap(), 0);

    release(&exchange, "released: cl0, ix0, tp-tun, tp-tap\n");
    assert_eq!(traces(&exchange), [""; 0]);
    // The kernel is its own master again.
    await_arrivals(&inward);
    assert!(bypass.forwarded(&exchange).unwrap() > 0);
    // There is nothing more to release, and that is no error.
    release(&exchange, "no port was held\n");
    drop(inward);
    // A start after it is like the first.
    again(&exchange, "hold");
}

#[test]
fn a_clean_stop_holds_the_ports_when_asked_to_hold() {
    let (exchange, mut bypass) = laboratory("hold");
    let Site { tpd, exchange } = serve(exchange, "hold");
    bypass.forget(&exchange).unwrap();
    let inward = start(bypass.inward(&exchange));
    let outward = start(bypass.outward(&exchange));
    await_arrivals(&inward);
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    assert_ceases(&inward);
    assert_link_protocols_pass(&exchange);
    // Its neighbour entries are not needed any more; the programs on the ports and their mount are.
    let left = traces(&exchange);
    assert_eq!(left.len(), 3, "{left:?}");

    drop(inward);
    outward.stop();
    let outward = outward.finish().unwrap();
    assert_eq!(
        (outward.received, bypass.forwarded(&exchange).unwrap()),
        (0, 0)
    );
    release(&exchange, "released: cl0, ix0, tp-tun, tp-tap\n");
    assert_eq!(traces(&exchange), [""; 0]);
}

#[test]
fn a_clean_stop_leaves_nothing_when_asked_to_release() {
    let (exchange, bypass) = laboratory("stop");
    let Site { tpd, exchange } = serve(exchange, "release");
    let inward = start(bypass.inward(&exchange));
    await_arrivals(&inward);
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    assert_eq!(traces(&exchange), [""; 0]);
    await_arrivals(&inward);
    drop(inward);
    assert_kernel_forwards(&exchange, &bypass);
}

/// The laboratory with its clients, and a kernel that would forward.
fn laboratory(name: &str) -> (Exchange, Bypass) {
    let mut exchange = Exchange::new(name, 1).unwrap();
    exchange.start_clients().unwrap();
    let bypass = Bypass::open(&exchange).unwrap();
    (exchange, bypass)
}

fn serve(exchange: Exchange, on_stop: &'static str) -> Site {
    Site::start(exchange, |directory| config(on_stop).text(directory)).unwrap()
}

/// A daemon after another one's end.
fn again(exchange: &Exchange, on_stop: &'static str) -> Tpd {
    let text = config(on_stop).text(exchange.lab.directory());
    Tpd::start(&exchange.lab, &exchange.portal, &text).unwrap()
}

fn config(on_stop: &'static str) -> ConfigText {
    ConfigText {
        on_stop,
        ..ConfigText::default()
    }
}

fn start(flow: UdpFlow) -> UdpRunning {
    flow.packets_per_second(RATE)
        .lasting(LONGEST)
        .start()
        .unwrap()
}

/// The control run: without the program, what no client packet may do otherwise happens.
fn assert_kernel_forwards(exchange: &Exchange, bypass: &Bypass) {
    let before = bypass.forwarded(exchange).unwrap();
    for flow in [bypass.inward(exchange), bypass.outward(exchange)] {
        let report = flow.count(200).run().unwrap();
        assert!(report.received > 100, "{report:?}");
    }
    assert!(bypass.forwarded(exchange).unwrap() - before > 200);
}

fn await_arrivals(flow: &UdpRunning) {
    let (start, before) = (Instant::now(), flow.progress().received);
    while flow.progress().received < before + 100 {
        assert!(
            start.elapsed() < PATIENCE,
            "nothing arrives: {:?}",
            flow.progress()
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// What was under way may still arrive; then nothing does for a second.
fn assert_ceases(flow: &UdpRunning) {
    thread::sleep(Duration::from_millis(300));
    let before = flow.progress().received;
    thread::sleep(Duration::from_secs(1));
    assert_eq!(
        flow.progress().received,
        before,
        "traffic goes on without a daemon"
    );
}

/// IP protocol 2 with one client's source, to hosts on the other side: 20 packets from each port's LAN. They have
/// been counted when this returns.
fn send_igmp_to_hosts(exchange: &Exchange) {
    let forged = Client::A.address();
    let (ix, cl) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let from_anybody = [2, 0, 0, 0, 9, 9];
    let sides = [
        (exchange.lan(), ix, Isp::One.mac(), Client::B.address()),
        (exchange.access(), cl, from_anybody, SERVER),
    ];
    for (lan, port, router, host) in sides {
        // The first link that is plugged into a bridge is the portal's port.
        let wire = Wire::open(lan.ns(), "p0").unwrap();
        let packet = Ipv4::new(forged, host, Transport::Raw(2, vec![0; 8]));
        let frame = Frame::new(MacAddr::new(port), MacAddr::new(router), packet).build();
        for _ in 0..20 {
            wire.send(&frame).unwrap();
        }
    }
    thread::sleep(Duration::from_millis(300));
}

/// ARP and what is for the portal's own addresses stay the kernel's.
fn assert_link_protocols_pass(exchange: &Exchange) {
    let portal = Ipv4Addr::new(192, 0, 2, 10);
    for router in [exchange.isp(Isp::Two), &exchange.third] {
        let report = Ping::new(portal).run(router).unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
    let report = Ping::new(Ipv4Addr::new(10, 0, 0, 1)).run(exchange.client(Client::B));
    assert!(report.unwrap().is_clean());
}

/// What a daemon has made in the kernel and is there, in words: programs on ports, its mount, neighbour entries.
fn traces(exchange: &Exchange) -> Vec<String> {
    let ask = |arguments: &[&str]| {
        let output = exchange
            .portal
            .command("ip")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut found = Vec::new();
    for port in ["ix0", "cl0"] {
        if ask(&["-details", "link", "show", "dev", port]).contains("prog/xdp") {
            found.push(format!("a program on {port}"));
        }
    }
    let bpffs = exchange.lab.directory().join("bpf");
    if fs::read_to_string("/proc/self/mountinfo")
        .unwrap()
        .contains(bpffs.to_str().unwrap())
    {
        found.push("a mount".to_owned());
    } else if fs::read_dir(&bpffs).is_ok_and(|mut entries| entries.next().is_some()) {
        found.push("files where the mount was".to_owned());
    }
    // Of a kernel that knows no managed entries they would at least bear the daemon's number.
    let neighbours = ask(&["neighbour", "show"]);
    if neighbours.contains("managed") || neighbours.contains("proto 84") {
        found.push(format!("neighbours: {neighbours}"));
    }
    found
}

/// Runs `tpd --release`.
fn release(exchange: &Exchange, says: &str) {
    let bpffs = exchange.lab.directory().join("bpf");
    let mut command = exchange.portal.command(&binary("tpd").unwrap());
    let output = command
        .arg("--release")
        .arg("--bpffs")
        .arg(bpffs)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), says);
}
