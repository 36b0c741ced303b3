//! What links of each kind compile to: expectations written out, from a configuration of all kinds.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use tp_control::compile::{CompileError, Compiled, compile};
use tp_control::config::{Cpus, parse};
use tp_control::model::{KernelView, Link, Model, UnderlayRoute};
use tp_ebpf::UdpKind;
use tp_pipeline::abi::{IngressKind, KeyKind, LinkKey, REF_LOCAL, SlotRef, TunnelKey, VLAN_8021AD};
use tp_pipeline::{NextHop, PortId, Tunnel, Upstream};
use tp_wire::MacAddr;

const FILE: &str = r#"[portal]
workers = [0]
[ports.ix0]
[ports.lan0]
[upstreams.isp1]
port = "ix0"
next_hop = "2001:db8::1"
[upstreams.isp2]
kind = "gre"
key = 9
local = "2001:db8::10"
remote = "2001:db8:1::1"
link = [{ portal = "169.254.2.1", router = "169.254.2.2" }]
[upstreams.isp3]
port = "ix0"
vlans = [{ vid = 7, service = true }, 8]
next_hop = "192.0.2.31"
source_macs = ["02:00:00:00:00:31", "02:00:00:00:00:32"]
link = [{ portal = "192.0.2.30", router = "192.0.2.31" }]
[clients.acme]
prefixes = ["198.51.100.0/24", "2001:db8:ac::/48"]
[tunnels.egre]
client = "acme"
kind = "egre"
local = "192.0.2.10"
remote = "203.0.113.9"
link = [{ portal = "100.65.0.254", client = "100.65.0.10" }, { portal = "fd00::1", client = "fd00::2" }]
upstreams = { isp1 = ["100.65.0.1"], isp2 = ["100.65.0.2"] }
routes = ["2001:db8:ac:1::/64"]
[tunnels.fou]
client = "acme"
upstream = "isp1"
kind = "fou"
local = "192.0.2.10"
remote = "203.0.113.9"
udp_port = 5555
[tunnels.gue]
client = "acme"
upstream = "isp1"
kind = "gue"
local = "2001:db8::10"
remote = "2001:db8:1::1"
udp_port = 6080
udp_remote_port = 6081
[tunnels.vlan]
client = "acme"
upstreams = { isp3 = ["100.66.0.1"] }
kind = "vlan"
port = "lan0"
vlans = [300]
mac = "02:00:00:00:00:77"
link = [{ portal = "100.66.0.254", client = "100.66.0.10" }]
[tunnels.port]
client = "acme"
upstream = "isp2"
kind = "port"
port = "lan0"
mac = "02:00:00:00:00:78"
"#;

const TAP: [u8; 6] = [2, 0, 0, 0, 0, 0x99];
/// 02:54:50 and the low 24 bits of FNV-1a of "isp1", "isp2" and "isp3", as another program computed them.
const SHOWN: [[u8; 6]; 3] = [
    [0x02, 0x54, 0x50, 0x52, 0xa5, 0x4a],
    [0x02, 0x54, 0x50, 0x52, 0xa3, 0xb7],
    [0x02, 0x54, 0x50, 0x52, 0xa2, 0x24],
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn model() -> Model {
    parse("portal.toml", FILE, &Cpus::from([0])).unwrap().0
}

fn device(ifindex: u32, last: u8) -> Link {
    Link {
        ifindex,
        mac: [2, 0, 0, 0, 0, last].into(),
        mtu: 1500,
        rx_queues: 1,
        tx_queues: 1,
        up: true,
        kind: None,
    }
}

fn kernel() -> KernelView {
    let way = |ifindex, gateway| UnderlayRoute { ifindex, gateway };
    let mac = |last: u8| MacAddr::new([2, 0, 0, 0, 1, last]);
    KernelView {
        links: BTreeMap::from([
            ("ix0".to_owned(), device(2, 0x10)),
            ("lan0".to_owned(), device(3, 0x11)),
            ("tp-tap".to_owned(), device(9, 0x99)),
        ]),
        addresses: [ip("192.0.2.10"), ip("2001:db8::10")].into(),
        neighbours: BTreeMap::from([
            ((2, ip("2001:db8::1")), mac(1)),
            ((2, ip("fe80::1")), mac(2)),
            ((3, ip("203.0.113.9")), mac(3)),
            ((9, ip("192.0.2.31")), mac(4)),
            ((9, ip("fd00::2")), mac(5)),
        ]),
        underlay: BTreeMap::from([
            (ip("2001:db8:1::1"), way(2, Some(ip("fe80::1")))),
            (ip("203.0.113.9"), way(3, None)),
        ]),
    }
}

fn compiled() -> Compiled {
    compile(None, &model(), &kernel(), 1).unwrap()
}

fn upstream<'a>(compiled: &'a Compiled, name: &str) -> &'a Upstream {
    let slot = compiled.names.upstreams.get(name).unwrap().id.slot;
    compiled.tables.upstreams[slot.index()].as_ref().unwrap()
}

fn tunnel<'a>(compiled: &'a Compiled, name: &str) -> &'a Tunnel {
    let slot = compiled.names.tunnels.get(name).unwrap().id.slot;
    compiled.tables.tunnels[slot.index()].as_ref().unwrap()
}

/// Port and bytes of a link header in front of an IPv4 packet.
fn header(link: Option<&tp_pipeline::LinkHeader>) -> (PortId, Vec<u8>) {
    let link = link.expect("resolved");
    let mut bytes = vec![0; link.len()];
    link.write(0x0800, &mut bytes);
    (link.port, bytes)
}

#[test]
fn frames_leave_by_the_neighbour_of_each_family() {
    let compiled = compiled();
    let (ix0, lan0) = (
        compiled.port("ix0").unwrap(),
        compiled.port("lan0").unwrap(),
    );
    let link = |name: &str| &upstream(&compiled, name).link;
    assert_eq!(
        header(link("isp1").egress.as_ref()),
        (ix0, vec![2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0x10, 8, 0])
    );
    // Over a gateway's link-local address.
    assert_eq!(
        header(link("isp2").egress.as_ref()),
        (ix0, vec![2, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 0x10, 8, 0])
    );
    // The router of a local link is the TAP device's neighbour, and the frame the TAP device's.
    let tags = [0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0];
    assert_eq!(
        header(link("isp3").egress.as_ref()),
        (ix0, [&[2, 0, 0, 0, 1, 4], &TAP[..], &tags].concat())
    );
    let fou = &tunnel(&compiled, "fou").link;
    let underlay = vec![2, 0, 0, 0, 1, 3, 2, 0, 0, 0, 0, 0x11, 8, 0];
    assert_eq!(header(fou.egress.as_ref()), (lan0, underlay.clone()));
    let egre = &tunnel(&compiled, "egre").link;
    assert_eq!(header(egre.egress.as_ref()), (lan0, underlay));
    // Without link addresses a bare link has its port's MAC.
    let port = &tunnel(&compiled, "port").link;
    assert_eq!(
        header(port.egress.as_ref()),
        (lan0, vec![2, 0, 0, 0, 0, 0x78, 2, 0, 0, 0, 0, 0x11, 8, 0])
    );
}

#[test]
fn an_ethernet_link_waits_for_its_peer() {
    let mut kernel = kernel();
    kernel.neighbours.remove(&(9, ip("fd00::2")));
    let unresolved = compile(None, &model(), &kernel, 1).unwrap();
    let link = &tunnel(&unresolved, "egre").link;
    assert!(link.egress.is_none());
    // The slow path needs no peer's MAC: that is what it finds out.
    assert!(link.local.as_ref().unwrap().egress.is_some());
    // The first address that is resolved counts, in the order of the configuration.
    let both = ip("100.65.0.10");
    kernel
        .neighbours
        .insert((9, both), [2, 0, 0, 0, 1, 6].into());
    let resolved = compile(Some(&unresolved), &model(), &kernel, 1).unwrap();
    assert!(tunnel(&resolved, "egre").link.egress.is_some());
    assert_eq!(
        resolved.names, unresolved.names,
        "who sends is not who is sent to"
    );
}

#[test]
fn ethernet_links_know_their_own_and_shown_macs() {
    let compiled = compiled();
    let vfib = |name: &str| compiled.vfib(name).unwrap();
    let egre = tunnel(&compiled, "egre");
    assert_eq!(egre.vfib, None);
    let ethernet = egre.link.ethernet.as_ref().unwrap();
    assert_eq!(ethernet.own, TAP.into());
    let mut shown = [
        (SHOWN[0].into(), vfib("isp1")),
        (SHOWN[1].into(), vfib("isp2")),
    ];
    shown.sort();
    assert_eq!(*ethernet.shown, shown);
    for (name, mac) in ["isp1", "isp2", "isp3"].into_iter().zip(SHOWN) {
        assert_eq!(compiled.tables.vfibs[vfib(name).index()].mac, mac.into());
    }
    let port = tunnel(&compiled, "port");
    assert_eq!(port.vfib, Some(vfib("isp2")));
    let own = port.link.ethernet.as_ref().unwrap().own;
    assert_eq!(own.octets(), [2, 0, 0, 0, 0, 0x11]);
    // Where steering or nobody judges destinations.
    assert!(upstream(&compiled, "isp1").link.ethernet.is_none());
    assert!(upstream(&compiled, "isp3").link.ethernet.is_none());
    assert!(tunnel(&compiled, "gue").link.ethernet.is_none());
}

#[test]
fn link_addresses_make_a_link_local() {
    let compiled = compiled();
    let local = |link: &tp_pipeline::Link| {
        let local = link.local.as_ref()?;
        let pairs = local.pairs.iter().map(|pair| (pair.portal, pair.peer));
        Some(pairs.collect::<Vec<_>>())
    };
    assert_eq!(
        local(&upstream(&compiled, "isp2").link),
        Some(vec![(ip("169.254.2.1"), ip("169.254.2.2"))])
    );
    assert_eq!(local(&tunnel(&compiled, "egre").link).unwrap().len(), 2);
    assert_eq!(local(&tunnel(&compiled, "port").link), None);
    // A bare link's frames are the kernel's but for port and tags.
    let vlan = tunnel(&compiled, "vlan").link.local.as_ref().unwrap();
    let (port, bytes) = header(vlan.egress.as_ref());
    assert_eq!(port, compiled.port("lan0").unwrap());
    assert_eq!(bytes[12..], [0x81, 0, 1, 44, 8, 0]);
}

#[test]
fn steering_knows_each_link_by_what_arrives() {
    let compiled = compiled();
    let kinds = |entry: &SlotRef| (entry.ingress, entry.flags);
    let tunnels = &compiled.steering.tunnels;
    let (remote4, local4) = (ip("203.0.113.9"), ip("192.0.2.10"));
    let (remote6, local6) = (ip("2001:db8:1::1"), ip("2001:db8::10"));
    let carried = (IngressKind::Tunnel as u16, 0);
    assert_eq!(tunnels.len(), 4);
    assert_eq!(
        kinds(&tunnels[&TunnelKey::egre(remote4, local4, None)]),
        carried
    );
    let fou = TunnelKey::udp(KeyKind::Fou, remote4, local4, 5555);
    assert_eq!(kinds(&tunnels[&fou]), carried);
    // The portal's port, not the far end's.
    let gue = TunnelKey::udp(KeyKind::Gue, remote6, local6, 6080);
    assert_eq!(kinds(&tunnels[&gue]), carried);
    let isp2 = TunnelKey::gre(remote6, local6, Some(9));
    assert_eq!(
        kinds(&tunnels[&isp2]),
        (IngressKind::UpstreamTunnel as u16, 0)
    );
    let ports: Vec<(u16, UdpKind)> = (compiled.steering.udp_ports.iter())
        .map(|(key, kind)| (u16::from_be(key.port_be), *kind))
        .collect();
    assert!(ports.contains(&(5555, UdpKind::Fou)) && ports.contains(&(6080, UdpKind::Gue)));

    let port = |name| u16::try_from(compiled.port(name).unwrap().0).unwrap();
    let entry = |name, vlan, mac| {
        let key = LinkKey {
            port: port(name),
            vlan,
            mac,
        };
        compiled.steering.links.get(&key).map(kinds)
    };
    let (bare, client) = (IngressKind::Upstream as u16, IngressKind::L2Client as u16);
    assert_eq!(entry("ix0", [0, 0], [2, 0, 0, 0, 1, 1]), Some((bare, 0)));
    let qinq = [7 | VLAN_8021AD, 8];
    for last in [0x31, 0x32] {
        let mac = [2, 0, 0, 0, 0, last];
        assert_eq!(entry("ix0", qinq, mac), Some((bare, REF_LOCAL)));
    }
    // The router's MAC as the kernel resolves it is not added to those that are listed.
    assert_eq!(entry("ix0", qinq, [2, 0, 0, 0, 1, 4]), None);
    assert_eq!(entry("lan0", [300, 0], [0; 6]), Some((client, REF_LOCAL)));
    assert_eq!(entry("lan0", [0, 0], [0; 6]), Some((client, 0)));
    assert_eq!(compiled.steering.links.len(), 5);

    let mut macs: Vec<(u16, [u8; 6])> = (compiled.steering.local_macs.iter())
        .map(|key| (key.port, key.mac))
        .collect();
    macs.sort_unstable();
    let mut expected = vec![
        (port("ix0"), [2, 0, 0, 0, 0, 0x10]),
        (port("ix0"), TAP),
        (port("lan0"), [2, 0, 0, 0, 0, 0x11]),
        (port("lan0"), TAP),
        (port("lan0"), SHOWN[2]),
    ];
    expected.sort_unstable();
    assert_eq!(macs, expected);
}

#[test]
fn routes_of_a_shown_link_are_in_the_table_of_each_upstream() {
    let compiled = compiled();
    for (name, announced) in [("isp1", true), ("isp2", true), ("isp3", false)] {
        let vfib = &compiled.tables.vfibs[compiled.vfib(name).unwrap().index()];
        let to = |address: &str| match ip(address) {
            IpAddr::V4(address) => vfib.v4.lookup(address),
            IpAddr::V6(address) => vfib.v6.lookup(address),
        };
        let next_hop = |address| compiled.tables.next_hop(to(address).unwrap());
        let own = NextHop::Upstream(compiled.names.upstreams.get(name).unwrap().id.slot);
        let egre = NextHop::Tunnel(compiled.names.tunnels.get("egre").unwrap().id.slot);
        assert_eq!(next_hop("8.8.8.8"), own);
        assert_eq!(next_hop("2001:db8:ac:2::1"), own);
        let expected = if announced { egre } else { own };
        assert_eq!(next_hop("2001:db8:ac:1::1"), expected, "{name}");
    }
    let owner = compiled
        .tables
        .owners
        .v6
        .lookup("2001:db8:ac::1".parse().unwrap());
    assert_eq!(
        owner.unwrap().0,
        compiled.names.clients.get("acme").unwrap().id.slot.0
    );
}

#[test]
fn a_link_keeps_its_slot_while_steering_knows_it_by_the_same() {
    let before = compiled();
    let id = |compiled: &Compiled, name: &str| compiled.names.tunnels.get(name).unwrap().id;
    let change = |from: &str, to: &str| {
        let text = FILE.replacen(from, to, 1);
        let model = parse("portal.toml", &text, &Cpus::from([0])).unwrap().0;
        compile(Some(&before), &model, &kernel(), 1).unwrap()
    };
    let remote_port = change("udp_remote_port = 6081", "udp_remote_port = 6082");
    assert_eq!(id(&before, "gue"), id(&remote_port, "gue"));
    let port = change("udp_port = 6080", "udp_port = 6090");
    assert_ne!(id(&before, "gue"), id(&port, "gue"));
    let mac = change("02:00:00:00:00:77", "02:00:00:00:00:79");
    assert_eq!(id(&before, "vlan"), id(&mac, "vlan"));
    let vlan = change("vlans = [300]", "vlans = [301]");
    assert_ne!(id(&before, "vlan"), id(&vlan, "vlan"));
}

#[test]
fn udp_ports_of_both_generations_must_fit() {
    let with_ports = |first: u16| {
        let mut text = FILE.to_owned();
        for n in 0..150 {
            let tunnel = format!(
                "[tunnels.t{n:03}]\nclient = \"acme\"\nupstream = \"isp1\"\nkind = \"fou\"\nlocal = \"192.0.2.10\"\n\
                 remote = \"203.0.113.9\"\nudp_port = {}\n",
                first + n
            );
            text.push_str(&tunnel);
        }
        parse("portal.toml", &text, &Cpus::from([0])).unwrap().0
    };
    let one = compile(None, &with_ports(10_000), &kernel(), 1).unwrap();
    let overlapping = compile(Some(&one), &with_ports(10_100), &kernel(), 1);
    assert!(overlapping.is_ok());
    let other = compile(Some(&one), &with_ports(20_000), &kernel(), 1);
    let refused = CompileError::TooMany {
        what: "UDP ports",
        count: 302,
        limit: 256,
    };
    assert_eq!(other.err(), Some(refused));
}

/// A configuration of a thousand tunnels, of every carrier in turn, each with link addresses and a route.
fn a_thousand_tunnels() -> String {
    let mut text = FILE
        .replace("2001:db8:ac::/48", "2001:db8:1000::/36")
        .replace("2001:db8:ac:1::/64", "2001:db8:1ac1::/64");
    for n in 0..1000_u32 {
        let kind = ["ipip", "gre", "egre", "fou", "gue"][n as usize % 5];
        let udp = if n % 5 > 2 {
            format!("udp_port = {}\n", 7000 + n % 5)
        } else {
            String::new()
        };
        let (high, low) = (n >> 8, n & 0xff);
        text.push_str(&format!(
            "[tunnels.t{n:04}]\nclient = \"acme\"\nupstream = \"isp1\"\nkind = \"{kind}\"\n{udp}local = \"192.0.2.10\"\n\
             remote = \"10.0.{high}.{low}\"\nlink = [{{ portal = \"172.16.0.1\", client = \"172.16.{}.{low}\" }}]\n\
             routes = [\"2001:db8:1{n:03x}:1::/64\"]\n",
            high + 1
        ));
    }
    text
}

#[test]
fn a_thousand_tunnels_are_read_and_compiled_in_a_fraction_of_a_second() {
    let text = a_thousand_tunnels();
    let start = std::time::Instant::now();
    let model = parse("portal.toml", &text, &Cpus::from([0])).unwrap().0;
    let read = start.elapsed();
    let compiled = compile(None, &model, &kernel(), 1).unwrap();
    let whole = start.elapsed();
    println!("1,000 tunnels read after {read:?}, compiled after {whole:?}");
    assert_eq!(compiled.steering.tunnels.len(), 1004);
    assert!(whole < std::time::Duration::from_secs(1), "{whole:?}");
}
