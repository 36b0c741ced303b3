//! The configuration file: the example is read as it says, and what is wrong is refused with its
//! place, its reason and what would be right.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use miette::{GraphicalReportHandler, GraphicalTheme};
use tp_control::config::{Cpus, Report, Spans, parse};
use tp_control::model::{
    BindMode, HugePages, Model, NextHop, OnStop, Rate, TunnelKind, Vlan, XdpMode,
};

/// Each case replaces one piece of a base; the snapshot of its name holds the whole message.
macro_rules! refused {
    ($base:expr; $($name:ident: $from:literal => $to:literal,)*) => {$(
        #[test]
        fn $name() {
            assert_eq!($base.matches($from).count(), 1, "the base has the piece once");
            let text = $base.replace($from, $to);
            let report = crate::parse("portal.toml", &text, &crate::cpus());
            let report = report.expect_err("should be refused");
            insta::assert_snapshot!(stringify!($name), crate::rendered(&report));
        }
    )*};
}

mod links;

const EXAMPLE: &str = include_str!("../../../docs/example.toml");

fn cpus() -> Cpus {
    Cpus::from([0, 1, 2, 3, 6])
}

fn accepted(text: &str) -> (Model, Spans) {
    parse("portal.toml", text, &cpus()).unwrap_or_else(|report| panic!("{}", rendered(&report)))
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

#[test]
fn the_example_means_what_its_comments_say() {
    let (model, _) = accepted(EXAMPLE);
    assert_eq!(model.portal.workers, [0]);
    assert_eq!(model.portal.on_stop, OnStop::Hold);
    assert_eq!(model.portal.memory.huge_pages, HugePages::Try);
    assert_eq!(model.portal.api.to_str(), Some("/run/tpd/api.sock"));
    assert_eq!(model.ports["ix0"].mode, BindMode::Auto);
    assert_eq!(model.ports["lan0"].mode, BindMode::Copy);
    assert_eq!(model.ports["lan0"].xdp, XdpMode::Native);

    assert_eq!(
        model.upstreams["isp1"].next_hop,
        Some(NextHop::Address([192, 0, 2, 1].into()))
    );
    let isp2 = &model.upstreams["isp2"];
    assert_eq!(isp2.next_hop, Some(NextHop::Mac([2, 0, 0, 0, 2, 1].into())));
    assert_eq!(
        isp2.source_macs,
        [[2, 0, 0, 0, 2, 0xa].into(), [2, 0, 0, 0, 2, 0xb].into()]
    );
    let tags = [
        Vlan {
            vid: 100,
            service: true,
        },
        Vlan {
            vid: 200,
            service: false,
        },
    ];
    assert_eq!(
        model.upstreams["isp3"].attachment.bare().unwrap().vlans,
        tags
    );

    let acme = &model.clients["acme"];
    assert_eq!(acme.asn, Some(64600));
    assert_eq!(acme.prefixes, ["198.51.100.0/25".parse().unwrap()]);
    let from_client = Rate {
        bits_per_second: 100_000_000,
        burst: 65_536,
    };
    assert_eq!(acme.rates.from_client, Some(from_client));
    assert_eq!(model.clients["globex"].rates.to_client, None);

    let gre = &model.tunnels["acme-isp2"];
    let outer = gre.attachment.carried().unwrap();
    assert_eq!(
        (outer.kind, outer.ttl, outer.dscp),
        (TunnelKind::Gre { key: Some(2) }, 64, 10)
    );
    assert_eq!(
        gre.rates.to_client,
        Some(Rate {
            bits_per_second: 250_000_000,
            burst: 312_500
        })
    );
    assert!(gre.routes.is_empty());
    let ipip = model.tunnels["globex-isp1"].attachment.carried().unwrap();
    assert_eq!((ipip.kind, ipip.ttl, ipip.dscp), (TunnelKind::Ipip, 32, 0));
    assert_eq!(ipip.remote, std::net::IpAddr::from([203, 0, 113, 77]));

    let gue = &model.tunnels["globex-isp3"];
    assert!(gue.attachment.carried().unwrap().remote.is_ipv6());
    assert_eq!((gue.addresses.len(), gue.routes.len()), (2, 2));
    let initech = &model.tunnels["initech"];
    assert!(initech.attachment.is_ethernet());
    assert!(initech.upstreams.names().eq(["isp1", "isp2"]));
}

/// Valid, and small enough that an error message shows most of it.
const BASE: &str = r#"[portal]
workers = [0]
[ports.ix0]
[upstreams.isp1]
port = "ix0"
next_hop = "192.0.2.1"
[upstreams.isp2]
port = "ix0"
next_hop = "02:00:00:00:02:01"
[clients.acme]
prefixes = ["198.51.100.0/24"]
[clients.globex]
prefixes = ["203.0.113.0/24"]
[tunnels.a1]
client = "acme"
upstream = "isp1"
kind = "gre"
key = 1
local = "192.0.2.10"
remote = "192.0.2.20"
routes = ["198.51.100.0/24"]
[tunnels.g1]
client = "globex"
upstream = "isp1"
kind = "ipip"
local = "192.0.2.10"
remote = "192.0.2.20"
"#;

#[test]
fn the_base_of_the_refused_is_accepted() {
    accepted(BASE);
}

#[test]
fn a_gre_key_of_0_is_not_no_key() {
    let tunnel = "kind = \"ipip\"\n";
    accepted(&BASE.replace(tunnel, "kind = \"gre\"\nkey = 0\n"));
    accepted(&BASE.replace(tunnel, "kind = \"gre\"\n"));
}

refused! { BASE;
    syntax: "workers = [0]" => "workers = [0",
    table_twice: "[clients.globex]" => "[clients.acme]",
    unknown_section: "[ports.ix0]" => "[ports.ix0]\n[upstream.isp3]",
    section_is_no_table: "[portal]" => "clients2 = 1\nports2 = 2\n[portal]",
    no_portal: "[portal]\nworkers = [0]" => "",
    unknown_key: "next_hop = \"192.0.2.1\"" => "nexthop = \"192.0.2.1\"",
    missing_key: "kind = \"ipip\"" => "",
    wrong_type: "key = 1" => "key = \"1\"",
    unknown_variant: "[ports.ix0]" => "[ports.ix0]\nmode = \"zerocopy\"",
    unknown_kind: "kind = \"ipip\"" => "kind = \"vxlan\"",
    bad_name: "[tunnels.g1]" => "[tunnels.\"g 1\"]",
    dots_as_name: "[tunnels.g1]" => "[tunnels.\"..\"]",
    long_device_name: "[ports.ix0]" => "[ports.ix0]\n[ports.abcdefghijklmnop]",
    no_worker: "workers = [0]" => "workers = []",
    cpu_twice: "workers = [0]" => "workers = [0, 1, 0]",
    cpu_not_here: "workers = [0]" => "workers = [0, 4, -1]",
    relative_path: "workers = [0]" => "workers = [0]\napi = \"run/api.sock\"",
    long_socket_path: "workers = [0]" => "workers = [0]\napi = \"/run/012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890/s\"",
    chunk_size: "workers = [0]" => "workers = [0]\nmemory = { frames = 1, chunk = 9000 }",
    generic_zero_copy: "[ports.ix0]" => "[ports.ix0]\nmode = \"zero-copy\"\nxdp = \"generic\"",
    upstream_on_no_port: "port = \"ix0\"\nnext_hop = \"192.0.2.1\"" => "port = \"ix1\"\nnext_hop = \"192.0.2.1\"",
    next_hop_mapped: "next_hop = \"192.0.2.1\"" => "next_hop = \"::ffff:192.0.2.1\"",
    next_hop_nonsense: "next_hop = \"192.0.2.1\"" => "next_hop = \"isp1.example\"",
    next_hop_multicast: "next_hop = \"192.0.2.1\"" => "next_hop = \"224.0.0.1\"",
    multicast_mac: "\"02:00:00:00:02:01\"" => "\"01:00:5e:00:00:01\"",
    zero_mac: "\"02:00:00:00:02:01\"" => "\"00:00:00:00:00:00\"",
    source_mac_broadcast: "\"02:00:00:00:02:01\"" => "\"02:00:00:00:02:01\"\nsource_macs = [\"ff:ff:ff:ff:ff:ff\", \"02:00\"]",
    source_mac_twice: "\"02:00:00:00:02:01\"" => "\"02:00:00:00:02:01\"\nsource_macs = [\"02:00:00:00:00:01\", \"02:00:00:00:00:01\"]",
    same_source_mac: "next_hop = \"192.0.2.1\"" => "next_hop = \"192.0.2.1\"\nsource_macs = [\"02:00:00:00:02:01\"]",
    same_next_hop: "\"02:00:00:00:02:01\"" => "\"192.0.2.1\"",
    vid_out_of_range: "\"02:00:00:00:02:01\"" => "\"02:00:00:00:02:01\"\nvlans = [0, { vid = 4095 }]",
    vlan_wrong: "\"02:00:00:00:02:01\"" => "\"02:00:00:00:02:01\"\nvlans = [\"100\"]",
    three_vlans: "\"02:00:00:00:02:01\"" => "\"02:00:00:00:02:01\"\nvlans = [1, 2, 3]",
    address_behind_vlans: "next_hop = \"192.0.2.1\"" => "next_hop = \"192.0.2.1\"\nvlans = [100]",
    asn_0: "[clients.globex]" => "[clients.globex]\nasn = 0",
    no_prefix: "prefixes = [\"203.0.113.0/24\"]" => "prefixes = []",
    host_bits: "203.0.113.0/24" => "203.0.113.7/24",
    prefix_without_length: "203.0.113.0/24" => "203.0.113.7",
    prefix_ipv6_host_bits: "203.0.113.0/24" => "2001:db8::1/32",
    prefix_ipv6_without_length: "203.0.113.0/24" => "2001:db8::1",
    prefix_ipv6_of_no_hosts: "prefixes = [\"203.0.113.0/24\"]" => "prefixes = [\"fe80::/16\", \"::ffff:192.0.2.0/120\", \"::/0\"]",
    prefix_of_no_hosts: "prefixes = [\"203.0.113.0/24\"]" => "prefixes = [\"224.0.0.0/8\", \"96.0.0.0/3\"]",
    prefix_twice: "prefixes = [\"203.0.113.0/24\"]" => "prefixes = [\"203.0.113.0/24\", \"203.0.113.0/24\"]",
    overlap_within: "203.0.113.0/24" => "198.51.100.64/26",
    overlap_around: "203.0.113.0/24" => "198.51.0.0/16",
    overlap_equal: "203.0.113.0/24" => "198.51.100.0/24",
    rate_without_unit: "[clients.globex]" => "[clients.globex]\nrate = { to_client = \"100\" }",
    rate_out_of_range: "[clients.globex]" => "[clients.globex]\nrate = { to_client = \"401 Gbit/s\", from_client = \"1 kbit/s\" }",
    burst_out_of_range: "[clients.globex]" => "[clients.globex]\nrate = { to_client = \"1 Mbit/s\", burst = \"1500 B\" }",
    burst_too_deep_for_the_rate: "[clients.globex]" => "[clients.globex]\nrate = { to_client = \"8 kbit/s\", burst = \"5 MB\" }",
    burst_alone: "[clients.globex]" => "[clients.globex]\nrate = { burst = \"64 KiB\" }",
    tunnel_of_no_client: "client = \"globex\"" => "client = \"initech\"",
    tunnel_to_no_upstream: "client = \"globex\"\nupstream = \"isp1\"" => "client = \"globex\"\nupstream = \"isp9\"",
    key_on_ipip: "kind = \"ipip\"" => "kind = \"ipip\"\nkey = 7",
    key_out_of_range: "key = 1" => "key = 4294967296",
    ttl_and_dscp_out_of_range: "kind = \"ipip\"" => "kind = \"ipip\"\nttl = 0\ndscp = 64",
    same_outer_header: "kind = \"ipip\"" => "kind = \"gre\"\nkey = 1",
    local_equals_remote: "kind = \"ipip\"\nlocal = \"192.0.2.10\"" => "kind = \"ipip\"\nlocal = \"192.0.2.20\"",
    families_mixed: "kind = \"ipip\"\nlocal = \"192.0.2.10\"" => "kind = \"ipip\"\nlocal = \"2001:db8::1\"",
    local_link_local: "kind = \"ipip\"\nlocal = \"192.0.2.10\"" => "kind = \"ipip\"\nlocal = \"fe80::1\"",
    local_loopback: "kind = \"ipip\"\nlocal = \"192.0.2.10\"" => "kind = \"ipip\"\nlocal = \"127.0.0.1\"",
    local_zero: "kind = \"ipip\"\nlocal = \"192.0.2.10\"" => "kind = \"ipip\"\nlocal = \"0.0.0.0\"",
    remote_multicast: "kind = \"gre\"\nkey = 1\nlocal = \"192.0.2.10\"\nremote = \"192.0.2.20\"" => "kind = \"gre\"\nkey = 1\nlocal = \"192.0.2.10\"\nremote = \"239.1.1.1\"",
    remote_within_a_client: "key = 1\nlocal = \"192.0.2.10\"\nremote = \"192.0.2.20\"" => "key = 1\nlocal = \"192.0.2.10\"\nremote = \"203.0.113.9\"",
    foreign_route: "routes = [\"198.51.100.0/24\"]" => "routes = [\"198.51.100.0/25\", \"198.51.0.0/16\", \"203.0.113.0/24\"]",
    same_route: "client = \"globex\"" => "client = \"acme\"\nroutes = [\"198.51.100.0/24\"]",
}

#[test]
fn all_problems_are_told_at_once() {
    let text = BASE
        .replace("workers = [0]", "workers = [9]\nspeed = 1")
        .replace("203.0.113.0/24", "203.0.113.1/24")
        .replace("key = 1", "key = -1")
        .replace("[ports.ix0]", "[ports.ix0]\nmode = 1");
    let report = parse("portal.toml", &text, &cpus()).expect_err("should be refused");
    insta::assert_snapshot!(rendered(&report));
}

#[test]
fn places_name_line_and_column() {
    let text = BASE.replace("203.0.113.0/24", "203.0.113.1/24");
    let report = parse("portal.toml", &text, &cpus()).expect_err("should be refused");
    let places = report.places();
    assert_eq!(places.len(), 1);
    assert_eq!(
        (places[0].file.as_str(), places[0].line, places[0].column),
        ("portal.toml", 13, 13)
    );
    assert_eq!(
        places[0].message,
        "203.0.113.1/24 has bits set behind its prefix length"
    );
    assert_eq!(
        places[0].help.as_deref(),
        Some("the prefix is \"203.0.113.0/24\"")
    );
}

#[test]
fn more_ports_than_steering_holds_are_refused() {
    let ports: String = (0..65).map(|n| format!("[ports.p{n:02}]\n")).collect();
    let text = BASE.replace("[ports.ix0]\n", &format!("[ports.ix0]\n{ports}"));
    let report = parse("portal.toml", &text, &cpus()).expect_err("should be refused");
    let messages: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        ["66 ports are more than the 64 that one portal holds"]
    );
}

#[test]
fn more_workers_than_queues_are_refused() {
    let list: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let text = BASE.replace("workers = [0]", &format!("workers = [{}]", list.join(",")));
    let report = parse("portal.toml", &text, &(0..65).collect()).expect_err("should be refused");
    let messages: Vec<String> = report.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        ["65 workers are more than the 64 queues that a port may have"]
    );
}

/// A file whose one upstream lists this many source MACs, or one fewer beside one that the kernel resolves.
fn with_source_macs(count: u16, resolved: bool) -> String {
    let mac = |n: u16| format!("\"02:00:00:00:{:02x}:{:02x}\"", n >> 8, n & 0xff);
    let macs: Vec<String> = (0..count - u16::from(resolved)).map(mac).collect();
    let second = "[upstreams.isp2]\nport = \"ix0\"\nnext_hop = \"192.0.2.2\"\n";
    format!(
        "[portal]\nworkers = [0]\n[ports.ix0]\n[upstreams.isp1]\nport = \"ix0\"\nnext_hop = \"192.0.2.1\"\n\
         source_macs = [{}]\n{}",
        macs.join(", "),
        if resolved { second } else { "" }
    )
}

#[test]
fn source_macs_fill_half_of_the_steering_map() {
    // A change needs room for the old and the new in a map of 16,384.
    for resolved in [false, true] {
        let parse = |count| {
            let text = with_source_macs(count, resolved);
            parse("portal.toml", &text, &[0].into())
        };
        assert!(parse(8192).is_ok());
        let report = parse(8193).unwrap_err();
        let message = report.problems()[0].to_string();
        assert_eq!(
            message,
            "8193 source MACs are more than the 8192 that steering holds"
        );
        assert!(report.places()[0].line > 3, "it has a place");
    }
}
