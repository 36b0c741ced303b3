//! Single-producer single-consumer rings as the kernel lays them out.
//!
//! The protocol is that of net/xdp/xsk_queue.h: indices run freely over 32 bits, an entry's slot
//! is its index modulo the size; the producer stores its index with release after it wrote the
//! entries, the consumer with release after it read them, and each loads the other's with acquire
//! before it touches a slot. Each side keeps its own index and the last seen one of the other
//! side, and looks at the shared one only when that does not suffice.
//!
//! Rings are generic over their memory, so that the same code runs over the kernel's memory, over
//! anonymous memory, and in a model checker.

mod entry;
#[cfg(test)]
mod interleavings;
mod memory;
#[cfg(test)]
mod model;

use core::marker::PhantomData;
use core::sync::atomic::Ordering;

pub(crate) use entry::{Descriptor, Entry};
pub(crate) use memory::{Layout, Mapped, RingMemory};

/// `XDP_RING_NEED_WAKEUP` (include/uapi/linux/if_xdp.h).
const NEED_WAKEUP: u32 = 1;

/// The side that writes entries.
#[derive(Debug)]
pub(crate) struct Producer<E, M> {
    memory: M,
    size: u32,
    /// Index of the next entry to write.
    next: u32,
    /// The consumer's index as last seen; at most `size` behind `next`.
    consumed: u32,
    entry: PhantomData<E>,
}

impl<E: Entry, M: RingMemory> Producer<E, M> {
    /// The producing side of a ring, from the indices on that it has.
    pub(crate) fn new(memory: M) -> Self {
        let (size, next) = (memory.entries(), memory.producer(Ordering::Relaxed));
        let mut ring = Self {
            memory,
            size,
            next,
            consumed: next,
            entry: PhantomData,
        };
        ring.look();
        ring
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// How many entries can be written, up to `want`.
    #[inline]
    pub(crate) fn room(&mut self, want: u32) -> u32 {
        if self.free() < want {
            self.look();
        }
        self.free().min(want)
    }

    /// Writes entries until they end or the ring is full, publishes them at once, and returns
    /// their number.
    ///
    /// Call [`Self::room`] first: entries are taken only as long as the room that it saw lasts.
    #[inline]
    pub(crate) fn produce(&mut self, entries: impl IntoIterator<Item = E>) -> u32 {
        let free = self.free();
        let mut n = 0;
        for entry in entries.into_iter().take(free as usize) {
            entry.store(&self.memory, self.next.wrapping_add(n) & (self.size - 1));
            n += 1;
        }
        if n > 0 {
            self.next = self.next.wrapping_add(n);
            // Release: the consumer that sees the index sees the entries.
            self.memory.set_producer(self.next, Ordering::Release);
        }
        n
    }

    /// Entries that the consumer has not taken.
    #[inline]
    pub(crate) fn pending(&self) -> u32 {
        let pending = self
            .next
            .wrapping_sub(self.memory.consumer(Ordering::Relaxed));
        if pending <= self.size {
            pending
        } else {
            self.next.wrapping_sub(self.consumed)
        }
    }

    /// Whether the kernel asks to be woken when entries were added.
    ///
    /// The load may overtake the store of the producer's index: a flag that is raised at that
    /// moment is seen at the next call, and callers ask again as long as entries are pending.
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.memory.flags() & NEED_WAKEUP != 0
    }

    #[inline]
    fn free(&self) -> u32 {
        self.size - self.next.wrapping_sub(self.consumed)
    }

    #[inline]
    fn look(&mut self) {
        // Acquire: the slots that the consumer gives back are not written before it has read them.
        let consumed = self.memory.consumer(Ordering::Acquire);
        // An index that cannot be is not believed; the ring stays as full as it was.
        if self.next.wrapping_sub(consumed) <= self.size {
            self.consumed = consumed;
        }
    }
}

/// The side that reads entries.
#[derive(Debug)]
pub(crate) struct Consumer<E, M> {
    memory: M,
    size: u32,
    /// Index of the next entry to read.
    next: u32,
    /// The producer's index as last seen; at most `size` ahead of `next`.
    produced: u32,
    entry: PhantomData<E>,
}

impl<E: Entry, M: RingMemory> Consumer<E, M> {
    /// The consuming side of a ring, from the indices on that it has.
    pub(crate) fn new(memory: M) -> Self {
        let (size, next) = (memory.entries(), memory.consumer(Ordering::Relaxed));
        let mut ring = Self {
            memory,
            size,
            next,
            produced: next,
            entry: PhantomData,
        };
        ring.look();
        ring
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Reads up to `want` entries, gives their slots back at once, and returns their number.
    #[inline]
    pub(crate) fn consume(&mut self, want: u32, mut take: impl FnMut(E)) -> u32 {
        if self.produced.wrapping_sub(self.next) < want {
            self.look();
        }
        let n = self.produced.wrapping_sub(self.next).min(want);
        for i in 0..n {
            take(E::load(
                &self.memory,
                self.next.wrapping_add(i) & (self.size - 1),
            ));
        }
        if n > 0 {
            self.next = self.next.wrapping_add(n);
            // Release: the entries are read before the producer may overwrite their slots.
            self.memory.set_consumer(self.next, Ordering::Release);
        }
        n
    }

    /// Entries that can be read.
    #[inline]
    pub(crate) fn available(&self) -> u32 {
        let available = self
            .memory
            .producer(Ordering::Relaxed)
            .wrapping_sub(self.next);
        if available <= self.size {
            available
        } else {
            self.produced.wrapping_sub(self.next)
        }
    }

    /// Index of the next entry to read; it wraps.
    #[inline]
    pub(crate) fn position(&self) -> u32 {
        self.next
    }

    #[inline]
    fn look(&mut self) {
        // Acquire: the entries up to the index are visible.
        let produced = self.memory.producer(Ordering::Acquire);
        // An index that cannot be is not believed; there is nothing new then.
        if produced.wrapping_sub(self.next) <= self.size {
            self.produced = produced;
        }
    }
}
