//! AF_XDP: memory region, UMEM, rings, sockets, frame ledger.
//!
//! A [`Region`] is memory cut into chunks; a [`Frame`] owns one chunk. Frames come from a
//! [`Magazine`] (one a worker) that exchanges them with the region's [`Depot`]. A [`Socket`] is
//! one (device, queue): it lends frames to the kernel by its fill and TX rings and gets them back
//! by its RX and completion rings. Packets start anywhere in their chunk, so headers are pushed
//! and pulled by [`Frame::set_extent`], and a frame received on one socket is sent on any other
//! socket of the region.
//!
//! What the kernel writes into a ring is never believed: each chunk carries the mark of its one
//! owner, and an address whose mark does not say "lent to this socket, this way" is counted
//! ([`SocketSuspects`]) and left alone. [`Region::ledger`] counts the chunks by owner.

mod mapping;
mod region;
mod ring;
mod socket;

/// Fixed-capacity vectors of frames.
pub use region::{BURST, Burst};
/// Memory for packets.
pub use region::{ChunkSize, PageKind, Pages, Region, RegionConfig, RegionError};
/// The two-level frame pool.
pub use region::{Depot, Magazine};
/// Chunks and who owns them.
pub use region::{Frame, Ledger, PACKET_START};
/// Opening a socket.
pub use socket::{BindMode, Mode, OpenError, RingSizes, SocketConfig};
/// What a socket reports.
pub use socket::{Closed, Flushed, PortState, SocketSuspects, XdpStatistics};
/// Sockets: over the kernel, and over memory for tests and benches.
pub use socket::{KernelSide, Socket};
