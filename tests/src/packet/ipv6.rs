//! IPv6 (RFC 8200): the fixed header and extension headers, as far as steering reads them.

use std::net::Ipv6Addr;

use super::{Field, Gre, Ipv4, length16, put16};

/// An IPv6 packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Hop limit.
    pub hop_limit: u8,
    /// Version, 6.
    pub version: Field<u8>,
    /// Extension headers, in their order.
    pub extensions: Vec<Extension>,
    /// What it carries.
    pub payload: Ipv6Payload,
}

/// An extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options, of 8 * (n + 1) bytes.
    HopByHop(u8),
    /// Routing, of 8 * (n + 1) bytes.
    Routing(u8),
    /// Destination options, of 8 * (n + 1) bytes.
    Destination(u8),
    /// Fragment: offset in units of 8 bytes, and the M flag.
    Fragment(u16, bool),
}

/// What an IPv6 packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ipv6Payload {
    /// GRE.
    Gre(Box<Gre>),
    /// An IPv4 packet (protocol 4).
    Ipv4(Box<Ipv4>),
    /// An IPv6 packet (protocol 41).
    Ipv6(Box<Ipv6>),
    /// Anything: its next-header number and its bytes.
    Raw(u8, Vec<u8>),
}

impl Ipv6Payload {
    fn number(&self) -> u8 {
        match self {
            Self::Gre(_) => 47,
            Self::Ipv4(_) => 4,
            Self::Ipv6(_) => 41,
            Self::Raw(number, _) => *number,
        }
    }

    fn build(&self) -> Vec<u8> {
        match self {
            Self::Gre(gre) => gre.build(),
            Self::Ipv4(packet) => packet.build(),
            Self::Ipv6(packet) => packet.build(),
            Self::Raw(_, bytes) => bytes.clone(),
        }
    }
}

impl Extension {
    fn number(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing(_) => 43,
            Self::Destination(_) => 60,
            Self::Fragment(..) => 44,
        }
    }

    fn build(self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop(n) | Self::Routing(n) | Self::Destination(n) => {
                let mut out = vec![0; 8 * (usize::from(n) + 1)];
                out[0] = next;
                out[1] = n;
                out
            }
            Self::Fragment(offset, more) => {
                let mut out = vec![next, 0, 0, 0, 0, 0, 0, 1];
                put16(&mut out, 2, offset << 3 | u16::from(more));
                out
            }
        }
    }
}

impl Ipv6 {
    /// A packet of hop limit 64 without extension headers.
    #[must_use]
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, payload: Ipv6Payload) -> Self {
        Self {
            source,
            destination,
            hop_limit: 64,
            version: Field::Auto,
            extensions: Vec::new(),
            payload,
        }
    }

    /// The packet's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut next = self.payload.number();
        let mut body = self.payload.build();
        for extension in self.extensions.iter().rev() {
            let mut header = extension.build(next);
            header.extend(body);
            body = header;
            next = extension.number();
        }
        let mut out = vec![0; 40];
        out[0] = self.version.or(6) << 4;
        put16(&mut out, 4, length16(body.len()));
        out[6] = next;
        out[7] = self.hop_limit;
        out[8..24].copy_from_slice(&self.source.octets());
        out[24..40].copy_from_slice(&self.destination.octets());
        out.extend(body);
        out
    }
}
