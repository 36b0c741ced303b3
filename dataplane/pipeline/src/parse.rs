//! Is it what steering says, and whole?
//!
//! Reads: metadata, all headers down to the inner packet's. Writes: nothing.
//! Drops: `BadMetadata`, `OuterFragment`, `OuterIcmp`, `OuterMalformed`, `OuterChecksum`, `GreChecksum`,
//! `UdpChecksum`, `InnerUnsupported`, `InnerMalformed`, `InnerChecksum`.

use tp_wire::{ArpPacket, Ecn, Error, EtherType, EthernetFrame, Ipv4Packet, Ipv6Packet, Protocol};

use crate::abi::{IngressKind, META_MAGIC, Meta};
use crate::counters::LinkId;
use crate::family::Family;
use crate::packet::Packet;
use crate::tables::{PortId, Tag, Tagged, TunnelSlot, UpstreamSlot};
use crate::tunnel::{self, Carries};
use crate::verdict::DropReason;

/// A packet whose headers are whole: what they say, and where it claims to come from.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// Where it comes from, as steering said when it saw it.
    pub(crate) from: LinkRef,
    /// Of the outer header; Not-ECT where there is none.
    pub(crate) outer_ecn: Ecn,
    pub(crate) inner: InnerHeader,
}

/// A link by slot and tag, as steering names it; what has the slot may have another tag by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkRef {
    Upstream(Tagged<UpstreamSlot>),
    Tunnel(Tagged<TunnelSlot>),
}

impl LinkRef {
    pub(crate) fn id(self) -> LinkId {
        match self {
            Self::Upstream(link) => LinkId::Upstream(link.slot),
            Self::Tunnel(link) => LinkId::Tunnel(link.slot),
        }
    }
}

/// Where the inner packet is, and what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InnerHeader {
    pub(crate) content: Content,
    /// Offset of the inner packet from the frame's start.
    pub(crate) offset: u16,
    /// Length of the inner packet, all of it there.
    pub(crate) len: u16,
    /// Bytes from the start of the Ethernet header, whose addresses are the inner packet's, to the inner
    /// packet; 0 if it has none, else at least 14.
    pub(crate) ethernet_len: u16,
}

/// What an inner packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// An IP packet like any other.
    Ip(Family),
    /// Neighbour discovery (RFC 4861) on Ethernet.
    Discovery,
    Arp,
}

impl Content {
    /// The family, if it is an IP packet.
    #[inline]
    pub(crate) const fn family(self) -> Option<Family> {
        match self {
            Self::Ip(family) => Some(family),
            Self::Discovery => Some(Family::V6),
            Self::Arp => None,
        }
    }
}

/// Answers for one packet that came from this port.
#[inline]
pub(crate) fn parse(packet: &Packet<'_>, port: PortId) -> Result<Parsed, DropReason> {
    let frame = packet.bytes();
    let meta = packet.meta().ok_or(DropReason::BadMetadata)?;
    let kind = check_meta(&meta, port, frame.len())?;
    let tag = Tag(meta.tag);
    let (upstream, tunnel) = (UpstreamSlot(meta.slot), TunnelSlot(meta.slot));
    let from = match kind {
        IngressKind::Upstream | IngressKind::UpstreamTunnel => LinkRef::Upstream(Tagged {
            slot: upstream,
            tag,
        }),
        IngressKind::L2Client | IngressKind::Tunnel => {
            LinkRef::Tunnel(Tagged { slot: tunnel, tag })
        }
        IngressKind::OuterFragment => return Err(DropReason::OuterFragment),
        IngressKind::OuterIcmp | IngressKind::OuterIcmpUpstream => {
            return Err(DropReason::OuterIcmp);
        }
    };
    let (outer_ecn, inner) = match kind {
        IngressKind::Upstream | IngressKind::L2Client => (Ecn::NotEct, bare(frame, &meta)?),
        _ => carried(frame, &meta)?,
    };
    Ok(Parsed {
        from,
        outer_ecn,
        inner,
    })
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

/// The packet of a bare link: its Ethernet header is the frame's.
#[inline]
fn bare(frame: &[u8], meta: &Meta) -> Result<InnerHeader, DropReason> {
    let len = EthernetFrame::<&[u8]>::HEADER_LEN;
    if meta.inner_off != meta.l3_off || usize::from(meta.l3_off) < len {
        return Err(DropReason::BadMetadata);
    }
    let behind = usize::from(meta.l3_off);
    let ethertype = EtherType(u16::from_be_bytes([frame[behind - 2], frame[behind - 1]]));
    match ethertype {
        EtherType::IPV4 | EtherType::IPV6 | EtherType::ARP => {
            inner(frame, ethertype, meta.l3_off, meta.l3_off)
        }
        _ => Err(DropReason::BadMetadata),
    }
}

/// The outer header's ECN field, and the packet behind the outer headers.
#[inline]
fn carried(frame: &[u8], meta: &Meta) -> Result<(Ecn, InnerHeader), DropReason> {
    let (l3_off, inner_off) = (usize::from(meta.l3_off), usize::from(meta.inner_off));
    let (outer, carries) = tunnel::open(&frame[l3_off..], inner_off - l3_off)?;
    // What follows the outer packet is link padding, and no part of what it carries.
    let frame = &frame[..l3_off + outer.header_len + outer.payload.len()];
    let inner = match carries {
        Carries::Ip(family) => inner(frame, family.ethertype(), meta.inner_off, 0)?,
        Carries::Ethernet => ethernet(frame, meta.inner_off)?,
    };
    Ok((outer.ecn, inner))
}

/// The packet behind the Ethernet header at this offset of a frame that is not shorter.
#[inline]
fn ethernet(frame: &[u8], offset: u16) -> Result<InnerHeader, DropReason> {
    /// An 802.1Q and an 802.1ad tag; a third is not looked at.
    const MOST_TAGS: usize = 2;
    let malformed = |_| DropReason::InnerMalformed;
    let header = EthernetFrame::new_checked(&frame[usize::from(offset)..]).map_err(malformed)?;
    let mut at = 12;
    for _ in 0..MOST_TAGS {
        match header.next_tag(&mut at).map_err(malformed)? {
            // A priority tag names no VLAN.
            Some(tag) if tag.vid() == 0 => {}
            Some(_) => return Err(DropReason::InnerUnsupported),
            None => break,
        }
    }
    let len = at + 2;
    let behind = usize::from(offset) + len;
    let ethertype = EtherType(u16::from_be_bytes([frame[behind - 2], frame[behind - 1]]));
    match ethertype {
        EtherType::IPV4 | EtherType::IPV6 | EtherType::ARP => {
            // An Ethernet header is at most 22 bytes long, and its end within the frame, whose
            // offsets have 16 bits.
            let len = u16::try_from(len).map_err(|_| DropReason::InnerMalformed)?;
            let behind = u16::try_from(behind).map_err(|_| DropReason::InnerMalformed)?;
            inner(frame, ethertype, behind, len)
        }
        _ => Err(DropReason::InnerUnsupported),
    }
}

/// The packet of this type at this offset of a frame that is not shorter.
#[inline]
fn inner(
    frame: &[u8],
    ethertype: EtherType,
    offset: u16,
    ethernet_len: u16,
) -> Result<InnerHeader, DropReason> {
    let bytes = &frame[usize::from(offset)..];
    let malformed = |_: Error| DropReason::InnerMalformed;
    let (content, len) = match ethertype {
        EtherType::IPV4 => {
            let ip = Ipv4Packet::new_checked(bytes).map_err(malformed)?;
            if !ip.is_checksum_valid() {
                return Err(DropReason::InnerChecksum);
            }
            (Content::Ip(Family::V4), ip.total_len())
        }
        EtherType::IPV6 => {
            let ip = Ipv6Packet::new_checked(bytes).map_err(malformed)?;
            let content = if ethernet_len > 0 && is_discovery(&ip) {
                Content::Discovery
            } else {
                Content::Ip(Family::V6)
            };
            let len = u16::try_from(ip.total_len()).map_err(|_| DropReason::InnerMalformed)?;
            (content, len)
        }
        _ => {
            ArpPacket::new_checked(bytes).map_err(malformed)?;
            #[allow(clippy::cast_possible_truncation, reason = "28")]
            let len = ArpPacket::<&[u8]>::LEN as u16;
            (Content::Arp, len)
        }
    };
    Ok(InnerHeader {
        content,
        offset,
        len,
        ethernet_len,
    })
}

/// Router and neighbour solicitations and advertisements from a neighbour (RFC 4861 section 11.2: a router
/// would have taken one from the hop limit).
#[inline]
fn is_discovery(ip: &Ipv6Packet<&[u8]>) -> bool {
    ip.next_header() == Protocol::ICMPV6
        && ip.hop_limit() == 255
        && matches!(ip.payload().first(), Some(133..=136))
}
