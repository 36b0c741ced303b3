//! A model that does not fit the machine is refused with places in the file.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use miette::{GraphicalReportHandler, GraphicalTheme};
use tp_control::compile::compile;
use tp_control::config::{Cpus, KernelCheck, Report, check_kernel, max_mtu, parse};
use tp_control::model::{KernelView, Link, UnderlayRoute};

const FILE: &str = r#"[portal]
workers = [0, 1]
[ports.ix0]
[ports.lan0]
[upstreams.isp1]
port = "ix0"
next_hop = "192.0.2.1"
[clients.acme]
prefixes = ["198.51.100.0/24"]
[tunnels.a1]
client = "acme"
upstream = "isp1"
kind = "gre"
local = "192.0.2.10"
remote = "203.0.113.5"
"#;

fn link(ifindex: u32, kind: Option<&str>) -> Link {
    Link {
        ifindex,
        mac: [2, 0, 0, 0, 0, 1].into(),
        mtu: 1500,
        rx_queues: 2,
        tx_queues: 2,
        up: true,
        kind: kind.map(str::to_owned),
    }
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// A machine that [`FILE`] fits.
fn machine() -> KernelView {
    KernelView {
        links: BTreeMap::from([
            ("lo".to_owned(), link(1, None)),
            ("ix0".to_owned(), link(2, Some("veth"))),
            ("lan0".to_owned(), link(3, None)),
            ("gre9".to_owned(), link(4, Some("gre"))),
            ("tun0".to_owned(), link(5, Some("tun"))),
            ("mgmt0".to_owned(), link(6, Some("bridge"))),
        ]),
        addresses: BTreeSet::from([ip("192.0.2.10")]),
        neighbours: BTreeMap::new(),
        underlay: BTreeMap::from([(
            ip("203.0.113.5"),
            UnderlayRoute {
                ifindex: 3,
                gateway: Some(ip("192.0.2.1")),
            },
        )]),
    }
}

fn check(file: &str, change: impl FnOnce(&mut KernelView)) -> KernelCheck {
    let (model, spans) = parse("portal.toml", file, &Cpus::from([0, 1])).unwrap();
    let mut kernel = machine();
    change(&mut kernel);
    check_kernel(&model, &kernel, &spans)
}

fn rendered(report: &Report) -> String {
    let mut out = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut out, report)
        .unwrap();
    out.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn refused(change: impl FnOnce(&mut KernelView)) -> String {
    let check = check(FILE, change);
    assert!(check.warnings.is_none(), "an error only");
    rendered(&check.errors.expect("should be refused"))
}

fn route_by(ifindex: u32) -> impl FnOnce(&mut KernelView) {
    move |kernel| {
        kernel.underlay.insert(
            ip("203.0.113.5"),
            UnderlayRoute {
                ifindex,
                gateway: None,
            },
        );
    }
}

fn set_mtu(mtu: u32) -> impl FnOnce(&mut KernelView) {
    move |kernel| kernel.links.get_mut("lan0").unwrap().mtu = mtu
}

#[test]
fn a_machine_that_fits_gives_nothing() {
    let check = check(FILE, |_| ());
    assert!(check.errors.is_none() && check.warnings.is_none());
}

#[test]
fn a_port_that_does_not_exist() {
    insta::assert_snapshot!(refused(|kernel| {
        kernel.links.remove("ix0");
    }));
}

#[test]
fn the_largest_packet_of_a_chunk_is_the_limit_of_the_mtu() {
    // 2048 - 256 of headroom - 14 of Ethernet - 8 of two VLAN tags.
    assert_eq!(max_mtu(2048), 1770);
    assert!(check(FILE, set_mtu(1770)).errors.is_none());
    assert!(check(FILE, set_mtu(1771)).errors.is_some());
}

#[test]
fn an_mtu_that_a_larger_chunk_would_hold() {
    insta::assert_snapshot!(refused(set_mtu(3000)));
}

#[test]
fn an_mtu_that_no_chunk_holds() {
    insta::assert_snapshot!(refused(set_mtu(9000)));
}

#[test]
fn more_workers_than_receive_queues() {
    insta::assert_snapshot!(refused(|kernel| kernel
        .links
        .get_mut("lan0")
        .unwrap()
        .rx_queues = 1));
}

#[test]
fn more_workers_than_transmit_queues() {
    let message = refused(|kernel| kernel.links.get_mut("ix0").unwrap().tx_queues = 1);
    assert!(
        message.contains("port ix0 has 2 receive and 1 transmit queues"),
        "{message}"
    );
}

#[test]
fn a_local_address_that_is_not_here() {
    insta::assert_snapshot!(refused(|kernel| kernel.addresses.clear()));
}

#[test]
fn a_far_end_that_is_here() {
    insta::assert_snapshot!(refused(|kernel| {
        kernel.addresses.insert(ip("203.0.113.5"));
    }));
}

#[test]
fn a_route_into_a_gre_device() {
    insta::assert_snapshot!(refused(route_by(4)));
}

#[test]
fn a_route_into_a_tun_device() {
    let message = refused(route_by(5));
    assert!(
        message.contains("leads into tun0, a tun device"),
        "{message}"
    );
}

#[test]
fn a_tap_that_is_a_port_is_no_tunnel() {
    let change = |kernel: &mut KernelView| {
        kernel.links.get_mut("lan0").unwrap().kind = Some("tun".to_owned());
    };
    assert!(check(FILE, change).errors.is_none());
}

#[test]
fn a_route_to_a_device_that_is_no_port() {
    insta::assert_snapshot!(refused(route_by(6)));
}

#[test]
fn an_unreachable_far_end_is_a_warning() {
    let check = check(FILE, |kernel| kernel.underlay.clear());
    assert!(check.errors.is_none());
    insta::assert_snapshot!(rendered(&check.warnings.expect("a warning")));
}

/// [`FILE`] with a second upstream, told by the MAC address that the first one's router may have.
fn with_a_second_upstream() -> String {
    FILE.replace(
        "[clients.acme]",
        "[upstreams.isp2]\nport = \"ix0\"\nnext_hop = \"02:00:00:00:02:02\"\n[clients.acme]",
    )
}

/// The kernel resolves isp1's next hop on ix0.
fn resolves_isp1(mac: [u8; 6]) -> impl Fn(&mut KernelView) {
    move |kernel| {
        let key = (2, ip("192.0.2.1"));
        kernel.neighbours.insert(key, mac.into());
    }
}

#[test]
fn two_upstreams_that_the_kernel_resolves_to_one_mac() {
    let check = check(&with_a_second_upstream(), resolves_isp1([2, 0, 0, 0, 2, 2]));
    insta::assert_snapshot!(rendered(&check.errors.expect("should be refused")));
}

#[test]
fn another_mac_or_vlan_or_port_is_another_upstream() {
    let file = with_a_second_upstream();
    let isp2 = "next_hop = \"02:00:00:00:02:02\"";
    let one_mac = [2, 0, 0, 0, 2, 2];
    let vlan = file.replace(isp2, &format!("{isp2}\nvlans = [7]"));
    let sources = file.replace(
        isp2,
        &format!("{isp2}\nsource_macs = [\"02:00:00:00:02:03\"]"),
    );
    let port = file.replace(
        "port = \"ix0\"\nnext_hop = \"02",
        "port = \"lan0\"\nnext_hop = \"02",
    );
    for (file, mac) in [
        (&file, [2, 0, 0, 0, 2, 1]),
        (&vlan, one_mac),
        (&sources, one_mac),
        (&port, one_mac),
    ] {
        let errors = check(file, resolves_isp1(mac)).errors;
        assert!(errors.is_none(), "{file}{}", rendered(&errors.unwrap()));
    }
}

#[test]
fn a_mac_that_two_upstreams_have_is_steered_to_neither() {
    let file = with_a_second_upstream();
    let (model, _) = parse("portal.toml", &file, &Cpus::from([0, 1])).unwrap();
    let links = |mac| {
        let mut kernel = machine();
        resolves_isp1(mac)(&mut kernel);
        let compiled = compile(None, &model, &kernel, 1).unwrap();
        let macs = compiled.steering.links.keys().map(|key| key.mac);
        macs.collect::<Vec<_>>()
    };
    assert_eq!(
        links([2, 0, 0, 0, 2, 1]),
        [[2, 0, 0, 0, 2, 1], [2, 0, 0, 0, 2, 2]]
    );
    assert!(links([2, 0, 0, 0, 2, 2]).is_empty());
}

#[test]
fn more_receive_queues_than_a_port_may_have() {
    let set = |queues| {
        check(
            &FILE.replace("[0, 1]", "[0, 1]\nmemory = { frames = 262144 }"),
            move |kernel| kernel.links.get_mut("lan0").unwrap().rx_queues = queues,
        )
    };
    assert!(set(64).errors.is_none());
    insta::assert_snapshot!(rendered(&set(65).errors.expect("should be refused")));
}

#[test]
fn fewer_frames_than_the_sockets_lend() {
    // Two ports with two receive queues each; 2,048 frames a socket.
    let set = |frames: u32| {
        let memory = format!("[0, 1]\nmemory = {{ frames = {frames} }}");
        check(&FILE.replace("[0, 1]", &memory), |_| ())
    };
    assert!(set(8192).errors.is_none());
    insta::assert_snapshot!(rendered(&set(8191).errors.expect("should be refused")));
}

#[test]
fn the_default_number_of_frames_has_no_place_of_its_own() {
    let message = refused(|kernel| kernel.links.get_mut("lan0").unwrap().rx_queues = 7);
    assert!(message.contains("9 sockets"), "{message}");
    assert!(message.contains("18432"), "{message}");
}

#[test]
fn a_route_into_the_slow_path() {
    insta::assert_snapshot!(refused(|kernel| {
        kernel
            .links
            .insert("tp-tap".to_owned(), link(8, Some("tun")));
        route_by(8)(kernel);
    }));
}

#[test]
fn the_far_ends_of_upstreams_are_looked_at_too() {
    let bare = "port = \"ix0\"\nnext_hop = \"192.0.2.1\"";
    let carried = "kind = \"gre\"\nkey = 1\nlocal = \"192.0.2.11\"\nremote = \"203.0.113.5\"";
    let check = check(&FILE.replace(bare, carried), route_by(6));
    let message = rendered(&check.errors.expect("should be refused"));
    for problem in [
        "192.0.2.11, the local address of upstream isp1, is not an address of this host",
        "the far end of upstream isp1, leads to mgmt0, which is no port",
        "the far end of tunnel a1, leads to mgmt0, which is no port",
    ] {
        assert!(message.contains(problem), "{message}");
    }
}

#[test]
fn link_addresses_that_are_on_a_device_of_the_kernel() {
    let with_link = FILE.replace(
        "kind = \"gre\"",
        "kind = \"gre\"\nlink = [{ portal = \"169.254.1.1\", client = \"169.254.1.2\" }]",
    );
    let taken = |address: &'static str| {
        check(&with_link, move |kernel| {
            kernel.addresses.insert(ip(address));
        })
    };
    assert!(taken("169.254.1.3").errors.is_none());
    assert!(taken("169.254.1.2").errors.is_some());
    insta::assert_snapshot!(rendered(
        &taken("169.254.1.1").errors.expect("should be refused")
    ));
}
