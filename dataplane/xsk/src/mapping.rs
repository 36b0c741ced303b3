//! Memory mappings: packet memory, rings of the kernel, and rings without one.
#![allow(unsafe_code, reason = "mmap and munmap are the purpose of the module")]

use core::ptr::{NonNull, null_mut};
use std::io;
use std::os::fd::BorrowedFd;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

/// A mapping, readable and writable, unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; what may be read and written at
// which time is up to the users of `base`, as it would be with a `Box<[UnsafeCell<u8>]>`.
unsafe impl Send for Mapping {}
// SAFETY: as above; `&Mapping` gives out the address only.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeroed memory of the process.
    pub(crate) fn anonymous(len: usize, flags: MapFlags) -> io::Result<Self> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps no other.
        let base = unsafe { mmap_anonymous(null_mut(), len, prot, flags) }?;
        Self::made(base.cast(), len)
    }

    /// A ring of an AF_XDP socket (Documentation/networking/af_xdp.rst).
    pub(crate) fn ring(fd: BorrowedFd<'_>, len: usize, page_offset: u64) -> io::Result<Self> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: as above.
        let base = unsafe { mmap(null_mut(), len, prot, flags, fd, page_offset) }?;
        Self::made(base.cast(), len)
    }

    /// First byte.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Advises the kernel about all pages.
    pub(crate) fn advise(&self, advice: Advice) -> io::Result<()> {
        // SAFETY: the range is this mapping; the advice used in this crate (huge pages, populate,
        // do not fork) changes no byte of it.
        unsafe { madvise(self.base.as_ptr().cast(), self.len, advice) }?;
        Ok(())
    }

    fn made(base: *mut u8, len: usize) -> io::Result<Self> {
        // Address 0 is never handed out (vm.mmap_min_addr); were it, nothing could use it.
        let base = NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and every borrower is gone: they hold a reference on it.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok(), "munmap of an own mapping: {unmapped:?}");
    }
}
