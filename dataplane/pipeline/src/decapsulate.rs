//! Which packet does it carry?
//!
//! Reads: both ECN fields. Writes: the packet's start and end, the inner ECN field and checksum.
//! Drops: `EcnViolation`.

use tp_wire::{Ecn, Ipv4Packet};

use crate::classify::{Classified, Ingress};
use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::DropReason;

/// A packet that is its inner IPv4 packet: no byte in front of it or behind.
#[derive(Debug)]
pub(crate) struct Inner<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) from: Ingress<'t>,
    pub(crate) source: u32,
    pub(crate) destination: u32,
    pub(crate) len: u16,
}

/// Answers for one packet.
#[inline]
pub(crate) fn decapsulate<'t>(
    classified: Classified<'t>,
    packet: &mut Packet<'_>,
) -> Result<Inner<'t>, DropReason> {
    let Classified {
        tables,
        from,
        outer_ecn,
        inner,
    } = classified;
    packet
        .pull(usize::from(inner.offset))
        .ok_or(DropReason::BadMetadata)?;
    packet.truncate(usize::from(inner.len));
    // Without an outer header there is nothing to combine; nor is there with Not-ECT and ECT(0).
    if matches!(outer_ecn, Ecn::Ce | Ecn::Ect1) {
        let mut ip =
            Ipv4Packet::new_checked(packet.bytes_mut()).map_err(|_| DropReason::InnerMalformed)?;
        let ecn = combine(outer_ecn, ip.ecn()).ok_or(DropReason::EcnViolation)?;
        ip.set_ecn(ecn);
    }
    let (source, destination, len) = (inner.source, inner.destination, inner.len);
    Ok(Inner {
        tables,
        from,
        source,
        destination,
        len,
    })
}

/// The ECN field that leaves a tunnel (RFC 6040 section 4.2, figure 4); `None` is the drop.
#[inline]
fn combine(outer: Ecn, inner: Ecn) -> Option<Ecn> {
    match (outer, inner) {
        (Ecn::Ce, Ecn::NotEct) => None,
        (Ecn::Ce, _) => Some(Ecn::Ce),
        (Ecn::Ect1, Ecn::Ect0) => Some(Ecn::Ect1),
        (Ecn::NotEct | Ecn::Ect0 | Ecn::Ect1, inner) => Some(inner),
    }
}
