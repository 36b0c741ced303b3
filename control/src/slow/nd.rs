//! Neighbour discovery on Ethernet links (RFC 4861): what a frame says, and the advertisement that answers a
//! solicitation.

use std::net::Ipv6Addr;

use tp_wire::{EtherType, EthernetFrame, MacAddr, checksum};

/// Ethernet header, IPv6 header, advertisement with one option.
pub(super) const FRAME: usize = 14 + 40 + 24 + 8;

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Source link-layer address (section 4.6.1); of one unit of 8 bytes where addresses have 6 (RFC 2464 section 6).
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
/// What never passed a router has this hop limit.
const HOP_LIMIT: u8 = 255;

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nd {
    /// Somebody asks for an address.
    Solicitation {
        /// Who; `::` asks whether somebody else has the address already.
        source: Ipv6Addr,
        /// Where the answer goes.
        mac: MacAddr,
        /// For which.
        target: Ipv6Addr,
    },
    /// Somebody tells of an address.
    Advertisement {
        /// Of which.
        target: Ipv6Addr,
    },
}

/// Reads an Ethernet frame without VLAN tags; `None` if it holds no solicitation or advertisement that is valid by
/// sections 7.1.1 and 7.1.2.
pub(super) fn parse(frame: &[u8]) -> Option<Nd> {
    let header = frame.get(14..)?.first_chunk::<40>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let message = frame.get(54..)?.get(..length)?;
    let (source, destination) = (ipv6(header, 8), ipv6(header, 24));
    let whole = header[0] >> 4 == 6
        && header[6] == ICMPV6
        && header[7] == HOP_LIMIT
        && message.len() >= 24
        && message[1] == 0
        && sum(source, destination, message) == 0xffff;
    let target = whole
        .then(|| ipv6(message, 8))
        .filter(|t| !t.is_multicast())?;
    let link_layer = source_link_layer(&message[24..])?;
    match message[0] {
        SOLICITATION if source.is_unspecified() => {
            // Section 7.1.1: to the solicited-node address, and without a link-layer address.
            let valid = destination == solicited_node(target) && link_layer == LinkLayer::None;
            valid.then_some(Nd::Solicitation {
                source,
                mac: MacAddr::default(),
                target,
            })
        }
        SOLICITATION if source.is_multicast() => None,
        SOLICITATION => Some(Nd::Solicitation {
            source,
            mac: match link_layer {
                LinkLayer::Known(mac) => mac,
                LinkLayer::None => EthernetFrame::new_checked(frame).ok()?.source(),
            },
            target,
        })
        .filter(|_| !link_layer.is_group()),
        ADVERTISEMENT => Some(Nd::Advertisement { target }),
        _ => None,
    }
}

/// Writes the advertisement that answers a solicitation: the address `target` is at `mac` (section 7.2.4).
pub(super) fn advertise(
    out: &mut [u8; FRAME],
    mac: MacAddr,
    target: Ipv6Addr,
    (source, asker): (Ipv6Addr, MacAddr),
) {
    // A probe comes from no address: all nodes hear the answer, and nobody solicited it.
    let probe = source.is_unspecified();
    let (destination, to, solicited) = if probe {
        (ALL_NODES, MacAddr::new([0x33, 0x33, 0, 0, 0, 1]), 0)
    } else {
        (source, asker, SOLICITED)
    };
    out.fill(0);
    let (header, rest) = out.split_at_mut(14);
    if let Ok(mut ethernet) = EthernetFrame::new_checked(header) {
        ethernet.set_destination(to);
        ethernet.set_source(mac);
        ethernet.set_ethertype(EtherType::IPV6);
    }
    let (ip, message) = rest.split_at_mut(40);
    ip[0] = 0x60;
    ip[5] = 32;
    ip[6] = ICMPV6;
    ip[7] = HOP_LIMIT;
    ip[8..24].copy_from_slice(&target.octets());
    ip[24..40].copy_from_slice(&destination.octets());
    message[0] = ADVERTISEMENT;
    message[4] = ROUTER | solicited | OVERRIDE;
    message[8..24].copy_from_slice(&target.octets());
    message[24..26].copy_from_slice(&[TARGET_LINK_LAYER, 1]);
    message[26..32].copy_from_slice(&mac.octets());
    let checksum = !sum(target, destination, message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
}

/// What the options say of the sender's link-layer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkLayer {
    None,
    Known(MacAddr),
}

impl LinkLayer {
    fn is_group(self) -> bool {
        matches!(self, Self::Known(mac) if mac.is_group() || mac.is_zero())
    }
}

/// Walks the options; `None` if one has no length or goes beyond the message.
fn source_link_layer(mut options: &[u8]) -> Option<LinkLayer> {
    let mut found = LinkLayer::None;
    while !options.is_empty() {
        let length = 8 * usize::from(*options.get(1)?);
        let (option, rest) = options.split_at_checked(length).filter(|_| length > 0)?;
        if let [SOURCE_LINK_LAYER, 1, a, b, c, d, e, f] = *option {
            found = LinkLayer::Known(MacAddr::new([a, b, c, d, e, f]));
        }
        options = rest;
    }
    Some(found)
}

/// Sum over the pseudo-header and an ICMPv6 message (RFC 8200 section 8.1); 0xffff over one with its right checksum.
fn sum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let words = [
        checksum::sum(&source.octets()),
        checksum::sum(&destination.octets()),
        checksum::sum(message),
        u16::from(ICMPV6),
    ];
    let total: u64 = words.into_iter().map(u64::from).sum();
    checksum::fold(total + message.len() as u64)
}

/// Section 2.7.1 of RFC 4291.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let (a, b, c) = (u16::from(a), u16::from(b), u16::from(c));
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a, b << 8 | c)
}

fn ipv6(bytes: &[u8], at: usize) -> Ipv6Addr {
    let octets = bytes[at..].first_chunk::<16>().copied().unwrap_or_default();
    Ipv6Addr::from(octets)
}
