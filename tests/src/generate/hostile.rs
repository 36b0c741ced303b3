//! Faults: in the description of a frame, and in its bytes.

use super::Rng;
use super::attach::{kind, remote};
use super::config::mac;
use super::fault;
use super::link::group;
use super::pick::{any, bytes, chance, one_of};
use super::traffic::{anywhere, ecn};
use super::wrap::{LoadMut, load_of, transport};
use crate::packet::{Checksum, Field, Frame, Ip, Ipv4, Network, Tag, Transport, internet_checksum};
use crate::reference::{End, Portal};

/// One fault somewhere in the frame.
pub(super) fn distort(rng: &mut Rng, portal: &Portal<'_>, frame: &mut Frame) {
    match rng.u32(0..10) {
        0 => distort_addresses(rng, portal, frame),
        1 => distort_tags(rng, frame),
        2 => frame.padding = rng.usize(1..50),
        _ => distort_network(rng, portal, &mut frame.payload),
    }
}

fn distort_network(rng: &mut Rng, portal: &Portal<'_>, network: &mut Network) {
    match network {
        Network::Ip(packet) => match load_of(packet.payload_mut()) {
            Some(LoadMut::Ip(carried)) if rng.bool() => distort_inner(rng, carried),
            Some(LoadMut::Frame(frame)) if chance(rng, 60) => {
                distort_carried_frame(rng, portal, frame);
            }
            Some(_) => distort_outer(rng, portal, packet),
            None => distort_inner(rng, packet),
        },
        Network::Arp(message) => match rng.u32(0..4) {
            0 => message.hardware = Field::Is(rng.u16(0..8)),
            1 => message.protocol = Field::Is(0x86dd),
            2 => message.lengths = Field::Is([6, *one_of(rng, &[4, 16])]),
            _ => message.operation = rng.u16(..),
        },
        Network::Raw(..) => {}
    }
}

fn distort_carried_frame(rng: &mut Rng, portal: &Portal<'_>, frame: &mut Frame) {
    match rng.u32(0..8) {
        0 => distort_addresses(rng, portal, frame),
        1 => distort_tags(rng, frame),
        2 => frame.padding = rng.usize(1..20),
        3 => frame.ethertype = Field::Is(*one_of(rng, &[0x0800, 0x86dd, 0x0806, 0x88cc, 0])),
        _ => distort_network(rng, portal, &mut frame.payload),
    }
}

fn distort_addresses(rng: &mut Rng, portal: &Portal<'_>, frame: &mut Frame) {
    match rng.u32(0..5) {
        0 => frame.destination = group(rng),
        1 => frame.destination = mac(rng),
        2 => {
            let others = portal.kernel.links.values().map(|link| link.mac);
            frame.destination = any(rng, others).expect("a kernel has links");
        }
        3 => {
            if let Some(shown) = any(rng, portal.numbers.shown.values()) {
                frame.destination = *shown;
            }
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

/// A fault of the outer header or of the tunnel header.
pub(super) fn distort_outer(rng: &mut Rng, portal: &Portal<'_>, packet: &mut Ip) {
    match rng.u32(0..8) {
        0 => packet.set_source(remote(rng)),
        1 => {
            let addresses = portal.kernel.addresses.iter().copied();
            if let Some(address) = any(rng, addresses) {
                packet.set_destination(address);
            }
        }
        2 => *packet.traffic_class_mut() = ecn(rng),
        3 => rewrap(rng, portal, packet.payload_mut()),
        4 | 5 => match packet.payload_mut() {
            Transport::Gre(gre) => fault::of_gre(rng, gre),
            Transport::Udp(udp) => fault::of_udp(rng, udp),
            _ => fault::of_ip(rng, packet),
        },
        _ => fault::of_ip(rng, packet),
    }
}

/// The same load in another tunnel header.
fn rewrap(rng: &mut Rng, portal: &Portal<'_>, payload: &mut Transport) {
    let Some(load) = load_of(payload).map(|load| load.cloned()) else {
        return;
    };
    let known = portal.ends().filter_map(End::carried).map(|c| c.kind);
    let kind = any(rng, known).unwrap_or_else(|| kind(rng));
    *payload = transport(rng, kind, load);
}

/// A fault of the packet that is to be forwarded.
fn distort_inner(rng: &mut Rng, packet: &mut Ip) {
    match rng.u32(0..8) {
        0 | 1 => {
            let source = anywhere(rng, packet.source());
            packet.set_source(source);
        }
        2 => {
            let destination = anywhere(rng, packet.destination());
            packet.set_destination(destination);
        }
        3 => *packet.ttl_mut() = rng.u8(0..3),
        4 => {
            let class = packet.traffic_class_mut();
            *class = *class & 0xfc | ecn(rng);
        }
        5 => {
            if let Ip::V4(packet) = packet {
                other_zero(packet);
            }
        }
        _ => fault::of_ip(rng, packet),
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
                let end = frame.len().min(110);
                if end > 0 {
                    frame[rng.usize(0..end)] ^= 1 << rng.u32(0..8);
                }
            }
        }
    }
}
