//! What a socket is asked to be, and why it cannot be that.

use std::io;

/// Entries of the four rings; each a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Received packets; at least `fill`.
    pub rx: u32,
    /// Packets to send.
    pub tx: u32,
    /// Chunks lent to the kernel to receive into: as many are outstanding at most.
    pub fill: u32,
    /// Chunks that come back after sending; at least `tx`.
    pub completion: u32,
}

impl Default for RingSizes {
    fn default() -> Self {
        Self {
            rx: 2048,
            tx: 2048,
            fill: 2048,
            completion: 2048,
        }
    }
}

/// How to bind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindMode {
    /// Zero-copy if device and driver can, else copy.
    #[default]
    Auto,
    /// Zero-copy, or an error.
    ZeroCopy,
    /// Copy.
    Copy,
}

/// How a socket is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The device reads and writes the chunks.
    ZeroCopy,
    /// The kernel copies between chunks and its own buffers.
    Copy,
    /// There is no kernel: [`crate::Socket::in_memory`].
    Memory,
}

/// How to open a socket.
#[derive(Clone, Copy, Debug)]
pub struct SocketConfig {
    /// The device, by its index in the calling thread's network namespace.
    pub ifindex: u32,
    /// The queue; it must exist for receiving and for sending.
    pub queue: u32,
    /// Ring sizes.
    pub rings: RingSizes,
    /// How to bind.
    pub mode: BindMode,
    /// Whether the driver may sleep until it is woken (`XDP_USE_NEED_WAKEUP`). The first socket
    /// of its mode decides for all of that mode on the region: the kernel lets those that share
    /// a UMEM inherit it.
    pub need_wakeup: bool,
    /// The device runs the XDP program in generic mode: bind in copy mode only.
    pub generic_xdp: bool,
}

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The ring sizes do not work together.
    #[error(
        "ring sizes {0:?}: each must be a power of two up to 2^20, rx at least fill, completion at least tx"
    )]
    RingSizes(RingSizes),
    /// Zero-copy was required of a device in generic XDP mode.
    #[error("a device in generic XDP mode cannot do zero-copy")]
    GenericZeroCopy,
    /// The magazine's frames are of another region.
    #[error("the magazine belongs to another region")]
    OtherRegion,
    /// No free frame is left to receive into.
    #[error("the region has no free frame for the fill ring")]
    NoFrames,
    /// More than 32,766 sockets on the region, those whose frames are not back included.
    #[error("the region has no socket number left")]
    TooManySockets,
    /// The device has no such queue. A socket on a queue without its TX half would send nothing
    /// and get no error.
    #[error("queue {queue} does not exist: the device receives on {rx} and sends on {tx}")]
    NoQueue {
        /// The queue that was asked for.
        queue: u32,
        /// Number of receive queues.
        rx: u32,
        /// Number of transmit queues.
        tx: u32,
    },
    /// Another socket has the queue, and kept it for as long as was waited for.
    #[error("the queue is taken by another AF_XDP socket")]
    Busy,
    /// Zero-copy was required and the kernel refuses it.
    #[error("the device or its driver does not do zero-copy")]
    ZeroCopy(#[source] io::Error),
    /// A system call failed.
    #[error("{call} failed")]
    System {
        /// The call.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The kernel takes more, but such a ring is a mistake: 2^20 descriptors are 16 MiB.
const MAX_ENTRIES: u32 = 1 << 20;

impl RingSizes {
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let all = [self.rx, self.tx, self.fill, self.completion];
        let each = all.iter().all(|n| n.is_power_of_two() && *n <= MAX_ENTRIES);
        if each && self.rx >= self.fill && self.completion >= self.tx {
            Ok(())
        } else {
            Err(OpenError::RingSizes(*self))
        }
    }
}
