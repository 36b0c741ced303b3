//! What an IP packet carries.

use std::net::IpAddr;

use etherparse::TcpHeader;

use super::{Gre, Icmp, Icmp6, Ip, Ipv4, Ipv6, Udp};

/// What an IP packet of either family carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp(Udp),
    /// TCP.
    Tcp(Tcp),
    /// ICMP.
    Icmp(Icmp),
    /// ICMPv6.
    Icmp6(Icmp6),
    /// GRE.
    Gre(Box<Gre>),
    /// An IP packet (protocol 4, RFC 2003; 41, RFC 2473).
    Ip(Box<Ip>),
    /// Anything: its protocol number and its bytes.
    Raw(u8, Vec<u8>),
}

/// A TCP segment without options; its checksum is right for the IP header that it is put under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Transport {
    /// Its IP protocol number.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        match self {
            Self::Icmp(_) => 1,
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Gre(_) => 47,
            Self::Icmp6(_) => 58,
            Self::Ip(packet) => packet.protocol(),
            Self::Raw(protocol, _) => *protocol,
        }
    }

    pub(super) fn build(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        match self {
            Self::Udp(udp) => udp.build(source, destination),
            Self::Tcp(tcp) => tcp.build(source, destination),
            Self::Icmp(icmp) => icmp.build(),
            Self::Icmp6(icmp) => icmp.build(source, destination),
            Self::Gre(gre) => gre.build(),
            Self::Ip(packet) => packet.build(),
            Self::Raw(_, bytes) => bytes.clone(),
        }
    }
}

impl Tcp {
    fn build(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut header = TcpHeader::new(self.source, self.destination, self.sequence, 0xffff);
        header.psh = true;
        let checksum = match (source, destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => header
                .calc_checksum_ipv4_raw(from.octets(), to.octets(), &self.payload)
                .ok(),
            (IpAddr::V6(from), IpAddr::V6(to)) => header
                .calc_checksum_ipv6_raw(from.octets(), to.octets(), &self.payload)
                .ok(),
            _ => panic!("an IP packet is of one family"),
        };
        header.checksum = checksum.expect("a test segment is shorter than 64 KiB");
        [header.to_bytes().as_slice(), &self.payload].concat()
    }
}

impl From<Udp> for Transport {
    fn from(udp: Udp) -> Self {
        Self::Udp(udp)
    }
}

impl From<Tcp> for Transport {
    fn from(tcp: Tcp) -> Self {
        Self::Tcp(tcp)
    }
}

impl From<Icmp> for Transport {
    fn from(icmp: Icmp) -> Self {
        Self::Icmp(icmp)
    }
}

impl From<Icmp6> for Transport {
    fn from(icmp: Icmp6) -> Self {
        Self::Icmp6(icmp)
    }
}

impl From<Gre> for Transport {
    fn from(gre: Gre) -> Self {
        Self::Gre(Box::new(gre))
    }
}

impl From<Ip> for Transport {
    fn from(packet: Ip) -> Self {
        Self::Ip(Box::new(packet))
    }
}

impl From<Ipv4> for Transport {
    fn from(packet: Ipv4) -> Self {
        Ip::from(packet).into()
    }
}

impl From<Ipv6> for Transport {
    fn from(packet: Ipv6) -> Self {
        Ip::from(packet).into()
    }
}
