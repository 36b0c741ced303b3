//! The laboratory tested by itself: what it makes works, and nothing of it stays.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

mod bgp;
mod client;
mod leftovers;
mod wire;

use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use tp_tests::lab::{End, Lab, Ns, Route};
use tp_tests::traffic::{Ping, TcpTransfer};

const WEST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const EAST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const MIB: u64 = 1 << 20;

/// west (192.0.2.2) - router - east (198.51.100.2)
struct Line {
    lab: Lab,
    west: Ns,
    router: Ns,
    east: Ns,
}

#[test]
fn the_kernel_routes_between_two_namespaces() {
    let line = line("route");
    let report = Ping::new(EAST).run(&line.west).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert!(line.router.snmp("Ip", "ForwDatagrams").unwrap() >= 6);

    line.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
    let report = Ping::new(EAST).count(1).run(&line.west).unwrap();
    assert_eq!(report.received, 0, "{report:?}");
}

#[test]
fn ends_are_as_they_were_asked_for() {
    let lab = Lab::new("ends").unwrap();
    let (left, right) = (
        lab.namespace("left").unwrap(),
        lab.namespace("right").unwrap(),
    );
    let mac = [2, 0, 0, 0, 0, 7];
    lab.veth(
        End::new(&left, "isp").mac(mac).mtu(2000).queues(2),
        End::new(&right, "port0").mtu(2000).queues(2),
    )
    .unwrap();
    let link = left.link("isp").unwrap();
    assert_eq!(
        (link.mac, link.mtu, link.up, link.running),
        (mac, 2000, true, true)
    );
    let features = left
        .command("ethtool")
        .args(["-k", "isp"])
        .output()
        .unwrap();
    let features = String::from_utf8(features.stdout).unwrap();
    for off in [
        "tx-checksumming",
        "tcp-segmentation-offload",
        "rx-vlan-offload",
        "generic-receive-offload",
    ] {
        assert!(
            features.contains(&format!("{off}: off")),
            "{off} in {features}"
        );
    }
    let channels = right
        .command("ethtool")
        .args(["-l", "port0"])
        .output()
        .unwrap();
    let channels = String::from_utf8(channels.stdout).unwrap();
    assert!(
        channels.contains("RX:\t\t2") && channels.contains("TX:\t\t2"),
        "{channels}"
    );

    right.link_down("port0").unwrap();
    assert!(!left.link("isp").unwrap().running);
    right.link_delete("port0").unwrap();
    assert!(left.link("isp").is_err(), "the other end of a pair stays");
}

#[test]
fn a_bridge_joins_its_ends_into_one_lan() {
    let lab = Lab::new("lan").unwrap();
    let bridge = lab.bridge("ixp").unwrap();
    let hosts: Vec<Ns> = (1..=3)
        .map(|host| lab.namespace(&format!("host{host}")).unwrap())
        .collect();
    for (host, number) in hosts.iter().zip(1..) {
        bridge.plug((host, "eth0")).unwrap();
        host.address("eth0", &format!("192.0.2.{number}/24"))
            .unwrap();
    }
    for number in [2, 3] {
        let report = Ping::new(Ipv4Addr::new(192, 0, 2, number))
            .run(&hosts[0])
            .unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[test]
fn routes_are_replaced_and_removed() {
    let lab = Lab::new("routes").unwrap();
    let [host, first, second] =
        ["host", "first", "second"].map(|name| lab.namespace(name).unwrap());
    let target = Ipv4Addr::new(203, 0, 113, 1);
    for (device, peer, number) in [("eth1", &first, 1), ("eth2", &second, 2)] {
        lab.veth((&host, device), (peer, "eth0")).unwrap();
        host.address(device, &format!("192.0.{number}.1/24"))
            .unwrap();
        peer.address("eth0", &format!("192.0.{number}.2/24"))
            .unwrap();
        peer.address("lo", &format!("{target}/32")).unwrap();
    }
    let by = |number| {
        let route = Route::to("203.0.113.0/24").unwrap();
        route.via(Ipv4Addr::new(192, 0, number, 2).into())
    };
    let answers = |ns: &Ns| ns.snmp("Icmp", "OutEchoReps").unwrap();
    for (route, counts) in [(by(1), (1, 0)), (by(2), (1, 1))] {
        host.route(&route).unwrap();
        assert!(Ping::new(target).count(1).run(&host).unwrap().is_clean());
        assert_eq!((answers(&first), answers(&second)), counts);
    }
    host.route_delete(&by(2)).unwrap();
    assert!(
        Ping::new(target).count(1).run(&host).is_err(),
        "there is no route"
    );
    assert!(host.route_delete(&by(2)).is_err(), "it is gone already");
}

#[test]
fn a_transfer_can_be_watched_and_survives_a_pause() {
    let line = line("pause");
    let transfer = TcpTransfer::new(&line.west, &line.east, EAST, 64 * MIB)
        .start()
        .unwrap();
    assert!(transfer.wait_for(MIB));
    line.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(transfer.received() < 64 * MIB);
    line.router.sysctl("net.ipv4.ip_forward", "1").unwrap();
    let report = transfer.finish().unwrap();
    assert!(report.is_intact() && report.bytes == 64 * MIB, "{report:?}");
}

#[test]
fn a_transfer_that_cannot_end_is_an_error_in_time() {
    let line = line("limit");
    let started = Instant::now();
    let transfer = TcpTransfer::new(&line.west, &line.east, EAST, 64 * MIB);
    let running = transfer.limit(Duration::from_secs(2)).start().unwrap();
    assert!(running.wait_for(MIB));
    line.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
    assert!(running.finish().is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_closure_that_panics_inside_a_namespace_panics_outside() {
    let lab = Lab::new("closure").unwrap();
    let ns = lab.namespace("ns").unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| ns.run(|| panic!("inside"))));
    assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "inside");
}

/// Builds the line, with addresses and routes.
fn line(name: &str) -> Line {
    let lab = Lab::new(name).unwrap();
    let [west, router, east] = ["west", "router", "east"].map(|name| lab.namespace(name).unwrap());
    lab.veth((&west, "eth0"), (&router, "west")).unwrap();
    lab.veth((&east, "eth0"), (&router, "east")).unwrap();
    router.address("west", "192.0.2.1/24").unwrap();
    router.address("east", "198.51.100.1/24").unwrap();
    router.sysctl("net.ipv4.ip_forward", "1").unwrap();
    for (host, address, gateway) in [
        (&west, WEST, [192, 0, 2, 1]),
        (&east, EAST, [198, 51, 100, 1]),
    ] {
        host.address("eth0", &format!("{address}/24")).unwrap();
        let default = Route::to("0.0.0.0/0")
            .unwrap()
            .via(Ipv4Addr::from(gateway).into());
        host.route(&default).unwrap();
    }
    Line {
        lab,
        west,
        router,
        east,
    }
}
