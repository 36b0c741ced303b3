//! Routes in the order of their prefixes, and what becomes of them.

use std::fmt;

use crate::address::Address;
use crate::prefix::Prefix;
use crate::table::{Change, NextHopId};

/// A route.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Route<A> {
    pub(crate) prefix: Prefix<A>,
    pub(crate) value: NextHopId,
}

impl<A: Address> fmt::Debug for Route<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.prefix, self.value.0)
    }
}

/// What becomes of a prefix: its new value, or `None` if it goes.
pub(crate) type Edit<A> = (Prefix<A>, Option<NextHopId>);

/// Changes as edits in the order of their prefixes, the last one of each prefix.
pub(crate) fn edits<A: Address>(changes: impl Iterator<Item = Change<A>>) -> Vec<Edit<A>> {
    let edit = |change| match change {
        Change::Set(prefix, value) => (prefix, Some(value)),
        Change::Remove(prefix) => (prefix, None),
    };
    let mut edits: Vec<Edit<A>> = changes.map(edit).collect();
    // Stable: edits of one prefix stay in the order in which they were made.
    edits.sort_by_key(|(prefix, _)| *prefix);
    edits.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            *kept = *later;
        }
        same
    });
    edits
}

/// Routes after edits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Merged<A: Address> {
    pub(crate) routes: Vec<Route<A>>,
    /// Routes that were there before.
    pub(crate) before: usize,
    /// Whether any edit had an effect.
    pub(crate) changed: bool,
}

/// The routes after these edits; both in order, each prefix once.
pub(crate) fn merge<A: Address>(
    old: impl Iterator<Item = Route<A>>,
    edits: &[Edit<A>],
) -> Merged<A> {
    let mut old = old.peekable();
    let mut merged = Merged {
        routes: Vec::with_capacity(old.size_hint().0 + edits.len()),
        before: 0,
        changed: false,
    };
    for &(prefix, value) in edits {
        while let Some(route) = old.next_if(|route| route.prefix < prefix) {
            merged.routes.push(route);
            merged.before += 1;
        }
        let was = old.next_if(|route| route.prefix == prefix);
        merged.before += usize::from(was.is_some());
        merged.changed |= was.map(|route| route.value) != value;
        let route = value.map(|value| Route { prefix, value });
        merged.routes.extend(route);
    }
    let edited = merged.routes.len();
    merged.routes.extend(old);
    merged.before += merged.routes.len() - edited;
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::Prefix4;

    fn prefix(addr: [u8; 4], len: u8) -> Prefix4 {
        Prefix4::new(addr.into(), len).unwrap()
    }

    fn route(addr: [u8; 4], len: u8, value: u32) -> Route<u32> {
        let (prefix, value) = (prefix(addr, len), NextHopId(value));
        Route { prefix, value }
    }

    #[test]
    fn edits_set_replace_and_remove_and_the_last_of_a_prefix_counts() {
        let old = [
            route([10, 0, 0, 0], 8, 1),
            route([10, 0, 0, 0], 16, 2),
            route([12, 0, 0, 0], 8, 3),
        ];
        let edits = edits(
            [
                Change::Set(prefix([11, 0, 0, 0], 8), NextHopId(5)),
                Change::Set(prefix([10, 0, 0, 0], 16), NextHopId(6)),
                Change::Remove(prefix([9, 0, 0, 0], 8)),
                Change::Remove(prefix([10, 0, 0, 0], 16)),
                Change::Remove(prefix([10, 0, 0, 0], 8)),
                Change::Set(prefix([10, 0, 0, 0], 8), NextHopId(7)),
            ]
            .into_iter(),
        );
        let routes = vec![
            route([10, 0, 0, 0], 8, 7),
            route([11, 0, 0, 0], 8, 5),
            route([12, 0, 0, 0], 8, 3),
        ];
        let expected = Merged {
            routes,
            before: 3,
            changed: true,
        };
        assert_eq!(merge(old.into_iter(), &edits), expected);
    }

    #[test]
    fn what_is_there_already_or_not_there_is_no_change() {
        let old = [route([10, 0, 0, 0], 8, 1)];
        let edits = [
            (old[0].prefix, Some(NextHopId(1))),
            (prefix([11, 0, 0, 0], 8), None),
        ];
        let merged = merge(old.into_iter(), &edits);
        assert!(!merged.changed);
        assert_eq!(merged.routes, old);
    }
}
