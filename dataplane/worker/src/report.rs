//! What a worker answers when it is asked how it stands.

use tp_pipeline::PortId;
use tp_xsk::{Mode, SocketSuspects, XdpStatistics};

/// How one socket stands, or how it stood when it was closed.
#[derive(Clone, Copy, Debug)]
pub struct SocketReport {
    /// The port that it serves.
    pub port: PortId,
    /// The queue that it serves.
    pub queue: u32,
    /// How it is bound.
    pub mode: Mode,
    /// The kernel's counts of what it lost; zero where the kernel no longer answers (the device is gone).
    pub statistics: XdpStatistics,
    /// Ring entries that did not fit the ledger.
    pub suspects: SocketSuspects,
    /// Descriptors in the TX ring that the kernel has not consumed.
    pub pending: u32,
}

impl SocketReport {
    /// Adds what another socket of the same queue lost.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let (sum, s) = (&mut self.statistics, &other.statistics);
        sum.rx_dropped += s.rx_dropped;
        sum.rx_invalid_descs += s.rx_invalid_descs;
        sum.tx_invalid_descs += s.tx_invalid_descs;
        sum.rx_ring_full += s.rx_ring_full;
        sum.rx_fill_ring_empty_descs += s.rx_fill_ring_empty_descs;
        sum.tx_ring_empty_descs += s.tx_ring_empty_descs;
        let (sum, s) = (&mut self.suspects, &other.suspects);
        sum.received += s.received;
        sum.fragments += s.fragments;
        sum.completions += s.completions;
        sum.runts += s.runts;
    }
}

/// How a worker stands.
#[derive(Clone, Debug, Default)]
pub struct WorkerReport {
    /// Its sockets.
    pub open: Vec<SocketReport>,
    /// Sockets that it gave back since its start, summed by port and queue, so that the counters still close.
    pub closed: Vec<SocketReport>,
    /// Packets taken in and not yet sent, punted or dropped.
    pub held: u64,
}
