//! How a thread that has nothing to do is woken, without a system call for whoever wakes one that is awake.
//!
//! The sleeper arms the bell, looks once more at what it waits for, and sleeps. Whoever has work for it first puts it
//! where the sleeper looks, and then rings. Either sees the other: the ringer sees the bell armed, or the sleeper sees
//! the work (each writes, passes a sequentially consistent fence, and reads). A bell that rang is not armed, so of a
//! flood only the first packet costs the call.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_utils::CachePadded;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

/// A bell of one sleeper and any number of ringers.
#[derive(Debug)]
pub struct Bell {
    armed: CachePadded<AtomicBool>,
    fd: OwnedFd,
}

impl Bell {
    /// A bell that is not armed.
    ///
    /// # Errors
    /// Of the eventfd.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            armed: CachePadded::default(),
            fd: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
        })
    }

    /// Wakes the sleeper if it sleeps, or is about to. What it shall find must be in its place before.
    #[inline]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.armed.load(Ordering::Relaxed) && self.armed.swap(false, Ordering::Relaxed) {
            // It only fails when it has rung 2^64 - 2 times unheard: then it is ringing.
            let _ = rustix::io::write(&self.fd, &1_u64.to_ne_bytes());
        }
    }

    /// The sleeper: from here on every ring is heard. It must look once more at what it waits for.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The sleeper, awake: rings cost nothing again.
    pub fn disarm(&self) {
        self.armed.store(false, Ordering::Relaxed);
        // A late ring, of one that saw it armed, may come after this: it makes the next sleep a short one.
        // EAGAIN: it did not ring.
        let _ = rustix::io::read(&self.fd, &mut [0_u8; 8]);
    }
}

impl AsFd for Bell {
    /// Readable when the bell rang: what the sleeper sleeps on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use crossbeam_queue::ArrayQueue;

    use super::*;
    use crate::sleep::Bed;

    #[test]
    fn only_an_armed_bell_rings_and_only_once() {
        let bell = Bell::new().unwrap();
        let rings = || rustix::io::read(&bell, &mut [0_u8; 8]).is_ok();
        bell.ring();
        assert!(!rings(), "nobody sleeps");
        bell.arm();
        bell.ring();
        bell.ring();
        let mut count = [0; 8];
        rustix::io::read(&bell, &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
        bell.arm();
        bell.disarm();
        bell.ring();
        assert!(!rings(), "it is awake");
    }

    /// A sleeper that missed a ring would sleep for seconds.
    #[test]
    fn no_work_is_slept_through() {
        const ITEMS: u32 = 20_000;
        let bell = Arc::new(Bell::new().unwrap());
        let queue = Arc::new(ArrayQueue::new(4));
        let start = Instant::now();
        let ringer = {
            let (bell, queue) = (Arc::clone(&bell), Arc::clone(&queue));
            thread::spawn(move || {
                for item in 0..ITEMS {
                    while queue.push(item).is_err() {
                        thread::yield_now();
                    }
                    bell.ring();
                }
            })
        };
        let bed = Bed::new(bell.as_fd()).unwrap();
        let mut taken = 0;
        while taken < ITEMS {
            while queue.pop().is_some() {
                taken += 1;
            }
            bell.arm();
            if queue.is_empty() && taken < ITEMS {
                bed.sleep(Duration::from_secs(5));
            }
            bell.disarm();
        }
        ringer.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}
