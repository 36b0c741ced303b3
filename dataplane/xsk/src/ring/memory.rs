//! The memory of a ring: two indices, flags, and the entries' words.
#![allow(
    unsafe_code,
    reason = "the kernel's rings are reached by offsets into a mapping"
)]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::io;
use std::sync::Arc;

use rustix::mm::MapFlags;

use crate::mapping::Mapping;

/// Access to a ring's shared words. Entries are read and written relaxed: the indices order them.
pub(crate) trait RingMemory {
    /// Number of entries, a power of two.
    fn entries(&self) -> u32;
    /// The producer's index.
    fn producer(&self, order: Ordering) -> u32;
    /// Publishes the producer's index.
    fn set_producer(&self, index: u32, order: Ordering);
    /// The consumer's index.
    fn consumer(&self, order: Ordering) -> u32;
    /// Publishes the consumer's index.
    fn set_consumer(&self, index: u32, order: Ordering);
    /// The kernel's flags.
    fn flags(&self) -> u32;
    /// A word of the entries.
    fn word(&self, at: usize) -> u64;
    /// Writes a word of the entries.
    fn set_word(&self, at: usize, value: u64);
}

/// Where the parts of a ring lie, in bytes from its start (`struct xdp_ring_offset`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) producer: usize,
    pub(crate) consumer: usize,
    pub(crate) flags: usize,
    pub(crate) entries: usize,
}

impl Layout {
    /// A cache line for each index and the flags, as in the kernel's rings.
    const MEMORY: Self = Self {
        producer: 0,
        consumer: 64,
        flags: 128,
        entries: 192,
    };

    /// Bytes of a ring of `entries` entries of `words` words.
    pub(crate) fn bytes(&self, entries: u32, words: usize) -> usize {
        self.entries + entries as usize * words * size_of::<u64>()
    }
}

/// A ring in a mapping; clones are the same ring.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    words: NonNull<[AtomicU64]>,
    entries: u32,
    /// Keeps what the pointers point to.
    _mapping: Arc<Mapping>,
}

// SAFETY: the pointers lead to atomics in a mapping that `Mapped` keeps alive, and an
// `Arc<Mapping>` may cross threads.
unsafe impl Send for Mapped {}
// SAFETY: as above: everything that `&Mapped` reaches is atomic.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// A ring in memory of the process, which no kernel reads.
    pub(crate) fn anonymous(entries: u32, words: usize) -> io::Result<Self> {
        let layout = Layout::MEMORY;
        let mapping = Mapping::anonymous(layout.bytes(entries, words), MapFlags::PRIVATE)?;
        Ok(Self::new(mapping, &layout, entries, words))
    }

    /// A ring of `entries` entries of `words` words in a mapping.
    ///
    /// # Panics
    /// If the size is no power of two or a part lies outside of the mapping: the kernel would
    /// have broken its ABI.
    pub(crate) fn new(mapping: Mapping, layout: &Layout, entries: u32, words: usize) -> Self {
        assert!(entries.is_power_of_two());
        assert!(layout.bytes(entries, words) <= mapping.len());
        let index = |offset: usize| -> NonNull<AtomicU32> {
            assert!(offset.is_multiple_of(4) && offset <= mapping.len() - 4);
            // SAFETY: the offset lies in the mapping, as asserted.
            unsafe { mapping.base().add(offset) }.cast()
        };
        assert!(layout.entries.is_multiple_of(8));
        // SAFETY: the entries lie in the mapping, as asserted above.
        let first = unsafe { mapping.base().add(layout.entries) }.cast();
        Self {
            producer: index(layout.producer),
            consumer: index(layout.consumer),
            flags: index(layout.flags),
            words: NonNull::slice_from_raw_parts(first, entries as usize * words),
            entries,
            _mapping: Arc::new(mapping),
        }
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: aligned, inside of the mapping, and alive as long as `self` is (`new`); the
        // kernel or another thread changes the words at any time, which atomics allow.
        unsafe { self.words.as_ref() }
    }
}

impl RingMemory for Mapped {
    #[inline]
    fn entries(&self) -> u32 {
        self.entries
    }

    #[inline]
    fn producer(&self, order: Ordering) -> u32 {
        // SAFETY: as in `words`.
        unsafe { self.producer.as_ref() }.load(order)
    }

    #[inline]
    fn set_producer(&self, index: u32, order: Ordering) {
        // SAFETY: as in `words`.
        unsafe { self.producer.as_ref() }.store(index, order);
    }

    #[inline]
    fn consumer(&self, order: Ordering) -> u32 {
        // SAFETY: as in `words`.
        unsafe { self.consumer.as_ref() }.load(order)
    }

    #[inline]
    fn set_consumer(&self, index: u32, order: Ordering) {
        // SAFETY: as in `words`.
        unsafe { self.consumer.as_ref() }.store(index, order);
    }

    #[inline]
    fn flags(&self) -> u32 {
        // SAFETY: as in `words`.
        unsafe { self.flags.as_ref() }.load(Ordering::Relaxed)
    }

    #[inline]
    fn word(&self, at: usize) -> u64 {
        self.words()[at].load(Ordering::Relaxed)
    }

    #[inline]
    fn set_word(&self, at: usize, value: u64) {
        self.words()[at].store(value, Ordering::Relaxed);
    }
}
