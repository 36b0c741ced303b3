//! An IP packet of either family.

use std::net::IpAddr;

use super::{Ipv4, Ipv6, Transport};

/// An IP packet of either family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ip {
    /// IPv4.
    V4(Ipv4),
    /// IPv6.
    V6(Ipv6),
}

impl Ip {
    /// A packet of TTL or hop limit 64 without options and extension headers.
    ///
    /// # Panics
    /// If the addresses are not of one family.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr, payload: impl Into<Transport>) -> Self {
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Self::V4(Ipv4::new(source, destination, payload))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Self::V6(Ipv6::new(source, destination, payload))
            }
            _ => panic!("{source} and {destination} are not of one family"),
        }
    }

    /// Its EtherType, which is its protocol type in GRE too.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        match self {
            Self::V4(_) => 0x0800,
            Self::V6(_) => 0x86dd,
        }
    }

    /// Its number as what an IP header or GUE carries.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self {
            Self::V4(_) => 4,
            Self::V6(_) => 41,
        }
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        match self {
            Self::V4(packet) => packet.source.into(),
            Self::V6(packet) => packet.source.into(),
        }
    }

    /// Destination address.
    #[must_use]
    pub fn destination(&self) -> IpAddr {
        match self {
            Self::V4(packet) => packet.destination.into(),
            Self::V6(packet) => packet.destination.into(),
        }
    }

    /// Sets the source address; one of the other family is ignored.
    pub fn set_source(&mut self, address: IpAddr) {
        match (self, address) {
            (Self::V4(packet), IpAddr::V4(address)) => packet.source = address,
            (Self::V6(packet), IpAddr::V6(address)) => packet.source = address,
            _ => {}
        }
    }

    /// Sets the destination address; one of the other family is ignored.
    pub fn set_destination(&mut self, address: IpAddr) {
        match (self, address) {
            (Self::V4(packet), IpAddr::V4(address)) => packet.destination = address,
            (Self::V6(packet), IpAddr::V6(address)) => packet.destination = address,
            _ => {}
        }
    }

    /// The TTL or hop limit.
    pub fn ttl_mut(&mut self) -> &mut u8 {
        match self {
            Self::V4(packet) => &mut packet.ttl,
            Self::V6(packet) => &mut packet.hop_limit,
        }
    }

    /// The octet of DSCP (upper six bits) and ECN.
    pub fn traffic_class_mut(&mut self) -> &mut u8 {
        match self {
            Self::V4(packet) => &mut packet.tos,
            Self::V6(packet) => &mut packet.traffic_class,
        }
    }

    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> &Transport {
        match self {
            Self::V4(packet) => &packet.payload,
            Self::V6(packet) => &packet.payload,
        }
    }

    /// What it carries, to be changed.
    pub fn payload_mut(&mut self) -> &mut Transport {
        match self {
            Self::V4(packet) => &mut packet.payload,
            Self::V6(packet) => &mut packet.payload,
        }
    }

    /// Length of the header with options and extension headers, in bytes.
    #[must_use]
    pub fn header_len(&self) -> usize {
        match self {
            Self::V4(packet) => packet.header_len(),
            Self::V6(packet) => packet.header_len(),
        }
    }

    /// The packet's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        match self {
            Self::V4(packet) => packet.build(),
            Self::V6(packet) => packet.build(),
        }
    }
}

impl From<Ipv4> for Ip {
    fn from(packet: Ipv4) -> Self {
        Self::V4(packet)
    }
}

impl From<Ipv6> for Ip {
    fn from(packet: Ipv6) -> Self {
        Self::V6(packet)
    }
}
