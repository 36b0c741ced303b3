//! Section 1: metadata, outer header, inner header.

use std::net::Ipv4Addr;

use tp_pipeline::DropReason;
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};

use super::Arrival;
use crate::packet::internet_checksum;
use crate::reference::bytes::Bytes;

/// The inner IPv4 packet, cut to its total length.
pub(super) struct Inner {
    /// What kind of link it came from.
    pub(super) from: Origin,
    /// Where it started in the frame.
    pub(super) start: usize,
    bytes: Vec<u8>,
}

/// What kind of link a packet came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Upstream,
    Tunnel { outer_ecn: u8 },
}

impl Inner {
    pub(super) fn ecn(&self) -> u8 {
        self.bytes[1] & 3
    }

    pub(super) fn set_ecn(&mut self, ecn: u8) {
        self.bytes[1] = self.bytes[1] & 0xfc | ecn;
    }

    pub(super) fn ttl(&self) -> u8 {
        self.bytes[8]
    }

    pub(super) fn set_ttl(&mut self, ttl: u8) {
        self.bytes[8] = ttl;
    }

    pub(super) fn total_length(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn source(&self) -> Ipv4Addr {
        Bytes(&self.bytes).ipv4(12).expect("a whole header")
    }

    pub(super) fn destination(&self) -> Ipv4Addr {
        Bytes(&self.bytes).ipv4(16).expect("a whole header")
    }

    /// The packet with its header checksum computed anew.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let header_len = usize::from(self.bytes[0] & 0x0f) * 4;
        self.bytes[10..12].fill(0);
        let checksum = internet_checksum(&self.bytes[..header_len]);
        self.bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        self.bytes
    }
}

pub(super) fn parse(arrival: &Arrival<'_>) -> Result<(Meta, Inner), DropReason> {
    let meta = arrival.meta.ok_or(DropReason::BadMetadata)?;
    let kind = check(&meta, arrival).ok_or(DropReason::BadMetadata)?;
    let (l3, start) = (usize::from(meta.l3_off), usize::from(meta.inner_off));
    let (from, there) = match kind {
        IngressKind::OuterFragment => return Err(DropReason::OuterFragment),
        IngressKind::OuterIcmp | IngressKind::OuterIcmpUpstream => {
            return Err(DropReason::OuterIcmp);
        }
        IngressKind::L2Client | IngressKind::UpstreamTunnel => {
            return Err(DropReason::InnerUnsupported);
        }
        IngressKind::Upstream => (Origin::Upstream, arrival.frame),
        IngressKind::Tunnel => {
            let outer = &arrival.frame[l3..];
            let length = parse_outer(outer, start - l3)?;
            (
                Origin::Tunnel {
                    outer_ecn: outer[1] & 3,
                },
                &arrival.frame[..l3 + length],
            )
        }
    };
    if from == Origin::Upstream {
        if start != l3 {
            return Err(DropReason::BadMetadata);
        }
        if there[start..].first().is_some_and(|first| first >> 4 == 6) {
            return Err(DropReason::InnerUnsupported);
        }
    }
    let header = ipv4(&there[start..]).ok_or(DropReason::InnerMalformed)?;
    if internet_checksum(&there[start..start + header.len]) != 0 {
        return Err(DropReason::InnerChecksum);
    }
    let bytes = there[start..start + header.total_length].to_vec();
    Ok((meta, Inner { from, start, bytes }))
}

fn check(meta: &Meta, arrival: &Arrival<'_>) -> Option<IngressKind> {
    let fine = meta.magic == META_MAGIC
        && meta.port == arrival.port
        && meta.l3_off <= meta.l4_off
        && meta.l3_off <= meta.inner_off
        && usize::from(meta.l4_off) <= arrival.frame.len()
        && usize::from(meta.inner_off) <= arrival.frame.len();
    let kind = IngressKind::from_u8(meta.ingress)?;
    fine.then_some(kind)
}

struct Header {
    len: usize,
    total_length: usize,
}

/// The lengths of an IPv4 header that is whole and whose lengths are possible.
fn ipv4(there: &[u8]) -> Option<Header> {
    let fixed = there.get(..20)?;
    let len = usize::from(fixed[0] & 0x0f) * 4;
    let total_length = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let possible = fixed[0] >> 4 == 4 && len >= 20 && len <= total_length;
    (possible && total_length <= there.len()).then_some(Header { len, total_length })
}

/// The outer total length, if the tunnel header behind the outer header ends at `inner`.
fn parse_outer(outer: &[u8], inner: usize) -> Result<usize, DropReason> {
    let first = outer.first().ok_or(DropReason::OuterMalformed)?;
    if first >> 4 == 6 {
        return Err(DropReason::InnerUnsupported);
    }
    let header = ipv4(outer).ok_or(DropReason::OuterMalformed)?;
    if internet_checksum(&outer[..header.len]) != 0 {
        return Err(DropReason::OuterChecksum);
    }
    if u16::from_be_bytes([outer[6], outer[7]]) & 0x3fff != 0 {
        return Err(DropReason::OuterFragment);
    }
    let behind = Bytes(&outer[header.len..header.total_length]);
    let gre = match outer[9] {
        4 => None,
        47 => Some(gre_header_len(behind)?),
        _ => return Err(DropReason::InnerUnsupported),
    };
    if header.len + gre.unwrap_or(0) != inner {
        return Err(DropReason::BadMetadata);
    }
    if gre.is_some() {
        if behind.0[0] & 0x80 != 0 && internet_checksum(behind.0) != 0 {
            return Err(DropReason::GreChecksum);
        }
        if behind.0[2..4] != [0x08, 0x00] {
            return Err(DropReason::InnerUnsupported);
        }
    }
    Ok(header.total_length)
}

fn gre_header_len(gre: Bytes<'_>) -> Result<usize, DropReason> {
    gre.range(0, 4).map_err(|_| DropReason::OuterMalformed)?;
    let flags = u16::from_be_bytes([gre.0[0], gre.0[1]]);
    if flags & (0x4000 | 0x0800 | 0x0400 | 0x0007) != 0 {
        return Err(DropReason::InnerUnsupported);
    }
    let words = [0x8000, 0x2000, 0x1000]
        .iter()
        .filter(|bit| flags & **bit != 0)
        .count();
    let len = 4 + 4 * words;
    gre.range(0, len)
        .map(|_| len)
        .map_err(|_| DropReason::OuterMalformed)
}
