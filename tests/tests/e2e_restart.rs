//! What a restart of the daemon under load costs: told, not judged.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::thread;
use std::time::{Duration, Instant};

use tp_tests::exchange::{Bypass, Client, ConfigText, Exchange, SERVER, Site, Tpd};
use tp_tests::traffic::{UdpFlow, UdpRunning};

/// Datagrams a second in each direction.
const RATE: u32 = 5000;
/// Restarts that are measured.
const RESTARTS: u32 = 5;
/// Traffic before and after each.
const AROUND: Duration = Duration::from_millis(500);
/// No restart takes longer.
const LONGEST: Duration = Duration::from_secs(20);

#[test]
fn traffic_resumes_after_a_restart_under_load() {
    let mut exchange = Exchange::new("restart", 1).unwrap();
    exchange.start_clients().unwrap();
    let mut bypass = Bypass::open(&exchange).unwrap();
    let text = ConfigText::default().text(exchange.lab.directory());
    let Site { mut tpd, exchange } = Site::start(exchange, |_| text.clone()).unwrap();
    bypass.forget(&exchange).unwrap();

    for restart in 1..=RESTARTS {
        let flows = both_directions(&exchange);
        thread::sleep(AROUND);
        let start = Instant::now();
        assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
        let stopped = start.elapsed();
        tpd = Tpd::start(&exchange.lab, &exchange.portal, &text).unwrap();
        let ready = start.elapsed();
        for flow in &flows {
            await_arrivals(flow);
        }
        thread::sleep(AROUND);
        let mut lost = Vec::new();
        for flow in flows {
            flow.stop();
            let report = flow.finish().unwrap();
            assert_eq!(
                (report.damaged, report.duplicated, report.not_sent),
                (0, 0, 0)
            );
            lost.push(report.lost());
        }
        let outage: Vec<_> = lost.iter().map(|n| n * 1000 / u64::from(RATE)).collect();
        println!(
            "restart {restart} at {RATE} packets a second in each direction: to the client {} frames lost ({} ms), \
             from the client {} ({} ms); stopped after {stopped:?}, ready after {ready:?}",
            lost[0], outage[0], lost[1], outage[1]
        );
    }
    assert_eq!(bypass.forwarded(&exchange).unwrap(), 0);
}

/// From the internet to client b, and from client a to the internet, each by a tunnel.
fn both_directions(exchange: &Exchange) -> [UdpRunning; 2] {
    let (a, b) = (Client::A, Client::B);
    let flows = [
        UdpFlow::new(&exchange.server, exchange.client(b), b.address()),
        UdpFlow::new(exchange.client(a), &exchange.server, SERVER).source(a.address()),
    ];
    let running = flows.map(|flow| {
        flow.packets_per_second(RATE)
            .lasting(LONGEST)
            .start()
            .unwrap()
    });
    for flow in &running {
        await_arrivals(flow);
    }
    running
}

fn await_arrivals(flow: &UdpRunning) {
    let (start, before) = (Instant::now(), flow.progress().received);
    while flow.progress().received < before + 100 {
        assert!(
            start.elapsed() < LONGEST,
            "nothing arrives: {:?}",
            flow.progress()
        );
        thread::sleep(Duration::from_millis(2));
    }
}
