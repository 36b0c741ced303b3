//! One socket of a worker, with the packets that wait to leave by it.

use tp_pipeline::{DropReason, PortId, WorkerCounters};
use tp_xsk::{Burst, Frame, Magazine, RxMark, Socket};

use crate::report::SocketReport;

/// A socket, the port that it serves, and the burst that gathers for it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) port: PortId,
    pub(crate) socket: Socket,
    /// End of what was in the RX ring when the worker acknowledged its newest epoch.
    pub(crate) drain_to: RxMark,
    outgoing: Burst,
    /// Packets put into the TX ring, ever.
    submitted: u64,
    /// Those of them that are counted as sent or dropped.
    settled: u64,
    /// Packets counted as dropped by the kernel that it has not visibly taken from the ring yet.
    dropped_ahead: u64,
}

impl Link {
    pub(crate) fn new(port: PortId, socket: Socket) -> Self {
        Self {
            port,
            drain_to: socket.rx_mark(),
            socket,
            outgoing: Burst::new(),
            submitted: 0,
            settled: 0,
            dropped_ahead: 0,
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
        self.submitted += self.socket.send(&mut self.outgoing) as u64;
        if self.outgoing.is_empty() {
            return;
        }
        self.kick(counters);
        self.socket.reclaim(magazine);
        self.submitted += self.socket.send(&mut self.outgoing) as u64;
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
        if self.settled != self.submitted {
            self.kick(counters);
        }
    }

    /// Makes the kernel send, and counts what it took since the last time: in this call, or, where the device
    /// reads the ring by itself, at any time. A packet that it took and dropped (EBUSY) may leave the ring
    /// visibly only later, so it is remembered and not counted as sent then.
    fn kick(&mut self, counters: &WorkerCounters) {
        let busy = u64::from(self.socket.flush().busy);
        counters.add_dropped(DropReason::TxBusy, busy);
        let taken = self.submitted - u64::from(self.socket.pending()) - self.settled;
        self.settled += taken;
        self.dropped_ahead += busy;
        let dropped = self.dropped_ahead.min(taken);
        self.dropped_ahead -= dropped;
        counters.add_tx(taken - dropped);
    }

    /// Packets that the worker took in and that have not left yet.
    pub(crate) fn held(&self) -> u64 {
        self.outgoing.len() as u64 + self.submitted - self.settled - self.dropped_ahead
    }

    pub(crate) fn report(&mut self) -> SocketReport {
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

    /// Takes the socket out of service: sends what gathered, and drops what came in last or did not leave.
    pub(crate) fn detach(mut self, magazine: &mut Magazine, counters: &WorkerCounters) -> Detached {
        let mut rest = Burst::new();
        while self.socket.receive(&mut rest) > 0 {
            counters.add_rx(rest.len() as u64);
            counters.add_dropped(DropReason::NoPort, rest.len() as u64);
            rest.clear_into(magazine);
        }
        self.flush(magazine, counters);
        counters.add_dropped(DropReason::NoPort, self.held());
        let report = SocketReport {
            pending: 0,
            ..self.report()
        };
        Detached {
            report,
            socket: self.socket,
        }
    }
}

/// A socket that no worker serves any more. Closing it may wait for the driver, so its worker does not.
#[derive(Debug)]
pub(crate) struct Detached {
    pub(crate) report: SocketReport,
    pub(crate) socket: Socket,
}
