//! Can it leave that way?
//!
//! Reads: TTL, link header, MTU, headroom. Writes: TTL and checksum.
//! Drops: `TtlExceeded`, `NeighbourUnresolved`, `NoPort`, `TooBig`, `NoHeadroom`.

use tp_wire::{Ecn, Ipv4Packet};

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
    pub(crate) link: &'t LinkHeader,
    /// Total length of the inner packet.
    pub(crate) len: u16,
    /// Of the inner packet.
    pub(crate) ecn: Ecn,
}

/// Answers for one packet.
#[inline]
pub(crate) fn fit<'t>(
    routed: Routed<'t>,
    packet: &mut Packet<'_>,
) -> Result<Fitted<'t>, DropReason> {
    let Routed { tables, way, len } = routed;
    let headroom = packet.start();
    let mut ip =
        Ipv4Packet::new_checked(packet.bytes_mut()).map_err(|_| DropReason::InnerMalformed)?;
    if ip.ttl() <= 1 {
        return Err(DropReason::TtlExceeded);
    }
    let link = way
        .link()
        .egress
        .as_ref()
        .ok_or(DropReason::NeighbourUnresolved)?;
    let port = tables.ports.get(link.port.index()).copied().flatten();
    let mtu = port.ok_or(DropReason::NoPort)?.mtu;
    let overhead = way.link().encap.overhead();
    if usize::from(len) + overhead > usize::from(mtu) {
        return Err(DropReason::TooBig);
    }
    // Before the meters: a packet that is dropped for another reason is charged to nobody.
    if headroom < overhead + link.len() {
        return Err(DropReason::NoHeadroom);
    }
    ip.decrement_ttl();
    Ok(Fitted {
        tables,
        way,
        link,
        len,
        ecn: ip.ecn(),
    })
}
