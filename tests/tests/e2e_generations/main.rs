//! Reconfigurations under traffic lose no packet that both configurations forward, and no packet meets two
//! generations.
//!
//! Every reconfiguration changes the parity of one of two sets of things that a packet shows when it leaves: key,
//! outer source, link and router, which steering knows too; or what workers alone know. A look at the sink
//! that mixes parities is a packet that met two generations.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

mod bed;
mod flows;
mod judge;
mod plan;
mod portal;

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use bed::{Bed, Churn, Traffic};
use flows::Flow;
use judge::{impure, unseen};
use plan::{Step, steps};
use portal::Portal;
use tp_bench::Rate;

/// Reconfigurations of the run. `TP_RECONFIGURATIONS=50` shortens it while one works on the test.
const RECONFIGURATIONS: usize = 1000;
/// Packets a second, over all flows, that are tried, until the laboratory carries one without loss.
const RATES: [u64; 4] = [20_000, 10_000, 4_000, 1_000];
/// A worker that waits for more than this part of the time gets too little of its CPU: what rings then lose says
/// nothing of changes, and a lower rate is tried. On a machine without other load it waits for less than a
/// hundredth.
const STARVED: u32 = 10;
/// A run without reconfigurations is looked at so often, so that a rate that is too high is soon given up.
const LOOK: Duration = Duration::from_secs(3);
/// Reconfigurations without traffic that tell how long the run will take.
const REHEARSED: usize = 40;
/// Reconfigurations under more traffic than is carried.
const UNDER_LOAD: usize = 100;

#[test]
fn reconfigurations_lose_nothing_and_mix_nothing() {
    let count =
        std::env::var("TP_RECONFIGURATIONS").map_or(RECONFIGURATIONS, |n| n.parse().unwrap());
    let seed = fastrand::u64(..);
    println!("{count} reconfigurations, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (bed, flows) = (Bed::new(), flows::flows());
    let mut portal = Portal::start(&bed);

    let (start, churn) = (Instant::now(), Churn::start(&bed));
    for step in steps(REHEARSED, &mut random) {
        portal.reconfigure(step);
    }
    drop(churn);
    let period = start.elapsed() * 3 / 2 / u32::try_from(REHEARSED).unwrap();
    let length = period * u32::try_from(count).unwrap();
    for rate in RATES {
        println!("{rate} packets a second for {length:?}");
        let Some(mut traffic) = carried(&bed, &flows, rate, length) else {
            continue;
        };
        let waited = portal.waited_for_cpu();
        let took = reconfigure(
            &bed,
            &mut portal,
            &mut traffic,
            period,
            steps(count, &mut random),
        );
        let waited = portal.waited_for_cpu() - waited;
        println!("the worker waited {waited:?} for its CPU");
        let arrivals = traffic.arrivals(&flows);
        let wrong = [impure(&flows, &arrivals), portal.faults()].concat();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        portal.assert_counters_close();
        let lost = traffic.losses(&flows, &arrivals);
        if lost.is_empty() {
            let unseen = unseen(&flows, &arrivals);
            assert!(unseen.is_empty(), "{}", unseen.join("\n"));
            return;
        }
        let lost = lost.join("\n");
        println!("lost in rings:\n{lost}");
        assert!(
            waited > took / STARVED,
            "nothing but the changes explains it"
        );
    }
    panic!(
        "this machine is too busy: it does not carry {} packets a second",
        RATES[RATES.len() - 1]
    );
}

/// Takes the steps under traffic and news from the kernel, one each period; answers how long that took.
fn reconfigure(
    bed: &Bed,
    portal: &mut Portal<'_>,
    traffic: &mut Traffic,
    period: Duration,
    steps: Vec<Step>,
) -> Duration {
    let (start, before, count) = (Instant::now(), traffic.sent(), steps.len());
    let slowest = traffic.during(|| {
        let _churn = Churn::start(bed);
        let paced = (0..).zip(steps).map(|(number, step)| {
            std::thread::sleep((period * number).saturating_sub(start.elapsed()));
            portal.reconfigure(step)
        });
        paced.max().unwrap_or_default()
    });
    let took = start.elapsed();
    println!(
        "{count} reconfigurations in {took:?}, the slowest {slowest:?}, under {} packets",
        traffic.sent() - before
    );
    took
}

/// Traffic at this rate that went on for this long, if nothing of it was lost.
fn carried(bed: &Bed, flows: &[Flow], rate: u64, length: Duration) -> Option<Traffic> {
    let pace = Rate::PacketsPerSecond(NonZeroU64::new(rate).unwrap());
    let mut traffic = Traffic::new(bed, flows, pace);
    let mut left = length;
    while left > Duration::ZERO {
        let now = left.min(LOOK);
        traffic.during(|| std::thread::sleep(now));
        let losses = traffic.losses(flows, &traffic.arrivals(flows));
        if !losses.is_empty() {
            println!("not carried: {}", losses.join("; "));
            return None;
        }
        left -= now;
    }
    Some(traffic)
}

#[test]
fn reconfigurations_end_under_more_traffic_than_is_carried() {
    let mut random = fastrand::Rng::new();
    let (bed, mut flows) = (Bed::new(), flows::flows());
    // What steering drops is no load.
    flows.retain(|flow| flow.always);
    let mut portal = Portal::start(&bed);
    let mut traffic = Traffic::new(&bed, &flows, Rate::FlatOut);
    traffic.during(|| {
        // A reconfiguration that fails is a panic.
        for step in steps(UNDER_LOAD, &mut random) {
            portal.reconfigure(step);
        }
    });
    let arrivals = traffic.arrivals(&flows);
    let mixed = impure(&flows, &arrivals);
    assert!(mixed.is_empty(), "{}", mixed.join("\n"));
    let lost = traffic.losses(&flows, &arrivals);
    assert!(!lost.is_empty(), "all was carried: that was no load");
    let faults = portal.faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    portal.assert_counters_close();
}
