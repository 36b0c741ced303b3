//! The books: how many chunks each kind of owner has.

use super::owners::{Mark, Owners};

/// Chunks by owner. A chunk has one owner, so the sum is the number of chunks; when all sockets
/// are closed and all frames freed, `depot` is that number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Free, in the depot.
    pub depot: u32,
    /// Free, in magazines.
    pub magazines: u32,
    /// In the program's hands: a [`crate::Frame`] exists, or was dropped.
    pub held: u32,
    /// Lent to the kernel to receive into, packets that nobody has taken from an RX ring included.
    pub fill: u32,
    /// Lent to the kernel to send, completions that nobody has taken included.
    pub tx: u32,
}

impl Ledger {
    /// All chunks.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.depot + self.magazines + self.held + self.fill + self.tx
    }

    /// Counts; `depot` free chunks were seen in the depot.
    pub(super) fn count(owners: &Owners, depot: usize) -> Self {
        let mut ledger = Self::default();
        let mut free = 0;
        for mark in owners.marks() {
            match mark {
                Mark::FREE => free += 1,
                Mark::HELD => ledger.held += 1,
                lent if lent.is_fill() => ledger.fill += 1,
                _ => ledger.tx += 1,
            }
        }
        ledger.depot = u32::try_from(depot).unwrap_or(u32::MAX).min(free);
        ledger.magazines = free - ledger.depot;
        ledger
    }
}
