//! Closing: every chunk that the socket had lent comes back, once the kernel cannot touch it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mm::MapFlags;

use super::{Closed, End, Mode, RingSizes, Socket, sys};
use crate::mapping::Mapping;
use crate::region::Magazine;

/// How long frames on their way out are waited for.
const DRAIN_FOR: Duration = Duration::from_millis(100);
/// How long a zero-copy driver may take to let go of the queue.
const RELEASE_FOR: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(1);

impl Socket {
    /// Closes the socket: frames on their way out are waited for, up to a tenth of a second; the
    /// kernel takes the socket out of every XSKMAP; all chunks that its rings and the kernel held
    /// are free again. Received packets that nobody took are lost.
    ///
    /// Call it in the network namespace of the device: a zero-copy device is asked there whether
    /// it has let go of the chunks.
    ///
    /// # Panics
    /// If the magazine is of another region.
    pub fn close(mut self, magazine: &mut Magazine) -> Closed {
        self.drain();
        self.reclaim(magazine);
        self.shut()
    }

    /// Waits until the kernel has completed what it took. A kernel that loses completions, or
    /// frames that wait in a peer's queue, must not keep the caller.
    fn drain(&self) {
        let until = Instant::now() + DRAIN_FOR;
        while self.bound().is_some() && self.in_flight() > 0 && Instant::now() < until {
            std::thread::sleep(PAUSE);
        }
    }

    fn shut(&mut self) -> Closed {
        let settled = match core::mem::replace(&mut self.end, End::Closed) {
            End::Closed => return Closed::default(),
            End::Memory(closed) => {
                *closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
                true
            }
            End::Kernel(bound) => {
                let was_bound = self.region.sockets().remove(self.id);
                let at = (bound.ifindex, bound.queue);
                // In copy mode the close waits for receivers (`synchronize_net` in
                // `xsk_unbind_dev`), and what is sent is a copy. A zero-copy driver is told later.
                let asynchronous = was_bound && bound.mode == Mode::ZeroCopy;
                drop(bound);
                !asynchronous || released(at, RELEASE_FOR)
            }
        };
        let (fill, tx) = (self.fill_mark, self.tx_mark);
        if !settled {
            // The number stays taken: its marks are on chunks that a device may write into.
            let kept = self.region.count(fill) + self.region.count(tx);
            return Closed {
                kept,
                ..Closed::default()
            };
        }
        let closed = Closed {
            fill: self.region.recover(fill),
            tx: self.region.recover(tx),
            kept: 0,
        };
        self.region.sockets().release(self.id);
        closed
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.drain();
        self.shut();
    }
}

/// Waits until no socket has the queue, and returns whether that came.
///
/// The kernel detaches a zero-copy driver from a closed socket in a work item, and says nowhere
/// when that is done; but as long as it is not, nobody can bind to the queue. So a socket with a
/// UMEM of one page asks for it.
fn released(at: (u32, u32), wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        match probe(at) {
            Err(Errno::BUSY) if Instant::now() < until => std::thread::sleep(PAUSE),
            // ENODEV: the device is gone, and its driver with it.
            Ok(()) | Err(Errno::NODEV) => return true,
            Err(_) => return false,
        }
    }
}

fn probe(at: (u32, u32)) -> Result<(), Errno> {
    const PAGE: usize = 4096;
    let failed = |_| Errno::NOMEM;
    let umem = Mapping::anonymous(PAGE, MapFlags::PRIVATE).map_err(|_| Errno::NOMEM)?;
    let sizes = RingSizes {
        rx: 1,
        tx: 1,
        fill: 1,
        completion: 1,
    };
    let fd = sys::socket(sizes, PAGE).map_err(failed)?;
    let extent = (umem.base().as_ptr() as u64, umem.len() as u64);
    sys::register(&fd, extent, 4096).map_err(failed)?;
    sys::bind(&fd, at, Mode::Copy, false)
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code, reason = "unshare has no safe wrapper")]

    use rustix::thread::{UnshareFlags, unshare_unsafe};

    use super::*;
    use crate::{BindMode, ChunkSize, Pages, Region, RegionConfig, SocketConfig};

    /// On the loopback device of a namespace of its own: bound in copy mode, since no device
    /// here does zero-copy; the kernel answers the question in the same way.
    #[test]
    fn a_queue_is_released_when_its_socket_is_closed() {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: run it with sudo"
        );
        // SAFETY: a new network namespace for this thread, whose file descriptors stay as shared
        // as they are.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        let config = RegionConfig {
            chunks: 64,
            chunk_size: ChunkSize::B4096,
            pages: Pages::Never,
        };
        let region = Region::new(&config).unwrap();
        let mut magazine = region.depot().magazine();
        let (ifindex, queue) = (1, 0);
        let socket = SocketConfig {
            ifindex,
            queue,
            rings: RingSizes {
                rx: 16,
                tx: 16,
                fill: 16,
                completion: 16,
            },
            mode: BindMode::Copy,
            need_wakeup: false,
            generic_xdp: true,
        };
        let socket = Socket::open(&region, &socket, &mut magazine).unwrap();
        assert!(
            !released((ifindex, queue), Duration::from_millis(50)),
            "the socket has it"
        );
        socket.close(&mut magazine);
        assert!(released((ifindex, queue), RELEASE_FOR));
        assert!(
            released((4711, queue), RELEASE_FOR),
            "a device that is gone holds nothing"
        );
    }
}
