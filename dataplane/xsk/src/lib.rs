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
//!
//! A worker's turn, over a socket without a kernel:
//!
//! ```
//! use tp_xsk::{Burst, ChunkSize, Pages, Region, RegionConfig, RingSizes, Socket};
//!
//! let region = Region::new(&RegionConfig {
//!     chunks: 8192,
//!     chunk_size: ChunkSize::B2048,
//!     pages: Pages::Try,
//! })?;
//! let mut magazine = region.depot().magazine();
//! let (mut socket, mut kernel) = Socket::in_memory(&region, RingSizes::default(), &mut magazine);
//! kernel.deliver(b"metadata", b"an Ethernet frame");
//!
//! let mut burst = Burst::new();
//! socket.reclaim(&mut magazine); // chunks of sent frames
//! socket.receive(&mut burst);
//! for frame in burst.as_mut_slice() {
//!     let (start, len) = (frame.start(), frame.len());
//!     region.chunk_mut(frame)[start - 4..start].copy_from_slice(b"tag "); // over the metadata
//!     frame.set_extent(start - 4, len + 4);
//! }
//! socket.send(&mut burst); // what does not fit stays in the burst
//! socket.flush();
//! socket.refill(&mut magazine); // chunks to receive into
//!
//! kernel.transmit(|packet| assert_eq!(packet, b"tag an Ethernet frame"));
//! # Ok::<(), tp_xsk::RegionError>(())
//! ```

mod mapping;
mod region;
mod ring;
mod socket;
mod tuntap;
mod unicast;

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
pub use socket::{KernelSide, RxMark, Socket};
/// Devices whose other end is the kernel's network.
pub use tuntap::{Carries, TunTap};
/// What a device receives beside frames to its own address.
pub use unicast::UnicastFilter;
