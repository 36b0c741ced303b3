//! Where the slow path puts finished frames for a worker to send.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use tp_pipeline::PortId;
use tp_xsk::Frame;

use crate::mailbox::Mailbox;

/// Finished frames that the worker shall send out of a port.
pub(crate) type Submissions = ArrayQueue<(PortId, Frame)>;

/// The way to one worker for frames that no port received. Clones are the same way.
#[derive(Clone, Debug)]
pub struct Inlet {
    submissions: Arc<Submissions>,
    mailbox: Arc<Mailbox>,
}

impl Inlet {
    pub(crate) fn new(submissions: Arc<Submissions>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            submissions,
            mailbox,
        }
    }

    /// Has the worker send a frame out of this port; it counts as originated when the worker takes it.
    ///
    /// # Errors
    /// The frame, if the queue is full: the worker is slower than who submits.
    pub fn submit(&self, port: PortId, frame: Frame) -> Result<(), Frame> {
        self.submissions
            .push((port, frame))
            .map_err(|(_, frame)| frame)?;
        self.mailbox.bell().ring();
        Ok(())
    }
}
