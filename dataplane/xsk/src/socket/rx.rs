//! Receiving: the RX ring, and the fill ring that feeds it.

use super::Socket;
use super::sys;
use crate::region::{Burst, Magazine, Mark};
use std::os::fd::AsFd;

/// `XDP_PKT_CONTD` (include/uapi/linux/if_xdp.h): the packet goes on in the next descriptor.
const CONTINUED: u32 = 1;

/// A place in the RX ring: behind what was in it when the mark was set.
#[derive(Clone, Copy, Debug)]
pub struct RxMark(u32);

impl Socket {
    /// Marks the end of what is in the RX ring.
    #[must_use]
    pub fn rx_mark(&self) -> RxMark {
        RxMark(self.rx.position().wrapping_add(self.rx.available()))
    }

    /// Whether all that was in the RX ring at the mark has been taken out, however much came since.
    /// Good for marks of less than 2^31 packets ago.
    #[must_use]
    pub fn rx_passed(&self, mark: RxMark) -> bool {
        mark.0.wrapping_sub(self.rx.position()).cast_signed() <= 0
    }

    /// Takes received packets, as many as there are and fit into `out`, and returns how many it
    /// added.
    ///
    /// Every descriptor is checked against its chunk's mark; one that does not fit is counted
    /// and its chunk stays lent.
    #[inline]
    pub fn receive(&mut self, out: &mut Burst) -> usize {
        let before = out.len();
        let want = u32::try_from(out.room()).unwrap_or(u32::MAX);
        let Self {
            rx,
            region,
            fill_mark,
            suspects,
            ..
        } = self;
        rx.consume(want, |descriptor| {
            let (chunk, start) = region.locate(descriptor.address);
            let len = descriptor.len as usize;
            if descriptor.options & CONTINUED != 0 {
                suspects.fragments += 1;
            } else if let Some(frame) = region.owners().claim(chunk, *fill_mark, start, len) {
                let pushed = out.push(frame);
                debug_assert!(pushed.is_ok(), "no more were taken than fit");
            } else {
                suspects.received += 1;
            }
        });
        let received = out.len() - before;
        // At most the burst's capacity, and each was lent.
        self.lent_rx -= u32::try_from(received).unwrap_or(u32::MAX);
        received
    }

    /// Lends free chunks to the kernel to receive into, if enough are missing to be worth it, and
    /// returns how many.
    ///
    /// No more are ever out than the RX ring has entries: it cannot overflow.
    ///
    /// # Panics
    /// If the magazine is of another region.
    #[inline]
    pub fn refill(&mut self, magazine: &mut Magazine) -> usize {
        let missing = self.lend_at_most().saturating_sub(self.lent_rx);
        if missing < self.refill_at {
            return 0;
        }
        self.lend(magazine, missing)
    }

    /// Whether the kernel waits to be woken before it receives again.
    #[inline]
    #[must_use]
    pub fn needs_rx_wakeup(&self) -> bool {
        self.fill.needs_wakeup()
    }

    /// Wakes the kernel to receive.
    pub fn wake_rx(&mut self) {
        if let Some(bound) = self.bound() {
            // The answer says whether the port is up; `port_state` is for those who ask.
            let _ = sys::wake_rx(bound.fd.as_fd());
        }
    }

    fn lend_at_most(&self) -> u32 {
        self.fill.size().min(self.rx.size())
    }

    fn lend(&mut self, magazine: &mut Magazine, missing: u32) -> usize {
        assert!(magazine.is_of(&self.region), "magazine of another region");
        let Self {
            fill,
            region,
            fill_mark,
            ..
        } = self;
        let mut room = fill.room(missing);
        let mut lent = 0;
        while room > 0 {
            let offered = magazine.offer(room as usize);
            let n = fill.produce(offered.iter().map(|&index| {
                let passed = region
                    .owners()
                    .pass(u64::from(index), Mark::FREE, *fill_mark);
                debug_assert!(passed.is_some(), "chunk {index} is in a pool and not free");
                region.address(index)
            }));
            if n == 0 {
                break;
            }
            magazine.take(n as usize);
            room -= n;
            lent += n;
        }
        self.lent_rx += lent;
        lent as usize
    }
}
