//! Generator and sink on the two ends of a veth pair: what one says it sent, the other counts.
//!
//! Needs root: makes network namespaces, opens AF_XDP sockets, attaches XDP programs.
#![allow(clippy::unwrap_used, reason = "a failed preparation fails the test")]

use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tp_bench::{
    Counts, End, FrameSpec, Generator, GeneratorConfig, Namespace, Outer, Rate, Sent, Sink,
    Template, TunnelKind, run_in_turn,
};
use tp_wire::MacAddr;

const LEFT: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
const RIGHT: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);

struct Link {
    left: Namespace,
    right: Namespace,
}

impl Link {
    fn new() -> Self {
        let (left, right) = (Namespace::new("l").unwrap(), Namespace::new("r").unwrap());
        let end = |namespace, device, mac| End {
            namespace,
            device,
            mac,
        };
        Namespace::join(end(&left, "left", LEFT), end(&right, "right", RIGHT)).unwrap();
        Self { left, right }
    }

    fn sink(&self) -> Sink {
        self.right.enter(|| Sink::attach("right")).unwrap().unwrap()
    }

    fn generator(&self, change: impl FnOnce(&mut GeneratorConfig)) -> Generator {
        let templates = (0..4)
            .map(|id| Template::new(id, &spec(id)).unwrap())
            .collect();
        let mut config = GeneratorConfig::new("left", templates);
        change(&mut config);
        self.left
            .enter(|| Generator::open(&config))
            .unwrap()
            .unwrap()
    }
}

/// Each template has another look.
fn spec(id: u32) -> FrameSpec {
    let kind = [
        None,
        Some(TunnelKind::Ipip),
        Some(TunnelKind::Gre { key: None }),
        Some(TunnelKind::Gre { key: Some(77) }),
    ][id as usize];
    let mut spec = FrameSpec::new(
        LEFT,
        RIGHT,
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(198, 51, 100, 1),
    );
    spec.outer = kind.map(|kind| Outer {
        kind,
        source: Ipv4Addr::new(203, 0, 113, 1),
        destination: Ipv4Addr::new(203, 0, 113, 2),
        ttl: 9,
    });
    spec
}

/// Reads until as many packets were counted as left, or for a second.
fn settled(sink: &Sink, sent: &Sent) -> Counts {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        let counts = sink.read().unwrap();
        if counts.total().packets >= sent.delivered() || Instant::now() > deadline {
            return counts;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_paced_run_arrives_whole_and_at_its_rate() {
    let link = Link::new();
    let sink = link.sink();
    let mut generator = link.generator(|c| {
        c.rate = Rate::PacketsPerSecond(NonZeroU64::new(10_000).unwrap());
        c.packets = Some(10_000);
    });
    let sent = generator.run(&AtomicBool::new(false));
    let counts = settled(&sink, &sent);
    assert_eq!((sent.packets, sent.dropped, sent.stuck), (10_000, 0, 0));
    assert_eq!(sent.bytes, 2_500 * (64 + 84 + 88 + 92));
    assert!(
        sent.elapsed > Duration::from_millis(990),
        "{:?}",
        sent.elapsed
    );
    let total = counts.total();
    assert_eq!((total.packets, total.frame_bytes), (10_000, sent.bytes));
    assert_eq!((total.bad_inner_checksum, total.bad_outer_checksum), (0, 0));
    assert_eq!(counts.signatures.len(), 4);
    for (id, flow) in &counts.flows {
        assert_eq!(sent.by_template[id], 2_500);
        assert_eq!(
            (flow.packets, flow.next_sequence, flow.late),
            (2_500, 2_500, 0),
            "{id}"
        );
    }
}

#[test]
fn flat_out_what_left_is_what_arrived() {
    let link = Link::new();
    let sink = link.sink();
    let mut generator = link.generator(|c| c.duration = Some(Duration::from_millis(500)));
    let sent = generator.run(&AtomicBool::new(false));
    let counts = settled(&sink, &sent);
    assert!(sent.packets > 10_000, "{sent:?}");
    assert_eq!(counts.total().packets, sent.delivered());
    let lost: u64 = counts.flows.values().map(tp_bench::FlowTally::lost).sum();
    assert!(lost <= sent.dropped, "{lost} lost, {sent:?}");
}

#[test]
fn sequence_numbers_go_on_from_run_to_run() {
    let link = Link::new();
    let sink = link.sink();
    let mut generator = link.generator(|c| c.packets = Some(400));
    for run in 1..=3 {
        let sent = generator.run(&AtomicBool::new(false));
        assert_eq!(sent.by_template.values().sum::<u64>(), 400);
        let counts = settled(
            &sink,
            &Sent {
                packets: 400 * run,
                ..Sent::default()
            },
        );
        assert_eq!(counts.flows[&3].next_sequence, 100 * run);
    }
}

#[test]
fn a_run_without_an_end_hears_stop() {
    let link = Link::new();
    let mut generator = link.generator(|_| {});
    let stop = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::Relaxed);
        });
        generator.run(&stop)
    });
    assert!(
        sent.packets > 0 && sent.elapsed < Duration::from_secs(5),
        "{sent:?}"
    );
}

#[test]
fn a_dropped_sink_counts_no_more_and_frees_the_device() {
    let link = Link::new();
    let first = link.sink();
    let again = link.right.enter(|| Sink::attach("right")).unwrap();
    assert!(again.is_err(), "two programs on one device");
    drop(first);
    let second = link.sink();
    assert_eq!(second.read().unwrap(), Counts::default());
}

#[test]
fn both_directions_from_one_thread() {
    let link = Link::new();
    let right = link.sink();
    let left = link.left.enter(|| Sink::attach("left")).unwrap().unwrap();
    let mut there = link.generator(|c| c.packets = Some(2_000));
    let back = GeneratorConfig {
        packets: Some(1_000),
        ..GeneratorConfig::new("right", vec![Template::new(0, &spec(0)).unwrap()])
    };
    let mut back = link
        .right
        .enter(|| Generator::open(&back))
        .unwrap()
        .unwrap();
    let [sent_there, sent_back] = run_in_turn([&mut there, &mut back], &AtomicBool::new(false));
    assert_eq!((sent_there.packets, sent_back.packets), (2_000, 1_000));
    assert_eq!(
        settled(&right, &sent_there).total().packets,
        sent_there.delivered()
    );
    assert_eq!(
        settled(&left, &sent_back).total().packets,
        sent_back.delivered()
    );
}
