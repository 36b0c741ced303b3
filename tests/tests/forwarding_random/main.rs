//! The compiler with the pipeline, and the reference, agree on random configurations and packets:
//! verdict, bytes and counters, during changes too. And whatever the bytes, nothing leaves
//! that must not.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(
    clippy::print_stdout,
    reason = "the seed and what was seen belong to the result"
)]

mod generation;
mod hostile;
mod kernel;
mod worker;

use std::collections::BTreeMap;

use generation::Generation;
use tp_pipeline::{DropReason, PortId, Snapshot};
use tp_tests::generate::{Rng, seed};
use tp_tests::reference::forwarding::{
    Arrival, Generations, Link, Links, Outcome, Police, forward,
};
use worker::{Counts, Received, process};

const PACKETS: u32 = 150_000;
const BURST: usize = 64;
/// Time between bursts: every bucket of a generated rate is full again.
const PAUSE: u64 = 10_000_000_000;

#[test]
fn random_packets_leave_as_the_text_says() {
    let seed = seed();
    println!("TP_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut comparison = Comparison::default();
    let mut before: Option<Generation> = None;
    while comparison.packets < PACKETS {
        let next = match &before {
            Some(generation) if rng.u32(0..10) < 7 => generation.changed(&mut rng),
            _ => Generation::first(&mut rng),
        };
        let retiring = before
            .as_ref()
            .filter(|before| next.follows && next.rates_are_of(before));
        for generation in [Some(&next), retiring].into_iter().flatten() {
            let port = PortId(rng.u32(0..3));
            let burst = generation.burst(&mut rng, port);
            comparison.compare(&next, retiring, port, &burst);
        }
        before = Some(next);
    }
    comparison.assert_that_all_was_seen();
}

/// Most bytes are not what they seem: the frames are damaged in any place, or noise throughout, and
/// the metadata is plausible enough to get them as far as possible.
#[test]
fn whatever_arrives_nothing_leaves_that_must_not() {
    let seed = seed();
    println!("TP_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut left = 0;
    for _ in 0..PACKETS / 100 {
        let generation = Generation::first(&mut rng);
        let port = PortId(0);
        let burst: Vec<Received> = (0..100)
            .map(|_| generation.hostile(&mut rng, port))
            .collect();
        for burst in burst.chunks(BURST) {
            let snapshot = Snapshot {
                current: generation.compiled.tables.clone(),
                retiring: None,
            };
            let (outcomes, _) = process(&snapshot, port, 0, burst);
            for (received, outcome) in burst.iter().zip(&outcomes) {
                generation.assert_allowed(received, outcome);
                left += u32::from(!matches!(outcome, Outcome::Drop(_)));
            }
        }
    }
    println!("{left} of {PACKETS} left");
    assert!(left > PACKETS / 50, "if nothing leaves, nothing is shown");
}

#[test]
fn what_the_kernel_sends_leaves_as_the_text_says() {
    let seed = seed();
    println!("TP_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..PACKETS / 50 {
        for outcome in Generation::first(&mut rng).compare_originated(&mut rng) {
            let what = match outcome {
                Outcome::Drop(reason) => format!("{reason:?}"),
                Outcome::Transmit(..) => "left".to_owned(),
                Outcome::Tun(_) | Outcome::Tap(_) => "punted".to_owned(),
            };
            *seen.entry(what).or_default() += 1;
        }
    }
    println!("{seen:#?}");
    for what in ["left", "NeighbourUnresolved", "TooBig", "NoHeadroom"] {
        assert!(seen.get(what).is_some_and(|n| *n >= 100), "{what}");
    }
}

#[derive(Default)]
struct Comparison {
    packets: u32,
    now: u64,
    seen: BTreeMap<String, u32>,
}

impl Comparison {
    fn compare(
        &mut self,
        current: &Generation,
        retiring: Option<&Generation>,
        port: PortId,
        burst: &[Received],
    ) {
        self.now += PAUSE;
        let snapshot = Snapshot {
            current: current.compiled.tables.clone(),
            retiring: retiring.map(|r| r.compiled.tables.clone()),
        };
        let generations = Generations {
            current: current.portal(),
            retiring: retiring.map(Generation::portal),
        };
        let (outcomes, counts) = process(&snapshot, port, self.now, burst);

        let mut police = Police::default();
        let mut expected_counts = Counts::default();
        for (received, outcome) in burst.iter().zip(&outcomes) {
            let arrival = Arrival {
                meta: received.meta_in_chunk(),
                frame: &received.frame,
                port: u16::try_from(port.0).unwrap(),
                headroom: received.headroom,
                now: self.now,
            };
            let (expected, links) = forward(&generations, &mut police, &arrival);
            assert!(
                *outcome == expected,
                "{generations:#?}\nport {} {received:?}\nthe text:     {expected:?}\nthe pipeline: \
                 {outcome:?}\n(charged before in this burst: {police:?})",
                port.0
            );
            expected_counts.add(&expected, &links);
            self.note(&expected, &links);
        }
        assert_eq!(counts, expected_counts, "{generations:#?}\n{burst:?}");
    }

    fn note(&mut self, outcome: &Outcome, links: &Links) {
        self.packets += 1;
        let end = |link| match link {
            Some(Link::Upstream(_)) => "upstream",
            Some(Link::Tunnel(_)) => "tunnel",
            None => "nowhere",
        };
        let what = match outcome {
            Outcome::Transmit(..) => format!("{} to {}", end(links.from), end(links.to)),
            Outcome::Tun(_) => format!("{} to the kernel by TUN", end(links.from)),
            Outcome::Tap(_) => format!("{} to the kernel by TAP", end(links.from)),
            Outcome::Drop(reason) => format!("{reason:?}"),
        };
        *self.seen.entry(what).or_default() += 1;
    }

    /// A comparison of packets that are all dropped for the same reason would prove nothing.
    fn assert_that_all_was_seen(&self) {
        println!("{:#?}", self.seen);
        // IPv4 in GRE and IPIP only; a default route is always there; the last four are the worker's.
        let unreachable = [
            DropReason::UdpChecksum,
            DropReason::InnerGroup,
            DropReason::InnerNotForUs,
            DropReason::LinkProtocol,
            DropReason::RateSlowPath,
            DropReason::NoRoute,
            DropReason::Blackhole,
            DropReason::NoPort,
            DropReason::PuntQueueFull,
            DropReason::TxRingFull,
            DropReason::TxBusy,
        ];
        let reasons = DropReason::ALL.iter().filter(|r| !unreachable.contains(r));
        let ways = [
            "upstream to tunnel",
            "tunnel to upstream",
            "tunnel to tunnel",
            "upstream to the kernel by TUN",
            "upstream to the kernel by TAP",
            "tunnel to the kernel by TUN",
            "tunnel to the kernel by TAP",
        ];
        let all = reasons
            .map(|r| format!("{r:?}"))
            .chain(ways.map(String::from));
        for what in all {
            let times = self.seen.get(&what).copied().unwrap_or(0);
            assert!(times >= 20, "{what} was seen {times} times only");
        }
        assert!(!self.seen.contains_key("upstream to upstream"));
    }
}
