//! The frames of a case, by etherparse and by the text of `docs/forwarding.md`: what arrives and
//! what must leave.

use std::net::IpAddr;

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder,
    UdpHeader,
};
use tp_wire::MacAddr;

use super::case::{Encapsulation, Kind};

/// TTL and hop limit of outer headers.
pub(crate) const OUTER_TTL: u8 = 64;
/// UDP port of both ends.
pub(crate) const UDP_PORT: u16 = 5555;

/// Addresses that a packet goes from and to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends<T> {
    pub(crate) from: T,
    pub(crate) to: T,
}

/// Ethernet's header.
pub(crate) fn ethernet(macs: Ends<MacAddr>, ether_type: EtherType) -> Vec<u8> {
    let header = Ethernet2Header {
        source: macs.from.octets(),
        destination: macs.to.octets(),
        ether_type,
    };
    header.to_bytes().to_vec()
}

/// A UDP packet of this length and TTL, in the family of its addresses.
pub(crate) fn inner(ends: Ends<IpAddr>, ttl: u8, len: usize) -> Vec<u8> {
    let (step, headers) = match (ends.from, ends.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (PacketBuilder::ipv4(from.octets(), to.octets(), ttl), 28)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            (PacketBuilder::ipv6(from.octets(), to.octets(), ttl), 48)
        }
        _ => unreachable!("a case's hosts are of one family"),
    };
    let mut bytes = Vec::with_capacity(len);
    step.udp(4000, 4001)
        .write(&mut bytes, &vec![0; len - headers])
        .unwrap_or_else(|error| unreachable!("a short packet in memory: {error}"));
    bytes
}

/// The type of a packet, by its version.
pub(crate) fn ether_type(packet: &[u8]) -> EtherType {
    match packet[0] >> 4 {
        6 => EtherType::IPV6,
        _ => EtherType::IPV4,
    }
}

/// An outer packet, the length of its IP header and of all that is in front of what the tunnel carries.
#[derive(Debug)]
pub(crate) struct Wrapped {
    pub(crate) bytes: Vec<u8>,
    pub(crate) l3_len: usize,
    pub(crate) headers: usize,
}

/// The packet in its outer headers; `macs` are for those kinds that carry Ethernet.
pub(crate) fn wrap(
    encapsulation: Encapsulation,
    ends: Ends<IpAddr>,
    macs: Ends<MacAddr>,
    packet: &[u8],
) -> Wrapped {
    let ty = ether_type(packet);
    let number = if ty == EtherType::IPV6 { 41 } else { 4 };
    let hash = flow_hash(packet);
    let (protocol, front, frame) = match encapsulation.kind {
        Kind::Ipip => (number, Vec::new(), Vec::new()),
        Kind::Gre => (47, [[0, 0], ty.0.to_be_bytes()].concat(), Vec::new()),
        Kind::Egre => (47, vec![0, 0, 0x65, 0x58], ethernet(macs, ty)),
        Kind::Fou => (17, udp(hash, packet.len()), Vec::new()),
        Kind::Gue => {
            let udp = udp(hash, packet.len() + 4);
            (17, [&udp[..], &[0, number, 0, 0]].concat(), Vec::new())
        }
    };
    let payload = [&front[..], &frame, packet].concat();
    let ip = ip(ends, IpNumber(protocol), hash, payload.len());
    Wrapped {
        l3_len: ip.len(),
        headers: ip.len() + front.len(),
        bytes: [ip, payload].concat(),
    }
}

fn ip(ends: Ends<IpAddr>, protocol: IpNumber, hash: u32, len: usize) -> Vec<u8> {
    let too_long = "a short packet";
    let payload = u16::try_from(len).unwrap_or_else(|_| unreachable!("{too_long}"));
    match (ends.from, ends.to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let (from, to) = (from.octets(), to.octets());
            let mut header = Ipv4Header::new(payload, OUTER_TTL, protocol, from, to)
                .unwrap_or_else(|_| unreachable!("{too_long}"));
            header.dont_fragment = true;
            header.header_checksum = header.calc_header_checksum();
            header.to_bytes().to_vec()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                traffic_class: 0,
                flow_label: Ipv6FlowLabel::try_new(hash >> 12)
                    .unwrap_or_else(|_| unreachable!("20 bits")),
                payload_length: payload,
                next_header: protocol,
                hop_limit: OUTER_TTL,
                source: from.octets(),
                destination: to.octets(),
            };
            header.to_bytes().to_vec()
        }
        _ => unreachable!("both ends of a tunnel are of one family"),
    }
}

/// Without a checksum.
fn udp(hash: u32, len: usize) -> Vec<u8> {
    #[allow(clippy::cast_possible_truncation, reason = "14 bits")]
    let source = 0xc000 | (hash >> 18) as u16;
    let header = UdpHeader::without_ipv4_checksum(source, UDP_PORT, len)
        .unwrap_or_else(|_| unreachable!("a short packet"));
    header.to_bytes().to_vec()
}

/// The contract's flow hash of a UDP packet without options.
fn flow_hash(packet: &[u8]) -> u32 {
    let word = |at: usize| {
        let bytes = [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
        u64::from(u32::from_be_bytes(bytes))
    };
    let folded = |at: usize| word(at) ^ word(at + 4) ^ word(at + 8) ^ word(at + 12);
    let (source, destination, protocol, ports) = match ether_type(packet) {
        EtherType::IPV6 => (folded(8), folded(24), packet[6], word(40)),
        _ => (word(12), word(16), packet[9], word(20)),
    };
    let x = (source << 32) + destination;
    let y = (ports << 8) + u64::from(protocol);
    let h = (x ^ y.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    let upper = (h >> 32) as u32;
    upper
}
