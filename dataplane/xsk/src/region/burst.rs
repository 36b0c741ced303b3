//! A burst of frames.

use super::frame::Frame;
use super::pool::Magazine;

/// Most frames of a burst.
pub const BURST: usize = 64;

/// Up to [`BURST`] frames in order. Its memory is allocated once, when it is made.
#[derive(Debug)]
pub struct Burst {
    /// Never longer than `BURST`, its capacity.
    frames: Vec<Frame>,
}

impl Burst {
    /// An empty burst.
    #[must_use]
    pub fn new() -> Self {
        Self {
            frames: Vec::with_capacity(BURST),
        }
    }

    /// Number of frames.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether no frame fits any more.
    #[inline]
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// How many frames fit.
    #[inline]
    #[must_use]
    pub fn room(&self) -> usize {
        BURST - self.frames.len()
    }

    /// Adds a frame at the end.
    ///
    /// # Errors
    /// Gives it back if the burst is full.
    #[inline]
    pub fn push(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.is_full() {
            return Err(frame);
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Takes the last frame.
    #[inline]
    pub fn pop(&mut self) -> Option<Frame> {
        self.frames.pop()
    }

    /// The frames.
    #[inline]
    pub fn as_slice(&self) -> &[Frame] {
        &self.frames
    }

    /// The frames, to change.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [Frame] {
        &mut self.frames
    }

    /// Takes all frames, the first first. Those that the iterator does not reach are leaked.
    #[inline]
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = Frame> + '_ {
        self.frames.drain(..)
    }

    /// Gives all frames to a magazine.
    pub fn clear_into(&mut self, magazine: &mut Magazine) {
        self.frames.drain(..).for_each(|frame| magazine.free(frame));
    }

    /// Takes the first `n` frames, all of which the caller must consume.
    #[inline]
    pub(crate) fn drain_front(&mut self, n: usize) -> impl Iterator<Item = Frame> + '_ {
        self.frames.drain(..n)
    }

    /// Takes the frame at `at`; those behind move up.
    pub(crate) fn remove(&mut self, at: usize) -> Frame {
        self.frames.remove(at)
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}
