//! Packets that wait for a neighbour: what of a decision outlives the tables that it was made by.

use tp_wire::MacAddr;

use crate::classify::{Ingress, find};
use crate::counters::LinkId;
use crate::family::Family;
use crate::parse::LinkRef;
use crate::route::{Routed, Way};
use crate::tables::Tables;

/// A packet that found its way out without a link header.
///
/// It names links by slot and tag, and the source MAC that it shows by itself: nothing of it is an
/// index into the tables that routed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    from: LinkRef,
    to: LinkRef,
    source: Option<MacAddr>,
    family: Family,
    pub(crate) len: u16,
}

impl Held {
    /// What is to be remembered of a packet on this way.
    pub(crate) fn new(routed: &Routed<'_>) -> Self {
        let (from, to) = match routed.way {
            Way::Inward { from, to } => (Ingress::Upstream(from), Ingress::Tunnel(to)),
            Way::Across { from, to } => (Ingress::Tunnel(from), Ingress::Tunnel(to)),
            Way::Outward { from, to } => (Ingress::Tunnel(from), Ingress::Upstream(to)),
        };
        Self {
            from: from.name(),
            to: to.name(),
            source: routed.source,
            family: routed.family,
            len: routed.len,
        }
    }

    /// The slots of the links that it came from and goes to.
    pub(crate) fn ids(&self) -> (LinkId, LinkId) {
        (self.from.id(), self.to.id())
    }

    /// Whether both wait for the same neighbour.
    #[must_use]
    pub fn waits_with(&self, other: &Self) -> bool {
        self.to == other.to
    }

    /// The same way in these tables; `None` if they do not have its links any more.
    pub(crate) fn routed<'t>(&self, tables: &'t Tables) -> Option<Routed<'t>> {
        let way = match (find(tables, self.from)?, find(tables, self.to)?) {
            (Ingress::Upstream(from), Ingress::Tunnel(to)) => Way::Inward { from, to },
            (Ingress::Tunnel(from), Ingress::Upstream(to)) => Way::Outward { from, to },
            (Ingress::Tunnel(from), Ingress::Tunnel(to)) => Way::Across { from, to },
            // There is no such way, so no such packet was held.
            (Ingress::Upstream(_), Ingress::Upstream(_)) => return None,
        };
        Some(Routed {
            tables,
            way,
            source: self.source,
            family: self.family,
            len: self.len,
        })
    }
}
