//! Where an idle worker sleeps: on its sockets and its bell.
//!
//! epoll, because the set changes only when a socket comes or goes, and waiting then allocates
//! nothing and passes no list of descriptors to the kernel.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;

/// The set of descriptors that wake a worker.
#[derive(Debug)]
pub(crate) struct Bed {
    epoll: OwnedFd,
}

impl Bed {
    pub(crate) fn new(bell: BorrowedFd<'_>) -> Result<Self, Errno> {
        let bed = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        };
        bed.add(bell)?;
        Ok(bed)
    }

    /// Also wakes on this descriptor; closing it takes it out.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let data = epoll::EventData::new_u64(0);
        epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)
    }

    /// Sleeps until a descriptor is readable, at most this long.
    pub(crate) fn sleep(&self, at_most: Duration) {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; 1];
        let timeout = Timespec::try_from(at_most).ok();
        // EINTR is a waking like any other: the next turn looks at everything.
        let _ = epoll::wait(&self.epoll, &mut events, timeout.as_ref());
    }
}
