//! How the control side reaches a worker: one number that the worker reads each turn.
//!
//! The control side first puts what it has to say where the worker finds it (the root
//! snapshot, the command channel), then raises the epoch (release), then wakes the worker. The worker
//! reads the epoch (acquire); when it moved, it takes commands and root, and only then
//! raises `seen` (release). So whoever sees `seen >= e` knows that nothing before `e` is used any more.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use rustix::io::Errno;

use crate::bell::Bell;

/// A point in the order of what the control side asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub(crate) u64);

/// One worker's mailbox. Each number has one writer and a cache line of its own.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Written by the control side.
    asked: CachePadded<AtomicU64>,
    /// Written by the worker: everything up to here is taken over.
    seen: CachePadded<AtomicU64>,
    /// Written by the worker: it took all that was in its RX ring when it saw this epoch.
    drained: CachePadded<AtomicU64>,
    bell: Bell,
}

impl Mailbox {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            asked: CachePadded::default(),
            seen: CachePadded::default(),
            drained: CachePadded::default(),
            bell: Bell::new()?,
        })
    }

    /// Control side: raises the epoch after what belongs to it is in place, and wakes the worker.
    pub(crate) fn raise(&self, epoch: Epoch) {
        self.asked.store(epoch.0, Ordering::Release);
        self.bell.ring();
    }

    /// Control side: what the worker has taken over.
    pub(crate) fn seen(&self) -> Epoch {
        Epoch(self.seen.load(Ordering::Acquire))
    }

    /// Control side: up to which epoch the worker has emptied its RX rings of what was there before.
    pub(crate) fn drained(&self) -> Epoch {
        Epoch(self.drained.load(Ordering::Acquire))
    }

    /// Worker: the newest epoch; one load a turn.
    #[inline]
    pub(crate) fn asked(&self) -> Epoch {
        Epoch(self.asked.load(Ordering::Acquire))
    }

    /// Worker: nothing from before `epoch` is used any more.
    pub(crate) fn acknowledge(&self, epoch: Epoch) {
        self.seen.store(epoch.0, Ordering::Release);
    }

    /// Worker: what was in its RX rings when it acknowledged `epoch` has got its verdict.
    pub(crate) fn acknowledge_drained(&self, epoch: Epoch) {
        self.drained.store(epoch.0, Ordering::Release);
    }

    /// What wakes the worker: to be rung after anything was put where it looks.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }
}
