//! The frame pool: a depot that all share under a lock, and a magazine for each worker.
//!
//! A worker takes and gives frames at its magazine without a lock; magazines exchange them with
//! the depot a batch at a time, so that the lock is taken once for many packets.

use super::Region;
use super::frame::Frame;
use super::owners::Mark;

/// Most frames that go between a magazine and the depot at once.
const BATCH: usize = 256;

/// The shared part of a region's pool; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Depot {
    region: Region,
}

impl Depot {
    pub(super) fn new(region: Region) -> Self {
        Self { region }
    }

    /// A new, empty magazine.
    #[must_use]
    pub fn magazine(&self) -> Magazine {
        // In a small region a full batch would let one magazine hoard all that there is.
        let batch = (self.region.chunks() as usize / 8).clamp(1, BATCH);
        Magazine {
            region: self.region.clone(),
            stock: Vec::with_capacity(2 * batch),
            batch,
        }
    }

    /// Free frames in the depot.
    #[must_use]
    pub fn len(&self) -> usize {
        self.region.stock().len()
    }

    /// Whether the depot has no free frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A worker's own free frames. Dropping it gives them back to the depot.
#[derive(Debug)]
pub struct Magazine {
    region: Region,
    /// Chunks marked free. Last in, first out: the last is the likeliest in the cache. Never
    /// longer than two batches, its capacity.
    stock: Vec<u32>,
    batch: usize,
}

impl Magazine {
    /// A free frame, empty, its packet to start at [`crate::PACKET_START`]; `None` if neither
    /// the magazine nor the depot has one.
    #[inline]
    pub fn alloc(&mut self) -> Option<Frame> {
        if self.stock.is_empty() {
            self.load();
        }
        let index = self.stock.pop()?;
        let frame = self.region.owners().take_free(index);
        debug_assert!(frame.is_some(), "chunk {index} is in a pool and not free");
        frame
    }

    /// Takes a frame back.
    ///
    /// # Panics
    /// If the frame is of another region.
    #[inline]
    pub fn free(&mut self, frame: Frame) {
        let index = self.region.owners().give(frame, Mark::FREE);
        self.put(index);
    }

    /// Free frames in the magazine itself.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stock.len()
    }

    /// Whether the magazine itself has no free frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stock.is_empty()
    }

    /// Whether the magazine's frames are of this region.
    pub(crate) fn is_of(&self, region: &Region) -> bool {
        std::sync::Arc::ptr_eq(&self.region.inner, &region.inner)
    }

    /// Adds a chunk that the caller has just marked free.
    #[inline]
    pub(crate) fn put(&mut self, index: u32) {
        if self.stock.len() == self.stock.capacity() {
            self.unload(self.batch);
        }
        self.stock.push(index);
    }

    /// Up to `want` free chunks, fetched from the depot if the magazine is empty. They stay in
    /// the magazine until [`Self::take`] is called.
    #[inline]
    pub(crate) fn offer(&mut self, want: usize) -> &[u32] {
        if self.stock.is_empty() {
            self.load();
        }
        &self.stock[self.stock.len().saturating_sub(want)..]
    }

    /// Removes the last `n` of what [`Self::offer`] showed, which the caller has marked otherwise.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) {
        self.stock.truncate(self.stock.len() - n);
    }

    #[cold]
    fn load(&mut self) {
        let mut depot = self.region.stock();
        let from = depot.len().saturating_sub(self.batch);
        self.stock.extend(depot.drain(from..));
    }

    #[cold]
    fn unload(&mut self, n: usize) {
        // The depot has capacity for every chunk since it was made, so this does not allocate.
        // The oldest go: the newest are the likeliest in the cache.
        self.region.stock().extend(self.stock.drain(..n));
    }
}

impl Drop for Magazine {
    fn drop(&mut self) {
        self.unload(self.stock.len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChunkSize, Ledger, Pages, RegionConfig};
    use super::*;

    fn region(chunks: u32) -> Region {
        let config = RegionConfig {
            chunks,
            chunk_size: ChunkSize::B2048,
            pages: Pages::Never,
        };
        Region::new(&config).unwrap()
    }

    #[test]
    fn every_chunk_comes_once_and_comes_back() {
        let region = region(1000);
        let mut mag = region.depot().magazine();
        let frames: Vec<Frame> = std::iter::from_fn(|| mag.alloc()).collect();
        let mut seen: Vec<u32> = frames.iter().map(Frame::index).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        assert_eq!(
            region.ledger(),
            Ledger {
                held: 1000,
                ..Ledger::default()
            }
        );

        frames.into_iter().for_each(|f| mag.free(f));
        let in_magazine = u32::try_from(mag.len()).unwrap();
        assert!(
            in_magazine <= 2 * 125,
            "two batches of an eighth of the region"
        );
        let depot = 1000 - in_magazine;
        assert_eq!(
            region.ledger(),
            Ledger {
                depot,
                magazines: in_magazine,
                ..Ledger::default()
            }
        );
        drop(mag);
        assert_eq!(
            region.ledger(),
            Ledger {
                depot: 1000,
                ..Ledger::default()
            }
        );
    }

    #[test]
    fn what_one_magazine_frees_another_gets() {
        let region = region(64);
        let (mut a, mut b) = (region.depot().magazine(), region.depot().magazine());
        let frames: Vec<Frame> = std::iter::from_fn(|| a.alloc()).collect();
        assert!(b.alloc().is_none());
        frames.into_iter().for_each(|f| a.free(f));
        let got = b.alloc().expect("a full magazine gives a batch back");
        b.free(got);
    }

    #[test]
    #[should_panic(expected = "frame of another region")]
    fn a_frame_of_another_region_is_refused() {
        let frame = region(8).depot().magazine().alloc().unwrap();
        region(8).depot().magazine().free(frame);
    }

    #[test]
    fn a_dropped_frame_shows_as_held() {
        let region = region(8);
        let _leaked = region.depot().magazine().alloc();
        assert_eq!(
            region.ledger(),
            Ledger {
                depot: 7,
                held: 1,
                ..Ledger::default()
            }
        );
        assert_eq!(region.ledger().total(), 8);
    }
}
