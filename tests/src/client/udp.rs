//! What stands in front of inner packets in UDP tunnels: RFC 768, FOU, and GUE by draft-ietf-intarea-gue-09.

use std::net::IpAddr;

use etherparse::UdpHeader;

use super::refusal::Refusal;
use super::spec::{GueVariant, Kind, Udp};

/// IP protocol (RFC 768).
pub(super) const PROTOCOL: u8 = 17;

/// Version field of a GUE header (draft section 3.1), and the value that says an IP header follows (section 4).
const VARIANT: u8 = 0xc0;
const DIRECT: u8 = 0x40;
/// Control bit and header length in words of four bytes (draft section 3.1).
const CONTROL: u8 = 0x20;
const WORDS: u8 = 0x1f;

/// A UDP header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) destination: u16,
    pub(super) checksummed: bool,
}

/// Destination port, if there is one.
pub(super) fn destination(payload: &[u8]) -> Option<u16> {
    let bytes = payload.get(2..4)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Reads a UDP header; without a checksum it is accepted over both families (RFC 6935 section 5).
pub(super) fn read(source: IpAddr, to: IpAddr, datagram: &[u8]) -> Result<Header, Refusal> {
    let (header, payload) = UdpHeader::from_slice(datagram).map_err(|_| Refusal::UdpLength)?;
    if usize::from(header.length) != datagram.len() {
        return Err(Refusal::UdpLength);
    }
    if header.checksum != 0 && Some(header.checksum) != checksum(&header, source, to, payload) {
        return Err(Refusal::UdpChecksum);
    }
    Ok(Header {
        destination: header.destination_port,
        checksummed: header.checksum != 0,
    })
}

/// Bytes of the GUE header at the start of a UDP payload, and the protocol that it names, if it names one.
pub(super) fn read_gue(payload: &[u8]) -> Result<(usize, Option<u8>), Refusal> {
    let first = *payload.first().ok_or(Refusal::GueHeader)?;
    match first & VARIANT {
        DIRECT => Ok((0, None)),
        // No control messages, and no field that a flag would announce: what comes is data alone.
        0 if first & (CONTROL | WORDS) == 0 && payload.get(2..4) == Some(&[0, 0]) => {
            Ok((4, Some(payload[1])))
        }
        _ => Err(Refusal::GueHeader),
    }
}

/// The headers in front of an inner packet of that protocol (4 or 41).
pub(super) fn write(
    kind: Kind,
    udp: Udp,
    (local, remote): (IpAddr, IpAddr),
    protocol: u8,
    inner: &[u8],
) -> Vec<u8> {
    let gue = match kind {
        Kind::Gue(_, GueVariant::Header) => vec![0, protocol, 0, 0],
        _ => Vec::new(),
    };
    let payload = [&gue, inner].concat();
    let length = UdpHeader::LEN + payload.len();
    let mut header = UdpHeader {
        source_port: udp.port,
        destination_port: udp.remote_port,
        // A TUN device's packet and its headers are below 64 KiB.
        length: u16::try_from(length).unwrap_or(u16::MAX),
        checksum: 0,
    };
    if udp.checksum {
        header.checksum = checksum(&header, local, remote, &payload).unwrap_or_default();
    }
    [header.to_bytes().as_slice(), &gue].concat()
}

fn checksum(header: &UdpHeader, source: IpAddr, to: IpAddr, payload: &[u8]) -> Option<u16> {
    match (source, to) {
        (IpAddr::V4(source), IpAddr::V4(to)) => header
            .calc_checksum_ipv4_raw(source.octets(), to.octets(), payload)
            .ok(),
        (IpAddr::V6(source), IpAddr::V6(to)) => header
            .calc_checksum_ipv6_raw(source.octets(), to.octets(), payload)
            .ok(),
        _ => None,
    }
}
