//! Links of every kind, over both outer families, on one portal at once: traffic of both families goes both ways
//! through the ISP whole, forged sources do not, rates are held.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::net::IpAddr;
use std::time::Duration;

use tp_tests::carriers::{Carriers, ConfigText, Line, SERVER};
use tp_tests::client::{Carrier, Kind};
use tp_tests::exchange::assert_counters_close;
use tp_tests::lab::Ns;
use tp_tests::traffic::{Ping, TcpTransfer, UdpFlow, UdpReport};

/// Bytes of a TCP transfer.
const TRANSFER: u64 = 4 << 20;
/// Each tunnel's rate in the rate test, in bits a second of inner IP packets, and its burst in bytes: a second of the
/// rate, so that a sender that the machine keeps waiting that long finds no bucket overflowing.
const RATE: u64 = 1_000_000;
const BURST: u64 = 128 << 10;
/// How long the rate is watched.
const WATCH: Duration = Duration::from_secs(4);

#[test]
fn pings_and_transfers_go_both_ways_over_each_kind() {
    let bed = Carriers::start("kinds", Line::all()).unwrap();
    for line in &bed.lines {
        for (own, server) in line.addresses().into_iter().zip(SERVER) {
            let ends = [(&bed.client, own, server), (&bed.server, server, own)];
            for (from, source, to) in ends {
                // One request waits for its answer a whole second; the last of several no longer than their interval.
                let ping = Ping::new(to).source(source).count(1).run(from).unwrap();
                assert!(ping.is_clean(), "{}: {ping:#?}\n{}", line.name, told(&bed));
            }
            transfer(&bed, line, (&bed.client, own), (&bed.server, server));
            transfer(&bed, line, (&bed.server, server), (&bed.client, own));
        }
    }
    let report = bed.end.report_when_quiet();
    assert_eq!(report.refused.len(), 0, "{report:#?}");
    for spec in bed.lines.iter().filter_map(Line::spec) {
        let Carrier::Carried { kind, .. } = spec.carrier else {
            continue;
        };
        // The portal sends UDP checksums where it is told to, and none of GRE.
        let summed = matches!(kind, Kind::Fou(udp) | Kind::Gue(udp, _) if udp.checksum);
        let tunnel = report.tunnels[&spec.device];
        let expected = if summed { tunnel.received_packets } else { 0 };
        assert_eq!(tunnel.checksummed_packets, expected, "{}", spec.device);
        assert_eq!((tunnel.outer_ttl, tunnel.not_delivered), (64, 0));
    }
    finish(&bed);
}

#[test]
fn a_load_over_all_kinds_at_once_arrives_whole() {
    let bed = Carriers::start("kinds-load", Line::all()).unwrap();
    let mut running = Vec::new();
    for line in &bed.lines {
        let [v4, v6] = line.addresses();
        let ends = [
            ((&bed.client, v4), (&bed.server, SERVER[0])),
            ((&bed.server, SERVER[1]), (&bed.client, v6)),
        ];
        for (from, to) in ends {
            let flow = flow(from, to).payload(1000).packets_per_second(300);
            running.push((line, flow.count(600).start().unwrap()));
        }
    }
    for (line, flow) in running {
        let report = flow.finish().unwrap();
        assert!(
            report.is_clean(),
            "{}: {report:?}\n{}",
            line.name,
            told(&bed)
        );
    }
    finish(&bed);
}

#[test]
fn forged_sources_are_dropped_on_each_kind() {
    let bed = Carriers::start("kinds-spoof", Line::all()).unwrap();
    let before = bed.tpd.dropped("forged-source").unwrap();
    let mut running = Vec::new();
    for line in &bed.lines {
        for (stolen, server) in line.stolen().into_iter().zip(SERVER) {
            let flow = flow((&bed.client, stolen), (&bed.server, server));
            running.push((line, flow.count(100).start().unwrap()));
        }
    }
    let mut sent = 0;
    for (line, flow) in running {
        let report = flow.finish().unwrap();
        assert_eq!((report.sent, report.received), (100, 0), "{}", line.name);
        sent += report.sent;
    }
    // Each of them, since none arrived.
    let dropped = bed.tpd.dropped("forged-source").unwrap() - before;
    assert_eq!(dropped, sent, "{}", told(&bed));
    finish(&bed);
}

#[test]
fn each_tunnels_rate_is_held() {
    let bed = Carriers::start("kinds-rate", Line::all()).unwrap();
    let mut config = ConfigText::new(&bed.lines);
    let rate = format!("{} kbit/s", RATE / 1000);
    config.rate = Some(format!(
        "{{ from_client = \"{rate}\", to_client = \"{rate}\", burst = \"{} KiB\" }}",
        BURST >> 10
    ));
    let output = bed.tpd.reload(&config.text(bed.lab.directory())).unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut running = Vec::new();
    for line in &bed.lines {
        let [v4, v6] = line.addresses();
        let ends = [
            ((&bed.client, v6), (&bed.server, SERVER[1])),
            ((&bed.server, SERVER[0]), (&bed.client, v4)),
        ];
        for (from, to) in ends {
            // Twice the rate.
            let flow = flow(from, to).payload(952).packets_per_second(250);
            running.push((line, flow.lasting(WATCH).start().unwrap()));
        }
    }
    let mut lost = 0;
    for (line, flow) in running {
        let report = flow.finish().unwrap();
        assert_rate(line, &report);
        lost += report.lost();
    }
    let dropped = bed.tpd.dropped("rate-tunnel").unwrap();
    assert_eq!(dropped, lost, "{}", told(&bed));
    finish(&bed);
}

/// Burst and rate over the time between the first arrival and the last, less than a packet more or less, and what
/// the bucket gained while the machine did something else.
#[track_caller]
#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn assert_rate(line: &Line, report: &UdpReport) {
    let allowed = BURST as f64 + RATE as f64 / 8.0 * report.elapsed.as_secs_f64();
    let ratio = report.received_ip_bytes as f64 / allowed;
    assert!(
        (0.98..=1.02).contains(&ratio),
        "{}: {ratio} {report:?}",
        line.name
    );
}

fn flow((from, source): (&Ns, IpAddr), (to, destination): (&Ns, IpAddr)) -> UdpFlow {
    UdpFlow::new(from, to, destination).source(source)
}

#[track_caller]
fn transfer(
    bed: &Carriers,
    line: &Line,
    (from, source): (&Ns, IpAddr),
    (to, destination): (&Ns, IpAddr),
) {
    let transfer = TcpTransfer::new(from, to, destination, TRANSFER).source(source);
    let transfer = transfer.limit(Duration::from_secs(20)).run();
    match transfer {
        Ok(report) if report.is_intact() => {}
        other => panic!("{} {source}: {other:?}\n{}", line.name, told(bed)),
    }
}

/// Nothing is lost in the books.
#[track_caller]
fn finish(bed: &Carriers) {
    assert_counters_close(&bed.tpd.counters_at_rest().unwrap());
}

/// What `tpctl` and the client's end say, for messages.
fn told(bed: &Carriers) -> String {
    let drops = bed.tpd.tpctl(&["show", "drops"]).unwrap();
    let links = bed.tpd.tpctl(&["show", "tunnels"]).unwrap();
    format!(
        "{}{}{:#?}\n{}",
        String::from_utf8_lossy(&drops.stdout),
        String::from_utf8_lossy(&links.stdout),
        bed.end.report(),
        bed.tpd.process().stderr()
    )
}
