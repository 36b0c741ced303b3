//! A path-compressed binary trie (Patricia) whose nodes are shared between versions.
//!
//! Invariants, which make the shape of a trie a function of its routes alone:
//! - a node's prefix is a strict prefix of its children's, and child `i`'s first bit behind it is `i`;
//! - a node has a value or two children, so there are fewer than twice as many nodes as routes.
//!
//! A path from the root has at most 33 nodes (IPv6: 129), one for each length from 0. That bounds
//! every recursion here, dropping the last owner of a trie included.

use std::sync::Arc;

use crate::address::Address;
use crate::prefix::Prefix;
use crate::table::NextHopId;

/// A trie: nothing, or its top node.
pub(crate) type Link<A> = Option<Arc<Node<A>>>;

#[derive(Debug)]
pub(crate) struct Node<A: Address> {
    prefix: Prefix<A>,
    value: Option<NextHopId>,
    children: [Link<A>; 2],
}

impl<A: Address> Node<A> {
    fn leaf(prefix: Prefix<A>, value: NextHopId) -> Arc<Self> {
        Arc::new(Self {
            prefix,
            value: Some(value),
            children: [None, None],
        })
    }

    pub(crate) fn route(&self) -> Option<(Prefix<A>, NextHopId)> {
        Some((self.prefix, self.value?))
    }

    pub(crate) fn children(&self) -> &[Link<A>; 2] {
        &self.children
    }
}

/// The longest route that covers `addr`.
#[inline]
pub(crate) fn longest<A: Address>(
    mut at: Option<&Node<A>>,
    addr: A,
) -> Option<(Prefix<A>, NextHopId)> {
    let mut best = None;
    while let Some(node) = at {
        if !node.prefix.covers_bits(addr) {
            break;
        }
        if let Some(value) = node.value {
            best = Some((node.prefix, value));
        }
        if node.prefix.len() == A::BITS {
            break;
        }
        at = node.children[node.prefix.side(addr)].as_deref();
    }
    best
}

/// The value of exactly this prefix.
pub(crate) fn get<A: Address>(mut at: Option<&Node<A>>, prefix: Prefix<A>) -> Option<NextHopId> {
    while let Some(node) = at {
        if node.prefix == prefix {
            return node.value;
        }
        // A strictly shorter prefix, so side() below has a bit.
        if node.prefix.len() >= prefix.len() || !node.prefix.covers(prefix) {
            return None;
        }
        at = node.children[node.prefix.side(prefix.bits())].as_deref();
    }
    None
}

/// Sets a route in place; nodes that another version shares are copied first.
/// Returns the value that was there.
pub(crate) fn set<A: Address>(
    link: &mut Link<A>,
    prefix: Prefix<A>,
    value: NextHopId,
) -> Option<NextHopId> {
    let Some(top) = link else {
        *link = Some(Node::leaf(prefix, value));
        return None;
    };
    if top.prefix == prefix {
        return make_mut(top).value.replace(value);
    }
    if top.prefix.covers(prefix) {
        let side = top.prefix.side(prefix.bits());
        return set(&mut make_mut(top).children[side], prefix, value);
    }
    // The new route goes above the node: on the path to it, or beside it under a new fork.
    let below = top.prefix;
    let common = below.common(prefix);
    let mut fork = Node {
        prefix: common,
        value: None,
        children: [None, None],
    };
    fork.children[common.side(below.bits())] = link.take();
    if common == prefix {
        fork.value = Some(value);
    } else {
        fork.children[common.side(prefix.bits())] = Some(Node::leaf(prefix, value));
    }
    *link = Some(Arc::new(fork));
    None
}

/// Removes a route that is there, in place; nodes that another version shares are copied first.
pub(crate) fn remove<A: Address>(link: &mut Link<A>, prefix: Prefix<A>) {
    let Some(top) = link else { return };
    let node = make_mut(top);
    if node.prefix == prefix {
        node.value = None;
    } else {
        remove(&mut node.children[node.prefix.side(prefix.bits())], prefix);
    }
    // A node without a value exists only to fork.
    if node.value.is_none() {
        match &mut node.children {
            [Some(_), Some(_)] => {}
            [only @ Some(_), None] | [None, only @ Some(_)] => *link = only.take(),
            [None, None] => *link = None,
        }
    }
}

/// The node to write to: itself if no other version has it, else a copy.
fn make_mut<A: Address>(node: &mut Arc<Node<A>>) -> &mut Node<A> {
    // Clone of a node is shallow: its children become shared.
    Arc::make_mut(node)
}

impl<A: Address> Clone for Node<A> {
    fn clone(&self) -> Self {
        Self {
            prefix: self.prefix,
            value: self.value,
            children: self.children.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::address::bits::Bits;
    use crate::prefix::{Prefix4, Prefix6};

    /// Checks the invariants of all nodes below, and counts them.
    fn check<A: Address>(link: &Link<A>) -> usize {
        let Some(node) = link else { return 0 };
        assert!(
            node.value.is_some() || node.children.iter().all(Option::is_some),
            "{node:?}"
        );
        for (side, child) in node.children.iter().enumerate() {
            let Some(child) = child else { continue };
            assert!(node.prefix.len() < child.prefix.len() && node.prefix.covers(child.prefix));
            assert_eq!(node.prefix.side(child.prefix.bits()), side);
        }
        1 + node.children.iter().map(check).sum::<usize>()
    }

    /// Changes of random prefixes; dense enough for forks to come and go.
    fn changed<A: Address>(changes: Vec<(bool, Prefix<A>)>) {
        let mut root = None;
        let mut routes = 0;
        for (add, prefix) in changes {
            let was = get(root.as_deref(), prefix).is_some();
            match (add, was) {
                (true, _) => {
                    routes += usize::from(set(&mut root, prefix, NextHopId(1)).is_none());
                }
                (false, true) => {
                    remove(&mut root, prefix);
                    routes -= 1;
                }
                (false, false) => {}
            }
            let nodes = check(&root);
            assert!(
                nodes < (2 * routes).max(1),
                "{nodes} nodes for {routes} routes"
            );
        }
    }

    proptest! {
        #[test]
        fn invariants_hold_after_each_change(
            changes in prop::collection::vec((any::<bool>(), 0u32..256, 0u8..=8), 0..100),
        ) {
            let v4 = |high: u32, len| {
                let bits = (high << 24) & u32::mask(len);
                Prefix4::new(Ipv4Addr::from(bits), len).unwrap()
            };
            // The last eight bits.
            let v6 = |low: u32, len| {
                let bits = u128::from(low) & u128::mask(120 + len);
                Prefix6::new(Ipv6Addr::from(bits), 120 + len).unwrap()
            };
            changed(changes.iter().map(|&(add, bits, len)| (add, v4(bits, len))).collect());
            changed(changes.iter().map(|&(add, bits, len)| (add, v6(bits, len))).collect());
        }
    }
}
