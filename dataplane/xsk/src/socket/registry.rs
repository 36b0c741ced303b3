//! The sockets on a region: their numbers, and whom a new one can share a UMEM with.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{Mode, OpenError};
use crate::region::SocketId;

/// The sockets on a region.
///
/// The region is registered as one UMEM for zero-copy sockets and as another for copy sockets.
/// A UMEM lives as long as a bound socket on it does, whichever registered it: a new socket
/// names any of them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// By number; `true` where a socket, or a chunk that it did not give back, has the number.
    taken: Vec<bool>,
    bound: Vec<Sharer>,
}

/// A bound socket whose UMEM others may share.
#[derive(Debug)]
pub(super) struct Sharer {
    pub(super) id: SocketId,
    pub(super) mode: Mode,
    /// Device and queue.
    pub(super) at: (u32, u32),
    pub(super) fd: Arc<OwnedFd>,
}

impl Registry {
    /// Takes a number.
    pub(super) fn number(&mut self) -> Result<SocketId, OpenError> {
        let free = self
            .taken
            .iter()
            .position(|taken| !taken)
            .unwrap_or(self.taken.len());
        let id = SocketId::new(free).ok_or(OpenError::TooManySockets)?;
        if free == self.taken.len() {
            self.taken.push(true);
        } else {
            self.taken[free] = true;
        }
        Ok(id)
    }

    /// Gives a number back: no chunk carries its marks any more.
    pub(super) fn release(&mut self, id: SocketId) {
        self.taken[id.number()] = false;
    }

    /// Adds a bound socket.
    pub(super) fn add(&mut self, sharer: Sharer) {
        self.bound.push(sharer);
    }

    /// Forgets a socket, and returns whether it was bound. Its file descriptor closes when the
    /// caller drops its own reference: no other is made outside of this table's lock.
    pub(super) fn remove(&mut self, id: SocketId) -> bool {
        let before = self.bound.len();
        self.bound.retain(|sharer| sharer.id != id);
        self.bound.len() < before
    }

    /// The sockets of this mode.
    pub(super) fn of_mode(&self, mode: Mode) -> impl Iterator<Item = &Sharer> {
        self.bound.iter().filter(move |sharer| sharer.mode == mode)
    }
}
