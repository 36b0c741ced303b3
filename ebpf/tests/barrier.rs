//! After the wait, no CPU is in a program that was running when it began.

mod common;

use std::thread;

use libbpf_rs::{MapCore, MapFlags, MapHandle, ObjectBuilder, ProgramInput};
use tp_ebpf::Steering;

/// Of `slow.bpf.c`.
const RUNNING: u32 = 1;
const ENDED: u32 = 2;

#[test]
fn waiting_outlasts_a_program_that_is_running() {
    common::require_root();
    let mut steering = Steering::load().expect("load");
    let object = common::clang::compile("slow");
    let object = ObjectBuilder::default()
        .open_file(object)
        .expect("open")
        .load()
        .expect("load");
    let map = object.maps().find(|m| m.name() == "state").expect("a map");
    let state = MapHandle::try_from(&map).expect("handle");
    let now = || {
        let value = state
            .lookup(&[0; 4], MapFlags::ANY)
            .expect("lookup")
            .expect("value");
        u32::from_ne_bytes(value.try_into().expect("4 bytes"))
    };

    for round in 0..5 {
        state
            .update(&[0; 4], &[0; 4], MapFlags::ANY)
            .expect("update");
        thread::scope(|scope| {
            scope.spawn(|| {
                let input = ProgramInput {
                    data_in: Some(&[0; 64]),
                    ..Default::default()
                };
                let program = object.progs_mut().next().expect("a program");
                program.test_run(input).expect("run");
            });
            while now() != RUNNING && now() != ENDED {
                thread::yield_now();
            }
            steering.wait_for_cpus().expect("wait");
            assert_eq!(now(), ENDED, "round {round}");
        });
    }
}
