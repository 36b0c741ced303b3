//! The client ends tested against each other, a router between them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use tp_tests::client::{
    ClientEnd, ClientReport, Gre, GueVariant, Kind, Refusal, Tag, TunnelSpec, Udp,
};
use tp_tests::lab::{Lab, Ns, Route};
use tp_tests::traffic::{Ping, TcpTransfer};

use crate::{EAST, Line, MIB, WEST, line};

const INNER_WEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const INNER_EAST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const OUTER_WEST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2);
const OUTER_EAST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2);
const INNER_V6_EAST: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);

/// All fields that there are.
const FULL: Gre = Gre {
    key: Some(0xcafe_0001),
    sequence: true,
    checksum: true,
};
const SUMMED: Udp = Udp {
    port: 5555,
    remote_port: 5555,
    checksum: true,
};

#[test]
fn gre_with_a_key_carries_traffic() {
    carries_traffic("key", Kind::gre(Some(0xcafe_0001)));
}

#[test]
fn gre_without_a_key_carries_traffic() {
    carries_traffic("nokey", Kind::gre(None));
}

#[test]
fn gre_with_all_fields_carries_traffic() {
    carries_traffic("fields", Kind::Gre(FULL));
}

#[test]
fn ipip_carries_traffic() {
    carries_traffic("ipip", Kind::IPIP);
}

#[test]
fn egre_carries_traffic() {
    carries_traffic("egre", Kind::egre(None));
}

#[test]
fn egre_with_all_fields_carries_traffic() {
    carries_traffic("efields", Kind::Egre(FULL));
}

#[test]
fn fou_carries_traffic() {
    carries_traffic("fou", Kind::Fou(Udp::port(5555)));
}

#[test]
fn fou_with_checksums_carries_traffic() {
    carries_traffic("fousum", Kind::Fou(SUMMED));
}

#[test]
fn gue_carries_traffic() {
    carries_traffic("gue", Kind::Gue(SUMMED, GueVariant::Header));
}

#[test]
fn gue_without_a_header_carries_traffic() {
    carries_traffic("gue1", Kind::Gue(Udp::port(5555), GueVariant::Direct));
}

#[test]
fn vlans_of_one_device_carry_traffic() {
    let lab = Lab::new("vlan").unwrap();
    let ends = ["west", "east"].map(|name| lab.namespace(name).unwrap());
    for ns in &ends {
        ns.enable_ipv6().unwrap();
    }
    let [west, east] = &ends;
    lab.veth((west, "eth0"), (east, "eth0")).unwrap();
    for ns in &ends {
        // A veth passes frames of its MTU with one tag: the second needs room.
        ns.link_mtu("eth0", 1504).unwrap();
    }
    let stacks = [
        vec![Tag::customer(10)],
        vec![Tag::service(100), Tag::customer(10)],
    ];
    let specs = |host: usize| {
        let spec = |(number, tags): (usize, &Vec<Tag>)| {
            TunnelSpec::tagged(&format!("vlan{number}"), "eth0", tags)
                .address(net(&format!("10.0.{number}.{host}/24")))
                .address(net(&format!("fd00:0:0:{number}::{host}/64")))
        };
        stacks.iter().enumerate().map(spec).collect()
    };
    let clients = [(west, specs(1)), (east, specs(2))]
        .map(|(ns, specs)| ClientEnd::start_in(ns, specs).unwrap());
    for destination in ["10.0.0.2", "10.0.1.2", "fd00:0:0:0::2", "fd00:0:0:1::2"] {
        let destination: IpAddr = destination.parse().unwrap();
        let largest = if destination.is_ipv4() { 1472 } else { 1452 };
        let report = Ping::new(destination).size(largest).run(west).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let report = TcpTransfer::new(west, east, destination, MIB)
            .run()
            .unwrap();
        assert!(report.is_intact() && report.bytes == MIB, "{report:?}");
    }
    for client in clients {
        let report = client.stop();
        assert_eq!(report.refused.len(), 0, "{report:?}");
        assert!(
            report
                .tunnels
                .values()
                .all(|tunnel| tunnel.received_packets > 700)
        );
    }
    // The device is given back.
    west.address("eth0", "192.0.2.1/24").unwrap();
    east.address("eth0", "192.0.2.2/24").unwrap();
    let report = Ping::new(Ipv4Addr::new(192, 0, 2, 2)).run(west).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn frames_of_other_vlans_are_refused() {
    let lab = Lab::new("othervlan").unwrap();
    let [west, east] = ["west", "east"].map(|name| lab.namespace(name).unwrap());
    lab.veth((&west, "eth0"), (&east, "eth0")).unwrap();
    let spec = |vid, host| {
        TunnelSpec::tagged("vlan", "eth0", &[Tag::customer(vid)])
            .address(net(&format!("10.0.0.{host}/24")))
    };
    let _west = ClientEnd::start_in(&west, vec![spec(10, 1)]).unwrap();
    let east_end = ClientEnd::start_in(&east, vec![spec(11, 2)]).unwrap();
    let report = Ping::new(INNER_EAST).count(1).run(&west).unwrap();
    assert_eq!(report.received, 0, "{report:?}");
    let report = east_end.report_when_quiet();
    assert!(report.refusals(Refusal::UnknownTags) > 0, "{report:?}");
    assert_eq!(report.tunnels["vlan"].received_packets, 0);
}

#[test]
fn a_wrong_key_is_refused_and_counted() {
    let line = line("wrong");
    let west = tunnel_west(&line, Kind::gre(Some(1)));
    let east = tunnel_east(&line, Kind::gre(Some(2)));
    let report = Ping::new(INNER_EAST).count(5).run(&line.west).unwrap();
    assert_eq!((report.sent, report.received), (5, 0), "{report:?}");
    assert_eq!(east.report_when_quiet().refusals(Refusal::KeyWrong), 5);
    assert_eq!(east.report_when_quiet().tunnels["tun0"].received_packets, 0);
    assert_eq!(west.report_when_quiet().tunnels["tun0"].sent_packets, 5);
    assert_eq!(west.report_when_quiet().refused.len(), 0);
}

#[test]
fn tunnels_of_one_outer_pair_are_told_apart_by_their_keys() {
    let line = line("pair");
    let keys = [Some(1), Some(2), None];
    let specs = |local, remote, host| {
        let spec = |(number, key)| {
            TunnelSpec::new(&format!("tun{number}"), Kind::gre(key), local, remote)
                .address(format!("10.0.{number}.{host}/24").parse::<IpNet>().unwrap())
        };
        (0..3).zip(keys).map(spec).collect()
    };
    let west = ClientEnd::start_in(&line.west, specs(WEST, EAST, 1)).unwrap();
    let east = ClientEnd::start_in(&line.east, specs(EAST, WEST, 2)).unwrap();
    for (number, count) in [(0, 1), (1, 2), (2, 3)] {
        let report = Ping::new(Ipv4Addr::new(10, 0, number, 2))
            .count(count)
            .run(&line.west)
            .unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
    for report in [west.report_when_quiet(), east.report_when_quiet()] {
        let counts = report
            .tunnels
            .values()
            .map(|tunnel| tunnel.received_packets);
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(report.refused.len(), 0);
    }
}

#[test]
fn the_client_end_runs_as_a_program() {
    let line = line("program");
    let _east = tunnel_east(&line, Kind::IPIP);
    let spec = format!("tun0,kind=ipip,local={WEST},remote={EAST},address={INNER_WEST}/30");
    let mut command = line.west.command(env!("CARGO_BIN_EXE_tp-client-end"));
    let west = line
        .lab
        .spawn("west", command.args(["--tunnel", &spec]))
        .unwrap();
    let ready = west
        .wait_for_output("{\"ready\":true}\n", Duration::from_secs(10))
        .unwrap();
    assert!(ready, "{}", west.stderr());

    let report = Ping::new(INNER_EAST).run(&line.west).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let status = west.stop(Duration::from_secs(5)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    let output = west.stdout();
    let report: ClientReport = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let tunnel = report.tunnels["tun0"];
    assert_eq!((tunnel.sent_packets, tunnel.received_packets), (3, 3));
    assert_eq!((tunnel.sent_bytes, tunnel.received_bytes), (3 * 84, 3 * 84));
}

#[test]
fn a_client_end_keeps_its_kernel_from_answering_with_icmp_errors() {
    let line = line("icmp");
    let _west = tunnel_west(&line, Kind::gre(Some(1)));
    let east = tunnel_east(&line, Kind::gre(Some(2)));
    let ping = Ping::new(INNER_EAST)
        .count(3)
        .timeout(Duration::from_millis(200));
    ping.run(&line.west).unwrap();
    assert_eq!(east.report_when_quiet().refusals(Refusal::KeyWrong), 3);
    assert_eq!(unreachables(&line.east), 0);

    drop(east);
    ping.run(&line.west).unwrap();
    assert!(
        unreachables(&line.east) > 0,
        "the counter does not show what it is read for"
    );
}

/// Both families inside, over each family outside.
fn carries_traffic(name: &str, kind: Kind) {
    let line = line(name);
    with_ipv6(&line);
    carries_both(&line, kind, WEST.into(), EAST.into());
    carries_both(&line, kind, OUTER_WEST.into(), OUTER_EAST.into());
}

fn carries_both(line: &Line, kind: Kind, outer_west: IpAddr, outer_east: IpAddr) {
    let spec = |local, remote, host| {
        TunnelSpec::new("tun0", kind, local, remote)
            .address(net(&format!("10.0.0.{host}/30")))
            .address(net(&format!("fd00::{host}/64")))
    };
    let west_spec = spec(outer_west, outer_east, 1);
    let mtu = west_spec.inner_mtu();
    let west = ClientEnd::start_in(&line.west, vec![west_spec]).unwrap();
    let east = ClientEnd::start_in(&line.east, vec![spec(outer_east, outer_west, 2)]).unwrap();
    // Only while both ends are there does each packet find its taker.
    let errors = || [&line.west, &line.router, &line.east].map(unreachables);
    let before = errors();
    for inner in [IpAddr::from(INNER_EAST), IpAddr::from(INNER_V6_EAST)] {
        // The largest packet that fits, in one piece.
        let headers = if inner.is_ipv4() { 28 } else { 48 };
        let ping = Ping::new(inner)
            .size(mtu - headers)
            .run(&line.west)
            .unwrap();
        assert!(ping.is_clean(), "{kind:?} {inner}: {ping:?}");
        let transfer = TcpTransfer::new(&line.west, &line.east, inner, 8 * MIB);
        let report = transfer.run().unwrap();
        assert!(report.is_intact() && report.bytes == 8 * MIB, "{report:?}");
    }
    assert_eq!(errors(), before);
    let (west, east) = (west.report_when_quiet(), east.report_when_quiet());
    let refused = (west.refused.len(), east.refused.len());
    assert_eq!(refused, (0, 0), "{west:?} {east:?}");
    let (sent, received) = (west.tunnels["tun0"], east.tunnels["tun0"]);
    assert_eq!((sent.not_sent, received.not_delivered), (0, 0));
    // A TAP device tells the groups that it joins, before the other end is there and after it was counted.
    let own = if matches!(kind, Kind::Egre(_)) { 8 } else { 0 };
    let lost = sent.sent_packets.abs_diff(received.received_packets);
    assert!(lost <= own, "{sent:?} {received:?}");
    assert!(received.received_bytes > 16 * MIB);
    // 64 from the other end, less one by the router between.
    assert_eq!((received.outer_ttl, received.outer_tos), (63, 0));
    let summed = match kind {
        Kind::Gre(gre) | Kind::Egre(gre) => gre.checksum,
        Kind::Fou(udp) | Kind::Gue(udp, _) => udp.checksum,
        Kind::Ipip { .. } => false,
    };
    let expected = if summed { received.received_packets } else { 0 };
    assert_eq!(received.checksummed_packets, expected);
}

/// Addresses and routes of the other family on the line.
fn with_ipv6(line: &Line) {
    for ns in [&line.west, &line.router, &line.east] {
        ns.enable_ipv6().unwrap();
    }
    line.router.enable_forwarding().unwrap();
    for (host, device, address, net) in [
        (&line.west, "west", OUTER_WEST, "2001:db8:1::"),
        (&line.east, "east", OUTER_EAST, "2001:db8:2::"),
    ] {
        host.address("eth0", &format!("{address}/64")).unwrap();
        line.router.address(device, &format!("{net}1/64")).unwrap();
        let gateway: IpAddr = format!("{net}1").parse().unwrap();
        let default = Route::to("::/0").unwrap().via(gateway);
        host.route(&default).unwrap();
    }
}

/// Errors of both families that say that nobody takes a packet.
fn unreachables(ns: &Ns) -> u64 {
    ns.snmp("Icmp", "OutDestUnreachs").unwrap()
        + ns.snmp6("Icmp6OutDestUnreachs").unwrap()
        + ns.snmp6("Icmp6OutParmProblems").unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn tunnel_spec(kind: Kind, local: Ipv4Addr, remote: Ipv4Addr, inner: Ipv4Addr) -> TunnelSpec {
    TunnelSpec::new("tun0", kind, local, remote).address(net(&format!("{inner}/30")))
}

pub(crate) fn tunnel_west_spec(kind: Kind) -> TunnelSpec {
    tunnel_spec(kind, WEST, EAST, INNER_WEST)
}

fn tunnel_west(line: &Line, kind: Kind) -> ClientEnd {
    ClientEnd::start_in(&line.west, vec![tunnel_west_spec(kind)]).unwrap()
}

pub(crate) fn tunnel_east(line: &Line, kind: Kind) -> ClientEnd {
    ClientEnd::start_in(&line.east, vec![tunnel_spec(kind, EAST, WEST, INNER_EAST)]).unwrap()
}
