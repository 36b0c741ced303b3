//! Is it what steering says, and whole?
//!
//! Reads: metadata, outer and inner header. Writes: nothing.
//! Drops: `BadMetadata`, `OuterFragment`, `OuterIcmp`, `OuterMalformed`, `OuterChecksum`, `GreChecksum`,
//! `InnerUnsupported`, `InnerMalformed`, `InnerChecksum`.

use tp_wire::{Ecn, Ipv4Packet, is_ipv6};

use crate::abi::{IngressKind, META_MAGIC, Meta};
use crate::packet::Packet;
use crate::tables::{PortId, Tag, Tagged, TunnelSlot, UpstreamSlot};
use crate::tunnel;
use crate::verdict::DropReason;

/// A packet whose headers are whole: what they say, and where it claims to come from.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) ingress: Claim,
    pub(crate) inner: InnerHeader,
}

/// Where a packet comes from, as steering said when it saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claim {
    Upstream(Tagged<UpstreamSlot>),
    /// With the ECN field of the outer header.
    Tunnel(Tagged<TunnelSlot>, Ecn),
}

/// What the way of a packet depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InnerHeader {
    pub(crate) source: u32,
    pub(crate) destination: u32,
    /// Offset of the inner packet from the frame's start.
    pub(crate) offset: u16,
    /// Total length of the inner packet, all of it there.
    pub(crate) len: u16,
}

/// Answers for one packet that came from this port.
#[inline]
pub(crate) fn parse(packet: &Packet<'_>, port: PortId) -> Result<Parsed, DropReason> {
    let frame = packet.bytes();
    let meta = packet.meta().ok_or(DropReason::BadMetadata)?;
    let kind = check_meta(&meta, port, frame.len())?;
    let tag = Tag(meta.tag);
    match kind {
        IngressKind::Upstream => {
            if meta.inner_off != meta.l3_off {
                return Err(DropReason::BadMetadata);
            }
            if is_ipv6(&frame[usize::from(meta.inner_off)..]) {
                return Err(DropReason::InnerUnsupported);
            }
            let ingress = Claim::Upstream(Tagged {
                slot: UpstreamSlot(meta.slot),
                tag,
            });
            Ok(Parsed {
                ingress,
                inner: inner(frame, meta.inner_off)?,
            })
        }
        IngressKind::Tunnel => {
            let (ecn, frame) = outer(frame, &meta)?;
            let ingress = Claim::Tunnel(
                Tagged {
                    slot: TunnelSlot(meta.slot),
                    tag,
                },
                ecn,
            );
            Ok(Parsed {
                ingress,
                inner: inner(frame, meta.inner_off)?,
            })
        }
        IngressKind::L2Client | IngressKind::UpstreamTunnel => Err(DropReason::InnerUnsupported),
        IngressKind::OuterFragment => Err(DropReason::OuterFragment),
        IngressKind::OuterIcmp | IngressKind::OuterIcmpUpstream => Err(DropReason::OuterIcmp),
    }
}

/// The ingress kind of metadata that this port's steering can have written in front of
/// `len` bytes.
#[inline]
fn check_meta(meta: &Meta, port: PortId, len: usize) -> Result<IngressKind, DropReason> {
    let ok = meta.magic == META_MAGIC
        && u32::from(meta.port) == port.0
        && meta.l3_off <= meta.l4_off
        && meta.l3_off <= meta.inner_off
        && usize::from(meta.l4_off) <= len
        && usize::from(meta.inner_off) <= len;
    match IngressKind::from_u8(meta.ingress) {
        Some(kind) if ok => Ok(kind),
        _ => Err(DropReason::BadMetadata),
    }
}

/// The outer header's ECN field, and the frame without what follows the outer packet.
#[inline]
fn outer<'p>(frame: &'p [u8], meta: &Meta) -> Result<(Ecn, &'p [u8]), DropReason> {
    let l3_off = usize::from(meta.l3_off);
    let bytes = &frame[l3_off..];
    if is_ipv6(bytes) {
        return Err(DropReason::InnerUnsupported);
    }
    let outer = Ipv4Packet::new_checked(bytes).map_err(|_| DropReason::OuterMalformed)?;
    if !outer.is_checksum_valid() {
        return Err(DropReason::OuterChecksum);
    }
    if outer.is_fragment() {
        return Err(DropReason::OuterFragment);
    }
    // Where inner_off lies before the payload no length agrees, and none of that length is found.
    let header_len = usize::from(meta.inner_off).wrapping_sub(l3_off + outer.header_len());
    tunnel::open(outer.protocol(), outer.payload(), header_len)?;
    Ok((
        outer.ecn(),
        &frame[..l3_off + usize::from(outer.total_len())],
    ))
}

/// The inner header at this offset of a frame that is not shorter.
#[inline]
fn inner(frame: &[u8], offset: u16) -> Result<InnerHeader, DropReason> {
    let bytes = &frame[usize::from(offset)..];
    let inner = Ipv4Packet::new_checked(bytes).map_err(|_| DropReason::InnerMalformed)?;
    if !inner.is_checksum_valid() {
        return Err(DropReason::InnerChecksum);
    }
    Ok(InnerHeader {
        source: inner.source().to_bits(),
        destination: inner.destination().to_bits(),
        offset,
        len: inner.total_len(),
    })
}
