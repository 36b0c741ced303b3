//! The address families, and which addresses a packet has.

use tp_wire::EtherType;

/// What an IP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// The EtherType of its packets.
    #[inline]
    pub(crate) const fn ethertype(self) -> EtherType {
        match self {
            Self::V4 => EtherType::IPV4,
            Self::V6 => EtherType::IPV6,
        }
    }
}

/// An address of either family, in host order: what tables are looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    V4(u32),
    V6(u128),
}

impl Address {
    /// The source of an IP packet of this family whose header is whole.
    ///
    /// Addresses are read where they are needed, from a header that is in the cache, instead of
    /// being carried along in each stage's type.
    #[inline]
    pub(crate) fn source(family: Family, packet: &[u8]) -> Self {
        match family {
            Family::V4 => Self::V4(u32::from_be_bytes(octets(packet, 12))),
            Family::V6 => Self::V6(u128::from_be_bytes(octets(packet, 8))),
        }
    }

    /// The destination of an IP packet of this family whose header is whole.
    #[inline]
    pub(crate) fn destination(family: Family, packet: &[u8]) -> Self {
        match family {
            Family::V4 => Self::V4(u32::from_be_bytes(octets(packet, 16))),
            Family::V6 => Self::V6(u128::from_be_bytes(octets(packet, 24))),
        }
    }

    /// Whether it is this address.
    #[inline]
    pub(crate) fn is(self, ip: std::net::IpAddr) -> bool {
        match (self, ip) {
            (Self::V4(bits), std::net::IpAddr::V4(ip)) => bits == ip.to_bits(),
            (Self::V6(bits), std::net::IpAddr::V6(ip)) => bits == ip.to_bits(),
            _ => false,
        }
    }

    /// No source of a host, and no destination of a forwarded packet: 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4
    /// and 240.0.0.0/4 (RFC 1812 sections 5.3.7 and 4.2.2.11); unspecified, loopback, IPv4-mapped, link-local
    /// and multicast addresses (RFC 4291 section 2).
    #[inline]
    pub(crate) fn is_martian(self) -> bool {
        match self {
            Self::V4(bits) => matches!(bits >> 24, 0 | 127 | 224..),
            Self::V6(bits) => {
                bits >> 1 == 0
                    || bits >> 32 == 0xffff
                    || bits >> 118 == 0xfe80 >> 6
                    || bits >> 120 == 0xff
            }
        }
    }
}

/// Octets at this offset of a header that is whole.
#[inline]
fn octets<const N: usize>(packet: &[u8], at: usize) -> [u8; N] {
    packet[at..]
        .first_chunk()
        .copied()
        .unwrap_or_else(|| unreachable!("`parse` saw a whole header"))
}
