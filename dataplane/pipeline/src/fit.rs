//! Can it leave that way?
//!
//! Reads: TTL or hop limit, link header, MTU, headroom. Writes: TTL or hop limit, and checksum.
//! Drops: `TtlExceeded`, `NoPort`, `TooBig`, `NoHeadroom`. Holds.

use tp_wire::{Ecn, Ipv4Packet, Ipv6Packet, MacAddr};

use crate::family::Family;
use crate::link::LinkHeader;
use crate::packet::Packet;
use crate::route::{Routed, Way};
use crate::tables::Tables;
use crate::verdict::DropReason;

/// A packet that can leave: its TTL is decremented, and the headers that it will get fit in
/// front of it and in the MTU.
#[derive(Debug)]
pub(crate) struct Fitted<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) way: Way<'t>,
    /// As in [`Routed`].
    pub(crate) source: Option<MacAddr>,
    pub(crate) link: &'t LinkHeader,
    pub(crate) family: Family,
    /// Length of the inner packet.
    pub(crate) len: u16,
    /// Of the inner packet.
    pub(crate) ecn: Ecn,
}

/// Why a packet cannot leave.
#[derive(Debug)]
pub(crate) enum Unfit {
    Drop(DropReason),
    /// Not yet: the way out has no link header. Nothing of the packet is changed.
    Unresolved,
}

impl From<DropReason> for Unfit {
    fn from(reason: DropReason) -> Self {
        Self::Drop(reason)
    }
}

/// Answers for one packet.
#[inline]
pub(crate) fn fit<'t>(routed: &Routed<'t>, packet: &mut Packet<'_>) -> Result<Fitted<'t>, Unfit> {
    let Routed {
        tables,
        way,
        source,
        family,
        len,
    } = *routed;
    let headroom = packet.start();
    let mut hops = Hops::of(family, packet)?;
    if hops.left() <= 1 {
        return Err(DropReason::TtlExceeded.into());
    }
    let out = way.link();
    let link = out.egress.as_ref().ok_or(Unfit::Unresolved)?;
    let port = tables.ports.get(link.port.index()).copied().flatten();
    let mtu = port.ok_or(DropReason::NoPort)?.mtu;
    let overhead = out.encap.overhead();
    if usize::from(len) + overhead > usize::from(mtu) {
        return Err(DropReason::TooBig.into());
    }
    // Before the meters: a packet that is dropped for another reason is charged to nobody.
    if headroom < overhead + link.len() {
        return Err(DropReason::NoHeadroom.into());
    }
    hops.decrement();
    Ok(Fitted {
        tables,
        way,
        source,
        link,
        family,
        len,
        ecn: hops.ecn(),
    })
}

/// A packet's header, for the hops that it has left.
enum Hops<'p> {
    V4(Ipv4Packet<&'p mut [u8]>),
    V6(Ipv6Packet<&'p mut [u8]>),
}

impl<'p> Hops<'p> {
    #[inline]
    fn of(family: Family, packet: &'p mut Packet<'_>) -> Result<Self, DropReason> {
        let bytes = packet.bytes_mut();
        match family {
            Family::V4 => Ipv4Packet::new_checked(bytes).map(Self::V4),
            Family::V6 => Ipv6Packet::new_checked(bytes).map(Self::V6),
        }
        .map_err(|_| DropReason::InnerMalformed)
    }

    #[inline]
    fn left(&self) -> u8 {
        match self {
            Self::V4(ip) => ip.ttl(),
            Self::V6(ip) => ip.hop_limit(),
        }
    }

    #[inline]
    fn decrement(&mut self) {
        match self {
            Self::V4(ip) => ip.decrement_ttl(),
            Self::V6(ip) => ip.decrement_hop_limit(),
        }
    }

    #[inline]
    fn ecn(&self) -> Ecn {
        match self {
            Self::V4(ip) => ip.ecn(),
            Self::V6(ip) => ip.ecn(),
        }
    }
}
