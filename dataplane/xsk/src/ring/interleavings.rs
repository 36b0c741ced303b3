//! Rings under a model checker: every interleaving of a producer and a consumer, and every value
//! that the memory orders let them see.
//!
//! The slots are cells that loom watches: reading or writing one without the other side's access
//! ordered before is reported. The `should_panic` cases weaken one order each and prove that the
//! checker would see it. Not covered: rings longer than two entries, and the kernel's own code.
#![allow(unsafe_code, reason = "loom's cells give out raw pointers")]

use core::sync::atomic::Ordering;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::AtomicU32;

use super::{Consumer, Producer, RingMemory};

const ENTRIES: u32 = 2;

/// Which index's memory order is dropped.
#[derive(Clone, Copy, PartialEq)]
enum Weakened {
    Nothing,
    Producer,
    Consumer,
}

struct Checked {
    producer: AtomicU32,
    consumer: AtomicU32,
    slots: Vec<UnsafeCell<u64>>,
    weakened: Weakened,
}

// SAFETY: the ring protocol orders the accesses to the cells; that it does is what loom checks.
unsafe impl Sync for Checked {}
// SAFETY: as above.
unsafe impl Send for Checked {}

impl Checked {
    fn order(&self, index: Weakened, order: Ordering) -> Ordering {
        if self.weakened == index {
            Ordering::Relaxed
        } else {
            order
        }
    }
}

impl RingMemory for Arc<Checked> {
    fn entries(&self) -> u32 {
        ENTRIES
    }
    fn producer(&self, order: Ordering) -> u32 {
        self.producer.load(self.order(Weakened::Producer, order))
    }
    fn set_producer(&self, index: u32, order: Ordering) {
        self.producer
            .store(index, self.order(Weakened::Producer, order));
    }
    fn consumer(&self, order: Ordering) -> u32 {
        self.consumer.load(self.order(Weakened::Consumer, order))
    }
    fn set_consumer(&self, index: u32, order: Ordering) {
        self.consumer
            .store(index, self.order(Weakened::Consumer, order));
    }
    fn flags(&self) -> u32 {
        0
    }
    fn word(&self, at: usize) -> u64 {
        // SAFETY: loom panics where another thread writes the cell at the same time.
        self.slots[at].with(|slot| unsafe { *slot })
    }
    fn set_word(&self, at: usize, value: u64) {
        // SAFETY: loom panics where another thread uses the cell at the same time.
        self.slots[at].with_mut(|slot| unsafe { *slot = value });
    }
}

/// One thread sends 1, 2, … `last` in batches of up to `batch`, the other receives them.
fn exchange(last: u64, batch: u32, weakened: Weakened) {
    loom::model(move || {
        // Indices that pass 2^32 on the way.
        let start = u32::MAX - 1;
        let memory = Arc::new(Checked {
            producer: AtomicU32::new(start),
            consumer: AtomicU32::new(start),
            slots: (0..ENTRIES).map(|_| UnsafeCell::new(0)).collect(),
            weakened,
        });
        let mut producer: Producer<u64, _> = Producer::new(Arc::clone(&memory));
        let mut consumer: Consumer<u64, _> = Consumer::new(memory);
        let sender = loom::thread::spawn(move || {
            let mut next = 1;
            while next <= last {
                let room = producer.room(batch);
                let n = producer.produce((next..=last).take(room as usize));
                if n == 0 {
                    loom::thread::yield_now();
                }
                next += u64::from(n);
            }
        });
        let mut expected = 1;
        while expected <= last {
            let n = consumer.consume(batch, |value| {
                assert_eq!(value, expected, "in order, whole, once");
                expected += 1;
            });
            if n == 0 {
                loom::thread::yield_now();
            }
        }
        sender.join().unwrap();
    });
}

#[test]
fn one_at_a_time() {
    exchange(3, 1, Weakened::Nothing);
}

#[test]
fn in_batches() {
    exchange(4, 2, Weakened::Nothing);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_producer_index_is_found_out() {
    exchange(3, 1, Weakened::Producer);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn a_relaxed_consumer_index_is_found_out() {
    exchange(4, 2, Weakened::Consumer);
}
