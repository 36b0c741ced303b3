//! The workers as the slow path sees them: punts out, finished frames in, and the published snapshot.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tp_pipeline::{PortId, Snapshot};
use tp_xsk::Frame;

use crate::bell::Bell;
use crate::inlet::Inlet;
use crate::punt::{Punted, Punts};

/// All workers' ends of the slow path.
#[derive(Clone, Debug)]
pub struct SlowEnds {
    pub(crate) bell: Arc<Bell>,
    pub(crate) root: Arc<ArcSwap<Snapshot>>,
    pub(crate) workers: Vec<(Arc<Punts>, Inlet)>,
}

impl SlowEnds {
    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Rung when a worker has punted: for the one thread that takes punts.
    #[must_use]
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Whether no worker has punted anything that was not taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workers.iter().all(|(punts, _)| punts.is_empty())
    }

    /// Takes the oldest packet that this worker punted. Its frame must go back to the region's pool.
    #[must_use]
    pub fn next_punt(&self, worker: usize) -> Option<Punted> {
        self.workers.get(worker)?.0.pop()
    }

    /// Has a worker send a frame out of this port.
    ///
    /// # Errors
    /// The frame, where there is no such worker, or it has too many of them already.
    pub fn submit(&self, worker: usize, port: PortId, frame: Frame) -> Result<(), Frame> {
        match self.workers.get(worker) {
            Some((_, inlet)) => inlet.submit(port, frame),
            None => Err(frame),
        }
    }

    /// What is published. Not to be kept: the control side frees it when the workers have moved on, not when others have.
    #[must_use]
    pub fn published(&self) -> Arc<Snapshot> {
        self.root.load_full()
    }
}
