//! Reading and writing chunks: where a frame's ownership becomes a reference to memory.
#![allow(
    unsafe_code,
    reason = "turns ownership that is kept in a table into references"
)]

use super::{Frame, Region, offset};

impl Region {
    /// The whole chunk of a frame: the packet, the headroom in front and the room behind it.
    /// The steering program's metadata lies below [`Frame::start`].
    ///
    /// # Panics
    /// If the frame is of another region.
    #[inline]
    #[must_use]
    pub fn chunk<'a>(&'a self, frame: &'a Frame) -> &'a [u8] {
        let base = self.chunk_base(frame);
        // SAFETY: the chunk lies in the region, which `self` keeps mapped for 'a. The one `Frame`
        // of the chunk is borrowed for 'a, so nothing else refers to it: the owner table makes
        // one frame a chunk, and the kernel was given none that is marked as held.
        unsafe { core::slice::from_raw_parts(base, self.chunk_size()) }
    }

    /// The whole chunk of a frame, to change.
    ///
    /// # Panics
    /// If the frame is of another region.
    #[inline]
    #[must_use]
    pub fn chunk_mut<'a>(&'a self, frame: &'a mut Frame) -> &'a mut [u8] {
        let base = self.chunk_base(frame);
        // SAFETY: as in `chunk`, and the borrow of the chunk's one `Frame` is exclusive.
        unsafe { core::slice::from_raw_parts_mut(base, self.chunk_size()) }
    }

    /// The first `len` bytes of a chunk from `start` on, for one that plays the kernel.
    ///
    /// # Panics
    /// If they do not lie in the region.
    ///
    /// # Safety
    /// Nobody else may refer to these bytes for 'a: the chunk is lent to the caller's socket, and
    /// the socket has not been given it back.
    #[allow(clippy::mut_from_ref, reason = "exclusive by the caller's promise")]
    pub(crate) unsafe fn lent(&self, address: u64, len: usize) -> &mut [u8] {
        let (index, start) = self.locate(address);
        assert!(index < u64::from(self.chunks()) && self.owners().fits(start, len));
        // SAFETY: the address lies in the mapping: its chunk exists, as asserted.
        let base = unsafe { self.inner.memory.base().as_ptr().add(offset(address)) };
        // SAFETY: `start..start + len` lies in the chunk; exclusive by the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(base, len) }
    }

    #[inline]
    fn chunk_base(&self, frame: &Frame) -> *mut u8 {
        assert!(self.owners().made(frame), "frame of another region");
        let offset = offset(self.address(frame.index()));
        // SAFETY: frames of this region have indices below the number of chunks, all of which
        // are mapped.
        unsafe { self.inner.memory.base().as_ptr().add(offset) }
    }
}
