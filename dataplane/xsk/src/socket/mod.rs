//! Sockets: one (device, queue) each, with its four rings.

mod close;
mod config;
mod memory;
mod open;
mod registry;
mod report;
mod rx;
mod sys;
mod tx;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

pub use config::{BindMode, Mode, OpenError, RingSizes, SocketConfig};
pub use memory::KernelSide;
pub(crate) use registry::Registry;
pub use report::{Closed, Flushed, PortState, SocketSuspects, XdpStatistics};
pub use rx::RxMark;

use crate::region::{Mark, Region, SocketId};
use crate::ring::{Consumer, Descriptor, Mapped, Producer};

/// An AF_XDP socket, used by one thread at a time.
///
/// Dropping it does what [`Self::close`] does.
#[derive(Debug)]
pub struct Socket {
    // Touched for every burst.
    rx: Consumer<Descriptor, Mapped>,
    fill: Producer<u64, Mapped>,
    tx: Producer<Descriptor, Mapped>,
    completion: Consumer<u64, Mapped>,
    region: Region,
    fill_mark: Mark,
    tx_mark: Mark,
    /// Chunks marked `fill_mark`.
    lent_rx: u32,
    /// Chunks marked `tx_mark`.
    lent_tx: u32,
    /// Refill when at least so many chunks are missing.
    refill_at: u32,
    suspects: SocketSuspects,
    // Touched when opened, closed and asked.
    end: End,
    id: SocketId,
}

/// Who is at the other end of the rings.
#[derive(Debug)]
enum End {
    Kernel(Bound),
    /// The flag says that the socket is closed.
    Memory(Arc<Mutex<bool>>),
    Closed,
}

/// A socket of the kernel.
#[derive(Debug)]
struct Bound {
    fd: Arc<OwnedFd>,
    ifindex: u32,
    queue: u32,
    mode: Mode,
    refused: Option<io::Error>,
}

/// The memory of a socket's rings.
struct Rings {
    rx: Mapped,
    tx: Mapped,
    fill: Mapped,
    completion: Mapped,
}

impl Socket {
    /// How the socket is bound.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.bound().map_or(Mode::Memory, |b| b.mode)
    }

    /// Why [`BindMode::Auto`] did not bind with zero-copy; `None` where it did, or was not asked to.
    #[must_use]
    pub fn zero_copy_refused(&self) -> Option<&io::Error> {
        self.bound().and_then(|b| b.refused.as_ref())
    }

    /// The file descriptor, for the XSKMAP and for poll; `None` for a socket in memory.
    ///
    /// A duplicate of it that outlives the socket keeps the kernel receiving into chunks that
    /// [`Self::close`] has given back.
    #[must_use]
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.bound().map(|b| b.fd.as_fd())
    }

    /// The device's index; 0 for a socket in memory.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.bound().map_or(0, |b| b.ifindex)
    }

    /// The queue; 0 for a socket in memory.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.bound().map_or(0, |b| b.queue)
    }

    /// The region whose chunks the socket carries.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Whether the port works, by one system call: for when nothing comes in or goes out.
    #[must_use]
    pub fn port_state(&self) -> PortState {
        self.bound()
            .map_or(PortState::Up, |b| sys::port_state(b.fd.as_fd()))
    }

    /// The kernel's counters; zero for a socket in memory.
    ///
    /// # Errors
    /// If the kernel does not tell them.
    pub fn statistics(&self) -> io::Result<XdpStatistics> {
        self.bound().map_or(Ok(XdpStatistics::default()), |b| {
            sys::statistics(b.fd.as_fd())
        })
    }

    /// Ring entries that were not believed, and what is still out.
    #[must_use]
    pub fn suspects(&self) -> SocketSuspects {
        SocketSuspects {
            in_flight: self.in_flight(),
            ..self.suspects
        }
    }

    fn new(region: &Region, id: SocketId, rings: Rings, end: End) -> Self {
        let (rx, fill) = (Consumer::new(rings.rx), Producer::new(rings.fill));
        // A refill costs a store that the kernel's side has to fetch: worth it for a batch.
        let refill_at = (fill.size().min(rx.size()) / 4).clamp(1, 32);
        Self {
            rx,
            fill,
            tx: Producer::new(rings.tx),
            completion: Consumer::new(rings.completion),
            region: region.clone(),
            fill_mark: Mark::fill(id),
            tx_mark: Mark::tx(id),
            lent_rx: 0,
            lent_tx: 0,
            refill_at,
            suspects: SocketSuspects::default(),
            end,
            id,
        }
    }

    /// Chunks that the kernel took to send and has not completed.
    fn in_flight(&self) -> u32 {
        // What a forged completion stands for is in no ring: hence no plain subtraction.
        self.lent_tx
            .saturating_sub(self.tx.pending() + self.completion.available())
    }

    fn bound(&self) -> Option<&Bound> {
        match &self.end {
            End::Kernel(bound) => Some(bound),
            End::Memory(_) | End::Closed => None,
        }
    }
}
