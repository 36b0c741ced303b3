//! May it have this source?
//!
//! Reads: the owners of addresses. Writes: nothing.
//! Drops: `ForgedSource`, `MartianSource`, `MartianDestination`.

use tp_fib::{Fib4, NextHopId};

use crate::classify::Ingress;
use crate::decapsulate::Inner;
use crate::tables::Tables;
use crate::verdict::DropReason;

/// A packet whose source its link may send from.
#[derive(Debug)]
pub(crate) struct Verified<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) from: Ingress<'t>,
    pub(crate) destination: u32,
    pub(crate) len: u16,
}

/// Where the owner of the packet's source is found: what [`verify`] is to be given.
#[inline]
pub(crate) fn key<'t>(inner: &Inner<'t>) -> (Option<&'t Fib4>, u32) {
    match inner.from {
        Ingress::Tunnel(_) => (Some(&inner.tables.owners.v4), inner.source),
        // The owner of an upstream's source does not matter: no table is no work.
        Ingress::Upstream(_) => (None, inner.source),
    }
}

/// Answers for one packet whose source's owner was looked up under its [`key`].
#[inline]
pub(crate) fn verify(
    inner: Inner<'_>,
    owner: Option<NextHopId>,
) -> Result<Verified<'_>, DropReason> {
    let Inner {
        tables,
        from,
        source,
        destination,
        len,
    } = inner;
    match from {
        Ingress::Tunnel(link) => {
            if owner != Some(NextHopId(link.tunnel.client.0)) {
                return Err(DropReason::ForgedSource);
            }
            if is_martian(destination) {
                return Err(DropReason::MartianDestination);
            }
        }
        Ingress::Upstream(_) => {
            if is_martian(source) {
                return Err(DropReason::MartianSource);
            }
        }
    }
    Ok(Verified {
        tables,
        from,
        destination,
        len,
    })
}

/// 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4 and 240.0.0.0/4 (RFC 1812 sections 5.3.7 and 4.2.2.11):
/// no source of a host, and no destination of a forwarded packet.
#[inline]
#[must_use]
pub const fn is_martian(addr: u32) -> bool {
    matches!(addr >> 24, 0 | 127 | 224..)
}
