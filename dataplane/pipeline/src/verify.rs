//! May it have this source? And is it for the portal itself?
//!
//! Reads: the link's addresses, the owners of addresses. Writes: nothing.
//! Drops: `LinkProtocol`, `ForgedSource`, `MartianSource`, `MartianDestination`. Punts.

use std::net::IpAddr;

use tp_fib::NextHopId;

use crate::classify::Ingress;
use crate::decapsulate::Inner;
use crate::family::{Address, Family};
use crate::link::Local;
use crate::lookup::Key;
use crate::parse::Content;
use crate::punt::Punted;
use crate::tables::{Tables, VfibId};
use crate::verdict::DropReason;

/// A packet whose source its link may send from, and that is to be forwarded.
#[derive(Debug)]
pub(crate) struct Verified<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) from: Ingress<'t>,
    pub(crate) vfib: Option<VfibId>,
    pub(crate) family: Family,
    pub(crate) len: u16,
    /// As in [`crate::parse::InnerHeader`].
    pub(crate) ethernet_len: u16,
}

/// A packet that is to be forwarded, if it may have its source.
#[derive(Debug)]
pub(crate) struct Onward<'t> {
    tables: &'t Tables,
    from: Ingress<'t>,
    vfib: Option<VfibId>,
    pub(crate) family: Family,
    len: u16,
    ethernet_len: u16,
}

/// Why a packet is not forwarded.
#[derive(Debug)]
pub(crate) enum Stop<'t> {
    /// It is for the portal itself.
    Punt(Punted<'t>),
    Drop(DropReason),
}

/// Tells what is for the link itself from what is to be forwarded.
#[inline]
pub(crate) fn local<'t>(inner: Inner<'t>, packet: &[u8]) -> Result<Onward<'t>, Stop<'t>> {
    let Inner {
        tables,
        from,
        vfib,
        content,
        len,
        ethernet_len,
    } = inner;
    let slow_path = from.link().local.as_deref();
    let punted = Stop::Punt(Punted {
        from,
        len,
        ethernet_len,
    });
    match (content, slow_path) {
        (Content::Ip(family), None) => Ok(family),
        (Content::Ip(family), Some(local)) => match talks(local, family, packet) {
            Ok(true) => Err(punted),
            Ok(false) => Ok(family),
            Err(reason) => Err(Stop::Drop(reason)),
        },
        (Content::Arp | Content::Discovery, Some(_)) => Err(punted),
        (Content::Arp | Content::Discovery, None) => Err(Stop::Drop(DropReason::LinkProtocol)),
    }
    .map(|family| Onward {
        tables,
        from,
        vfib,
        family,
        len,
        ethernet_len,
    })
}

/// Whether the packet is to one of the portal's addresses on the link; it must be from the peer then.
#[inline]
fn talks(local: &Local, family: Family, packet: &[u8]) -> Result<bool, DropReason> {
    let to = Address::destination(family, packet);
    if !local.pairs.iter().any(|pair| to.is(pair.portal)) {
        return Ok(false);
    }
    let from = Address::source(family, packet);
    if local.pairs.iter().any(|pair| from.is(pair.peer)) {
        Ok(true)
    } else {
        Err(DropReason::ForgedSource)
    }
}

/// Where the owner of the packet's source is found: what [`verify`] is to be given.
#[inline]
pub(crate) fn key<'t>(onward: &Onward<'t>, packet: &[u8]) -> Key<'t> {
    // The owner of an upstream's source does not matter: no table is no work.
    let owners = match onward.from {
        Ingress::Tunnel(_) => Some(&onward.tables.owners),
        Ingress::Upstream(_) => None,
    };
    match Address::source(onward.family, packet) {
        Address::V4(addr) => Key::V4(owners.map(|owners| &owners.v4), addr),
        Address::V6(addr) => Key::V6(owners.map(|owners| &owners.v6), addr),
    }
}

/// Answers for one packet whose source's owner was looked up under its [`key`].
#[inline]
pub(crate) fn verify<'t>(
    onward: Onward<'t>,
    packet: &[u8],
    owner: Option<NextHopId>,
) -> Result<Verified<'t>, DropReason> {
    let Onward {
        tables,
        from,
        vfib,
        family,
        len,
        ethernet_len,
    } = onward;
    match from {
        Ingress::Tunnel(link) => {
            if owner != Some(NextHopId(link.tunnel.client.0)) {
                return Err(DropReason::ForgedSource);
            }
            if Address::destination(family, packet).is_martian() {
                return Err(DropReason::MartianDestination);
            }
        }
        Ingress::Upstream(_) => {
            if Address::source(family, packet).is_martian() {
                return Err(DropReason::MartianSource);
            }
        }
    }
    Ok(Verified {
        tables,
        from,
        vfib,
        family,
        len,
        ethernet_len,
    })
}

/// Whether this is no source of a host, and no destination of a forwarded packet
/// (`docs/forwarding.md`, section 4).
#[must_use]
pub fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => Address::V4(address.to_bits()),
        IpAddr::V6(address) => Address::V6(address.to_bits()),
    }
    .is_martian()
}
