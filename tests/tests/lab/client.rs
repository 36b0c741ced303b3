//! The client ends tested against each other, a router between them.

use std::net::Ipv4Addr;
use std::time::Duration;

use tp_tests::client::{ClientEnd, ClientReport, Kind, Refusal, TunnelSpec};
use tp_tests::traffic::{Ping, TcpTransfer};

use crate::{EAST, Line, MIB, WEST, line};

const INNER_WEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const INNER_EAST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

#[test]
fn gre_with_a_key_carries_traffic() {
    carries_traffic(
        "key",
        Kind::Gre {
            key: Some(0xcafe_0001),
        },
    );
}

#[test]
fn gre_without_a_key_carries_traffic() {
    carries_traffic("nokey", Kind::Gre { key: None });
}

#[test]
fn ipip_carries_traffic() {
    carries_traffic("ipip", Kind::Ipip);
}

#[test]
fn a_wrong_key_is_refused_and_counted() {
    let line = line("wrong");
    let west = tunnel_west(&line, Kind::Gre { key: Some(1) });
    let east = tunnel_east(&line, Kind::Gre { key: Some(2) });
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
            TunnelSpec::new(&format!("tun{number}"), Kind::Gre { key }, local, remote)
                .address(format!("10.0.{number}.{host}/24").parse().unwrap())
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
    let _east = tunnel_east(&line, Kind::Ipip);
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
    let _west = tunnel_west(&line, Kind::Gre { key: Some(1) });
    let east = tunnel_east(&line, Kind::Gre { key: Some(2) });
    let unreachable = || line.east.snmp("Icmp", "OutDestUnreachs").unwrap();
    let ping = Ping::new(INNER_EAST)
        .count(3)
        .timeout(Duration::from_millis(200));
    ping.run(&line.west).unwrap();
    assert_eq!(east.report_when_quiet().refusals(Refusal::KeyWrong), 3);
    assert_eq!(unreachable(), 0);

    drop(east);
    ping.run(&line.west).unwrap();
    assert!(
        unreachable() > 0,
        "the counter does not show what it is read for"
    );
}

fn carries_traffic(name: &str, kind: Kind) {
    let line = line(name);
    let west = tunnel_west(&line, kind);
    let east = tunnel_east(&line, kind);
    let mtu = tunnel_west_spec(kind).inner_mtu();
    // The largest packet that fits, in one piece.
    let report = Ping::new(INNER_EAST)
        .size(mtu - 28)
        .run(&line.west)
        .unwrap();
    assert!(report.is_clean(), "{report:?}");

    let report = TcpTransfer::new(&line.west, &line.east, INNER_EAST, 64 * MIB)
        .run()
        .unwrap();
    assert!(report.is_intact() && report.bytes == 64 * MIB, "{report:?}");
    eprintln!("{name}: {:.0} Mbit/s", report.bits_per_second() / 1e6);

    let (west, east) = (west.report_when_quiet(), east.report_when_quiet());
    let (sent, received) = (west.tunnels["tun0"], east.tunnels["tun0"]);
    assert_eq!(
        (west.refused.len(), east.refused.len()),
        (0, 0),
        "{west:?} {east:?}"
    );
    assert_eq!((sent.not_sent, received.not_delivered), (0, 0));
    assert_eq!(sent.sent_packets, received.received_packets);
    assert_eq!(sent.sent_bytes, received.received_bytes);
    assert!(received.received_bytes > 64 * MIB);
    // 64 from the other end, less one by the router between.
    assert_eq!((received.outer_ttl, received.outer_tos), (63, 0));
    for ns in [&line.west, &line.router, &line.east] {
        assert_eq!(
            ns.snmp("Icmp", "OutDestUnreachs").unwrap(),
            0,
            "{}",
            ns.name()
        );
    }
}

fn tunnel_spec(kind: Kind, local: Ipv4Addr, remote: Ipv4Addr, inner: Ipv4Addr) -> TunnelSpec {
    TunnelSpec::new("tun0", kind, local, remote).address(format!("{inner}/30").parse().unwrap())
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
