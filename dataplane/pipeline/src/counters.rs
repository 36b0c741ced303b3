//! What a worker counts. One block a worker: written by that worker alone, read by anyone.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use crate::tables::{TunnelSlot, UpstreamSlot};
use crate::verdict::DropReason;

/// The counters of one worker.
///
/// They only grow. A slot that is used again goes on counting: who shows a link's counts takes
/// away what they were when the slot was allocated. A slot beyond the size given to
/// [`WorkerCounters::new`] is not counted.
#[derive(Debug)]
pub struct WorkerCounters {
    // Padded: the blocks of two workers never share a cache line.
    totals: CachePadded<Totals>,
    upstreams: Box<[LinkCells]>,
    tunnels: Box<[LinkCells]>,
}

/// Counts of one upstream or tunnel, as one worker or all saw them.
///
/// `rx` is what came from the link (for a tunnel: from the client) and was known to be of it,
/// `dropped` those of them that were dropped, `tx` what left for it. Bytes are of inner IP packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets from the link.
    pub rx_packets: u64,
    /// Their inner IP bytes.
    pub rx_bytes: u64,
    /// Packets to the link.
    pub tx_packets: u64,
    /// Their inner IP bytes.
    pub tx_bytes: u64,
    /// Packets from the link that were dropped.
    pub dropped_packets: u64,
}

impl core::ops::AddAssign for LinkCounts {
    fn add_assign(&mut self, other: Self) {
        self.rx_packets += other.rx_packets;
        self.rx_bytes += other.rx_bytes;
        self.tx_packets += other.tx_packets;
        self.tx_bytes += other.tx_bytes;
        self.dropped_packets += other.dropped_packets;
    }
}

impl WorkerCounters {
    /// Counters at zero, for slots below these numbers.
    #[must_use]
    pub fn new(upstreams: usize, tunnels: usize) -> Self {
        Self {
            totals: CachePadded::default(),
            upstreams: (0..upstreams).map(|_| LinkCells::default()).collect(),
            tunnels: (0..tunnels).map(|_| LinkCells::default()).collect(),
        }
    }

    /// Packets that the worker took from its receive rings.
    #[must_use]
    pub fn rx(&self) -> u64 {
        self.totals.rx.get()
    }

    /// Packets that the kernel took from the worker's transmit rings.
    #[must_use]
    pub fn tx(&self) -> u64 {
        self.totals.tx.get()
    }

    /// Packets that were handed to the kernel.
    #[must_use]
    pub fn punted(&self) -> u64 {
        self.totals.punted.get()
    }

    /// Packets that the worker was given to send, besides those that it received.
    #[must_use]
    pub fn originated(&self) -> u64 {
        self.totals.originated.get()
    }

    /// Packets that were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.totals.dropped[reason as usize].get()
    }

    /// Counts of an upstream.
    #[must_use]
    pub fn upstream(&self, slot: UpstreamSlot) -> LinkCounts {
        self.upstreams
            .get(slot.index())
            .map(LinkCells::read)
            .unwrap_or_default()
    }

    /// Counts of a tunnel.
    #[must_use]
    pub fn tunnel(&self, slot: TunnelSlot) -> LinkCounts {
        self.tunnels
            .get(slot.index())
            .map(LinkCells::read)
            .unwrap_or_default()
    }

    /// Adds to [`Self::rx`]. Only the worker whose block this is may call this and what follows:
    /// an addition is a load and a store, so of two writers one would be lost.
    #[inline]
    pub fn add_rx(&self, packets: u64) {
        self.totals.rx.add(packets);
    }

    /// Adds to [`Self::tx`].
    #[inline]
    pub fn add_tx(&self, packets: u64) {
        self.totals.tx.add(packets);
    }

    /// Adds to [`Self::punted`].
    #[inline]
    pub fn add_punted(&self, packets: u64) {
        self.totals.punted.add(packets);
    }

    /// Adds to [`Self::originated`].
    #[inline]
    pub fn add_originated(&self, packets: u64) {
        self.totals.originated.add(packets);
    }

    /// Adds to [`Self::dropped`]. The pipeline has done so for its own verdicts.
    #[inline]
    pub fn add_dropped(&self, reason: DropReason, packets: u64) {
        self.totals.dropped[reason as usize].add(packets);
    }

    #[inline]
    pub(crate) fn link(&self, link: LinkId) -> Option<&LinkCells> {
        match link {
            LinkId::Upstream(slot) => self.upstreams.get(slot.index()),
            LinkId::Tunnel(slot) => self.tunnels.get(slot.index()),
        }
    }
}

/// Where a packet comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkId {
    Upstream(UpstreamSlot),
    Tunnel(TunnelSlot),
}

/// One link's counters: one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct LinkCells {
    rx_packets: Cell,
    rx_bytes: Cell,
    tx_packets: Cell,
    tx_bytes: Cell,
    dropped_packets: Cell,
}

impl LinkCells {
    #[inline]
    pub(crate) fn add_rx(&self, bytes: u16) {
        self.rx_packets.add(1);
        self.rx_bytes.add(u64::from(bytes));
    }

    #[inline]
    pub(crate) fn add_tx(&self, bytes: u16) {
        self.tx_packets.add(1);
        self.tx_bytes.add(u64::from(bytes));
    }

    #[inline]
    pub(crate) fn add_dropped(&self) {
        self.dropped_packets.add(1);
    }

    fn read(&self) -> LinkCounts {
        LinkCounts {
            rx_packets: self.rx_packets.get(),
            rx_bytes: self.rx_bytes.get(),
            tx_packets: self.tx_packets.get(),
            tx_bytes: self.tx_bytes.get(),
            dropped_packets: self.dropped_packets.get(),
        }
    }
}

#[derive(Debug)]
struct Totals {
    rx: Cell,
    tx: Cell,
    punted: Cell,
    originated: Cell,
    dropped: [Cell; DropReason::COUNT],
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            rx: Cell::default(),
            tx: Cell::default(),
            punted: Cell::default(),
            originated: Cell::default(),
            dropped: std::array::from_fn(|_| Cell::default()),
        }
    }
}

/// A counter with one writer.
#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl Cell {
    #[inline]
    fn add(&self, n: u64) {
        // Not fetch_add: with one writer nothing is lost, and a locked instruction costs more
        // than all else that is done for a packet's counters.
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_counts_for_itself() {
        let counters = WorkerCounters::new(1, 2);
        counters.add_rx(3);
        counters.add_tx(2);
        counters.add_punted(1);
        counters.add_originated(5);
        counters.add_dropped(DropReason::NoRoute, 4);
        assert_eq!((counters.rx(), counters.tx()), (3, 2));
        assert_eq!((counters.punted(), counters.originated()), (1, 5));
        for reason in DropReason::ALL {
            let expected = if *reason == DropReason::NoRoute { 4 } else { 0 };
            assert_eq!(counters.dropped(*reason), expected, "{}", reason.name());
        }
        let link = counters.link(LinkId::Tunnel(TunnelSlot(1))).unwrap();
        link.add_rx(100);
        link.add_dropped();
        let expected = LinkCounts {
            rx_packets: 1,
            rx_bytes: 100,
            dropped_packets: 1,
            ..LinkCounts::default()
        };
        assert_eq!(counters.tunnel(TunnelSlot(1)), expected);
        assert_eq!(counters.tunnel(TunnelSlot(0)), LinkCounts::default());
        assert_eq!(counters.upstream(UpstreamSlot(0)), LinkCounts::default());
    }

    #[test]
    fn a_slot_beyond_the_size_reads_zero() {
        let counters = WorkerCounters::new(1, 1);
        assert!(counters.link(LinkId::Tunnel(TunnelSlot(1))).is_none());
        assert!(
            counters
                .link(LinkId::Upstream(UpstreamSlot(u32::MAX)))
                .is_none()
        );
        assert_eq!(counters.upstream(UpstreamSlot(9)), LinkCounts::default());
    }

    #[test]
    fn a_link_is_one_cache_line() {
        assert_eq!(size_of::<LinkCells>(), 64);
    }
}
