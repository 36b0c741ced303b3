//! What a table takes.

use std::ops::Add;

/// What an allocation costs beyond what was asked for: glibc's header of 8 bytes, and half of its
/// granule of 16 lost to rounding.
const PER_ALLOCATION: usize = 16;

/// Heap memory of a table, in bytes. What tables share is counted in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What look-ups read.
    pub lookup: usize,
    /// The routes themselves, where look-ups do not read them: for `get`, `iter`, `longest_match`
    /// and the next version.
    pub routes: usize,
}

impl Memory {
    /// Memory that look-ups read, in one allocation.
    pub(crate) const fn of_lookup(bytes: usize) -> Self {
        let lookup = bytes + PER_ALLOCATION;
        Self { lookup, routes: 0 }
    }

    /// Memory that look-ups do not read, in one allocation.
    pub(crate) const fn of_routes(bytes: usize) -> Self {
        let routes = bytes + PER_ALLOCATION;
        Self { lookup: 0, routes }
    }
}

impl Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lookup: self.lookup + other.lookup,
            routes: self.routes + other.routes,
        }
    }
}

impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}
