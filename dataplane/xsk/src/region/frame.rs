//! A chunk that its holder owns, and where the packet lies in it.

use core::num::NonZeroU32;

/// Where the kernel starts a received packet in its chunk, in bytes: `XDP_PACKET_HEADROOM`
/// (include/uapi/linux/bpf.h) with no UMEM headroom. New frames start here too.
pub const PACKET_START: usize = 256;

/// Unique ownership of one chunk, and the extent of the packet in it.
///
/// Only the owner table makes frames, one for a chunk at a time: whoever has a `Frame` may
/// read and write its chunk. Dropping one leaks the chunk (the ledger shows it as held): give
/// it to [`crate::Magazine::free`] or [`crate::Socket::send`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a dropped frame is a leaked chunk"]
pub struct Frame {
    region: NonZeroU32,
    index: u32,
    start: u16,
    len: u16,
    chunk_size: u16,
}

impl Frame {
    /// The caller has just marked the chunk as held, by nobody else.
    #[inline]
    pub(super) fn claimed(
        region: NonZeroU32,
        index: u32,
        chunk_size: u16,
        start: u16,
        len: u16,
    ) -> Self {
        Self {
            region,
            index,
            start,
            len,
            chunk_size,
        }
    }

    /// Offset of the packet's first byte in the chunk.
    #[inline]
    #[must_use]
    pub fn start(&self) -> usize {
        usize::from(self.start)
    }

    /// Length of the packet in bytes.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether the frame holds no packet, as when it comes from a magazine.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says where the packet lies: this is how headers are pushed and pulled.
    ///
    /// # Panics
    /// If the extent does not lie in the chunk: the caller's arithmetic is wrong, and the kernel
    /// would send a neighbour's bytes.
    #[inline]
    pub fn set_extent(&mut self, start: usize, len: usize) {
        let size = usize::from(self.chunk_size);
        assert!(
            start <= size && len <= size - start,
            "packet outside of its chunk"
        );
        // Both are at most the chunk size, which is a u16.
        #[allow(clippy::cast_possible_truncation, reason = "checked in the line above")]
        {
            self.start = start as u16;
            self.len = len as u16;
        }
    }

    /// Number of the chunk in its region.
    #[inline]
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Start and length in bytes.
    #[inline]
    pub(crate) fn extent(&self) -> (u16, u16) {
        (self.start, self.len)
    }

    #[inline]
    pub(super) fn region(&self) -> NonZeroU32 {
        self.region
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame::claimed(NonZeroU32::MIN, 3, 2048, 256, 60)
    }

    #[test]
    fn is_sixteen_bytes_with_or_without_option() {
        assert_eq!(size_of::<Frame>(), 16);
        assert_eq!(size_of::<Option<Frame>>(), 16);
    }

    #[test]
    fn extent_may_fill_the_chunk() {
        let mut f = frame();
        f.set_extent(0, 2048);
        assert_eq!((f.start(), f.len()), (0, 2048));
        f.set_extent(2048, 0);
        assert_eq!((f.start(), f.len()), (2048, 0));
    }

    #[test]
    #[should_panic(expected = "packet outside of its chunk")]
    fn extent_past_the_end_panics() {
        frame().set_extent(1, 2048);
    }

    #[test]
    #[should_panic(expected = "packet outside of its chunk")]
    fn extent_that_overflows_panics() {
        frame().set_extent(usize::MAX, 2);
    }
}
