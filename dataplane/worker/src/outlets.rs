//! Where packets leave a worker: its sockets, the queue to the kernel, or the pool.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use tp_pipeline::abi::MAX_PORTS;
use tp_pipeline::{DropReason, PortId, Verdict, WorkerCounters};
use tp_xsk::{Frame, Magazine, Socket};

use crate::link::{Detached, Link};
use crate::worker::Punts;

/// A worker's sockets and the other ways out.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) links: Vec<Link>,
    /// By port: which link sends its packets.
    egress: [Option<u16>; MAX_PORTS],
    pub(crate) magazine: Magazine,
    pub(crate) counters: Arc<WorkerCounters>,
    punts: Arc<Punts>,
}

impl Outlets {
    pub(crate) fn new(
        magazine: Magazine,
        counters: Arc<WorkerCounters>,
        punts: Arc<Punts>,
    ) -> Self {
        Self {
            links: Vec::new(),
            egress: [None; MAX_PORTS],
            magazine,
            counters,
            punts,
        }
    }

    /// Brings a frame to where its verdict says.
    #[inline]
    pub(crate) fn carry_out(&mut self, frame: Frame, verdict: Verdict) {
        match verdict {
            Verdict::Transmit(port) => self.send(port, frame),
            Verdict::Punt(to) => match self.punts.push((to, frame)) {
                Ok(()) => self.counters.add_punted(1),
                Err((_, frame)) => self.discard(frame, DropReason::PuntQueueFull),
            },
            // The pipeline counted it with its reason.
            Verdict::Drop(_) => self.magazine.free(frame),
        }
    }

    /// Queues a frame on this worker's socket of the port.
    #[inline]
    pub(crate) fn send(&mut self, port: PortId, frame: Frame) {
        match self.egress.get(port.index()).copied().flatten() {
            Some(link) => {
                self.links[usize::from(link)].queue(frame, &mut self.magazine, &self.counters);
            }
            None => self.discard(frame, DropReason::NoPort),
        }
    }

    #[cold]
    fn discard(&mut self, frame: Frame, reason: DropReason) {
        self.counters.add_dropped(reason, 1);
        self.magazine.free(frame);
    }

    /// Sends what gathered, takes sent frames back and lends free ones for receiving; returns how many came back.
    ///
    /// A driver that found its fill ring empty sleeps until it is woken (`XDP_USE_NEED_WAKEUP`), however busy the
    /// worker is with other ports.
    #[inline]
    pub(crate) fn flush(&mut self) -> usize {
        let mut back = 0;
        for link in &mut self.links {
            link.flush(&mut self.magazine, &self.counters);
            back += link.socket.reclaim(&mut self.magazine);
            link.socket.refill(&mut self.magazine);
            if link.socket.needs_rx_wakeup() {
                link.socket.wake_rx();
            }
        }
        back
    }

    pub(crate) fn attach(&mut self, port: PortId, socket: Socket) -> Option<BorrowedFd<'_>> {
        self.links.push(Link::new(port, socket));
        self.map_egress();
        self.links.last().and_then(|link| link.socket.as_fd())
    }

    /// Takes a port's sockets out. What they still hold is sent, or dropped and counted.
    pub(crate) fn detach(&mut self, port: PortId) -> Vec<Detached> {
        let (gone, kept): (Vec<Link>, Vec<Link>) = std::mem::take(&mut self.links)
            .into_iter()
            .partition(|link| link.port == port);
        self.links = kept;
        self.map_egress();
        gone.into_iter()
            .map(|link| link.detach(&mut self.magazine, &self.counters))
            .collect()
    }

    /// A port's packets leave by this worker's first socket on it.
    fn map_egress(&mut self) {
        self.egress = [None; MAX_PORTS];
        for (index, link) in self.links.iter().enumerate() {
            if let Some(entry) = self.egress.get_mut(link.port.index()) {
                *entry = entry.or(u16::try_from(index).ok());
            }
        }
    }
}
