//! What a generator is asked to do, why it cannot, and what it did.

use std::collections::BTreeMap;
use std::time::Duration;

use tp_xsk::{OpenError, RegionError};

use super::Rate;
use crate::device::DeviceError;
use crate::template::Template;

/// Why a generator could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Memory for the frames.
    #[error("memory for the frames: {0}")]
    Region(#[from] RegionError),
    /// The AF_XDP socket.
    #[error("device {device}: {source}")]
    Socket {
        /// Which device.
        device: String,
        /// Why not.
        source: OpenError,
    },
    /// There is nothing to send.
    #[error("no template to send")]
    NoTemplate,
    /// Frames of a template do not fit a chunk.
    #[error("template {0} does not fit a chunk of 2048 bytes")]
    TooLong(u32),
}

/// What, where and how fast to send.
#[derive(Clone, Debug)]
pub struct GeneratorConfig {
    /// Device, in the network namespace of the thread that calls [`Generator::open`].
    pub device: String,
    /// Its queue.
    pub queue: u32,
    /// Sent in turn. Templates may repeat, to be sent more often: a number has one sequence.
    pub templates: Vec<Template>,
    /// How fast.
    pub rate: Rate,
    /// Most packets sent at once, 1 to 64. A veth's queue holds 256 and is emptied after each.
    pub burst: u32,
    /// Ends a run after so many packets.
    pub packets: Option<u64>,
    /// Ends a run after this time.
    pub duration: Option<Duration>,
}

impl GeneratorConfig {
    /// Queue 0, flat out, bursts of 32, without an end of its own.
    #[must_use]
    pub fn new(device: &str, templates: Vec<Template>) -> Self {
        Self {
            device: device.to_owned(),
            queue: 0,
            templates,
            rate: Rate::FlatOut,
            burst: 32,
            packets: None,
            duration: None,
        }
    }
}

/// What one run sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets written to be sent; the sequence numbers go on behind them.
    pub packets: u64,
    /// Packets among them that the kernel dropped at once (EBUSY): the receiver's queue was full.
    pub dropped: u64,
    /// Packets among them that the kernel had not taken when the run ended: the device is stuck.
    pub stuck: u64,
    /// The bytes of `packets`.
    pub bytes: u64,
    /// From the run's start to the last packet.
    pub elapsed: Duration,
    /// Packets by number of the template.
    pub by_template: BTreeMap<u32, u64>,
}

impl Sent {
    /// Packets that left for the receiver.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.packets - self.dropped - self.stuck
    }
}
