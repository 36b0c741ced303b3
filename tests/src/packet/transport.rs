//! What an IPv4 packet carries.

use std::net::Ipv4Addr;

use etherparse::{TcpHeader, UdpHeader};

use super::{Gre, Icmp, Ipv4, Ipv6};

/// What an IPv4 packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp(Udp),
    /// TCP.
    Tcp(Tcp),
    /// ICMP.
    Icmp(Icmp),
    /// GRE.
    Gre(Box<Gre>),
    /// An IPv4 packet (protocol 4, RFC 2003).
    Ipv4(Box<Ipv4>),
    /// An IPv6 packet (protocol 41).
    Ipv6(Box<Ipv6>),
    /// Anything: its protocol number and its bytes.
    Raw(u8, Vec<u8>),
}

/// A UDP datagram; its checksum is right for the IP header that it is put under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Payload.
    pub payload: Vec<u8>,
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
    pub(super) fn protocol(&self) -> u8 {
        match self {
            Self::Icmp(_) => 1,
            Self::Ipv4(_) => 4,
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Ipv6(_) => 41,
            Self::Gre(_) => 47,
            Self::Raw(protocol, _) => *protocol,
        }
    }

    pub(super) fn build(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        match self {
            Self::Udp(udp) => udp.build(source, destination),
            Self::Tcp(tcp) => tcp.build(source, destination),
            Self::Icmp(icmp) => icmp.build(),
            Self::Gre(gre) => gre.build(),
            Self::Ipv4(packet) => packet.build(),
            Self::Ipv6(packet) => packet.build(),
            Self::Raw(_, bytes) => bytes.clone(),
        }
    }
}

impl Udp {
    fn build(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let mut header =
            UdpHeader::without_ipv4_checksum(self.source, self.destination, self.payload.len())
                .expect("a test datagram is shorter than 64 KiB");
        header.checksum = header
            .calc_checksum_ipv4_raw(source.octets(), destination.octets(), &self.payload)
            .expect("a test datagram is shorter than 64 KiB");
        [&header.to_bytes(), self.payload.as_slice()].concat()
    }
}

impl Tcp {
    fn build(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let mut header = TcpHeader::new(self.source, self.destination, self.sequence, 0xffff);
        header.psh = true;
        header.checksum = header
            .calc_checksum_ipv4_raw(source.octets(), destination.octets(), &self.payload)
            .expect("a test segment is shorter than 64 KiB");
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

impl From<Gre> for Transport {
    fn from(gre: Gre) -> Self {
        Self::Gre(Box::new(gre))
    }
}

impl From<Ipv4> for Transport {
    fn from(packet: Ipv4) -> Self {
        Self::Ipv4(Box::new(packet))
    }
}
