//! Which way does it leave?
//!
//! Reads: the ingress's virtual table, next hops. Writes: nothing.
//! Drops: `NoRoute`, `NoClientRoute`, `Blackhole`. Punts.

use tp_fib::NextHopId;
use tp_wire::MacAddr;

use crate::classify::{Ingress, TunnelLink, UpstreamLink};
use crate::counters::LinkId;
use crate::family::{Address, Family};
use crate::link::Link;
use crate::lookup::Key;
use crate::punt::Punted;
use crate::tables::{NextHop, Tables, VfibId};
use crate::verdict::DropReason;
use crate::verify::{Stop, Verified};

/// A packet with a way out.
#[derive(Debug)]
pub(crate) struct Routed<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) way: Way<'t>,
    /// The source MAC that is to be shown instead of the link's own.
    pub(crate) source: Option<MacAddr>,
    pub(crate) family: Family,
    pub(crate) len: u16,
}

/// Where a packet comes from and goes to. There is no way from an upstream to an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'t> {
    /// From an upstream to a client.
    Inward {
        from: UpstreamLink<'t>,
        to: TunnelLink<'t>,
    },
    /// From a client to an upstream.
    Outward {
        from: TunnelLink<'t>,
        to: UpstreamLink<'t>,
    },
    /// From a client to a client.
    Across {
        from: TunnelLink<'t>,
        to: TunnelLink<'t>,
    },
}

impl<'t> Way<'t> {
    /// The tunnel that the packet came from.
    #[inline]
    pub(crate) fn sender(&self) -> Option<TunnelLink<'t>> {
        match *self {
            Self::Inward { .. } => None,
            Self::Outward { from, .. } | Self::Across { from, .. } => Some(from),
        }
    }

    /// The tunnel that the packet goes into.
    #[inline]
    pub(crate) fn receiver(&self) -> Option<TunnelLink<'t>> {
        match *self {
            Self::Outward { .. } => None,
            Self::Inward { to, .. } | Self::Across { to, .. } => Some(to),
        }
    }

    /// The link that the packet leaves by.
    #[inline]
    pub(crate) fn link(&self) -> &'t Link {
        match self {
            Self::Inward { to, .. } | Self::Across { to, .. } => &to.tunnel.link,
            Self::Outward { to, .. } => &to.upstream.link,
        }
    }

    /// Its slot.
    #[inline]
    pub(crate) fn id(&self) -> LinkId {
        match self {
            Self::Inward { to, .. } | Self::Across { to, .. } => LinkId::Tunnel(to.slot),
            Self::Outward { to, .. } => LinkId::Upstream(to.slot),
        }
    }
}

/// Where the route of the packet's destination is found: what [`route`] is to be given.
#[inline]
pub(crate) fn key<'t>(verified: &Verified<'t>, packet: &[u8]) -> Key<'t> {
    let vfib = verified.vfib.and_then(|id| verified.tables.vfib(id));
    match Address::destination(verified.family, packet) {
        Address::V4(addr) => Key::V4(vfib.map(|vfib| &vfib.v4), addr),
        Address::V6(addr) => Key::V6(vfib.map(|vfib| &vfib.v6), addr),
    }
}

/// Answers for one packet whose route was looked up under its [`key`].
#[inline]
pub(crate) fn route(
    verified: Verified<'_>,
    found: Option<NextHopId>,
) -> Result<Routed<'_>, Stop<'_>> {
    let Verified {
        tables,
        from,
        vfib,
        family,
        len,
        ethernet_len,
    } = verified;
    let next_hop = found.map(|id| tables.next_hop(id));
    if next_hop == Some(NextHop::Punt) {
        return Err(Stop::Punt(Punted {
            from,
            len,
            ethernet_len,
        }));
    }
    let way = match from {
        Ingress::Upstream(from) => from_upstream(tables, from, next_hop),
        Ingress::Tunnel(from) => from_tunnel(tables, from, next_hop),
    };
    let way = way.map_err(Stop::Drop)?;
    Ok(Routed {
        tables,
        way,
        source: shown(tables, way.link(), vfib),
        family,
        len,
    })
}

/// The source MAC by which a link tells its peer that a packet was looked up in this table, if it does.
#[inline]
fn shown(tables: &Tables, link: &Link, vfib: Option<VfibId>) -> Option<MacAddr> {
    let ethernet = link.ethernet.as_ref()?;
    if ethernet.shown.is_empty() {
        return None;
    }
    Some(tables.vfib(vfib?)?.mac)
}

#[inline]
fn from_upstream<'t>(
    tables: &'t Tables,
    from: UpstreamLink<'t>,
    next_hop: Option<NextHop>,
) -> Result<Way<'t>, DropReason> {
    match next_hop {
        None | Some(NextHop::Upstream(_)) => Err(DropReason::NoClientRoute),
        Some(NextHop::Tunnel(slot)) => {
            let to = tables.tunnel(slot).ok_or(DropReason::Blackhole)?;
            Ok(Way::Inward { from, to })
        }
        Some(NextHop::Punt | NextHop::Drop) => Err(DropReason::Blackhole),
    }
}

#[inline]
fn from_tunnel<'t>(
    tables: &'t Tables,
    from: TunnelLink<'t>,
    next_hop: Option<NextHop>,
) -> Result<Way<'t>, DropReason> {
    match next_hop {
        None => Err(DropReason::NoRoute),
        Some(NextHop::Upstream(slot)) => {
            let to = tables.upstream(slot).ok_or(DropReason::Blackhole)?;
            Ok(Way::Outward { from, to })
        }
        Some(NextHop::Tunnel(slot)) => {
            let to = tables.tunnel(slot).ok_or(DropReason::Blackhole)?;
            Ok(Way::Across { from, to })
        }
        Some(NextHop::Punt | NextHop::Drop) => Err(DropReason::Blackhole),
    }
}
