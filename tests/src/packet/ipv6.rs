//! IPv6 (RFC 8200): the fixed header and the extension headers that steering reads.

use std::net::Ipv6Addr;

use super::{Field, Transport, length16, put16};

/// An IPv6 packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Hop limit.
    pub hop_limit: u8,
    /// Traffic class: DSCP in the upper six bits, ECN in the lower two.
    pub traffic_class: u8,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Version, 6.
    pub version: Field<u8>,
    /// Bytes behind the fixed header.
    pub payload_length: Field<u16>,
    /// Protocol number of the payload, as the last header names it.
    pub protocol: Field<u8>,
    /// Extension headers, in their order.
    pub extensions: Vec<Extension>,
    /// What it carries.
    pub payload: Transport,
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
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, payload: impl Into<Transport>) -> Self {
        Self {
            source,
            destination,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            version: Field::Auto,
            payload_length: Field::Auto,
            protocol: Field::Auto,
            extensions: Vec::new(),
            payload: payload.into(),
        }
    }

    /// Length of the header with its extension headers, in bytes.
    #[must_use]
    pub fn header_len(&self) -> usize {
        let extensions = self.extensions.iter().map(|e| e.build(0).len());
        40 + extensions.sum::<usize>()
    }

    /// The packet's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut next = self.protocol.or(self.payload.protocol());
        let mut body = self
            .payload
            .build(self.source.into(), self.destination.into());
        for extension in self.extensions.iter().rev() {
            let mut header = extension.build(next);
            header.extend(body);
            body = header;
            next = extension.number();
        }
        let mut out = vec![0; 40];
        let first = u32::from(self.version.or(6)) << 28
            | u32::from(self.traffic_class) << 20
            | self.flow_label & 0xf_ffff;
        out[..4].copy_from_slice(&first.to_be_bytes());
        put16(&mut out, 4, self.payload_length.or(length16(body.len())));
        out[6] = next;
        out[7] = self.hop_limit;
        out[8..24].copy_from_slice(&self.source.octets());
        out[24..40].copy_from_slice(&self.destination.octets());
        out.extend(body);
        out
    }
}
