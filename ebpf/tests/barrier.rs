//! After a wait, no CPU is in a program that was running when it began; and who must wait.

mod common;

use std::thread;

use common::isolated::{bpffs, isolated, veth};
use common::portal;
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, ObjectBuilder, ProgramInput};
use tp_ebpf::{Mode, Pins, Steering};
use tp_pipeline::abi::SlotRef;

/// Of `slow.bpf.c`.
const ENDED: u32 = 2;

/// A program that is in the kernel for a while, and what it says of itself.
struct Slow {
    object: Object,
    state: MapHandle,
}

impl Slow {
    fn load() -> Self {
        let path = common::clang::compile("slow");
        let object = ObjectBuilder::default()
            .open_file(path)
            .expect("open")
            .load()
            .expect("load");
        let map = object.maps().find(|m| m.name() == "state").expect("a map");
        let state = MapHandle::try_from(&map).expect("handle");
        Self { object, state }
    }

    fn state(&self) -> u32 {
        let value = self
            .state
            .lookup(&[0; 4], MapFlags::ANY)
            .expect("lookup")
            .expect("value");
        u32::from_ne_bytes(value.try_into().expect("4 bytes"))
    }

    /// Runs `wait` when the program has begun; it must return after the program has ended.
    fn is_outlasted_by(&self, wait: impl FnOnce()) {
        self.state
            .update(&[0; 4], &[0; 4], MapFlags::ANY)
            .expect("update");
        thread::scope(|scope| {
            scope.spawn(|| {
                let input = ProgramInput {
                    data_in: Some(&[0; 64]),
                    ..Default::default()
                };
                let program = self.object.progs_mut().next().expect("a program");
                program.test_run(input).expect("run");
            });
            while self.state() == 0 {
                thread::yield_now();
            }
            wait();
            assert_eq!(self.state(), ENDED);
        });
    }
}

#[test]
fn waiting_outlasts_a_program_that_is_running() {
    common::require_root();
    let slow = Slow::load();
    let mut steering = Steering::load().expect("load");
    for _ in 0..5 {
        slow.is_outlasted_by(|| steering.wait_for_cpus().expect("wait"));
    }
}

/// The kernel would give the memory of the old entry to the new one while a frame is being
/// steered by the old.
#[test]
fn no_entry_takes_the_place_of_another_that_may_still_be_read() {
    let slow = Slow::load();
    isolated(|| {
        let pins = Pins::open(&bpffs("barrier")).expect("pins");
        let (port, _) = veth("tp0", "far0");
        let mut steering = Steering::load().expect("load");
        let all = portal();
        steering.apply(&all).expect("apply");
        steering.put_on(&pins, &port, Mode::Native).expect("put on");

        let (key, slot) = all
            .tunnels
            .iter()
            .next()
            .map(|(k, s)| (*k, *s))
            .expect("a tunnel");
        let mut without = all.clone();
        without.tunnels.remove(&key);
        for _ in 0..3 {
            steering.apply(&without).expect("a removal");
            slow.is_outlasted_by(|| {
                assert_eq!(steering.apply(&all).expect("an addition").added, 1);
            });
        }

        let mut changed = all.clone();
        changed.tunnels.insert(
            key,
            SlotRef {
                tag: slot.tag + 1,
                ..slot
            },
        );
        steering.apply(&changed).expect("a change");
        slow.is_outlasted_by(|| assert_eq!(steering.apply(&all).expect("a change").changed, 1));
    });
}
