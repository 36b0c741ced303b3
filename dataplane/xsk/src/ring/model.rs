//! Rings against a model: a queue of bounded length. No device, no mapping, no `unsafe`.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Consumer, Descriptor, Entry, Producer, RingMemory};

/// A ring in vectors.
#[derive(Debug)]
struct Plain {
    producer: AtomicU32,
    consumer: AtomicU32,
    flags: AtomicU32,
    words: Vec<AtomicU64>,
    entries: u32,
}

impl Plain {
    fn new(entries: u32, words: usize, start: u32) -> Arc<Self> {
        Arc::new(Self {
            producer: AtomicU32::new(start),
            consumer: AtomicU32::new(start),
            flags: AtomicU32::new(0),
            words: (0..entries as usize * words)
                .map(|_| AtomicU64::new(u64::MAX))
                .collect(),
            entries,
        })
    }
}

impl RingMemory for Arc<Plain> {
    fn entries(&self) -> u32 {
        self.entries
    }
    fn producer(&self, order: Ordering) -> u32 {
        self.producer.load(order)
    }
    fn set_producer(&self, index: u32, order: Ordering) {
        self.producer.store(index, order);
    }
    fn consumer(&self, order: Ordering) -> u32 {
        self.consumer.load(order)
    }
    fn set_consumer(&self, index: u32, order: Ordering) {
        self.consumer.store(index, order);
    }
    fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }
    fn word(&self, at: usize) -> u64 {
        self.words[at].load(Ordering::Relaxed)
    }
    fn set_word(&self, at: usize, value: u64) {
        self.words[at].store(value, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Room(u32),
    Produce(u32),
    Consume(u32),
    Levels,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0..20u32).prop_map(Op::Room),
        (0..20u32).prop_map(Op::Produce),
        prop_oneof![0..20u32, Just(u32::MAX)].prop_map(Op::Consume),
        Just(Op::Levels),
    ];
    prop::collection::vec(op, 1..200)
}

/// Entry number `i`, different from all others.
fn descriptor(i: u64) -> Descriptor {
    let low = u32::try_from(i & 0xffff_ffff).unwrap();
    Descriptor {
        address: i << 11 | 256,
        len: low,
        options: !low,
    }
}

/// Runs the operations on a ring and on a bounded queue: both give the same at every step.
fn agree<E: Entry + PartialEq + std::fmt::Debug>(
    memory: &Arc<Plain>,
    ops: &[Op],
    entry: impl Fn(u64) -> E,
) -> Result<(), TestCaseError> {
    let mut producer: Producer<E, _> = Producer::new(Arc::clone(memory));
    let mut consumer: Consumer<E, _> = Consumer::new(Arc::clone(memory));
    let (size, mut model, mut made) = (memory.entries as usize, VecDeque::new(), 0);
    for op in ops {
        let free = size - model.len();
        match *op {
            Op::Room(want) => {
                prop_assert_eq!(producer.room(want) as usize, free.min(want as usize));
            }
            Op::Produce(n) => {
                let room = producer.room(n);
                let written = producer.produce((0..u64::from(n)).map(|i| entry(made + i)));
                prop_assert!(written >= room && written as usize == free.min(n as usize));
                for i in 0..u64::from(written) {
                    model.push_back(made + i);
                }
                made += u64::from(written);
            }
            Op::Consume(want) => {
                let mut read = Vec::new();
                let n = consumer.consume(want, |e| read.push(e)) as usize;
                prop_assert_eq!(n, model.len().min(want as usize));
                let expected: Vec<E> = model.drain(..n).map(&entry).collect();
                prop_assert_eq!(read, expected);
            }
            Op::Levels => {
                prop_assert_eq!(producer.pending() as usize, model.len());
                prop_assert_eq!(consumer.available() as usize, model.len());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_ring_of_addresses_is_a_bounded_queue(log in 0..5u32, start in starts(), ops in ops()) {
        agree(&Plain::new(1 << log, 1, start), &ops, |i| i << 12)?;
    }

    #[test]
    fn a_ring_of_descriptors_is_a_bounded_queue(log in 0..5u32, start in starts(), ops in ops()) {
        agree(&Plain::new(1 << log, 2, start), &ops, descriptor)?;
    }

    /// Whatever the other side's index is, no side believes more than the ring can hold.
    #[test]
    fn wild_indices_are_not_believed(start in starts(), wild in any::<u32>(), n in 0..20u32) {
        let memory = Plain::new(8, 1, start);
        let mut producer: Producer<u64, _> = Producer::new(Arc::clone(&memory));
        let mut consumer: Consumer<u64, _> = Consumer::new(Arc::clone(&memory));
        producer.produce(0..3);
        let ahead = wild.wrapping_sub(start);

        memory.producer.store(wild, Ordering::Relaxed);
        let believed = if ahead <= 8 { ahead } else { 0 };
        prop_assert_eq!(consumer.available(), believed);
        prop_assert_eq!(consumer.consume(n, drop), believed.min(n));

        memory.consumer.store(wild, Ordering::Relaxed);
        let held = start.wrapping_add(3).wrapping_sub(wild);
        let held = if held <= 8 { held } else { 3 };
        prop_assert_eq!(producer.pending(), held);
        prop_assert_eq!(producer.room(u32::MAX), 8 - held);
    }
}

/// Indices where a ring starts: also such that they soon pass 2^32.
fn starts() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), any::<u32>(), u32::MAX - 64..=u32::MAX]
}

#[test]
fn the_flag_is_the_kernels() {
    let memory = Plain::new(8, 1, 0);
    let producer: Producer<u64, _> = Producer::new(Arc::clone(&memory));
    assert!(!producer.needs_wakeup());
    memory.flags.store(1, Ordering::Relaxed);
    assert!(producer.needs_wakeup());
    memory.flags.store(2, Ordering::Relaxed);
    assert!(!producer.needs_wakeup(), "other flags are not ours");
}

#[test]
fn a_descriptor_lies_in_memory_as_the_kernel_reads_it() {
    let memory = Plain::new(2, 2, 1);
    let mut producer: Producer<Descriptor, _> = Producer::new(Arc::clone(&memory));
    producer.produce([Descriptor {
        address: 0x0102_0304_0506_0708,
        len: 60,
        options: 7,
    }]);
    let bytes: Vec<u8> = memory.words[2..]
        .iter()
        .flat_map(|w| w.load(Ordering::Relaxed).to_ne_bytes())
        .collect();
    let expected = [
        &0x0102_0304_0506_0708u64.to_ne_bytes()[..],
        &60u32.to_ne_bytes(),
        &7u32.to_ne_bytes(),
    ]
    .concat();
    assert_eq!(bytes, expected, "index 1 is slot 1: addr, len, options");
}
