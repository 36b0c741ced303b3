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
mod plan;

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use bed::{Arrivals, Bed, Churn, Traffic};
use flows::Flow;
use plan::{Plan, Step, steps};
use tp_api::ApiClient;
use tp_bench::Rate;
use tp_tests::exchange::{Tpd, assert_counters_close};

/// Reconfigurations of the run. `TP_RECONFIGURATIONS=50` shortens it while one works on the test.
const RECONFIGURATIONS: usize = 1000;
/// Packets a second, over all flows, that are tried: the first that the laboratory carries without loss for as
/// long as the reconfigurations take is that of the run.
const RATES: [u64; 5] = [20_000, 10_000, 5_000, 2_500, 1_000];
/// The run without reconfigurations is looked at so often, so that a rate that is too high is soon given up.
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
    let (mut traffic, rate) = carried(&bed, &flows, length);
    println!("{rate} packets a second for {length:?} without loss");

    let (start, before) = (Instant::now(), traffic.sent());
    let plan = steps(count, &mut random);
    let slowest = traffic.during(|| {
        let _churn = Churn::start(&bed);
        let paced = (0..).zip(plan).map(|(number, step)| {
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
    portal.show_all_ports();
    portal.assert_flawless(&traffic, &flows);
    let rest = took.saturating_sub(length);
    assert!(
        lasts(&mut traffic, &flows, rest),
        "the rate that was carried before is no longer"
    );
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
    portal.show_all_ports();
    let arrivals = traffic.arrivals(&flows);
    let mixed = impure(&flows, &arrivals);
    assert!(mixed.is_empty(), "{}", mixed.join("\n"));
    let lost = traffic.losses(&flows, &arrivals);
    assert!(!lost.is_empty(), "all was carried: that was no load");
    assert_counters_close(&portal.tpd.counters_at_rest().unwrap());
}

/// The daemon, and the configuration in force.
struct Portal<'a> {
    bed: &'a Bed,
    tpd: Tpd,
    plan: Plan,
    api: ApiClient,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Portal<'a> {
    fn start(bed: &'a Bed) -> Self {
        let plan = Plan::default();
        let directory = bed.lab.directory();
        Self {
            tpd: Tpd::start(&bed.lab, &bed.portal, &plan.text(directory)).unwrap(),
            plan,
            api: ApiClient::new(directory.join("api.sock")),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            bed,
        }
    }

    /// Puts the configuration with this step taken into force; answers how long that took.
    fn reconfigure(&mut self, step: Step) -> Duration {
        self.plan.take(step);
        let answer = self.reload();
        assert!(answer.changed, "{step:?}");
        assert!(
            answer.warnings.is_empty(),
            "{step:?}: {:?}",
            answer.warnings
        );
        Duration::from_micros(answer.took_us)
    }

    /// Puts every port into force.
    fn show_all_ports(&mut self) {
        self.plan = self.plan.clone().with_all_ports();
        self.reload();
    }

    /// Nothing lost, nothing mixed, every look seen, every equation closed.
    fn assert_flawless(&self, traffic: &Traffic, flows: &[Flow]) {
        let counters = self.tpd.counters_at_rest().unwrap();
        let arrivals = traffic.arrivals(flows);
        let wrong = [
            traffic.losses(flows, &arrivals),
            impure(flows, &arrivals),
            unseen(flows, &arrivals),
        ]
        .concat();
        let drops = self.tpd.tpctl(&["show", "drops"]).unwrap();
        assert!(
            wrong.is_empty(),
            "{}\n{}",
            wrong.join("\n"),
            String::from_utf8_lossy(&drops.stdout)
        );
        assert_counters_close(&counters);
    }

    fn reload(&self) -> tp_api::Reload {
        let directory = self.bed.lab.directory();
        std::fs::write(directory.join("tpd.toml"), self.plan.text(directory)).unwrap();
        self.runtime.block_on(self.api.reload()).unwrap()
    }
}

/// Traffic at the first rate that is carried for this long, and the rate.
fn carried(bed: &Bed, flows: &[Flow], length: Duration) -> (Traffic, u64) {
    for rate in RATES {
        let pace = Rate::PacketsPerSecond(NonZeroU64::new(rate).unwrap());
        let mut traffic = Traffic::new(bed, flows, pace);
        if lasts(&mut traffic, flows, length) {
            return (traffic, rate);
        }
    }
    panic!(
        "the laboratory does not carry {} packets a second",
        RATES[RATES.len() - 1]
    );
}

/// Whether nothing is lost for this long.
fn lasts(traffic: &mut Traffic, flows: &[Flow], length: Duration) -> bool {
    let mut left = length;
    while left > Duration::ZERO {
        let now = left.min(LOOK);
        traffic.during(|| std::thread::sleep(now));
        let losses = traffic.losses(flows, &traffic.arrivals(flows));
        if !losses.is_empty() {
            println!("not carried: {}", losses.join("; "));
            return false;
        }
        left -= now;
    }
    true
}

/// What arrived in a look that no generation gives it, in words.
fn impure(flows: &[Flow], arrivals: &Arrivals) -> Vec<String> {
    let mut wrong = Vec::new();
    for (end, counts) in arrivals {
        for (signature, tally) in &counts.signatures {
            let flow = flows.iter().find(|flow| flow.id == signature.template);
            if !flow.is_some_and(|flow| flow.looks.contains(&(*end, *signature))) {
                let name = flow.map_or("no flow", |flow| &flow.name);
                wrong.push(format!(
                    "{name}: {} packets at {end:?} as {signature:?}",
                    tally.packets
                ));
            }
            if tally.bad_inner_checksum + tally.bad_outer_checksum > 0 {
                wrong.push(format!("checksums: {tally:?} of {signature:?}"));
            }
        }
        if counts.overflow > 0 {
            wrong.push(format!(
                "{} frames were not counted at {end:?}",
                counts.overflow
            ));
        }
    }
    wrong
}

/// Looks of what every generation forwards that never came: a generation without traffic would prove nothing.
fn unseen(flows: &[Flow], arrivals: &Arrivals) -> Vec<String> {
    let always = flows.iter().filter(|flow| flow.always);
    let looks = always.flat_map(|flow| flow.looks.iter().map(move |look| (flow, look)));
    looks
        .filter(|(_, (end, signature))| !arrivals[end].signatures.contains_key(signature))
        .map(|(flow, look)| format!("{}: never as {look:?}", flow.name))
        .collect()
}
