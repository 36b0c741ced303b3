//! The flow hash: one number for all packets of a flow, so that they take one path of an underlay
//! that shares its load by UDP ports (RFC 8085 section 3.1.11) or flow labels (RFC 6438).

use std::net::Ipv6Addr;

use tp_wire::{EtherType, Ipv4Packet, Ipv6Packet, Protocol};

/// The hash of a packet of this type (`docs/forwarding.md`, section 8); 0 for what is no IP packet.
#[inline]
pub(crate) fn hash(ethertype: EtherType, packet: &[u8]) -> u32 {
    match ethertype {
        EtherType::IPV4 => Ipv4Packet::new_checked(packet).map_or(0, |ip| {
            let ports = if ip.is_fragment() {
                0
            } else {
                ports(ip.protocol(), ip.payload())
            };
            let (source, destination) = (ip.source().to_bits(), ip.destination().to_bits());
            mix(source, destination, ip.protocol(), ports)
        }),
        EtherType::IPV6 => Ipv6Packet::new_checked(packet).map_or(0, |ip| {
            let ports = ports(ip.next_header(), ip.payload());
            let (source, destination) = (fold(ip.source()), fold(ip.destination()));
            mix(source, destination, ip.next_header(), ports)
        }),
        _ => 0,
    }
}

/// Both ports of a transport protocol whose header begins with them.
#[inline]
fn ports(protocol: Protocol, payload: &[u8]) -> u32 {
    match (protocol, payload.first_chunk()) {
        (Protocol::TCP | Protocol::UDP | Protocol::SCTP, Some(ports)) => u32::from_be_bytes(*ports),
        _ => 0,
    }
}

/// The four words of an address, XORed.
#[inline]
fn fold(address: Ipv6Addr) -> u32 {
    let bits = address.to_bits();
    #[allow(clippy::cast_possible_truncation, reason = "each word in its turn")]
    let word = |n: u32| (bits >> (32 * n)) as u32;
    word(3) ^ word(2) ^ word(1) ^ word(0)
}

/// Two multiplications by odd constants (the golden ratio's, and one of MurmurHash3's finalizer);
/// every bit reaches the upper half.
#[inline]
fn mix(source: u32, destination: u32, protocol: Protocol, ports: u32) -> u32 {
    let x = u64::from(source) << 32 | u64::from(destination);
    let y = u64::from(ports) << 8 | u64::from(protocol.0);
    let h = (x ^ y.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is 32 bits")]
    let upper = (h >> 32) as u32;
    upper
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn tcp4(ttl: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 7], ttl)
            .tcp(1000, 443, 1, 1)
            .write(&mut bytes, payload)
            .unwrap();
        bytes
    }

    /// Worked out by hand (Python's integers) from the text of the contract.
    #[test]
    fn the_hash_is_the_contracts() {
        assert_eq!(hash(EtherType::IPV4, &tcp4(64, b"")), TCP4);
        let mut bytes = Vec::new();
        PacketBuilder::ipv6(V6_SOURCE, V6_DESTINATION, 64)
            .udp(1000, 53)
            .write(&mut bytes, b"x")
            .unwrap();
        assert_eq!(hash(EtherType::IPV6, &bytes), UDP6);
    }

    const V6_SOURCE: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6];
    const V6_DESTINATION: [u8; 16] = [
        0x20, 0x01, 0x0d, 0xb8, 0xff, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 9,
    ];
    const TCP4: u32 = 0xd9d2_314f;
    const UDP6: u32 = 0xeb11_fccf;
    const ICMP4: u32 = 0xf9fb_4df6;

    #[test]
    fn what_routers_change_and_what_follows_the_ports_does_not_count() {
        let expected = hash(EtherType::IPV4, &tcp4(64, b""));
        assert_eq!(hash(EtherType::IPV4, &tcp4(1, b"some more")), expected);
    }

    #[test]
    fn a_fragment_and_a_protocol_without_ports_count_as_port_0() {
        let mut icmp = tcp4(64, b"");
        icmp[9] = 1;
        assert_eq!(hash(EtherType::IPV4, &icmp), ICMP4);
        // A fragment's protocol still counts.
        let first = |word: u16| {
            let mut bytes = tcp4(64, b"");
            bytes[6..8].copy_from_slice(&word.to_be_bytes());
            hash(EtherType::IPV4, &bytes)
        };
        assert_ne!(first(0x2000), TCP4);
        assert_eq!(first(0x2000), first(0x0001));
        assert_eq!(first(0x4000), TCP4);
    }

    #[test]
    fn what_is_no_ip_packet_has_none() {
        assert_eq!(hash(EtherType::ARP, &tcp4(64, b"")), 0);
        for len in 0..20 {
            assert_eq!(hash(EtherType::IPV4, &tcp4(64, b"")[..len]), 0);
            assert_eq!(hash(EtherType::IPV6, &tcp4(64, b"")[..len]), 0);
        }
    }
}
