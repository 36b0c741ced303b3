//! Frames of known content through the program (BPF_PROG_TEST_RUN): what it counts is what was sent.

use libbpf_rs::ProgramInput;

use super::*;
use crate::template::{FrameSpec, Outer, Template};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

struct Loaded {
    object: Object,
    maps: Maps,
}

impl Loaded {
    fn new() -> Self {
        let object = load().expect("loading a BPF program needs CAP_BPF and CAP_NET_ADMIN");
        let maps = Maps::of(&object).unwrap();
        Self { object, maps }
    }

    fn run(&self, frame: &[u8]) -> u32 {
        let program = self.object.progs_mut().next().unwrap();
        let input = ProgramInput {
            data_in: Some(frame),
            ..ProgramInput::default()
        };
        program.test_run(input).unwrap().return_value
    }

    fn send(&self, template: &Template, sequence: u64) -> Vec<u8> {
        let frame = frame(template, sequence);
        assert_eq!(self.run(&frame), XDP_DROP);
        frame
    }
}

fn frame(template: &Template, sequence: u64) -> Vec<u8> {
    let mut frame = vec![0; template.len()];
    template.write(sequence, &mut frame).unwrap();
    frame
}

fn spec(kind: Option<TunnelKind>) -> FrameSpec {
    let mut spec = FrameSpec::new(
        MacAddr::new([2, 0, 0, 0, 0, 1]),
        MacAddr::new([2, 0, 0, 0, 0, 2]),
        Ipv4Addr::new(192, 0, 2, 1),
        Ipv4Addr::new(198, 51, 100, 7),
    );
    spec.outer = kind.map(|kind| Outer {
        kind,
        source: Ipv4Addr::new(203, 0, 113, 1),
        destination: Ipv4Addr::new(203, 0, 113, 2),
        ttl: 33,
    });
    spec
}

#[test]
fn each_kind_of_frame_has_its_own_signature() {
    let sink = Loaded::new();
    let kinds = [
        None,
        Some(TunnelKind::Ipip),
        Some(TunnelKind::Gre { key: None }),
        Some(TunnelKind::Gre { key: Some(0) }),
        Some(TunnelKind::Gre {
            key: Some(0xdead_beef),
        }),
    ];
    for (id, kind) in (0..).zip(kinds) {
        let template = Template::new(id, &spec(kind)).unwrap();
        for sequence in 0..=u64::from(id) {
            sink.send(&template, sequence);
        }
    }
    let counts = sink.maps.read().unwrap();
    assert_eq!((counts.passed, counts.overflow), (0, 0));
    assert_eq!(counts.signatures.len(), kinds.len());
    for ((signature, tally), (id, kind)) in counts.signatures.iter().zip((0..).zip(kinds)) {
        let expected = Signature {
            template: id,
            dst_mac: MacAddr::new([2, 0, 0, 0, 0, 2]),
            src_mac: MacAddr::new([2, 0, 0, 0, 0, 1]),
            vlans: [0, 0],
            outer: kind.map(|kind| OuterSignature {
                kind,
                source: Ipv4Addr::new(203, 0, 113, 1),
                destination: Ipv4Addr::new(203, 0, 113, 2),
                ttl: 33,
                tos: 0,
            }),
            source: Ipv4Addr::new(192, 0, 2, 1),
            destination: Ipv4Addr::new(198, 51, 100, 7),
            ttl: 64,
        };
        assert_eq!(*signature, expected);
        let overhead = [0, 20, 24, 28, 28][id as usize];
        let packets = u64::from(id) + 1;
        assert_eq!(tally.packets, packets);
        assert_eq!(tally.inner_bytes, packets * 50);
        assert_eq!(tally.frame_bytes, packets * (64 + overhead));
        assert_eq!((tally.bad_inner_checksum, tally.bad_outer_checksum), (0, 0));
        let flow = counts.flows[&id];
        assert_eq!(
            (flow.packets, flow.next_sequence, flow.late),
            (packets, packets, 0)
        );
    }
}

#[test]
fn wrong_header_checksums_are_counted_by_header() {
    let sink = Loaded::new();
    let template = Template::new(0, &spec(Some(TunnelKind::Ipip))).unwrap();
    let good = frame(&template, 0);
    for at in [14 + 10, 14 + 11, 34 + 10, 34 + 11] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert_eq!(sink.run(&bad), XDP_DROP);
    }
    let total = sink.maps.read().unwrap().total();
    assert_eq!(
        (
            total.packets,
            total.bad_outer_checksum,
            total.bad_inner_checksum
        ),
        (4, 2, 2)
    );
}

#[test]
fn gaps_and_late_frames_show_in_the_flow() {
    let sink = Loaded::new();
    let template = Template::new(7, &spec(None)).unwrap();
    for sequence in [0, 1, 5, 3, 9] {
        sink.send(&template, sequence);
    }
    let flow = sink.maps.read().unwrap().flows[&7];
    assert_eq!(
        (flow.packets, flow.next_sequence, flow.late, flow.lost()),
        (5, 10, 1, 5)
    );
}

#[test]
fn tags_are_part_of_the_signature() {
    let sink = Loaded::new();
    let mut tagged = frame(&Template::new(0, &spec(None)).unwrap(), 0);
    tagged.splice(12..12, [0x88, 0xa8, 0x20, 0x64, 0x81, 0x00, 0x00, 0x07]);
    assert_eq!(sink.run(&tagged), XDP_DROP);
    let counts = sink.maps.read().unwrap();
    assert_eq!(counts.signatures.keys().next().unwrap().vlans, [100, 7]);
}

#[test]
fn what_is_not_the_generators_passes() {
    let sink = Loaded::new();
    let good = frame(
        &Template::new(0, &spec(Some(TunnelKind::Gre { key: Some(5) }))).unwrap(),
        0,
    );
    // Every frame that ends before the payload's marks do, and one with another magic.
    let marks = good.len() - 50 + 20 + 8 + 16;
    for len in 14..marks {
        assert_eq!(sink.run(&good[..len]), XDP_PASS, "{len} bytes");
    }
    let mut other = good.clone();
    other[marks - 8] ^= 1;
    assert_eq!(sink.run(&other), XDP_PASS);
    let counts = sink.maps.read().unwrap();
    assert!(counts.signatures.is_empty() && counts.flows.is_empty());
    assert_eq!(counts.passed, (marks - 14 + 1) as u64);
}

#[test]
fn a_template_number_beyond_the_table_is_an_overflow() {
    let sink = Loaded::new();
    let mut beyond = frame(&Template::new(0, &spec(None)).unwrap(), 0);
    let id = 14 + 20 + 8 + 12;
    beyond[id..id + 4].copy_from_slice(&MAX_TEMPLATES.to_be_bytes());
    assert_eq!(sink.run(&beyond), XDP_DROP);
    let counts = sink.maps.read().unwrap();
    assert_eq!((counts.overflow, counts.signatures.len()), (1, 0));
}

#[test]
fn reset_starts_from_zero() {
    let sink = Loaded::new();
    sink.send(&Template::new(0, &spec(None)).unwrap(), 41);
    sink.run(&[0; 60]);
    sink.maps.reset().unwrap();
    assert_eq!(sink.maps.read().unwrap(), Counts::default());
}

#[test]
fn attaching_to_no_device_names_it() {
    let error = Sink::attach("tp-none").unwrap_err();
    assert_eq!(
        error.to_string(),
        "device tp-none: No such device (os error 19)"
    );
}
