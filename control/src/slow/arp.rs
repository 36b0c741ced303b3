//! ARP on Ethernet links (RFC 826): what a frame says, and the reply to a request.

use std::net::Ipv4Addr;

use tp_wire::{ArpPacket, EtherType, EthernetFrame, MacAddr};

/// Ethernet header and ARP for IPv4 over Ethernet.
pub(super) const FRAME: usize = 14 + 28;

/// Hardware type Ethernet, protocol type IPv4, lengths 6 and 4.
const PREFIX: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arp {
    /// Somebody asks for an address.
    Request {
        /// Who; a host that has no address yet asks as 0.0.0.0 (RFC 5227 section 1.1).
        sender: (MacAddr, Ipv4Addr),
        /// For which. Its own: an announcement.
        target: Ipv4Addr,
    },
    /// Somebody tells of an address.
    Reply {
        /// Whose.
        sender: Ipv4Addr,
    },
}

/// Reads an Ethernet frame without VLAN tags; `None` if it holds no ARP that makes sense.
pub(super) fn parse(frame: &[u8]) -> Option<Arp> {
    let arp = ArpPacket::new_checked(frame.get(14..)?).ok()?;
    let sender = (arp.sender_mac(), arp.sender());
    match arp.operation() {
        // A reply to a group would be heard by those that did not ask.
        REQUEST if !sender.0.is_group() && !sender.0.is_zero() => Some(Arp::Request {
            sender,
            target: arp.target(),
        }),
        REPLY => Some(Arp::Reply { sender: sender.1 }),
        _ => None,
    }
}

/// Writes the reply to a request: the address `target` is at `mac`.
pub(super) fn reply(
    out: &mut [u8; FRAME],
    mac: MacAddr,
    target: Ipv4Addr,
    (asker, address): (MacAddr, Ipv4Addr),
) {
    let (header, arp) = out.split_at_mut(14);
    if let Ok(mut ethernet) = EthernetFrame::new_checked(header) {
        ethernet.set_destination(asker);
        ethernet.set_source(mac);
        ethernet.set_ethertype(EtherType::ARP);
    }
    arp[..6].copy_from_slice(&PREFIX);
    arp[6..8].copy_from_slice(&REPLY.to_be_bytes());
    arp[8..14].copy_from_slice(&mac.octets());
    arp[14..18].copy_from_slice(&target.octets());
    arp[18..24].copy_from_slice(&asker.octets());
    arp[24..28].copy_from_slice(&address.octets());
}
