//! The table: what the pipeline reads and the compiler changes.

use std::net::Ipv4Addr;

use crate::node::{self, Link, Node};
use crate::prefix::Prefix4;

/// The value of a route: opaque here, an index for the table's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHopId(pub u32);

/// One change of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds the route, or gives it another value.
    Set(Prefix4, NextHopId),
    /// Removes the route; no effect if there is none.
    Remove(Prefix4),
}

/// A longest-prefix match table over IPv4 addresses.
///
/// Cloning is cheap and shares everything. Equal routes make equal tables.
#[derive(Clone, Default)]
pub struct Fib4 {
    root: Link,
    len: usize,
}

impl Fib4 {
    /// The table after these changes, made in their order. Shares with this one what they do not touch.
    #[must_use]
    pub fn with(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        for change in changes {
            match *change {
                Change::Set(prefix, value) => {
                    let old = node::set(&mut next.root, prefix, value);
                    next.len += usize::from(old.is_none());
                }
                // Looked up first: a path must not be copied to remove nothing.
                Change::Remove(prefix) if next.get(prefix).is_some() => {
                    node::remove(&mut next.root, prefix);
                    next.len -= 1;
                }
                Change::Remove(_) => {}
            }
        }
        next
    }

    /// The value of the longest prefix that contains `addr`.
    #[inline]
    #[must_use]
    pub fn lookup(&self, addr: Ipv4Addr) -> Option<NextHopId> {
        self.longest_match(addr).map(|(_, value)| value)
    }

    /// Looks up each of `addrs` (host order) into the element of `found` with the same index.
    ///
    /// # Panics
    /// If `found` is shorter than `addrs`.
    #[inline]
    pub fn lookup_burst(&self, addrs: &[u32], found: &mut [Option<NextHopId>]) {
        let root = self.root.as_deref();
        for (addr, found) in addrs.iter().zip(&mut found[..addrs.len()]) {
            *found = node::longest(root, *addr).map(|(_, value)| value);
        }
    }

    /// The longest prefix that contains `addr`, and its value.
    #[inline]
    #[must_use]
    pub fn longest_match(&self, addr: Ipv4Addr) -> Option<(Prefix4, NextHopId)> {
        node::longest(self.root.as_deref(), addr.to_bits())
    }

    /// The value of exactly this prefix.
    #[must_use]
    pub fn get(&self, prefix: Prefix4) -> Option<NextHopId> {
        node::get(self.root.as_deref(), prefix)
    }

    /// All routes, in the order of [`Prefix4`].
    pub fn iter(&self) -> impl Iterator<Item = (Prefix4, NextHopId)> {
        let mut left: Vec<&Node> = self.root.as_deref().into_iter().collect();
        std::iter::from_fn(move || {
            loop {
                let node = left.pop()?;
                left.extend(node.children().iter().rev().flatten().map(AsRef::as_ref));
                if let Some(route) = node.route() {
                    return Some(route);
                }
            }
        })
    }

    /// Number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl FromIterator<(Prefix4, NextHopId)> for Fib4 {
    fn from_iter<I: IntoIterator<Item = (Prefix4, NextHopId)>>(routes: I) -> Self {
        let mut table = Self::default();
        for (prefix, value) in routes {
            let old = node::set(&mut table.root, prefix, value);
            table.len += usize::from(old.is_none());
        }
        table
    }
}

impl PartialEq for Fib4 {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for Fib4 {}

impl std::fmt::Debug for Fib4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
