//! Where metadata goes when a frame does not come with 256 free bytes in front of it.

mod common;

use std::os::fd::{AsFd, AsRawFd};

use common::frames::{HOST, IPV4, UDP, from_isp, ipv4, stack};
use common::{LOOPBACK, PORT, counters, slots, steering};
use libbpf_rs::libbpf_sys::{XDP_DROP, XDP_REDIRECT};
use libbpf_rs::{MapCore, MapFlags, Object, ObjectBuilder, ProgramInput};
use tp_ebpf::Steering;
use tp_pipeline::abi::{Counter, Meta};

fn transit() -> Vec<u8> {
    stack([&from_isp(IPV4), &ipv4(HOST, HOST, UDP), &[0; 64]])
}

/// The programs of `before.bpf.c`, which go on to the steering program.
fn programs_before(steering: &Steering) -> Object {
    let object = common::clang::compile("before");
    let object = ObjectBuilder::default()
        .open_file(object)
        .expect("open")
        .load()
        .expect("load");
    let next = object.maps().find(|m| m.name() == "next").expect("a map");
    let program = steering.as_fd().as_raw_fd().to_ne_bytes();
    next.update(&0u32.to_ne_bytes(), &program, MapFlags::ANY)
        .expect("update");
    object
}

/// Action, metadata and packet after a run of `program` on `frame` behind `meta` bytes of metadata.
fn run(object: &Object, program: &str, meta: usize, frame: &[u8]) -> (u32, Vec<u8>, Vec<u8>) {
    let number = |n: usize| u32::try_from(n).expect("small");
    // data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex (struct xdp_md).
    let context = [number(meta), number(meta + frame.len()), 0, LOOPBACK, 0, 0];
    let mut context_in = context.map(u32::to_ne_bytes).concat();
    let mut context_out = vec![0; context_in.len()];
    let mut data_out = vec![0; 1024];
    let data_in = [vec![0xee; meta], frame.to_vec()].concat();
    let input = ProgramInput {
        context_in: Some(&mut context_in),
        context_out: Some(&mut context_out),
        data_in: Some(&data_in),
        data_out: Some(&mut data_out),
        ..Default::default()
    };
    let program = object
        .progs_mut()
        .find(|p| p.name() == program)
        .expect("a program");
    let output = program
        .test_run(input)
        .unwrap_or_else(|e| panic!("{meta} bytes of metadata: {e:#}"));
    let mut data = output.data.expect("data").to_vec();
    let context = output.context.expect("context");
    let meta = u32::from_ne_bytes(context[..4].try_into().expect("4 bytes"));
    let packet = data.split_off(usize::try_from(meta).expect("small"));
    (output.return_value, data, packet)
}

#[test]
fn no_room_is_a_drop_of_its_own() {
    let (steering, _socket) = steering();
    let object = programs_before(&steering);
    let before = counters(&steering);
    let (action, meta, _) = run(&object, "low_headroom", 0, &transit());
    let after = counters(&steering);

    assert_eq!(action, XDP_DROP);
    assert_eq!(meta, []);
    let moved = |c| after[usize::from(PORT)][c] - before[usize::from(PORT)][c];
    let moved: Vec<_> = Counter::ALL
        .into_iter()
        .filter(|c| moved(*c) != 0)
        .collect();
    assert_eq!(moved, [Counter::Seen, Counter::MetaRoom]);
}

/// Ours takes the place of what a driver has put there, because the worker looks for it right
/// in front of the packet.
#[test]
fn a_drivers_metadata_gives_way() {
    let (steering, _socket) = steering();
    let object = programs_before(&steering);
    for present in [0, 4, 20, 24, 28, 64, 200] {
        let (action, meta, packet) = run(&object, "straight_on", present, &transit());
        assert_eq!(action, XDP_REDIRECT);
        assert_eq!(meta.len(), Meta::SIZE, "{present} bytes of metadata");
        let meta = Meta::from_bytes(meta.first_chunk().expect("24 bytes"));
        assert_eq!(
            (meta.slot, meta.l3_off),
            (slots::UNTAGGED, 14),
            "{present} bytes of metadata"
        );
        assert_eq!(packet, transit());
    }
}
