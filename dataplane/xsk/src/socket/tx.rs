//! Sending: the TX ring, the kick that makes the kernel read it, and the completion ring.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::{End, Flushed, Mode, Socket, sys};
use crate::region::{BURST, Burst, Magazine, Mark};
use crate::ring::Descriptor;

/// Shortest frame that is sent: an Ethernet header.
const ETH_HLEN: usize = 14;

/// Most kicks a flush. When the device drops, the kernel ends each call at the dropped frame
/// (`EBUSY`): a burst of drops is worked off, more is left to the next flush.
const MAX_KICKS: usize = BURST;

/// Kicks without visible progress before a flush gives up. One is not enough: frames that were
/// dropped leave the ring visibly only with the call after (`__xsk_generic_xmit` publishes its
/// index when it has sent something).
const MAX_IDLE_KICKS: u32 = 2;

impl Socket {
    /// Puts frames into the TX ring, the first first, and returns how many left `frames`; what
    /// does not fit stays. The kernel sends them at the next [`Self::flush`].
    ///
    /// Frames shorter than an Ethernet header are counted and freed: the kernel would refuse
    /// them and never give their chunks back.
    ///
    /// # Panics
    /// If a frame is of another region.
    #[inline]
    pub fn send(&mut self, frames: &mut Burst) -> usize {
        let before = frames.len();
        if frames.as_slice().iter().any(|f| f.len() < ETH_HLEN) {
            self.discard_runts(frames);
        }
        let Self {
            tx,
            region,
            tx_mark,
            ..
        } = self;
        let n = tx.room(u32::try_from(frames.len()).unwrap_or(u32::MAX));
        let sent = tx.produce(frames.drain_front(n as usize).map(|frame| {
            let (start, len) = frame.extent();
            let index = region.owners().give(frame, *tx_mark);
            let address = region.address(index) + u64::from(start);
            Descriptor {
                address,
                len: u32::from(len),
                options: 0,
            }
        }));
        self.lent_tx += sent;
        before - frames.len()
    }

    /// Makes the kernel send what is in the TX ring, as far as it can now.
    ///
    /// In copy mode the sending happens in here, on the caller's processor. What remains
    /// ([`Self::pending`]) waits for completions to be taken or for the device; flush again.
    pub fn flush(&mut self) -> Flushed {
        let mut flushed = Flushed::default();
        let End::Kernel(bound) = &self.end else {
            return flushed;
        };
        let (fd, copy) = (bound.fd.as_fd(), bound.mode == Mode::Copy);
        let at_first = self.tx.pending();
        let (mut pending, mut idle) = (at_first, 0);
        for _ in 0..MAX_KICKS {
            if pending == 0 || !self.tx.needs_wakeup() {
                break;
            }
            match sys::kick_tx(fd) {
                // A zero-copy driver is woken and sends on its own.
                Ok(()) if !copy => break,
                // The kernel stops at a descriptor that it refuses, and says 0.
                // EAGAIN: the budget of a call is used up (go on), or the completion ring, the
                // device or the send buffer is full (no progress: later).
                Ok(()) | Err(Errno::AGAIN) => {}
                // The frame at the front was taken and dropped; those behind it were not tried.
                Err(Errno::BUSY) => flushed.busy += 1,
                Err(Errno::NETDOWN | Errno::NXIO | Errno::NODEV) => {
                    flushed.down = true;
                    break;
                }
                // ENOBUFS, ENOMEM: no memory for the frame now; it stays in the ring.
                Err(_) => break,
            }
            let left = self.tx.pending();
            idle = if left < pending { 0 } else { idle + 1 };
            pending = left;
            if idle == MAX_IDLE_KICKS {
                break;
            }
        }
        flushed.consumed = at_first - self.tx.pending();
        flushed
    }

    /// Frames in the TX ring that the kernel has not taken.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.tx.pending()
    }

    /// Takes the chunks of sent frames back and returns how many came.
    ///
    /// Every completion is checked against its chunk's mark: one that does not fit is counted
    /// and its chunk left alone.
    ///
    /// # Panics
    /// If the magazine is of another region.
    #[inline]
    pub fn reclaim(&mut self, magazine: &mut Magazine) -> usize {
        assert!(magazine.is_of(&self.region), "magazine of another region");
        let Self {
            completion,
            region,
            tx_mark,
            suspects,
            ..
        } = self;
        let mut bad = 0;
        let taken = completion.consume(u32::MAX, |address| {
            let (chunk, _) = region.locate(address);
            match region.owners().pass(chunk, *tx_mark, Mark::FREE) {
                Some(index) => magazine.put(index),
                None => bad += 1,
            }
        });
        suspects.completions += u64::from(bad);
        self.lent_tx -= taken - bad;
        (taken - bad) as usize
    }

    #[cold]
    fn discard_runts(&mut self, frames: &mut Burst) {
        let mut at = 0;
        while let Some(frame) = frames.as_slice().get(at) {
            if frame.len() >= ETH_HLEN {
                at += 1;
                continue;
            }
            let index = self.region.owners().give(frames.remove(at), Mark::FREE);
            self.region.stock().push(index);
            self.suspects.runts += 1;
        }
    }
}
