//! The table: what the pipeline reads and the compiler changes.

use crate::address::Address;
use crate::node::{self, Link, Node};
use crate::prefix::Prefix;

/// The value of a route: opaque here, an index for the table's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHopId(pub u32);

/// One change of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<A: Address = u32> {
    /// Adds the route, or gives it another value.
    Set(Prefix<A>, NextHopId),
    /// Removes the route; no effect if there is none.
    Remove(Prefix<A>),
}

/// A longest-prefix match table over the addresses of one family.
///
/// Cloning is cheap and shares everything. Equal routes make equal tables.
#[derive(Clone)]
pub struct Fib<A: Address> {
    root: Link<A>,
    len: usize,
}

/// A table of IPv4 routes.
pub type Fib4 = Fib<u32>;

/// A table of IPv6 routes.
pub type Fib6 = Fib<u128>;

impl<A: Address> Fib<A> {
    /// The table after these changes, made in their order. Shares with this one what they do not touch.
    #[must_use]
    pub fn with(&self, changes: &[Change<A>]) -> Self {
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
    pub fn lookup(&self, addr: A::Ip) -> Option<NextHopId> {
        self.longest_match(addr).map(|(_, value)| value)
    }

    /// Looks up each of `addrs` (host order) into the element of `found` with the same index.
    ///
    /// # Panics
    /// If `found` is shorter than `addrs`.
    #[inline]
    pub fn lookup_burst(&self, addrs: &[A], found: &mut [Option<NextHopId>]) {
        let root = self.root.as_deref();
        for (addr, found) in addrs.iter().zip(&mut found[..addrs.len()]) {
            *found = node::longest(root, *addr).map(|(_, value)| value);
        }
    }

    /// The longest prefix that contains `addr`, and its value.
    #[inline]
    #[must_use]
    pub fn longest_match(&self, addr: A::Ip) -> Option<(Prefix<A>, NextHopId)> {
        node::longest(self.root.as_deref(), addr.into())
    }

    /// The value of exactly this prefix.
    #[must_use]
    pub fn get(&self, prefix: Prefix<A>) -> Option<NextHopId> {
        node::get(self.root.as_deref(), prefix)
    }

    /// All routes, in the order of [`Prefix`].
    pub fn iter(&self) -> impl Iterator<Item = (Prefix<A>, NextHopId)> {
        let mut left: Vec<&Node<A>> = self.root.as_deref().into_iter().collect();
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

impl<A: Address> Default for Fib<A> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

impl<A: Address> FromIterator<(Prefix<A>, NextHopId)> for Fib<A> {
    fn from_iter<I: IntoIterator<Item = (Prefix<A>, NextHopId)>>(routes: I) -> Self {
        let mut table = Self::default();
        for (prefix, value) in routes {
            let old = node::set(&mut table.root, prefix, value);
            table.len += usize::from(old.is_none());
        }
        table
    }
}

impl<A: Address> PartialEq for Fib<A> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<A: Address> Eq for Fib<A> {}

impl<A: Address> std::fmt::Debug for Fib<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
