//! Whose is it, and in which tables?
//!
//! Reads: both generations of tables, the destination MAC. Writes: nothing.
//! Drops: `StaleIngress`, `InnerGroup`, `InnerNotForUs`.

use tp_wire::{Ecn, EthernetFrame, MacAddr};

use crate::counters::LinkId;
use crate::link::{EthernetLink, Link};
use crate::packet::Packet;
use crate::parse::{Content, InnerHeader, LinkRef, Parsed};
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
    /// In which of them its destination is looked up.
    pub(crate) vfib: Option<VfibId>,
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

impl<'t> Ingress<'t> {
    pub(crate) fn link(&self) -> &'t Link {
        match self {
            Self::Upstream(link) => &link.upstream.link,
            Self::Tunnel(link) => &link.tunnel.link,
        }
    }

    pub(crate) fn id(&self) -> LinkId {
        match self {
            Self::Upstream(link) => LinkId::Upstream(link.slot),
            Self::Tunnel(link) => LinkId::Tunnel(link.slot),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> LinkRef {
        match self {
            Self::Upstream(UpstreamLink { slot, upstream }) => LinkRef::Upstream(Tagged {
                slot: *slot,
                tag: upstream.tag,
            }),
            Self::Tunnel(TunnelLink { slot, tunnel }) => LinkRef::Tunnel(Tagged {
                slot: *slot,
                tag: tunnel.tag,
            }),
        }
    }

    /// The table of its upstream, if it has one of its own.
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
pub(crate) fn classify<'t>(
    parsed: Parsed,
    packet: &Packet<'_>,
    snapshot: &'t Snapshot,
) -> Result<Classified<'t>, DropReason> {
    let found = |tables| Some((tables, find(tables, parsed.from)?));
    // The current tables first: a slot and tag that both know is the same link in both, and the
    // packet goes the new way.
    let (tables, from) = found(&*snapshot.current)
        .or_else(|| found(snapshot.retiring.as_deref()?))
        .ok_or(DropReason::StaleIngress)?;
    let inner = parsed.inner;
    let vfib = match &from.link().ethernet {
        None => from.vfib(),
        Some(_) if inner.ethernet_len == 0 => return Err(DropReason::InnerNotForUs),
        Some(ethernet) => {
            let header = usize::from(inner.offset - inner.ethernet_len);
            let to = EthernetFrame::new_checked(&packet.bytes()[header..])
                .map_err(|_| DropReason::InnerMalformed)?
                .destination();
            selected(ethernet, to, inner.content, from.vfib())?
        }
    };
    Ok(Classified {
        tables,
        from,
        vfib,
        outer_ecn: parsed.outer_ecn,
        inner,
    })
}

/// The table that a frame to this MAC is for; `own` is that of the link's own.
#[inline]
fn selected(
    ethernet: &EthernetLink,
    to: MacAddr,
    content: Content,
    own: Option<VfibId>,
) -> Result<Option<VfibId>, DropReason> {
    if to == ethernet.own {
        return Ok(own);
    }
    if to.is_group() {
        return match content {
            Content::Arp | Content::Discovery => Ok(own),
            Content::Ip(_) => Err(DropReason::InnerGroup),
        };
    }
    let found = ethernet.shown.binary_search_by_key(&to, |(mac, _)| *mac);
    let index = found.map_err(|_| DropReason::InnerNotForUs)?;
    Ok(Some(ethernet.shown[index].1))
}

/// The link of this slot, if it is still the one of the tag.
pub(crate) fn find(tables: &Tables, link: LinkRef) -> Option<Ingress<'_>> {
    match link {
        LinkRef::Upstream(Tagged { slot, tag }) => {
            let link = tables.upstream(slot)?;
            (link.upstream.tag == tag).then_some(Ingress::Upstream(link))
        }
        LinkRef::Tunnel(Tagged { slot, tag }) => {
            let link = tables.tunnel(slot)?;
            (link.tunnel.tag == tag).then_some(Ingress::Tunnel(link))
        }
    }
}
