//! Faults: in the description of a frame, and in its bytes.

use super::Rng;
use super::config::{Config, carried as carried_by, kind, mac, remote};
use super::link::group;
use super::pick::{any, bytes, chance, one_of};
use super::traffic::{anywhere, ecn};
use crate::packet::{
    Checksum, Field, Frame, Gre, GrePayload, Ip, Ipv4, Network, Tag, Transport, internet_checksum,
};
use tp_control::model::TunnelKind;

/// One fault somewhere in the frame.
pub(super) fn distort(rng: &mut Rng, config: &Config, frame: &mut Frame) {
    match rng.u32(0..10) {
        0 => distort_addresses(rng, config, frame),
        1 => distort_tags(rng, frame),
        2 => frame.padding = rng.usize(1..50),
        _ => {
            let Network::Ip(Ip::V4(packet)) = &mut frame.payload else {
                return;
            };
            match inner(&mut packet.payload) {
                Some(carried) if chance(rng, 50) => distort_inner(rng, carried),
                Some(_) => distort_outer(rng, config, packet),
                None => distort_inner(rng, packet),
            }
        }
    }
}

fn distort_addresses(rng: &mut Rng, config: &Config, frame: &mut Frame) {
    match rng.u32(0..4) {
        0 => frame.destination = group(rng),
        1 => frame.destination = mac(rng),
        2 => {
            let others = config.kernel.links.values().map(|link| link.mac);
            frame.destination = any(rng, others).expect("a kernel has links");
        }
        _ => {
            frame.source = if chance(rng, 20) {
                [0; 6].into()
            } else {
                mac(rng)
            }
        }
    }
}

fn distort_tags(rng: &mut Rng, frame: &mut Frame) {
    let vid = *one_of(rng, &[0, 0, 10, 20]);
    let tag = if rng.bool() { Tag::c(vid) } else { Tag::s(vid) };
    match rng.u32(0..6) {
        0 => frame.tags.clear(),
        1 => frame.tags.reverse(),
        2 => frame.tags.iter_mut().for_each(|tag| tag.tpid = 0x8100),
        3 => frame.tags.push(tag),
        _ => frame.tags.insert(0, tag),
    }
}

/// What a tunnel's packet carries, if it is IPv4.
fn inner(transport: &mut Transport) -> Option<&mut Ipv4> {
    match transport {
        Transport::Ip(packet) => v4(packet),
        Transport::Gre(gre) => match &mut gre.payload {
            GrePayload::Ip(packet) => v4(packet),
            _ => None,
        },
        _ => None,
    }
}

fn v4(packet: &mut Ip) -> Option<&mut Ipv4> {
    match packet {
        Ip::V4(packet) => Some(packet),
        Ip::V6(_) => None,
    }
}

/// A fault of the outer header or of the tunnel header.
pub(super) fn distort_outer(rng: &mut Rng, config: &Config, packet: &mut Ipv4) {
    match rng.u32(0..8) {
        0 => packet.source = remote(rng),
        1 => packet.destination = [192, 0, 2, rng.u8(1..6)].into(),
        2 => packet.tos = ecn(rng),
        3 => rewrap(rng, config, packet),
        4 | 5 => {
            if let Transport::Gre(gre) = &mut packet.payload {
                distort_gre(rng, gre);
            }
        }
        _ => distort_header(rng, packet),
    }
}

/// The same packet in another tunnel header.
fn rewrap(rng: &mut Rng, config: &Config, packet: &mut Ipv4) {
    let Some(carried) = inner(&mut packet.payload).cloned() else {
        return;
    };
    let known = any(
        rng,
        config.model.tunnels.values().map(|t| carried_by(t).kind),
    );
    let kind = known.unwrap_or_else(|| kind(rng));
    packet.payload = match kind {
        TunnelKind::Ipip => carried.into(),
        TunnelKind::Gre { key } => Gre::new(key, carried).into(),
        other => unreachable!("no configuration has {other:?} yet"),
    };
}

fn distort_gre(rng: &mut Rng, gre: &mut Gre) {
    match rng.u32(0..8) {
        0 => gre.key = None,
        1 => gre.key = Some(*one_of(rng, &[0, 1, 7])),
        2 => gre.checksum = Some(Checksum::Right),
        3 => gre.checksum = Some(Checksum::Wrong),
        4 => gre.sequence = Some(rng.u32(..)),
        5 => gre.odd_flags = 1 << rng.u32(0..16),
        6 => {
            // A header that promises more than the packet has.
            gre.odd_flags = *one_of(rng, &[0x8000, 0x2000, 0x1000, 0x9000]);
            let length = rng.usize(0..8);
            gre.payload = GrePayload::Raw(0x0800, bytes(rng, length));
        }
        _ => gre.protocol = Field::Is(*one_of(rng, &[0x86dd, 0x6558, 0x88be, 0])),
    }
}

/// A fault of an IPv4 header, wherever it stands.
fn distort_header(rng: &mut Rng, packet: &mut Ipv4) {
    match rng.u32(0..8) {
        0 => packet.checksum = Checksum::Wrong,
        1 => {
            let honest = u16::try_from(packet.build().len()).unwrap_or(u16::MAX);
            let off = *one_of(rng, &[1, 2, 4, 8, 20, 1000]);
            let lie = if rng.bool() {
                honest.wrapping_sub(off)
            } else {
                honest.wrapping_add(off)
            };
            packet.total_length = Field::Is(*one_of(rng, &[lie, lie, lie, 0, 19, 20, 21]));
        }
        2 => packet.version = Field::Is(*one_of(rng, &[6, 6, 0, 5, 15])),
        3 => packet.ihl = Field::Is(rng.u8(0..16)),
        4 => packet.fragment_offset = rng.u16(0..3),
        5 => packet.more_fragments = true,
        6 => {
            let length = rng.usize(1..=40);
            packet.options = bytes(rng, length);
        }
        _ => packet.protocol = Field::Is(*one_of(rng, &[41, 4, 47, 2, 1, 6])),
    }
}

/// A fault of the packet that is to be forwarded.
fn distort_inner(rng: &mut Rng, packet: &mut Ipv4) {
    match rng.u32(0..8) {
        0 | 1 => packet.source = anywhere(rng),
        2 => packet.destination = anywhere(rng),
        3 => packet.ttl = rng.u8(0..3),
        4 => packet.tos = packet.tos & 0xfc | ecn(rng),
        5 => other_zero(packet),
        _ => distort_header(rng, packet),
    }
}

/// Gives the packet a header whose checksum is 0, written as the other zero of one's complement.
///
/// Receivers accept both (RFC 1071); an incremental update must too.
fn other_zero(packet: &mut Ipv4) {
    packet.id = 0;
    let header_len = packet.header_len();
    let mut header = packet.build();
    header.truncate(header_len);
    header[10..12].fill(0);
    packet.id = internet_checksum(&header);
    packet.checksum = Checksum::OtherZero;
}

/// Damage that knows no format.
pub(super) fn corrupt(rng: &mut Rng, frame: &mut Vec<u8>) {
    match rng.u32(0..3) {
        0 => frame.truncate(rng.usize(0..=frame.len())),
        1 => {
            let length = rng.usize(1..30);
            frame.extend(bytes(rng, length));
        }
        _ => {
            for _ in 0..rng.u32(1..4) {
                let end = frame.len().min(80);
                if end > 0 {
                    frame[rng.usize(0..end)] ^= 1 << rng.u32(0..8);
                }
            }
        }
    }
}
