//! Which way does it leave?
//!
//! Reads: the ingress's virtual table, next hops. Writes: nothing.
//! Drops: `NoRoute`, `NoClientRoute`, `Blackhole`. Punts.

use tp_fib::{Fib4, NextHopId};

use crate::classify::{Ingress, TunnelLink, UpstreamLink};
use crate::counters::LinkId;
use crate::link::Link;
use crate::tables::{NextHop, Tables};
use crate::verdict::{DropReason, PuntTo, Verdict};
use crate::verify::Verified;

/// A packet with a way out.
#[derive(Debug)]
pub(crate) struct Routed<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) way: Way<'t>,
    pub(crate) len: u16,
}

/// Where a packet comes from and goes to. There is no way from an upstream to an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'t> {
    /// From an upstream to a client.
    Inward { to: TunnelLink<'t> },
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
            Self::Inward { to } | Self::Across { to, .. } => Some(to),
        }
    }

    /// The link that the packet leaves by.
    #[inline]
    pub(crate) fn link(&self) -> &'t Link {
        match self {
            Self::Inward { to } | Self::Across { to, .. } => &to.tunnel.link,
            Self::Outward { to, .. } => &to.upstream.link,
        }
    }

    /// Its slot.
    #[inline]
    pub(crate) fn id(&self) -> LinkId {
        match self {
            Self::Inward { to } | Self::Across { to, .. } => LinkId::Tunnel(to.slot),
            Self::Outward { to, .. } => LinkId::Upstream(to.slot),
        }
    }
}

/// Where the route of the packet's destination is found: what [`route`] is to be given.
#[inline]
pub(crate) fn key<'t>(verified: &Verified<'t>) -> (Option<&'t Fib4>, u32) {
    let vfib = verified.from.vfib();
    let table = vfib.and_then(|id| verified.tables.vfib(id));
    (table.map(|table| &table.v4), verified.destination)
}

/// Answers for one packet whose route was looked up under its [`key`].
///
/// # Errors
/// The verdict of a packet that does not go on: a drop, or a punt.
#[inline]
pub(crate) fn route(
    verified: Verified<'_>,
    found: Option<NextHopId>,
) -> Result<Routed<'_>, Verdict> {
    let Verified {
        tables, from, len, ..
    } = verified;
    let next_hop = found.map(|id| tables.next_hop(id));
    let way = match from {
        Ingress::Upstream(_) => from_upstream(tables, next_hop)?,
        Ingress::Tunnel(from) => from_tunnel(tables, from, next_hop)?,
    };
    Ok(Routed { tables, way, len })
}

const BLACKHOLE: Verdict = Verdict::Drop(DropReason::Blackhole);

#[inline]
fn from_upstream(tables: &Tables, next_hop: Option<NextHop>) -> Result<Way<'_>, Verdict> {
    match next_hop {
        None | Some(NextHop::Upstream(_)) => Err(Verdict::Drop(DropReason::NoClientRoute)),
        Some(NextHop::Tunnel(slot)) => {
            let to = tables.tunnel(slot).ok_or(BLACKHOLE)?;
            Ok(Way::Inward { to })
        }
        Some(NextHop::Punt) => Err(Verdict::Punt(PuntTo::Tun)),
        Some(NextHop::Drop) => Err(BLACKHOLE),
    }
}

#[inline]
fn from_tunnel<'t>(
    tables: &'t Tables,
    from: TunnelLink<'t>,
    next_hop: Option<NextHop>,
) -> Result<Way<'t>, Verdict> {
    match next_hop {
        None => Err(Verdict::Drop(DropReason::NoRoute)),
        Some(NextHop::Upstream(slot)) => {
            let to = tables.upstream(slot).ok_or(BLACKHOLE)?;
            Ok(Way::Outward { from, to })
        }
        Some(NextHop::Tunnel(slot)) => {
            let to = tables.tunnel(slot).ok_or(BLACKHOLE)?;
            Ok(Way::Across { from, to })
        }
        Some(NextHop::Punt) => Err(Verdict::Punt(PuntTo::Tun)),
        Some(NextHop::Drop) => Err(BLACKHOLE),
    }
}
