//! IPv6 frames with odd header chains and types: what steering reads of them.

use std::net::Ipv6Addr;

use super::Rng;
use super::config::{mac, portal_v6};
use super::frame::Draft;
use super::link::group;
use super::pick::{any, bytes, chance, one_of};
use super::traffic::from_upstream;
use crate::packet::{Extension, Frame, Gre, GrePayload, Ipv6, Transport};
use crate::reference::Portal;

/// A random IPv6 packet, often in an upstream's frame.
pub(super) fn packet(rng: &mut Rng, portal: &Portal<'_>) -> Option<Draft> {
    let destination = match rng.u32(0..10) {
        0..5 => portal_v6(1),
        // IPv4-mapped: equal to an IPv4 address in a steering key, but not on the wire.
        5 => std::net::Ipv4Addr::new(192, 0, 2, rng.u8(1..6)).to_ipv6_mapped(),
        6 | 7 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, rng.u16(..)),
    };
    let source = match rng.u32(0..3) {
        0 => std::net::Ipv4Addr::new(198, 18, 0, rng.u8(1..6)).to_ipv6_mapped(),
        1 => Ipv6Addr::new(0x2001, 0xdb8, 0x18, 0, 0, 0, 0, rng.u16(1..6)),
        _ => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, rng.u16(..)),
    };
    let payload = payload(rng);
    let mut packet = Ipv6::new(source, destination, payload);
    packet.hop_limit = 255;
    if chance(rng, 60) {
        packet.extensions = (0..rng.u32(0..=5)).map(|_| extension(rng)).collect();
    }
    // On an honest link a group's MAC and a group's address go together.
    let to_group = if packet.destination.is_multicast() {
        70
    } else {
        15
    };
    let mut draft = match from_upstream(rng, portal) {
        Some(draft) if chance(rng, 70) => draft,
        _ => {
            let port = any(rng, portal.model.ports.keys())?;
            let link = &portal.kernel.links[port];
            Draft {
                ifindex: link.ifindex,
                frame: Frame::new(link.mac, mac(rng), packet.clone()),
            }
        }
    };
    draft.frame.payload = packet.into();
    if chance(rng, to_group) {
        draft.frame.destination = group(rng);
    }
    Some(draft)
}

fn payload(rng: &mut Rng) -> Transport {
    let length = rng.usize(0..40);
    let rest = bytes(rng, length);
    match rng.u32(0..9) {
        0..3 => {
            let kind = *one_of(
                rng,
                &[128, 129, 130, 133, 134, 135, 136, 137, 138, 142, 143, 144],
            );
            let mut message = vec![kind, 0, 0, 0];
            message.extend(rest);
            message.truncate(rng.usize(0..=message.len()));
            Transport::Raw(58, message)
        }
        3 => {
            let key = rng.bool().then(|| rng.u32(0..8));
            Gre::new(key, GrePayload::Raw(0x0800, rest)).into()
        }
        4 => Transport::Raw(*one_of(rng, &[4, 41]), rest),
        5 => Transport::Raw(59, rest),
        6 => {
            // UDP to a port of UDP tunnels, its header perhaps cut off.
            let mut datagram = vec![0xc0, 0x00, 0x17, *one_of(rng, &[0xc0, 0xc1]), 0, 0, 0, 0];
            datagram.extend(rest);
            datagram.truncate(rng.usize(0..=datagram.len()));
            Transport::Raw(17, datagram)
        }
        _ => Transport::Raw(*one_of(rng, &[6, 17, 50, 51, 1, 2]), rest),
    }
}

pub(super) fn extension(rng: &mut Rng) -> Extension {
    let length = if chance(rng, 90) {
        rng.u8(0..3)
    } else {
        rng.u8(..)
    };
    match rng.u32(0..5) {
        0 => Extension::HopByHop(length),
        1 => Extension::Routing(length),
        2 => Extension::Fragment(rng.u16(0..3), rng.bool()),
        _ => Extension::Destination(length),
    }
}
