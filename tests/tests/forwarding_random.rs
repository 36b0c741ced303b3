//! The compiler with the pipeline, and the reference, agree on random configurations and packets:
//! verdict, bytes and counters, during changes too. And whatever the bytes, nothing leaves
//! that must not.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(
    clippy::print_stdout,
    reason = "the seed and what was seen belong to the result"
)]

mod worker;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use etherparse::{LaxPacketHeaders, NetHeaders};
use tp_control::compile::{Compiled, compile};
use tp_control::model::Tunnel;
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};
use tp_pipeline::{DropReason, PortId, Snapshot};
use tp_tests::generate::{Arriving, Config, Devices, Rng, change, config, frame, seed};
use tp_tests::reference::forwarding::{
    Arrival, Generations, Link, Links, Outcome, Police, forward,
};
use tp_tests::reference::steering::{Ingress, Steered, steer};
use tp_tests::reference::{Numbers, Portal};
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
        let retiring = before.as_ref().filter(|_| next.follows);
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
                if let Outcome::Transmit(_, bytes) = outcome {
                    generation.assert_may_leave(received, bytes);
                    left += 1;
                }
            }
        }
    }
    println!("{left} of {PACKETS} left");
    assert!(left > PACKETS / 50, "if nothing leaves, nothing is shown");
}

/// A configuration and what the compiler made of it.
#[derive(Debug)]
struct Generation {
    config: Config,
    compiled: Compiled,
    numbers: Numbers,
    /// Whether it was compiled from its predecessor.
    follows: bool,
}

impl Generation {
    fn first(rng: &mut Rng) -> Self {
        Self::new(config(rng, &Devices::default()), None, rng)
    }

    fn changed(&self, rng: &mut Rng) -> Self {
        Self::new(change(rng, &self.config), Some(&self.compiled), rng)
    }

    fn new(config: Config, previous: Option<&Compiled>, rng: &mut Rng) -> Self {
        let compiled = compile(previous, &config.model, &config.kernel, rng.u32(..)).unwrap();
        let numbers = Numbers::of(&compiled);
        Self {
            config,
            compiled,
            numbers,
            follows: previous.is_some(),
        }
    }

    fn portal(&self) -> Portal<'_> {
        Portal {
            model: &self.config.model,
            kernel: &self.config.kernel,
            numbers: &self.numbers,
        }
    }

    /// Packets as this configuration's steering hands them to the worker of one port.
    fn burst(&self, rng: &mut Rng, port: PortId) -> Vec<Received> {
        let mut burst = Vec::new();
        let most = rng.usize(1..=BURST);
        // A port that the configuration has not receives nothing.
        for _ in 0..10 * BURST {
            let arriving = frame(rng, &self.config, &Devices::default());
            if let Some(mut meta) = self.steered(&arriving)
                && u32::from(meta.port) == port.0
                && burst.len() < most
            {
                if rng.u32(0..100) < 5 {
                    distort(rng, &mut meta);
                }
                let headroom = if rng.u32(0..10) == 0 {
                    rng.usize(20..32)
                } else {
                    256
                };
                burst.push(Received {
                    meta,
                    frame: arriving.frame,
                    headroom,
                });
            }
        }
        burst
    }

    fn steered(&self, arriving: &Arriving) -> Option<Meta> {
        let Arriving {
            ifindex,
            queue,
            ref frame,
        } = *arriving;
        match steer(
            &self.portal(),
            &Ingress {
                ifindex,
                queue,
                socket: true,
            },
            frame,
        ) {
            Steered::Redirect(meta) => Some(meta),
            Steered::Pass | Steered::Drop(_) => None,
        }
    }
}

impl Generation {
    /// A packet whose bytes changed after steering saw it, or that steering never saw.
    fn hostile(&self, rng: &mut Rng, port: PortId) -> Received {
        let mut arriving = frame(rng, &self.config, &Devices::default());
        let mut meta = match self.steered(&arriving) {
            Some(meta) if rng.bool() => meta,
            _ => self.plausible(rng),
        };
        meta.port = u16::try_from(port.0).unwrap();
        if rng.u32(0..4) == 0 {
            distort(rng, &mut meta);
        }
        for _ in 0..rng.u32(0..3) {
            if !arriving.frame.is_empty() {
                let at = rng.usize(0..arriving.frame.len());
                arriving.frame[at] = rng.u8(..);
            }
        }
        Received {
            meta,
            frame: arriving.frame,
            headroom: 256,
        }
    }

    /// Metadata of a link that is there, with offsets that a packet may have.
    fn plausible(&self, rng: &mut Rng) -> Meta {
        let upstreams = self.numbers.upstreams.values().map(|id| (1, *id));
        let tunnels = self.numbers.tunnels.values().map(|id| (2, *id));
        let links: Vec<_> = upstreams.chain(tunnels).collect();
        let (ingress, id) = links[rng.usize(0..links.len())];
        let l3_off = [14, 14, 14, 18, 22, 0, 34][rng.usize(0..7)];
        let overhead = if ingress == 1 {
            0
        } else {
            [20, 24, 28][rng.usize(0..3)]
        };
        Meta {
            slot: id.slot,
            tag: id.tag,
            magic: META_MAGIC,
            port: 0,
            ingress,
            vlans: 0,
            l3_off,
            l4_off: l3_off + 20,
            inner_off: l3_off + overhead,
            reserved: 0,
        }
    }

    /// From a tunnel only with a source of its client, from an upstream only into a tunnel: read
    /// from the bytes that leave, with nothing of the pipeline or of the reference's parser.
    fn assert_may_leave(&self, received: &Received, bytes: &[u8]) {
        let portal = self.portal();
        let start = usize::from(received.meta.inner_off);
        let length = u16::from_be_bytes([received.frame[start + 2], received.frame[start + 3]]);
        let inner = &bytes[bytes.len() - usize::from(length)..];
        let source = Ipv4Addr::new(inner[12], inner[13], inner[14], inner[15]);
        let network = LaxPacketHeaders::from_ethernet(bytes).unwrap().net;
        let Some(NetHeaders::Ipv4(outermost, _)) = network else {
            panic!("no IPv4 packet leaves:\n{self:#?}\n{received:?}\n{bytes:02x?}");
        };
        let encapsulated = outermost.total_len > length;
        let may = match IngressKind::from_u8(received.meta.ingress) {
            Some(IngressKind::Upstream) => {
                let leads_there = |t: &Tunnel| {
                    (t.local.octets(), t.remote.octets())
                        == (outermost.source, outermost.destination)
                };
                encapsulated && self.config.model.tunnels.values().any(leads_there)
            }
            Some(IngressKind::Tunnel) => {
                let mut tunnels = self.numbers.tunnels.iter();
                let name = tunnels.find(|(_, id)| id.slot == received.meta.slot);
                name.is_some_and(|(name, _)| {
                    portal.owner(source) == Some(&self.config.model.tunnels[name].client)
                })
            }
            _ => false,
        };
        assert!(may, "{self:#?}\n{received:?}\n{bytes:02x?}");
    }
}

/// Metadata that the steering program would not write for this packet.
fn distort(rng: &mut Rng, meta: &mut Meta) {
    match rng.u32(0..9) {
        0 => meta.slot = rng.u32(0..8),
        1 => meta.tag = meta.tag.wrapping_add(rng.u32(0..4)),
        2 => meta.magic ^= 1 << rng.u32(0..16),
        3 => meta.port = rng.u16(0..4),
        4 => meta.ingress = rng.u8(0..8),
        5 => meta.l3_off = rng.u16(0..80),
        6 => meta.l4_off = rng.u16(0..2000),
        7 => meta.inner_off = rng.u16(0..120),
        _ => meta.vlans = rng.u8(..),
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
            if police.emptied_to_the_byte() {
                return;
            }
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
            Outcome::Drop(reason) => format!("{reason:?}"),
        };
        *self.seen.entry(what).or_default() += 1;
    }

    /// A comparison of packets that are all dropped for the same reason would prove nothing.
    fn assert_that_all_was_seen(&self) {
        println!("{:#?}", self.seen);
        // A default route is always there; the last four are the worker's.
        let unreachable = [
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
