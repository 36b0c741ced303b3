//! The portal follows the kernel: ports that vanish, return, go down and up, or get more queues; neighbours whose
//! MAC address changes; routes to far ends that change; an MTU that no longer fits.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use tp_tests::exchange::{
    Client, ConfigText, Exchange, Isp, SERVER, Site, Wire, assert_counters_close, moved,
};
use tp_tests::lab::{End, Ns, Route};
use tp_tests::packet::{Frame, Ipv4, Transport, Udp};
use tp_tests::traffic::{Ping, UdpFlow};
use tp_wire::MacAddr;

fn site(name: &str) -> Site {
    let mut exchange = Exchange::new(name, 1).unwrap();
    exchange.start_clients().unwrap();
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
    site.assert_forwards();
    site
}

fn finish(site: Site) {
    assert_counters_close(&site.tpd.counters_at_rest().unwrap());
    assert!(
        site.tpd
            .stop()
            .unwrap()
            .is_some_and(|status| status.success())
    );
}

fn port<'a>(ports: &'a Value, name: &str) -> &'a Value {
    let mut ports = ports.as_array().expect("a list").iter();
    ports
        .find(|port| port["name"] == name)
        .expect("the port is shown")
}

fn wait_for_port(site: &Site, name: &str, what: &str, good: impl Fn(&Value) -> bool) {
    site.wait_until(&["show", "ports"], what, |ports| good(port(ports, name)))
        .unwrap();
}

fn is_in_service(port: &Value) -> bool {
    port["fault"].is_null()
        && port["queues"]
            .as_array()
            .is_some_and(|queues| queues.len() == 1)
}

/// Client a reaches client b within the portal: in by one port and out by the same.
fn ping_among_clients(site: &Site) -> bool {
    let ping = Ping::new(Client::B.address()).source(Client::A.address());
    ping.run(site.exchange.client(Client::A))
        .unwrap()
        .is_clean()
}

#[test]
fn the_upstreams_port_vanishes_under_traffic_and_returns() {
    let site = site("ports-ix");
    let portal = site.exchange.portal.clone();
    let flow = |from: &Ns, to: &Ns, source: Ipv4Addr, destination: Ipv4Addr| {
        let flow = UdpFlow::new(from, to, destination).source(source);
        flow.packets_per_second(1000)
            .lasting(Duration::from_secs(150))
            .start()
            .unwrap()
    };
    let (server, a) = (&site.exchange.server, site.exchange.client(Client::A));
    let outward = flow(a, server, Client::A.address(), SERVER);
    let inward = flow(server, a, SERVER, Client::A.address());
    for _ in 0..2 {
        portal.link_delete("ix0").unwrap();
        wait_for_port(&site, "ix0", "its loss is told", |port| {
            let fault = port["fault"].as_str().unwrap_or_default();
            fault.contains("ix0") && fault.contains("no such device") && port["ifindex"].is_null()
        });
        let ports = site.tpd.json(&["show", "ports"]).unwrap();
        assert!(is_in_service(port(&ports, "cl0")), "{ports:#}");
        assert!(ping_among_clients(&site), "the other port goes on");

        let end = End::new(&portal, "ix0").mac([2, 0, 0, 0, 0, 1]);
        site.exchange.lan().plug(end).unwrap();
        portal.address("ix0", "192.0.2.10/24").unwrap();
        wait_for_port(&site, "ix0", "it is back in service", is_in_service);
        site.wait_for_neighbours().unwrap();
        site.wait_until_it_forwards().unwrap();
        let (before, after) = (outward.progress().received, inward.progress().received);
        std::thread::sleep(Duration::from_millis(300));
        assert!(outward.progress().received > before, "the flow out goes on");
        assert!(inward.progress().received > after, "the flow in goes on");
    }
    for flow in [outward, inward] {
        flow.stop();
        let report = flow.finish().unwrap();
        assert_eq!((report.duplicated, report.damaged), (0, 0), "{report:?}");
    }
    site.assert_forwards();
    finish(site);
}

#[test]
fn the_clients_port_vanishes_and_returns() {
    let site = site("ports-cl");
    let portal = site.exchange.portal.clone();
    portal.link_delete("cl0").unwrap();
    wait_for_port(&site, "cl0", "its loss is told", |port| {
        port["fault"].is_string()
    });
    let ports = site.tpd.json(&["show", "ports"]).unwrap();
    assert!(is_in_service(port(&ports, "ix0")), "{ports:#}");
    let status = site.tpd.json(&["show", "status"]).unwrap();
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("there is no device cl0"), "{status:#}");
    assert!(
        warnings.contains("10.0.0.1, the local address of tunnel a-isp1"),
        "{status:#}"
    );

    let end = End::new(&portal, "cl0").mac([2, 0, 0, 0, 0, 2]);
    site.exchange.access().plug(end).unwrap();
    configure_cl0(&portal);
    wait_for_port(&site, "cl0", "it is back in service", is_in_service);
    site.wait_for_neighbours().unwrap();
    site.wait_until_it_forwards().unwrap();
    let status = site.tpd.json(&["show", "status"]).unwrap();
    assert_eq!(
        status["warnings"].as_array().map(Vec::len),
        Some(0),
        "{status:#}"
    );
    finish(site);
}

#[test]
fn a_port_that_returns_with_an_mtu_beyond_the_chunk_waits_for_a_smaller_one() {
    let site = site("ports-big");
    let portal = site.exchange.portal.clone();
    portal.link_delete("ix0").unwrap();
    wait_for_port(&site, "ix0", "its loss is told", |port| {
        port["fault"].is_string()
    });
    let end = End::new(&portal, "ix0").mac([2, 0, 0, 0, 0, 1]).mtu(1900);
    site.exchange.lan().plug(end).unwrap();
    portal.address("ix0", "192.0.2.10/24").unwrap();
    wait_for_port(&site, "ix0", "its MTU is the fault", |port| {
        let fault = port["fault"].as_str().unwrap_or_default();
        fault.contains("an MTU of 1900 does not fit a chunk; the largest that does is 1770")
    });
    assert!(ping_among_clients(&site), "the other port goes on");
    portal.link_mtu("ix0", 1500).unwrap();
    wait_for_port(&site, "ix0", "it is back in service", is_in_service);
    site.wait_for_neighbours().unwrap();
    site.wait_until_it_forwards().unwrap();
    finish(site);
}

fn configure_cl0(portal: &Ns) {
    portal.address("cl0", "10.0.0.1/24").unwrap();
    portal.address("cl0", "10.0.0.2/24").unwrap();
    route_to_a(portal);
}

fn route_to_a(portal: &Ns) {
    let gateway = Ipv4Addr::new(10, 0, 0, 254).into();
    portal
        .route(&Route::to("10.9.0.0/24").unwrap().via(gateway))
        .unwrap();
}

#[test]
fn ports_go_down_and_up() {
    let site = site("ports-down");
    let portal = &site.exchange.portal;
    for name in ["ix0", "cl0"] {
        portal.link_down(name).unwrap();
        wait_for_port(&site, name, "it is down", |port| port["up"] == false);
        assert!(!site.ping(Client::B).unwrap().is_clean());
        portal.link_up(name).unwrap();
        // The kernel keeps no route by a gateway while the link is down.
        if name == "cl0" {
            route_to_a(portal);
        }
        wait_for_port(&site, name, "it is up", |port| {
            port["up"] == true && is_in_service(port)
        });
        site.wait_for_neighbours().unwrap();
        site.wait_until_it_forwards().unwrap();
    }
    finish(site);
}

#[test]
fn a_port_is_added_and_removed_by_a_reload() {
    let site = site("ports-add");
    let exchange = &site.exchange;
    let portal = &exchange.portal;
    // Two devices on one LAN: each answers for its own address alone.
    portal.sysctl("net/ipv4/conf/all/arp_ignore", "1").unwrap();
    let end = End::new(portal, "ex0").mac([2, 0, 0, 0, 0, 3]);
    exchange.lan().plug(end).unwrap();
    portal.address("ex0", "192.0.2.11/24").unwrap();
    let good = ConfigText::default().text(exchange.lab.directory());
    let isp2 = "port = \"ix0\"\nnext_hop = \"02:00:00:00:01:02\"";
    let with_ex0 = good
        .replace("[ports.cl0]\n", "[ports.cl0]\n[ports.ex0]\n")
        .replace(isp2, &isp2.replace("ix0", "ex0"));
    exchange.send_through(Client::A, Isp::Two).unwrap();
    exchange.receive_through(Client::A, Isp::Two).unwrap();
    for _ in 0..3 {
        reload(&site, &with_ex0);
        route_through(&site, Ipv4Addr::new(192, 0, 2, 11));
        wait_for_port(&site, "ex0", "it is in service", is_in_service);
        site.assert_forwards();
        let counters = site.tpd.counters_at_rest().unwrap();
        assert_counters_close(&counters);
        let ports = counters["ports"].as_array().expect("a list");
        let ex0 = ports.iter().find(|port| port["port"] == "ex0").unwrap();
        assert!(ex0["steering"]["redirected"].as_u64() >= Some(2), "{ex0:#}");

        reload(&site, &good);
        route_through(&site, Ipv4Addr::new(192, 0, 2, 10));
        site.assert_forwards();
        let ports = site.tpd.json(&["show", "ports"]).unwrap();
        assert_eq!(ports.as_array().map(Vec::len), Some(2), "{ports:#}");
        let link = portal
            .command("ip")
            .args(["link", "show", "ex0"])
            .output()
            .unwrap();
        let link = String::from_utf8(link.stdout).unwrap();
        assert!(!link.contains("xdp"), "{link}");
        assert_counters_close(&site.tpd.counters_at_rest().unwrap());
    }
    finish(site);
}

#[test]
fn a_port_that_gets_more_queues_is_bound_again() {
    let mut exchange = Exchange::new("ports-queues", 2).unwrap();
    exchange.start_clients().unwrap();
    let portal = exchange.portal.clone();
    let switch = exchange.lan().ns().clone();
    // Native XDP needs as many receive queues as the other end sends on: that one gets fewer first, and more last.
    set_queues(&switch, "p0", 1);
    set_queues(&portal, "ix0", 1);
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
    site.assert_forwards();
    wait_for_port(&site, "ix0", "its only queue is served", is_in_service);

    set_queues(&portal, "ix0", 2);
    set_queues(&switch, "p0", 2);
    wait_for_port(&site, "ix0", "both queues are served", |port| {
        port["fault"].is_null() && port["queues"].as_array().map(Vec::len) == Some(2)
    });
    // A veth runs no program in a queue that it got while it was up (docs/configuration.md).
    portal.link_down("ix0").unwrap();
    portal.link_up("ix0").unwrap();
    site.wait_for_neighbours().unwrap();
    site.wait_until_it_forwards().unwrap();
    let before = site.tpd.counters_at_rest().unwrap();
    send_many_flows(&site, 64);
    let after = site.tpd.counters_at_rest().unwrap();
    assert_counters_close(&after);
    // No drop has moved; what client b answers to datagrams that nobody waits for goes back the same way.
    let mut all = moved(&before, &after);
    let answers = all.remove("cl0 redirected").unwrap_or_default();
    let whole = [
        ("ix0 redirected", 64),
        ("worker rx", 64 + answers),
        ("worker tx", 64 + answers),
    ];
    assert_eq!(
        all,
        whole.map(|(name, count)| (name.to_owned(), count)).into()
    );
    let statistics = run(&portal, "ethtool", &["-S", "ix0"]);
    for queue in ["rx_queue_0_xdp_packets: 0", "rx_queue_1_xdp_packets: 0"] {
        assert!(
            !statistics.lines().any(|l| l.trim() == queue),
            "{statistics}"
        );
    }
    finish(site);
}

fn set_queues(ns: &Ns, device: &str, count: u32) {
    let count = count.to_string();
    run(ns, "ethtool", &["-L", device, "rx", &count, "tx", &count]);
}

/// From the first ISP's router to client b, one datagram a flow: what is put on the wire as it is goes out by the
/// queue that its flow's hash says, and by that queue in.
fn send_many_flows(site: &Site, flows: u16) {
    let wire = Wire::open(site.exchange.lan().ns(), "p0").unwrap();
    for source in 1024..1024 + flows {
        let udp = Udp::new(source, 9, vec![0; 32]);
        let packet = Ipv4::new(SERVER, Client::B.address(), Transport::Udp(udp));
        let to = MacAddr::new([2, 0, 0, 0, 0, 1]);
        let frame = Frame::new(to, MacAddr::new(Isp::One.mac()), packet).build();
        wire.send(&frame).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
}

fn run(ns: &Ns, program: &str, arguments: &[&str]) -> String {
    let output = ns.command(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_ports_modes_change_by_a_restart_only() {
    let site = site("ports-mode");
    let good = ConfigText::default().text(site.exchange.lab.directory());
    for setting in ["mode = \"copy\"", "xdp = \"generic\""] {
        let bad = good.replace("[ports.cl0]\n", &format!("[ports.cl0]\n{setting}\n"));
        assert_ne!(bad, good);
        let output = site.tpd.reload(&bad).unwrap();
        assert!(!output.status.success(), "{setting}: {output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let name = setting.split(' ').next().unwrap_or_default();
        let reason = format!("{name} of port cl0 cannot change while tpd runs");
        assert!(told.contains(&reason), "{told}");
        site.assert_forwards();
    }
    reload(&site, &good);
    finish(site);
}

fn reload(site: &Site, text: &str) {
    let output = site.tpd.reload(text).unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The second ISP sends what is for clients to this address of the portal.
fn route_through(site: &Site, portal: Ipv4Addr) {
    let route = Route::to("198.51.100.0/24").unwrap().via(portal.into());
    site.exchange.isp(Isp::Two).route(&route).unwrap();
}

#[test]
fn a_neighbours_new_mac_address_is_followed() {
    let site = site("ports-mac");
    let b = site.exchange.client(Client::B);
    change_mac(b, "02:00:00:00:0b:0b");
    wait_for_mac(&site, "10.0.0.20", "02:00:00:00:0b:0b");
    site.wait_until_it_forwards().unwrap();

    // The first ISP is known by its address: what it sends comes from its new MAC address too.
    let router = site.exchange.isp(Isp::One);
    change_mac(router, "02:00:00:00:01:11");
    wait_for_mac(&site, "192.0.2.1", "02:00:00:00:01:11");
    site.wait_until(
        &["show", "upstreams"],
        "steering takes the new MAC alone",
        |upstreams| {
            upstreams[0]["source_macs"]
                .as_array()
                .is_some_and(|macs| macs == &["02:00:00:00:01:11"])
        },
    )
    .unwrap();
    site.wait_until_it_forwards().unwrap();
    finish(site);
}

/// As a router that is replaced does: another MAC address, told to all by a gratuitous ARP.
fn change_mac(ns: &Ns, mac: &str) {
    ns.sysctl("net/ipv4/conf/eth0/arp_notify", "1").unwrap();
    let status = ns
        .command("ip")
        .args(["link", "set", "eth0", "address", mac])
        .status()
        .unwrap();
    assert!(status.success());
}

fn wait_for_mac(site: &Site, address: &str, mac: &str) {
    site.wait_until(
        &["show", "neighbours"],
        "the neighbour has its new MAC",
        |neighbours| {
            let mut all = neighbours.as_array().expect("a list").iter();
            all.any(|n| n["address"] == address && n["mac"] == mac)
        },
    )
    .unwrap();
}

#[test]
fn a_far_end_is_followed_to_another_gateway() {
    let site = site("ports-route");
    let exchange = &site.exchange;
    let second = exchange.lab.namespace("gateway-2").unwrap();
    exchange.access().plug(End::new(&second, "eth0")).unwrap();
    second.address("eth0", "10.0.0.253/24").unwrap();
    second.sysctl("net.ipv4.ip_forward", "1").unwrap();
    // It hands packets on to the first gateway, on the LAN where they came from, and tells nobody of the shorter way.
    for conf in ["all", "eth0"] {
        let setting = format!("net.ipv4.conf.{conf}.send_redirects");
        second.sysctl(&setting, "0").unwrap();
    }
    route_to_a(&second);
    let forwarded = || second.snmp("Ip", "ForwDatagrams").unwrap();
    assert_eq!(forwarded(), 0);

    let gateway = Ipv4Addr::new(10, 0, 0, 253).into();
    exchange
        .portal
        .route(&Route::to("10.9.0.0/24").unwrap().via(gateway))
        .unwrap();
    site.wait_until(
        &["show", "tunnels"],
        "client a is behind the other gateway",
        |tunnels| {
            let mut all = tunnels.as_array().expect("a list").iter();
            all.any(|t| {
                t["name"] == "a-isp1"
                    && t["reach"]["gateway"] == "10.0.0.253"
                    && t["reach"]["mac"].is_string()
            })
        },
    )
    .unwrap();
    site.assert_forwards();
    assert_eq!(forwarded(), 2, "the echo replies went by the other gateway");

    // Without any route the far end is unreachable; with one it is reached again.
    exchange
        .portal
        .route_delete(&Route::to("10.9.0.0/24").unwrap().via(gateway))
        .unwrap();
    site.wait_until(&["show", "status"], "the loss is told", |status| {
        status["warnings"].to_string().contains("10.9.0.2")
    })
    .unwrap();
    assert_eq!(site.ping(Client::A).unwrap().received, 0);
    assert!(site.ping(Client::B).unwrap().is_clean());
    route_to_a(&exchange.portal);
    site.wait_until_it_forwards().unwrap();
    finish(site);
}

#[test]
fn an_mtu_beyond_the_chunk_is_told_and_forwarding_goes_on() {
    let site = site("ports-mtu");
    site.exchange.portal.link_mtu("ix0", 1900).unwrap();
    site.wait_until(&["show", "status"], "the MTU is told", |status| {
        let warnings = status["warnings"].as_array().expect("a list");
        warnings.iter().any(|w| {
            w["message"]
                .as_str()
                .is_some_and(|m| m.contains("port ix0 has an MTU of 1900"))
                && w["line"].is_u64()
        })
    })
    .unwrap();
    site.assert_forwards();
    site.exchange.portal.link_mtu("ix0", 1500).unwrap();
    site.wait_until(&["show", "status"], "the warning is gone", |status| {
        status["warnings"] == Value::Array(Vec::new())
    })
    .unwrap();
    site.assert_forwards();
    finish(site);
}
