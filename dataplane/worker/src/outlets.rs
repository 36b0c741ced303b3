//! Where packets leave a worker: its sockets, the queue to the kernel, or the pool.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use tp_pipeline::abi::MAX_PORTS;
use tp_pipeline::{DropReason, Packet, PortId, PuntTo, Verdict, WorkerCounters};
use tp_xsk::{Frame, Magazine, Region, Socket};

use crate::bell::Bell;
use crate::link::{Detached, Link};
use crate::punt::{Punted, Punts};

/// A worker's sockets and the other ways out.
#[derive(Debug)]
pub(crate) struct Outlets {
    pub(crate) links: Vec<Link>,
    /// By port: which link sends its packets.
    egress: [Option<u16>; MAX_PORTS],
    pub(crate) magazine: Magazine,
    pub(crate) counters: Arc<WorkerCounters>,
    punts: Arc<Punts>,
    punt_bell: Arc<Bell>,
    /// Punts since the bell was last rung.
    punted: bool,
    region: Region,
}

impl Outlets {
    pub(crate) fn new(
        region: Region,
        counters: Arc<WorkerCounters>,
        punts: Arc<Punts>,
        punt_bell: Arc<Bell>,
    ) -> Self {
        Self {
            links: Vec::new(),
            egress: [None; MAX_PORTS],
            magazine: region.depot().magazine(),
            counters,
            punts,
            punt_bell,
            punted: false,
            region,
        }
    }

    /// Brings a frame, which arrived with its packet at `start` of the chunk, to where its verdict says.
    #[inline]
    pub(crate) fn carry_out(&mut self, frame: Frame, start: usize, verdict: Verdict) {
        match verdict {
            Verdict::Transmit(port) => self.send(port, frame),
            Verdict::Punt(to) => self.punt(frame, start, to),
            Verdict::Hold(_) => unreachable!("the worker keeps what waits"),
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

    /// Hands a packet to the kernel, with what steering wrote in front of it when it came.
    #[cold]
    fn punt(&mut self, mut frame: Frame, start: usize, to: PuntTo) {
        let arrived = Packet::new(self.region.chunk_mut(&mut frame), start, 0);
        let Some(meta) = arrived.and_then(|packet| packet.meta()) else {
            unreachable!("the pipeline has judged the packet by its metadata");
        };
        match self.punts.push(Punted { to, meta, frame }) {
            Ok(()) => {
                self.counters.add_punted(1);
                self.punted = true;
            }
            Err(Punted { frame, .. }) => self.discard(frame, DropReason::PuntQueueFull),
        }
    }

    #[cold]
    fn discard(&mut self, frame: Frame, reason: DropReason) {
        self.counters.add_dropped(reason, 1);
        self.magazine.free(frame);
    }

    /// Sends what gathered, rings for what was punted, takes sent frames back and lends free ones for receiving; returns how many came back.
    ///
    /// A driver that found its fill ring empty sleeps until it is woken (`XDP_USE_NEED_WAKEUP`), however busy the
    /// worker is with other ports.
    #[inline]
    pub(crate) fn flush(&mut self) -> usize {
        if std::mem::take(&mut self.punted) {
            self.punt_bell.ring();
        }
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
