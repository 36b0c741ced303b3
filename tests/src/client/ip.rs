//! IP headers of both families, as far as a client's end reads and writes them.

use std::net::IpAddr;
use std::ops::Range;

use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv6FlowLabel, Ipv6Header, Ipv6HeaderSlice,
};

use super::refusal::Refusal;

/// Next header: Destination Options (RFC 8200 section 4.6).
const DESTINATION_OPTIONS: u8 = 60;
/// A Destination Options header with a Tunnel Encapsulation Limit of 4 and padding, but for the next header: what
/// Linux puts into what its `ip6_tunnel` and `ip6_gre` send (RFC 2473 section 4.1.1).
const ENCAPSULATION_LIMIT: [u8; 7] = [0, 4, 1, 4, 1, 1, 0];
/// TTL of outer packets: what Linux uses for its own.
const OUTER_TTL: u8 = 64;

/// An outer packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outer {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// TTL or hop limit.
    pub(super) ttl: u8,
    /// DSCP and ECN.
    pub(super) tos: u8,
    /// Behind the headers.
    pub(super) payload: Range<usize>,
    /// What is wrong with it, if anything is.
    pub(super) fault: Option<Refusal>,
}

/// Reads the outer header; what is wrong with one that can be read is told beside it, so that faults of packets that
/// are no tunnel's are nobody's.
pub(super) fn read(packet: &[u8]) -> Result<Outer, Refusal> {
    match packet.first().map(|first| first >> 4) {
        Some(4) => read_v4(packet),
        Some(6) => read_v6(packet),
        _ => Err(Refusal::OuterHeader),
    }
}

fn read_v4(packet: &[u8]) -> Result<Outer, Refusal> {
    let ip = Ipv4HeaderSlice::from_slice(packet).map_err(|_| Refusal::OuterHeader)?;
    let fault = if ip.ihl() != 5 {
        Some(Refusal::OuterHeader)
    } else if ip.header_checksum() != ip.to_header().calc_header_checksum() {
        Some(Refusal::OuterChecksum)
    } else if usize::from(ip.total_len()) != packet.len() {
        Some(Refusal::OuterLength)
    } else if ip.is_fragmenting_payload() {
        Some(Refusal::OuterFragment)
    } else {
        None
    };
    Ok(Outer {
        source: ip.source_addr().into(),
        destination: ip.destination_addr().into(),
        protocol: ip.protocol().0,
        ttl: ip.ttl(),
        tos: packet[1],
        payload: ip.slice().len()..packet.len(),
        fault,
    })
}

fn read_v6(packet: &[u8]) -> Result<Outer, Refusal> {
    let ip = Ipv6HeaderSlice::from_slice(packet).map_err(|_| Refusal::OuterHeader)?;
    let mut start = ip.slice().len();
    let mut protocol = ip.next_header().0;
    let mut fault = None;
    if start + usize::from(ip.payload_length()) != packet.len() {
        fault = Some(Refusal::OuterLength);
    }
    if protocol == DESTINATION_OPTIONS {
        match packet.get(start..start + 8) {
            Some([next, 0, ..]) => {
                protocol = *next;
                start += 8;
            }
            _ => return Err(Refusal::OuterHeader),
        }
    }
    Ok(Outer {
        source: ip.source_addr().into(),
        destination: ip.destination_addr().into(),
        protocol,
        ttl: ip.hop_limit(),
        tos: ip.traffic_class(),
        payload: start..packet.len(),
        fault,
    })
}

/// The outer header in front of a payload of that length. The addresses are of one family, which the specification's
/// reader has no way to promise: a pair of two gives a packet that nobody takes.
pub(super) fn write(
    (local, remote): (IpAddr, IpAddr),
    protocol: u8,
    limit: bool,
    payload: usize,
) -> Vec<u8> {
    // A TUN device's packet and its headers are below 64 KiB.
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX);
    match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let mut ip = Ipv4Header {
                total_len: length(Ipv4Header::MIN_LEN + payload),
                time_to_live: OUTER_TTL,
                dont_fragment: true,
                fragment_offset: IpFragOffset::ZERO,
                protocol: IpNumber(protocol),
                source: local.octets(),
                destination: remote.octets(),
                ..Ipv4Header::default()
            };
            ip.header_checksum = ip.calc_header_checksum();
            ip.to_bytes().to_vec()
        }
        (local, remote) => {
            let options = if limit {
                1 + ENCAPSULATION_LIMIT.len()
            } else {
                0
            };
            let ip = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::ZERO,
                payload_length: length(options + payload),
                next_header: IpNumber(if limit { DESTINATION_OPTIONS } else { protocol }),
                hop_limit: OUTER_TTL,
                source: v6(local),
                destination: v6(remote),
            };
            let mut bytes = ip.to_bytes().to_vec();
            if limit {
                bytes.push(protocol);
                bytes.extend(ENCAPSULATION_LIMIT);
            }
            bytes
        }
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// An inner packet must be as a host would send it: the portal has no business to damage it. Answers its version.
pub(super) fn check_inner(inner: &[u8]) -> Result<u8, Refusal> {
    let version = inner.first().ok_or(Refusal::InnerHeader)? >> 4;
    let length = match version {
        4 => {
            let ip = Ipv4HeaderSlice::from_slice(inner).map_err(|_| Refusal::InnerHeader)?;
            if ip.header_checksum() != ip.to_header().calc_header_checksum() {
                return Err(Refusal::InnerChecksum);
            }
            usize::from(ip.total_len())
        }
        6 => {
            let ip = Ipv6HeaderSlice::from_slice(inner).map_err(|_| Refusal::InnerHeader)?;
            ip.slice().len() + usize::from(ip.payload_length())
        }
        _ => return Err(Refusal::InnerHeader),
    };
    if length != inner.len() {
        return Err(Refusal::InnerLength);
    }
    Ok(version)
}
