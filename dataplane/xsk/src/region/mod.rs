//! Memory for packets, cut into chunks of one size, and the books about its chunks.

mod burst;
mod chunks;
mod frame;
mod ledger;
mod memory;
mod owners;
mod pool;

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use burst::{BURST, Burst};
pub use frame::{Frame, PACKET_START};
pub use ledger::Ledger;
pub use memory::PageKind;
pub(crate) use owners::{Mark, Owners, SocketId};
pub use pool::{Depot, Magazine};

use crate::socket::Registry;
use memory::Memory;

/// Size of a chunk. The kernel accepts powers of two from 2048 bytes to one page
/// (`xdp_umem_reg` in net/xdp/xdp_umem.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkSize {
    /// 2048 bytes: packets of up to 1792.
    B2048,
    /// 4096 bytes: packets of up to 3840.
    B4096,
}

impl ChunkSize {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B2048 => 2048,
            Self::B4096 => 4096,
        }
    }
}

/// Whether a region shall lie on huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Reserved 2 MiB pages if there are enough, else transparent ones, else plain ones.
    Try,
    /// Reserved 2 MiB pages, or an error.
    Require,
    /// Plain pages.
    Never,
}

/// How to make a region.
#[derive(Clone, Copy, Debug)]
pub struct RegionConfig {
    /// Number of chunks, at least 1.
    pub chunks: u32,
    /// Size of each.
    pub chunk_size: ChunkSize,
    /// Kind of pages.
    pub pages: Pages,
}

/// Why a region cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// No chunk was asked for.
    #[error("a region needs at least one chunk")]
    Empty,
    /// More regions than there are ids: a frame could be taken for one of another region.
    #[error("no region ids are left in this process")]
    Ids,
    /// Fewer free reserved huge pages than the region needs.
    #[error("cannot map {bytes} bytes of reserved 2 MiB pages (raise vm.nr_hugepages)")]
    HugePages {
        /// What was asked for.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel gives no memory.
    #[error("cannot map {bytes} bytes for packets")]
    Map {
        /// What was asked for.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A handle on the memory; clones are handles on the same memory, which lives as long as
/// any of them, or a socket or magazine on it, does.
#[derive(Clone, Debug)]
pub struct Region {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    memory: Memory,
    chunk_size: ChunkSize,
    shift: u32,
    owners: Owners,
    depot: Mutex<Vec<u32>>,
    sockets: Mutex<Registry>,
}

impl Region {
    /// Maps the memory. The pages are populated: no page fault comes later.
    ///
    /// # Errors
    /// No chunks, no memory, or no reserved huge pages where they are required.
    pub fn new(config: &RegionConfig) -> Result<Self, RegionError> {
        if config.chunks == 0 {
            return Err(RegionError::Empty);
        }
        let id = next_id()?;
        let size = config.chunk_size.bytes();
        let memory = Memory::map(config.chunks as usize * size, config.pages)?;
        let inner = Inner {
            memory,
            chunk_size: config.chunk_size,
            shift: size.trailing_zeros(),
            owners: Owners::new(id, config.chunks, config.chunk_size),
            // The lowest indices are handed out first.
            depot: Mutex::new((0..config.chunks).rev().collect()),
            sockets: Mutex::new(Registry::default()),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// On which kind of pages the region lies.
    #[must_use]
    pub fn page_kind(&self) -> PageKind {
        self.inner.memory.kind()
    }

    /// Size of a chunk in bytes.
    #[inline]
    #[must_use]
    pub fn chunk_size(&self) -> usize {
        self.inner.chunk_size.bytes()
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        self.inner.owners.chunks()
    }

    /// The longest packet that the kernel puts into one chunk, in bytes: it keeps
    /// `XDP_PACKET_HEADROOM` in front free; no UMEM headroom is configured on top.
    #[must_use]
    pub fn max_packet(&self) -> usize {
        self.chunk_size() - PACKET_START
    }

    /// The shared part of the frame pool.
    #[must_use]
    pub fn depot(&self) -> Depot {
        Depot::new(self.clone())
    }

    /// The chunks by owner, counted one by one: for metrics and tests, not for every packet.
    ///
    /// While other threads work, a chunk that changes hands meanwhile is counted where it was
    /// seen; the sum is the number of chunks at any time.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        // The depot is counted first: a chunk that leaves it meanwhile is then missing from the
        // magazines' share instead of making it negative.
        let depot = self.stock().len();
        Ledger::count(&self.inner.owners, depot)
    }

    /// The address of a chunk's first byte in the UMEM.
    #[inline]
    pub(crate) fn address(&self, index: u32) -> u64 {
        u64::from(index) << self.inner.shift
    }

    /// The chunk and the offset in it that a UMEM address names, in bounds or not.
    #[inline]
    pub(crate) fn locate(&self, address: u64) -> (u64, usize) {
        (
            address >> self.inner.shift,
            offset(address) & (self.chunk_size() - 1),
        )
    }

    pub(crate) fn owners(&self) -> &Owners {
        &self.inner.owners
    }

    /// Free chunks that are in no magazine. A `Vec` of numbers is whole after a panic
    /// elsewhere, so poisoning says nothing.
    pub(crate) fn stock(&self) -> MutexGuard<'_, Vec<u32>> {
        self.inner
            .depot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees all chunks of an owner that is no more, and returns how many.
    pub(crate) fn recover(&self, mark: Mark) -> u32 {
        let mut stock = self.stock();
        let before = stock.len();
        let chunks = 0..u64::from(self.chunks());
        stock.extend(chunks.filter_map(|chunk| self.owners().pass(chunk, mark, Mark::FREE)));
        u32::try_from(stock.len() - before).unwrap_or(u32::MAX)
    }

    /// How many chunks an owner has.
    pub(crate) fn count(&self, mark: Mark) -> u32 {
        let owned = self.owners().marks().filter(|m| *m == mark).count();
        u32::try_from(owned).unwrap_or(u32::MAX)
    }

    /// The sockets on this region.
    pub(crate) fn sockets(&self) -> MutexGuard<'_, Registry> {
        self.inner
            .sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Size of a chunk as the kernel takes it.
    pub(crate) fn chunk_bytes(&self) -> u32 {
        1 << self.inner.shift
    }

    /// First byte and length in bytes, for the UMEM registration.
    pub(crate) fn extent(&self) -> (u64, u64) {
        let len = u64::from(self.chunks()) << self.inner.shift;
        (self.inner.memory.base().as_ptr() as u64, len)
    }
}

/// A UMEM address as an offset in memory.
#[inline]
fn offset(address: u64) -> usize {
    const _: () = assert!(usize::BITS == 64, "AF_XDP addresses have 64 bits");
    #[allow(clippy::cast_possible_truncation, reason = "asserted")]
    {
        address as usize
    }
}

/// Ids start at 1 and are never given twice, or frames of two regions could be confused.
fn next_id() -> Result<core::num::NonZeroU32, RegionError> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let id = NEXT
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |id| {
            // 0 marks the end; it stays.
            (id != 0).then(|| id.wrapping_add(1))
        })
        .unwrap_or(0);
    core::num::NonZeroU32::new(id).ok_or(RegionError::Ids)
}
