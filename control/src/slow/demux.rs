//! Whose is what the kernel sends: the address of the peer that a packet is for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tp_wire::{EtherType, EthernetFrame};

use super::arp::{self, Arp};
use super::nd::{self, Nd};

/// Whom a packet of the kernel's is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// The link with this peer.
    Peer(IpAddr),
    /// A group of hosts: the kernel's own noise (MLD, and what applications send to groups), for no link.
    Group,
    /// Nobody that could be told.
    Unknown,
}

/// Of an IP packet from the TUN device.
pub(super) fn of_packet(packet: &[u8]) -> To {
    match packet.first().map(|b| b >> 4) {
        Some(4) => destination4(packet),
        Some(6) => destination6(packet),
        _ => To::Unknown,
    }
}

/// Of an Ethernet frame from the TAP device.
pub(super) fn of_frame(frame: &[u8]) -> To {
    let Ok(header) = EthernetFrame::new_checked(frame) else {
        return To::Unknown;
    };
    match header.ethertype() {
        EtherType::IPV4 => destination4(&frame[14..]),
        EtherType::IPV6 => match nd::parse(frame) {
            Some(Nd::Solicitation { target, .. }) => To::Peer(target.into()),
            _ => destination6(&frame[14..]),
        },
        EtherType::ARP => match arp::parse(frame) {
            Some(Arp::Request { target, .. }) => To::Peer(target.into()),
            // The kernel is kept from answering (`sysctl.rs`).
            _ => To::Unknown,
        },
        _ => To::Unknown,
    }
}

fn destination4(packet: &[u8]) -> To {
    let Some(bytes) = packet.get(16..).and_then(<[u8]>::first_chunk::<4>) else {
        return To::Unknown;
    };
    let address = Ipv4Addr::from(*bytes);
    if address.is_multicast() || address.is_broadcast() {
        To::Group
    } else {
        To::Peer(address.into())
    }
}

fn destination6(packet: &[u8]) -> To {
    let Some(bytes) = packet.get(24..).and_then(<[u8]>::first_chunk::<16>) else {
        return To::Unknown;
    };
    let address = Ipv6Addr::from(*bytes);
    if address.is_multicast() {
        To::Group
    } else {
        To::Peer(address.into())
    }
}
