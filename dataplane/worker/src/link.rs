//! One socket of a worker, with the packets that wait to leave by it.

use tp_pipeline::{DropReason, PortId, WorkerCounters};
use tp_xsk::{Burst, Frame, Magazine, Socket};

use crate::report::SocketReport;

/// A socket, the port that it serves, and the burst that gathers for it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) port: PortId,
    pub(crate) socket: Socket,
    /// Its RX ring was empty once since the worker acknowledged its newest epoch.
    pub(crate) drained: bool,
    outgoing: Burst,
}

impl Link {
    pub(crate) fn new(port: PortId, socket: Socket) -> Self {
        Self {
            port,
            socket,
            drained: false,
            outgoing: Burst::new(),
        }
    }

    /// Queues a packet; a full burst goes to the ring.
    #[inline]
    pub(crate) fn queue(
        &mut self,
        frame: Frame,
        magazine: &mut Magazine,
        counters: &WorkerCounters,
    ) {
        if self.outgoing.is_full() {
            self.submit(magazine, counters);
        }
        // `submit` leaves the burst empty, so there is room.
        if let Err(frame) = self.outgoing.push(frame) {
            unreachable!("no room in an emptied burst for {frame:?}");
        }
    }

    /// Moves what gathered into the TX ring; what finds no room there even after a kick is dropped.
    pub(crate) fn submit(&mut self, magazine: &mut Magazine, counters: &WorkerCounters) {
        self.socket.send(&mut self.outgoing);
        if self.outgoing.is_empty() {
            return;
        }
        self.kick(counters);
        self.socket.reclaim(magazine);
        self.socket.send(&mut self.outgoing);
        for frame in self.outgoing.drain() {
            counters.add_dropped(DropReason::TxRingFull, 1);
            magazine.free(frame);
        }
    }

    /// Sends what gathered and makes the kernel take it.
    #[inline]
    pub(crate) fn flush(&mut self, magazine: &mut Magazine, counters: &WorkerCounters) {
        if !self.outgoing.is_empty() {
            self.submit(magazine, counters);
        }
        if self.socket.pending() > 0 {
            self.kick(counters);
        }
    }

    /// `tx` counts what the kernel consumed and did not drop, so that the counters close.
    fn kick(&mut self, counters: &WorkerCounters) {
        let flushed = self.socket.flush();
        counters.add_tx(u64::from(flushed.consumed - flushed.busy));
        counters.add_dropped(DropReason::TxBusy, u64::from(flushed.busy));
    }

    /// Packets that the worker took in and that have not left yet.
    pub(crate) fn held(&self) -> u64 {
        self.outgoing.len() as u64 + u64::from(self.socket.pending())
    }

    pub(crate) fn report(&self) -> SocketReport {
        SocketReport {
            port: self.port,
            queue: self.socket.queue(),
            mode: self.socket.mode(),
            // A device that is gone no longer answers; its last losses are lost with it.
            statistics: self.socket.statistics().unwrap_or_default(),
            suspects: self.socket.suspects(),
            pending: self.socket.pending(),
        }
    }

    /// Closes the socket; what had not left is dropped.
    pub(crate) fn close(
        mut self,
        magazine: &mut Magazine,
        counters: &WorkerCounters,
    ) -> SocketReport {
        self.flush(magazine, counters);
        let report = self.report();
        counters.add_dropped(DropReason::NoPort, u64::from(self.socket.pending()));
        self.socket.close(magazine);
        SocketReport {
            pending: 0,
            ..report
        }
    }
}
