//! One fault of one header.

use super::Rng;
use super::ipv6::extension;
use super::pick::{bytes, one_of};
use crate::packet::{
    Checksum, Field, Gre, GrePayload, Gue, GuePayload, Ip, Ipv4, Ipv6, Udp, UdpPayload,
};

pub(super) fn of_gre(rng: &mut Rng, gre: &mut Gre) {
    match rng.u32(0..9) {
        0 => gre.key = None,
        1 => gre.key = Some(*one_of(rng, &[0, 1, 7])),
        2 => gre.checksum = Some(Checksum::Right),
        3 => gre.checksum = Some(Checksum::Wrong),
        4 => gre.sequence = Some(rng.u32(..)),
        5 | 6 => gre.odd_flags = 1 << rng.u32(0..16),
        7 => {
            // A header that promises more than the packet has.
            gre.odd_flags = *one_of(rng, &[0x8000, 0x2000, 0x1000, 0x9000]);
            let length = rng.usize(0..8);
            gre.payload = GrePayload::Raw(0x0800, bytes(rng, length));
        }
        _ => gre.protocol = Field::Is(*one_of(rng, &[0x0800, 0x86dd, 0x6558, 0x88be, 0])),
    }
}

pub(super) fn of_udp(rng: &mut Rng, udp: &mut Udp) {
    match rng.u32(0..9) {
        0 => udp.destination = *one_of(rng, &[5555, 5556, 6080, 6081, 6082]),
        1 => udp.checksum = Some(Checksum::Right),
        2 => udp.checksum = Some(Checksum::Wrong),
        3 => udp.length = Field::Is(rng.u16(0..200)),
        4 => {
            let length = rng.usize(0..8);
            udp.payload = bytes(rng, length).into();
        }
        _ => match &mut udp.payload {
            UdpPayload::Gue(gue) => of_gue(rng, gue),
            UdpPayload::Ip(packet) => udp.payload = Gue::new((**packet).clone()).into(),
            UdpPayload::Raw(_) => {}
        },
    }
}

fn of_gue(rng: &mut Rng, gue: &mut Gue) {
    match rng.u32(0..8) {
        0 | 7 => gue.variant = rng.u8(0..4),
        1 => gue.control = true,
        2 => gue.words = Field::Is(rng.u8(0..32)),
        3 => {
            let length = 4 * rng.usize(1..4);
            gue.fields = bytes(rng, length);
        }
        4 => gue.flags = 1 << rng.u32(0..16),
        5 => gue.protocol = Field::Is(*one_of(rng, &[4, 41, 0, 17, 59])),
        _ => {
            let length = rng.usize(0..8);
            gue.payload = GuePayload::Raw(4, bytes(rng, length));
        }
    }
}

/// A fault of an IP header, wherever it stands.
pub(super) fn of_ip(rng: &mut Rng, packet: &mut Ip) {
    match packet {
        Ip::V4(packet) => of_ipv4(rng, packet),
        Ip::V6(packet) => of_ipv6(rng, packet),
    }
}

fn of_ipv4(rng: &mut Rng, packet: &mut Ipv4) {
    match rng.u32(0..8) {
        0 => packet.checksum = Checksum::Wrong,
        1 => {
            let lie = lie(rng, packet.build().len());
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
        _ => packet.protocol = Field::Is(*one_of(rng, &[41, 4, 47, 17, 2, 1, 6, 58])),
    }
}

fn of_ipv6(rng: &mut Rng, packet: &mut Ipv6) {
    match rng.u32(0..6) {
        0 | 1 => {
            let lie = lie(rng, packet.build().len() - 40);
            packet.payload_length = Field::Is(*one_of(rng, &[lie, lie, lie, 0, 1, 8]));
        }
        2 => packet.version = Field::Is(*one_of(rng, &[4, 4, 0, 5, 15])),
        3 | 4 => packet.extensions = (0..rng.u32(0..=5)).map(|_| extension(rng)).collect(),
        _ => packet.protocol = Field::Is(*one_of(rng, &[41, 4, 47, 17, 2, 1, 6, 58, 60])),
    }
}

/// A length next to the honest one.
fn lie(rng: &mut Rng, honest: usize) -> u16 {
    let honest = u16::try_from(honest).unwrap_or(u16::MAX);
    let off = *one_of(rng, &[1, 2, 4, 8, 20, 40, 1000]);
    if rng.bool() {
        honest.wrapping_sub(off)
    } else {
        honest.wrapping_add(off)
    }
}
