//! Who owns each chunk: the table that makes frames, and makes them once.

use core::num::NonZeroU32;
use std::sync::atomic::{AtomicU16, Ordering};

use super::ChunkSize;
use super::frame::{Frame, PACKET_START};

/// Number of a socket on its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SocketId(u16);

impl SocketId {
    /// Two marks a socket, and two for nobody's and the program's.
    const MAX: u16 = (u16::MAX - 3) / 2;

    /// The id of this number, if there is one.
    pub(crate) fn new(number: usize) -> Option<Self> {
        u16::try_from(number)
            .ok()
            .filter(|&n| n <= Self::MAX)
            .map(Self)
    }

    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }
}

/// Who owns a chunk. Two bytes, since one would number only 127 sockets a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u16);

impl Mark {
    /// In the depot or a magazine.
    pub(crate) const FREE: Self = Self(0);
    /// A [`Frame`] exists.
    pub(crate) const HELD: Self = Self(1);

    /// Lent to the kernel to receive into: in the fill ring, in the kernel, or in the RX ring.
    pub(crate) fn fill(socket: SocketId) -> Self {
        Self(2 + 2 * socket.0)
    }

    /// Lent to the kernel to send: in the TX ring, in the kernel, or in the completion ring.
    pub(crate) fn tx(socket: SocketId) -> Self {
        Self(3 + 2 * socket.0)
    }

    /// Whether the kernel has it to receive into.
    pub(super) fn is_fill(self) -> bool {
        self.0 >= 2 && self.0 & 1 == 0
    }
}

/// The marks of a region's chunks.
///
/// Relaxed loads and stores suffice: a mark that names an owner is changed by that owner alone
/// (a socket is used from one thread at a time, a frame by its holder), so a thread that reads
/// its own mark reads its own last write. A chunk crosses threads through the depot's lock or
/// with its `Frame`, and both synchronise.
#[derive(Debug)]
pub(crate) struct Owners {
    marks: Box<[AtomicU16]>,
    region: NonZeroU32,
    chunk_size: u16,
    chunks: u32,
}

impl Owners {
    /// All chunks free.
    pub(super) fn new(region: NonZeroU32, chunks: u32, chunk_size: ChunkSize) -> Self {
        let chunk_size = match chunk_size {
            ChunkSize::B2048 => 2048,
            ChunkSize::B4096 => 4096,
        };
        Self {
            marks: (0..chunks).map(|_| AtomicU16::new(Mark::FREE.0)).collect(),
            region,
            chunk_size,
            chunks,
        }
    }

    pub(super) fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Whether the frame is of this region.
    #[inline]
    pub(crate) fn made(&self, frame: &Frame) -> bool {
        frame.region() == self.region
    }

    /// Takes a free chunk; `None` if it is not free.
    #[inline]
    pub(super) fn take_free(&self, index: u32) -> Option<Frame> {
        #[allow(clippy::cast_possible_truncation, reason = "PACKET_START is 256")]
        const START: u16 = PACKET_START as u16;
        self.pass(u64::from(index), Mark::FREE, Mark::HELD)
            .map(|index| Frame::claimed(self.region, index, self.chunk_size, START, 0))
    }

    /// Whether a packet of `len` bytes may lie at `start`.
    #[inline]
    pub(crate) fn fits(&self, start: usize, len: usize) -> bool {
        let size = usize::from(self.chunk_size);
        start < size && len <= size - start
    }

    /// Makes the frame of a chunk whose owner is `from`, with a packet at `start`.
    ///
    /// `None`, and no change, if it has another owner, is outside of the region, or the packet
    /// does not lie in the chunk.
    #[inline]
    pub(crate) fn claim(&self, index: u64, from: Mark, start: usize, len: usize) -> Option<Frame> {
        if !self.fits(start, len) {
            return None;
        }
        let index = self.pass(index, from, Mark::HELD)?;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "both are at most the chunk size"
        )]
        let (start, len) = (start as u16, len as u16);
        Some(Frame::claimed(
            self.region,
            index,
            self.chunk_size,
            start,
            len,
        ))
    }

    /// Hands a chunk from one owner to another; `None`, and no change, if `from` is not the owner.
    #[inline]
    pub(crate) fn pass(&self, index: u64, from: Mark, to: Mark) -> Option<u32> {
        let index = u32::try_from(index).ok()?;
        let mark = self.marks.get(index as usize)?;
        if mark.load(Ordering::Relaxed) != from.0 {
            return None;
        }
        mark.store(to.0, Ordering::Relaxed);
        Some(index)
    }

    /// Gives a frame's chunk to a new owner; the frame is gone.
    ///
    /// # Panics
    /// If the frame is of another region: its index names another chunk here.
    #[inline]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "ownership of the chunk ends here"
    )]
    pub(crate) fn give(&self, frame: Frame, to: Mark) -> u32 {
        assert!(self.made(&frame), "frame of another region");
        let index = frame.index();
        self.marks[index as usize].store(to.0, Ordering::Relaxed);
        index
    }

    /// The owner of each chunk, in order.
    pub(crate) fn marks(&self) -> impl Iterator<Item = Mark> + '_ {
        self.marks.iter().map(|m| Mark(m.load(Ordering::Relaxed)))
    }
}
