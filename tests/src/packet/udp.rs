//! UDP (RFC 768), with what tunnels put into it: IP as Linux FOU has it, and GUE.

use std::net::IpAddr;

use etherparse::UdpHeader;

use super::{Checksum, Field, Ip, Ipv4, Ipv6, length16};

/// A UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Length of header and payload in bytes.
    pub length: Field<u16>,
    /// For the IP header that it is put under; `None` writes 0, no checksum.
    pub checksum: Option<Checksum>,
    /// Payload.
    pub payload: UdpPayload,
}

/// What UDP carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UdpPayload {
    /// An IP packet: FOU, or GUE variant 1.
    Ip(Box<Ip>),
    /// A GUE message of another variant.
    Gue(Gue),
    /// Anything.
    Raw(Vec<u8>),
}

/// Generic UDP Encapsulation, variant 0 (draft-ietf-intarea-gue-09 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gue {
    /// 0, in the upper two bits of the first byte.
    pub variant: u8,
    /// A control message instead of data.
    pub control: bool,
    /// Words of four bytes that the header promises behind its first.
    pub words: Field<u8>,
    /// Which extension fields there are.
    pub flags: u16,
    /// The extension fields; whole words.
    pub fields: Vec<u8>,
    /// IP protocol number of the payload.
    pub protocol: Field<u8>,
    /// What it carries.
    pub payload: GuePayload,
}

/// What GUE carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuePayload {
    /// An IP packet.
    Ip(Box<Ip>),
    /// Anything: its protocol number and its bytes.
    Raw(u8, Vec<u8>),
}

impl Udp {
    /// A datagram with its checksum.
    #[must_use]
    pub fn new(source: u16, destination: u16, payload: impl Into<UdpPayload>) -> Self {
        Self {
            source,
            destination,
            length: Field::Auto,
            checksum: Some(Checksum::Right),
            payload: payload.into(),
        }
    }

    /// The datagram without a checksum.
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        self.checksum = None;
        self
    }

    pub(super) fn build(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let payload = self.payload.build();
        let mut header = UdpHeader {
            source_port: self.source,
            destination_port: self.destination,
            length: self.length.or(length16(8 + payload.len())),
            checksum: 0,
        };
        if let Some(checksum) = self.checksum {
            let right = match (source, destination) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &payload)
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &payload)
                }
                _ => panic!("an IP packet is of one family"),
            };
            let right = right.expect("a test datagram is shorter than 64 KiB");
            // 0 would say that there is no checksum.
            header.checksum = match checksum.apply(right) {
                0 => 0xffff,
                sum => sum,
            };
        }
        [header.to_bytes().as_slice(), &payload].concat()
    }
}

impl UdpPayload {
    fn build(&self) -> Vec<u8> {
        match self {
            Self::Ip(packet) => packet.build(),
            Self::Gue(gue) => gue.build(),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

impl Gue {
    /// A header without extension fields.
    #[must_use]
    pub fn new(packet: impl Into<Ip>) -> Self {
        Self {
            variant: 0,
            control: false,
            words: Field::Auto,
            flags: 0,
            fields: Vec::new(),
            protocol: Field::Auto,
            payload: GuePayload::Ip(Box::new(packet.into())),
        }
    }

    /// The header's and the payload's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let (protocol, payload) = match &self.payload {
            GuePayload::Ip(packet) => (packet.protocol(), packet.build()),
            GuePayload::Raw(protocol, bytes) => (*protocol, bytes.clone()),
        };
        let words = u8::try_from(self.fields.len() / 4).expect("at most 31 words");
        let first =
            self.variant << 6 | u8::from(self.control) << 5 | self.words.or(words) & 0b1_1111;
        let mut out = vec![first, self.protocol.or(protocol)];
        out.extend(self.flags.to_be_bytes());
        out.extend(&self.fields);
        out.extend(payload);
        out
    }
}

impl From<Vec<u8>> for UdpPayload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Raw(bytes)
    }
}

impl From<Ip> for UdpPayload {
    fn from(packet: Ip) -> Self {
        Self::Ip(Box::new(packet))
    }
}

impl From<Ipv4> for UdpPayload {
    fn from(packet: Ipv4) -> Self {
        Ip::from(packet).into()
    }
}

impl From<Ipv6> for UdpPayload {
    fn from(packet: Ipv6) -> Self {
        Ip::from(packet).into()
    }
}

impl From<Gue> for UdpPayload {
    fn from(gue: Gue) -> Self {
        Self::Gue(gue)
    }
}
