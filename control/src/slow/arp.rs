//! ARP on Ethernet links (RFC 826): what a frame says, and the reply to a request.

use std::net::Ipv4Addr;

use tp_wire::{EtherType, EthernetFrame, MacAddr};

/// Ethernet header and ARP for IPv4 over Ethernet.
pub(super) const FRAME: usize = 14 + 28;

/// Hardware type Ethernet, protocol type IPv4, lengths 6 and 4.
const PREFIX: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

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
    let bytes = frame.get(14..)?.first_chunk::<28>()?;
    if !bytes.starts_with(&PREFIX) {
        return None;
    }
    let sender = (mac(bytes, 8), ipv4(bytes, 14));
    match [bytes[6], bytes[7]] {
        // A reply to a group would be heard by those that did not ask.
        REQUEST if !sender.0.is_group() && !sender.0.is_zero() => Some(Arp::Request {
            sender,
            target: ipv4(bytes, 24),
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
    arp[6..8].copy_from_slice(&REPLY);
    arp[8..14].copy_from_slice(&mac.octets());
    arp[14..18].copy_from_slice(&target.octets());
    arp[18..24].copy_from_slice(&asker.octets());
    arp[24..28].copy_from_slice(&address.octets());
}

fn mac(bytes: &[u8; 28], at: usize) -> MacAddr {
    let b = bytes;
    MacAddr::new([b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5]])
}

fn ipv4(bytes: &[u8; 28], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}
