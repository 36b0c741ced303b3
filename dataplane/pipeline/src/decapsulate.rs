//! Which packet does it carry?
//!
//! Reads: both ECN fields. Writes: the packet's start and end, the inner ECN field and checksum.
//! Drops: `EcnViolation`.

use tp_wire::{Ecn, Ipv4Packet, Ipv6Packet};

use crate::classify::{Classified, Ingress};
use crate::family::Family;
use crate::packet::Packet;
use crate::parse::Content;
use crate::tables::{Tables, VfibId};
use crate::verdict::DropReason;

/// A packet that is its inner packet: no byte in front of it or behind.
#[derive(Debug)]
pub(crate) struct Inner<'t> {
    pub(crate) tables: &'t Tables,
    pub(crate) from: Ingress<'t>,
    pub(crate) vfib: Option<VfibId>,
    pub(crate) content: Content,
    pub(crate) len: u16,
    /// As in [`crate::parse::InnerHeader`]: the Ethernet header is in front of the packet yet.
    pub(crate) ethernet_len: u16,
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
        vfib,
        outer_ecn,
        inner,
    } = classified;
    packet
        .pull(usize::from(inner.offset))
        .ok_or(DropReason::BadMetadata)?;
    packet.truncate(usize::from(inner.len));
    // Without an outer header there is nothing to combine; nor is there with Not-ECT and ECT(0).
    if matches!(outer_ecn, Ecn::Ce | Ecn::Ect1)
        && let Some(family) = inner.content.family()
    {
        mark(family, packet.bytes_mut(), outer_ecn)?;
    }
    Ok(Inner {
        tables,
        from,
        vfib,
        content: inner.content,
        len: inner.len,
        ethernet_len: inner.ethernet_len,
    })
}

/// Gives the inner packet the ECN field that it leaves the tunnel with.
fn mark(family: Family, packet: &mut [u8], outer: Ecn) -> Result<(), DropReason> {
    let malformed = |_| DropReason::InnerMalformed;
    match family {
        Family::V4 => {
            let mut ip = Ipv4Packet::new_checked(packet).map_err(malformed)?;
            let ecn = combine(outer, ip.ecn()).ok_or(DropReason::EcnViolation)?;
            // What the kernel gets has the other zero of its checksum as it arrived.
            if ecn != ip.ecn() {
                ip.set_ecn(ecn);
            }
        }
        Family::V6 => {
            let mut ip = Ipv6Packet::new_checked(packet).map_err(malformed)?;
            ip.set_ecn(combine(outer, ip.ecn()).ok_or(DropReason::EcnViolation)?);
        }
    }
    Ok(())
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
