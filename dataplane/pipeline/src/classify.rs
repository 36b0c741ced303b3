//! Whose is it, and in which tables?
//!
//! Reads: both generations of tables. Writes: nothing. Drops: `StaleIngress`.

use tp_wire::Ecn;

use crate::counters::LinkId;
use crate::parse::{Claim, InnerHeader, Parsed};
use crate::tables::{
    Snapshot, Tables, Tagged, Tunnel, TunnelSlot, Upstream, UpstreamSlot, Vfib, VfibId,
};
use crate::verdict::DropReason;

/// A packet that comes from a link that the tables know.
#[derive(Debug)]
pub(crate) struct Classified<'t> {
    /// The tables in which its link was found; no others are read from here on.
    pub(crate) tables: &'t Tables,
    pub(crate) from: Ingress<'t>,
    /// Of the outer header; Not-ECT where there is none.
    pub(crate) outer_ecn: Ecn,
    pub(crate) inner: InnerHeader,
}

/// The link that a packet comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ingress<'t> {
    Upstream(UpstreamLink<'t>),
    Tunnel(TunnelLink<'t>),
}

/// An upstream and its slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpstreamLink<'t> {
    pub(crate) slot: UpstreamSlot,
    pub(crate) upstream: &'t Upstream,
}

/// A tunnel and its slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TunnelLink<'t> {
    pub(crate) slot: TunnelSlot,
    pub(crate) tunnel: &'t Tunnel,
}

impl Ingress<'_> {
    pub(crate) fn id(&self) -> LinkId {
        match self {
            Self::Upstream(link) => LinkId::Upstream(link.slot),
            Self::Tunnel(link) => LinkId::Tunnel(link.slot),
        }
    }

    pub(crate) fn vfib(&self) -> Option<VfibId> {
        match self {
            Self::Upstream(link) => Some(link.upstream.vfib),
            Self::Tunnel(link) => link.tunnel.vfib,
        }
    }
}

impl Tables {
    /// The table of this id, if there is one.
    pub(crate) fn vfib(&self, id: VfibId) -> Option<&Vfib> {
        self.vfibs.get(id.index())
    }

    pub(crate) fn upstream(&self, slot: UpstreamSlot) -> Option<UpstreamLink<'_>> {
        let upstream = self.upstreams.get(slot.index())?.as_ref()?;
        Some(UpstreamLink { slot, upstream })
    }

    pub(crate) fn tunnel(&self, slot: TunnelSlot) -> Option<TunnelLink<'_>> {
        let tunnel = self.tunnels.get(slot.index())?.as_ref()?;
        Some(TunnelLink { slot, tunnel })
    }
}

/// Answers for one packet.
#[inline]
pub(crate) fn classify(parsed: Parsed, snapshot: &Snapshot) -> Result<Classified<'_>, DropReason> {
    let Parsed { ingress, inner } = parsed;
    let outer_ecn = match ingress {
        Claim::Upstream(_) => Ecn::NotEct,
        Claim::Tunnel(_, ecn) => ecn,
    };
    let classified = |tables| {
        let from = find(tables, ingress)?;
        Some(Classified {
            tables,
            from,
            outer_ecn,
            inner,
        })
    };
    // The current tables first: a slot and tag that both know is the same link in both, and the
    // packet goes the new way.
    classified(&*snapshot.current)
        .or_else(|| classified(snapshot.retiring.as_deref()?))
        .ok_or(DropReason::StaleIngress)
}

/// The link of this slot, if it is still the one of the tag.
fn find(tables: &Tables, claim: Claim) -> Option<Ingress<'_>> {
    match claim {
        Claim::Upstream(Tagged { slot, tag }) => {
            let link = tables.upstream(slot)?;
            (link.upstream.tag == tag).then_some(Ingress::Upstream(link))
        }
        Claim::Tunnel(Tagged { slot, tag }, _) => {
            let link = tables.tunnel(slot)?;
            (link.tunnel.tag == tag).then_some(Ingress::Tunnel(link))
        }
    }
}
