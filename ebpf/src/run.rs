//! Single frames through the program without a device (`BPF_PROG_TEST_RUN`).

use std::io;
use std::os::fd::AsFd;

use tp_pipeline::abi::Meta;

use crate::steering::Steering;
use crate::sys;

/// What the program does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Drops it (`XDP_DROP`).
    Drop,
    /// Hands it to the kernel (`XDP_PASS`).
    Pass,
    /// Hands it to a socket (`XDP_REDIRECT`).
    Redirect,
}

/// What became of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    /// Where it goes.
    pub action: Action,
    /// What is written in front of it.
    pub meta: Option<Meta>,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// Why a frame was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kernel refused: a frame below 14 bytes, a device that is not there, or a queue that
    /// the device has not.
    #[error("the kernel does not run the steering program on this frame, device and queue")]
    Kernel(#[source] io::Error),
    /// An action that is not one of the program's.
    #[error("the steering program answered action {0}")]
    UnexpectedAction(u32),
}

impl Steering {
    /// Runs the program once on `frame`, as if it came in on this queue of this device of the
    /// calling thread's network namespace. The frame goes nowhere; the counters count it.
    ///
    /// Maps hold what was applied. No reload is needed between configurations: apply the next
    /// one. A redirect needs a socket in the map: any AF_XDP socket will do, bound or not,
    /// because it is asked for a frame only after the program has returned, which this call
    /// leaves out.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_once(&self, frame: &[u8], ifindex: u32, queue: u32) -> Result<RunOutcome, RunError> {
        let run = sys::run_xdp(self.as_fd(), frame, ifindex, queue, 1).map_err(RunError::Kernel)?;
        let action = match run.action {
            sys::XDP_DROP => Action::Drop,
            sys::XDP_PASS => Action::Pass,
            sys::XDP_REDIRECT => Action::Redirect,
            other => return Err(RunError::UnexpectedAction(other)),
        };
        let mut frame = run.data;
        let packet = frame.split_off(run.meta_len);
        let meta = frame.first_chunk().map(Meta::from_bytes);
        Ok(RunOutcome {
            action,
            meta,
            frame: packet,
        })
    }

    /// Nanoseconds that the program takes for `frame`, the mean of `repeat` runs in the kernel.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn ns_per_frame(
        &self,
        frame: &[u8],
        ifindex: u32,
        queue: u32,
        repeat: u32,
    ) -> Result<u32, RunError> {
        let run = sys::run_xdp(self.as_fd(), frame, ifindex, queue, repeat);
        Ok(run.map_err(RunError::Kernel)?.mean_ns)
    }
}
