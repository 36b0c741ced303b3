//! Section 1 of a carried link: the outer header and the tunnel header.

use tp_pipeline::DropReason;
use tp_pipeline::abi::Meta;
use tp_wire::MacAddr;

use super::inner::{Addresses, Family, Inner, ipv4_lengths};
use crate::packet::internet_checksum;
use crate::reference::bytes::Bytes;

/// What a tunnel header says it carries.
enum Carries {
    Packet(Family),
    Ethernet,
    /// What the first four bits say.
    Version,
}

/// The inner packet of a frame that came in outer headers.
pub(super) fn parse(meta: &Meta, frame: &[u8]) -> Result<Inner, DropReason> {
    let (l3, start) = (usize::from(meta.l3_off), usize::from(meta.inner_off));
    let outer = Outer::read(&frame[l3..])?;
    let carries = match outer.protocol {
        4 | 41 | 47 | 17 => tunnel_header(&outer, start - l3)?,
        _ => return Err(DropReason::InnerUnsupported),
    };
    let packet = &frame[..l3 + outer.bytes.len()];
    let mut inner = match carries {
        Carries::Packet(family) => Inner::read(family, packet, start)?,
        Carries::Version => {
            let family = match packet[start..].first().map(|first| first >> 4) {
                Some(4) => Family::V4,
                Some(6) => Family::V6,
                _ => return Err(DropReason::InnerUnsupported),
            };
            Inner::read(family, packet, start)?
        }
        Carries::Ethernet => ethernet(packet, start)?,
    };
    inner.outer_ecn = Some(outer.ecn);
    Ok(inner)
}

/// An outer packet, cut to its length.
struct Outer<'a> {
    bytes: &'a [u8],
    /// Where its headers end.
    payload: usize,
    protocol: u8,
    ecn: u8,
}

impl<'a> Outer<'a> {
    fn read(there: &'a [u8]) -> Result<Self, DropReason> {
        let first = there.first().ok_or(DropReason::OuterMalformed)?;
        match first >> 4 {
            6 => Self::read_v6(there),
            _ => Self::read_v4(there),
        }
    }

    fn read_v4(there: &'a [u8]) -> Result<Self, DropReason> {
        let (header, total) = ipv4_lengths(there).ok_or(DropReason::OuterMalformed)?;
        if internet_checksum(&there[..header]) != 0 {
            return Err(DropReason::OuterChecksum);
        }
        if u16::from_be_bytes([there[6], there[7]]) & 0x3fff != 0 {
            return Err(DropReason::OuterFragment);
        }
        Ok(Self {
            bytes: &there[..total],
            payload: header,
            protocol: there[9],
            ecn: there[1] & 3,
        })
    }

    fn read_v6(there: &'a [u8]) -> Result<Self, DropReason> {
        let fixed = there.get(..40).ok_or(DropReason::OuterMalformed)?;
        let total = 40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        let bytes = there.get(..total).ok_or(DropReason::OuterMalformed)?;
        let (mut at, mut protocol) = (40, fixed[6]);
        let mut extensions = 0;
        while matches!(protocol, 0 | 43 | 44 | 60) {
            let header = bytes.get(at..at + 8).ok_or(DropReason::OuterMalformed)?;
            if extensions == 4 {
                return Err(DropReason::OuterMalformed);
            }
            let length = match protocol {
                44 => 8,
                _ => (usize::from(header[1]) + 1) * 8,
            };
            if protocol == 44 && u16::from_be_bytes([header[2], header[3]]) & 0xfff9 != 0 {
                return Err(DropReason::OuterFragment);
            }
            at += length;
            if at > bytes.len() {
                return Err(DropReason::OuterMalformed);
            }
            protocol = header[0];
            extensions += 1;
        }
        Ok(Self {
            bytes,
            payload: at,
            protocol,
            ecn: fixed[1] >> 4 & 3,
        })
    }

    /// What follows the headers.
    fn behind(&self) -> Bytes<'a> {
        Bytes(&self.bytes[self.payload..])
    }
}

/// `inner` is where the metadata says that the tunnel header ends.
fn tunnel_header(outer: &Outer<'_>, inner: usize) -> Result<Carries, DropReason> {
    let ends_at = |end: usize| {
        if end == inner {
            Ok(())
        } else {
            Err(DropReason::BadMetadata)
        }
    };
    match outer.protocol {
        47 => {
            let length = gre_header_len(outer.behind())?;
            ends_at(outer.payload + length)?;
            gre_carries(outer.behind().0)
        }
        17 => udp(outer, inner),
        protocol => {
            ends_at(outer.payload)?;
            let family = if protocol == 4 {
                Family::V4
            } else {
                Family::V6
            };
            Ok(Carries::Packet(family))
        }
    }
}

fn gre_header_len(gre: Bytes<'_>) -> Result<usize, DropReason> {
    gre.range(0, 4).map_err(|_| DropReason::OuterMalformed)?;
    let flags = u16::from_be_bytes([gre.0[0], gre.0[1]]);
    if flags & (0x4000 | 0x0800 | 0x0400 | 0x0007) != 0 {
        return Err(DropReason::InnerUnsupported);
    }
    let optional = [0x8000, 0x2000, 0x1000];
    let words = optional.iter().filter(|bit| flags & **bit != 0).count();
    let len = 4 + 4 * words;
    match gre.range(0, len) {
        Ok(_) => Ok(len),
        Err(_) => Err(DropReason::OuterMalformed),
    }
}

fn gre_carries(gre: &[u8]) -> Result<Carries, DropReason> {
    if gre[0] & 0x80 != 0 && internet_checksum(gre) != 0 {
        return Err(DropReason::GreChecksum);
    }
    match gre[2..4] {
        [0x08, 0x00] => Ok(Carries::Packet(Family::V4)),
        [0x86, 0xdd] => Ok(Carries::Packet(Family::V6)),
        [0x65, 0x58] => Ok(Carries::Ethernet),
        _ => Err(DropReason::InnerUnsupported),
    }
}

fn udp(outer: &Outer<'_>, inner: usize) -> Result<Carries, DropReason> {
    let udp = outer.behind().0;
    let header = udp.get(..8).ok_or(DropReason::OuterMalformed)?;
    if usize::from(u16::from_be_bytes([header[4], header[5]])) != udp.len() {
        return Err(DropReason::OuterMalformed);
    }
    let end = outer.payload + 8;
    if inner < end {
        return Err(DropReason::BadMetadata);
    }
    if header[6..8] != [0, 0] && internet_checksum(&[&pseudo_header(outer), udp].concat()) != 0 {
        return Err(DropReason::UdpChecksum);
    }
    if inner == end {
        return Ok(Carries::Version);
    }
    let gue = &udp[8..];
    let first = *gue.first().ok_or(DropReason::OuterMalformed)?;
    let length = 4 + 4 * usize::from(first & 0x1f);
    if gue.len() < length {
        return Err(DropReason::OuterMalformed);
    }
    if first & 0xe0 != 0 {
        return Err(DropReason::InnerUnsupported);
    }
    if end + length != inner {
        return Err(DropReason::BadMetadata);
    }
    match gue[1..4] {
        [4, 0, 0] => Ok(Carries::Packet(Family::V4)),
        [41, 0, 0] => Ok(Carries::Packet(Family::V6)),
        _ => Err(DropReason::InnerUnsupported),
    }
}

/// RFC 768, and RFC 8200 section 8.1: addresses, length, protocol.
fn pseudo_header(outer: &Outer<'_>) -> Vec<u8> {
    let addresses = match outer.bytes[0] >> 4 {
        6 => &outer.bytes[8..40],
        _ => &outer.bytes[12..20],
    };
    let length = u32::try_from(outer.bytes.len() - outer.payload).expect("below 64 KiB");
    let mut pseudo = addresses.to_vec();
    pseudo.extend(length.to_be_bytes());
    pseudo.extend([0, 0, 0, 17]);
    pseudo
}

/// An Ethernet frame that a tunnel carries.
fn ethernet(packet: &[u8], start: usize) -> Result<Inner, DropReason> {
    let frame = Bytes(packet);
    let there = |_| DropReason::InnerMalformed;
    frame.range(start, 14).map_err(there)?;
    let mac = |at: usize| -> Result<MacAddr, DropReason> { frame.mac(at).map_err(there) };
    let addresses = Addresses {
        destination: mac(start)?,
        source: mac(start + 6)?,
    };
    let mut end = start + 14;
    let mut ethertype = frame.u16(start + 12).map_err(there)?;
    for _ in 0..2 {
        if matches!(ethertype, 0x8100 | 0x88a8) {
            let tag = frame.range(end, 4).map_err(there)?;
            if u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff != 0 {
                return Err(DropReason::InnerUnsupported);
            }
            ethertype = u16::from_be_bytes([tag[2], tag[3]]);
            end += 4;
        }
    }
    let family = Family::of_ethertype(ethertype).ok_or(DropReason::InnerUnsupported)?;
    let mut inner = Inner::read(family, packet, end)?;
    inner.addresses = Some(addresses);
    Ok(inner)
}
