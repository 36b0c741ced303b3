//! Links of every kind: what they mean, and what is refused of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tp_control::model::{
    Attachment, Bare, Carried, LinkAddresses, NextHop, Rate, TunnelKind, Udp, Upstreams, Vlan,
};

use crate::accepted;

/// A link of each kind.
const LINKS: &str = r#"[portal]
workers = [0]
slow_path = { tun = "tun7", rate = "20 Mbit/s" }
[ports.ix0]
[ports.lan0]
[ports.veth7]
[upstreams.isp1]
port = "ix0"
vlans = [100]
next_hop = "192.0.2.1"
source_macs = ["02:00:00:00:01:01"]
link = [{ portal = "192.0.2.10", router = "192.0.2.1" }]
[upstreams.isp2]
kind = "gue"
local = "2001:db8::10"
remote = "2001:db8:1::1"
udp_port = 6080
udp_remote_port = 6081
udp_checksum = true
[upstreams.isp3]
kind = "egre"
local = "192.0.2.10"
remote = "203.0.113.1"
next_hop = "fe80::31"
link = [{ portal = "fe80::30", router = "fe80::31" }]
[clients.acme]
prefixes = ["198.51.100.0/24", "2001:db8:ac::/48"]
[tunnels.ipip6]
client = "acme"
upstream = "isp1"
kind = "ipip"
local = "2001:db8::10"
remote = "2001:db8:2::1"
link = [{ portal = "169.254.1.1", client = "169.254.1.2" }, { portal = "fd00::1", client = "fd00::2" }]
routes = ["2001:db8:ac:1::/64"]
[tunnels.fou4]
client = "acme"
upstream = "isp1"
kind = "fou"
local = "192.0.2.10"
remote = "203.0.113.9"
udp_port = 5555
ttl = 9
[tunnels.egre4]
client = "acme"
kind = "egre"
key = 7
local = "192.0.2.10"
remote = "203.0.113.9"
link = [{ portal = "100.65.0.254", client = "100.65.0.10" }]
[tunnels.egre4.upstreams]
isp1 = ["100.65.0.1"]
isp2 = ["100.65.0.2", "fd00:65::2"]
[tunnels.qinq]
client = "acme"
upstream = "isp2"
kind = "vlan"
port = "lan0"
vlans = [{ vid = 7, service = true }, 8]
mac = "02:00:00:00:00:77"
[tunnels.whole]
client = "acme"
upstream = "isp3"
kind = "port"
port = "veth7"
link = [{ portal = "169.254.1.1", client = "169.254.1.6" }]
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn pair(portal: &str, peer: &str) -> LinkAddresses {
    LinkAddresses {
        portal: ip(portal),
        peer: ip(peer),
    }
}

#[test]
fn carried_links_mean_their_outer_headers() {
    let (model, _) = accepted(LINKS);
    let isp2 = &model.upstreams["isp2"];
    let expected = Carried {
        local: ip("2001:db8::10"),
        remote: ip("2001:db8:1::1"),
        kind: TunnelKind::Gue(Udp {
            port: 6080,
            remote_port: 6081,
            checksum: true,
        }),
        ttl: 64,
        dscp: 0,
    };
    assert_eq!(isp2.attachment, Attachment::Carried(expected));
    assert_eq!(isp2.next_hop, None);
    let fou = model.tunnels["fou4"].attachment.carried().unwrap();
    let udp = Udp {
        port: 5555,
        remote_port: 5555,
        checksum: false,
    };
    assert_eq!((fou.kind, fou.ttl), (TunnelKind::Fou(udp), 9));
    let ipip = &model.tunnels["ipip6"];
    assert_eq!(
        ipip.addresses,
        [
            pair("169.254.1.1", "169.254.1.2"),
            pair("fd00::1", "fd00::2")
        ]
    );
    assert_eq!(ipip.routes, ["2001:db8:ac:1::/64".parse().unwrap()]);
}

#[test]
fn ethernet_links_mean_ports_vlans_macs_and_what_they_show() {
    let (model, _) = accepted(LINKS);
    let qinq = &model.tunnels["qinq"];
    let (outer, inner) = (
        Vlan {
            vid: 7,
            service: true,
        },
        Vlan {
            vid: 8,
            service: false,
        },
    );
    let place = Bare {
        port: "lan0".into(),
        vlans: vec![outer, inner],
    };
    assert_eq!(qinq.attachment, Attachment::Bare(place));
    assert_eq!(qinq.peer, Some([2, 0, 0, 0, 0, 0x77].into()));
    assert_eq!(model.tunnels["whole"].attachment.bare().unwrap().vlans, []);
    let shown = BTreeMap::from([
        ("isp1".to_owned(), vec![ip("100.65.0.1")]),
        ("isp2".to_owned(), vec![ip("100.65.0.2"), ip("fd00:65::2")]),
    ]);
    let egre = &model.tunnels["egre4"];
    assert_eq!(egre.upstreams, Upstreams::Shown(shown));
    assert_eq!(
        egre.attachment.carried().unwrap().kind,
        TunnelKind::Egre { key: Some(7) }
    );
    assert_eq!(
        model.upstreams["isp3"].next_hop,
        Some(NextHop::Address(ip("fe80::31")))
    );
}

#[test]
fn the_slow_path_has_its_devices_and_rate() {
    let slow_path = accepted(LINKS).0.portal.slow_path;
    assert_eq!((&*slow_path.tun, &*slow_path.tap), ("tun7", "tp-tap"));
    let rate = Rate {
        bits_per_second: 20_000_000,
        burst: 65_536,
    };
    assert_eq!(slow_path.rate, rate);
}

#[test]
fn gre_and_egre_of_one_key_are_two_headers() {
    accepted(&LINKS.replace(
        "kind = \"ipip\"\nlocal = \"2001:db8::10\"\nremote = \"2001:db8:2::1\"",
        "kind = \"gre\"\nkey = 7\nlocal = \"192.0.2.10\"\nremote = \"203.0.113.9\"",
    ));
}

refused! { LINKS;
    no_remote: "remote = \"203.0.113.9\"\nudp_port = 5555" => "udp_port = 5555",
    no_udp_port: "udp_port = 5555\n" => "",
    no_vlans: "vlans = [{ vid = 7, service = true }, 8]\n" => "",
    empty_vlans: "vlans = [{ vid = 7, service = true }, 8]" => "vlans = []",
    no_port: "port = \"veth7\"\n" => "",
    no_next_hop: "next_hop = \"fe80::31\"\n" => "",
    tunnel_on_no_port: "port = \"veth7\"\n" => "port = \"veth8\"\n",
    keys_of_other_kinds: "udp_port = 5555\nttl = 9" => "udp_port = 5555\nkey = 1\nport = \"ix0\"\nvlans = [1]\nmac = \"02:00:00:00:00:01\"",
    outer_header_on_a_port: "kind = \"port\"" => "kind = \"port\"\nvlans = [9]\nlocal = \"192.0.2.10\"\nttl = 3",
    next_hop_on_layer_three: "udp_checksum = true" => "udp_checksum = true\nnext_hop = \"192.0.2.1\"\nsource_macs = []",
    vlan_is_no_kind_of_upstream: "kind = \"gue\"" => "kind = \"vlan\"",
    shown_on_layer_three: "client = \"acme\"\nupstream = \"isp1\"\nkind = \"fou\"" => "client = \"acme\"\nupstreams = { isp1 = [\"100.65.0.1\"] }\nkind = \"fou\"\nlink = [{ portal = \"169.254.9.1\", client = \"169.254.9.2\" }]",
    udp_port_0: "udp_port = 5555" => "udp_port = 0\nudp_remote_port = 65536",
    families_of_an_upstream: "local = \"192.0.2.10\"\nremote = \"203.0.113.1\"" => "local = \"192.0.2.10\"\nremote = \"2001:db8::1\"",
    upstream_and_tunnel_with_one_header: "kind = \"egre\"\nkey = 7\nlocal = \"192.0.2.10\"\nremote = \"203.0.113.9\"" => "kind = \"egre\"\nlocal = \"192.0.2.10\"\nremote = \"203.0.113.1\"",
    one_header_but_for_what_is_sent: "kind = \"ipip\"\nlocal = \"2001:db8::10\"\nremote = \"2001:db8:2::1\"" => "kind = \"fou\"\nudp_port = 5555\nudp_remote_port = 1\nudp_checksum = true\nlocal = \"192.0.2.10\"\nremote = \"203.0.113.9\"",
    fou_and_gue_at_one_port: "udp_port = 5555" => "udp_port = 6080",
    client_where_an_upstream_is: "port = \"lan0\"\nvlans = [{ vid = 7, service = true }, 8]" => "port = \"ix0\"\nvlans = [100]",
    client_where_a_client_is: "kind = \"vlan\"\nport = \"lan0\"\nvlans = [{ vid = 7, service = true }, 8]" => "kind = \"port\"\nport = \"veth7\"",
    upstream_remote_within_a_client: "remote = \"2001:db8:1::1\"" => "remote = \"2001:db8:ac::1\"",
    link_of_two_families: "{ portal = \"fd00::1\", client = \"fd00::2\" }" => "{ portal = \"fd00::1\", client = \"169.254.1.9\" }",
    link_with_one_end: "{ portal = \"fd00::1\", client = \"fd00::2\" }" => "{ portal = \"fd00::1\", client = \"fd00::1\" }",
    link_with_a_group: "{ portal = \"fd00::1\", client = \"fd00::2\" }" => "{ portal = \"::ffff:192.0.2.1\", client = \"ff02::1\" }",
    link_key_of_an_upstream: "{ portal = \"fd00::1\", client = \"fd00::2\" }" => "{ portal = \"fd00::1\", router = \"fd00::2\" }",
    peer_of_two_links: "169.254.1.6" => "169.254.1.2",
    peer_that_is_the_portal: "169.254.1.6" => "fd00::1",
    peer_within_a_client: "portal = \"169.254.1.1\", client = \"169.254.1.6\"" => "portal = \"198.51.100.1\", client = \"198.51.100.2\"",
    no_mac_and_no_link: "mac = \"02:00:00:00:00:77\"\n" => "",
    group_mac: "02:00:00:00:00:77" => "03:00:00:00:00:77",
    nowhere: "client = \"acme\"\nupstream = \"isp1\"\nkind = \"fou\"" => "client = \"acme\"\nkind = \"fou\"",
    one_and_several: "client = \"acme\"\nkind = \"egre\"" => "client = \"acme\"\nupstream = \"isp1\"\nkind = \"egre\"",
    several_of_none: "isp1 = [\"100.65.0.1\"]\nisp2 = [\"100.65.0.2\", \"fd00:65::2\"]\n" => "",
    shown_upstream_that_is_not_there: "isp1 = [\"100.65.0.1\"]" => "isp9 = [\"100.65.0.1\"]",
    shown_without_next_hop: "isp1 = [\"100.65.0.1\"]" => "isp1 = []",
    shown_without_link: "link = [{ portal = \"100.65.0.254\", client = \"100.65.0.10\" }]\n" => "",
    shown_at_one_address: "isp1 = [\"100.65.0.1\"]" => "isp1 = [\"100.65.0.2\"]",
    shown_at_others_addresses: "isp1 = [\"100.65.0.1\"]" => "isp1 = [\"100.65.0.254\", \"169.254.1.2\", \"198.51.100.9\"]",
    next_hop_not_on_the_link: "next_hop = \"192.0.2.1\"" => "next_hop = \"192.0.2.2\"",
    next_hop_without_a_link: "link = [{ portal = \"fe80::30\", router = \"fe80::31\" }]\n" => "",
    router_of_unknown_mac: "source_macs = [\"02:00:00:00:01:01\"]\n" => "",
    port_of_the_slow_path: "[ports.ix0]" => "[ports.ix0]\n[ports.tp-tap]",
    slow_path_of_one_device: "tun = \"tun7\"" => "tun = \"tp-tap\"",
    slow_path_with_a_bad_name: "tun = \"tun7\"" => "tun = \"tun/7\", tap = \"abcdefghijklmnop\"",
    slow_path_with_a_bad_rate: "rate = \"20 Mbit/s\"" => "rate = \"20\", burst = \"1 B\"",
}

#[test]
fn more_udp_ports_than_steering_holds() {
    let mut text = LINKS.to_owned();
    let tunnel = |n: u16| {
        format!(
            "[tunnels.t{n:03}]\nclient = \"acme\"\nupstream = \"isp1\"\nkind = \"fou\"\nlocal = \"192.0.2.10\"\n\
             remote = \"203.0.113.9\"\nudp_port = {}\n",
            10_000 + n
        )
    };
    // 6080 and 5555 are taken.
    text.extend((0..254).map(tunnel));
    accepted(&text);
    text.push_str(&tunnel(254));
    let report = crate::parse("portal.toml", &text, &crate::cpus()).unwrap_err();
    let messages: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        ["257 UDP ports are more than the 256 that steering holds"]
    );
}
