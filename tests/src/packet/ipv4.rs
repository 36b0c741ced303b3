//! IPv4 (RFC 791), options included.

use std::net::Ipv4Addr;

use super::{Checksum, Field, Transport, internet_checksum, length16, put16};

/// An IPv4 packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// The whole second byte: DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// Identification.
    pub id: u16,
    /// Don't fragment.
    pub dont_fragment: bool,
    /// More fragments.
    pub more_fragments: bool,
    /// Fragment offset in units of 8 bytes.
    pub fragment_offset: u16,
    /// Options; padded with zeroes to a multiple of four, at most 40 bytes.
    pub options: Vec<u8>,
    /// Version, 4.
    pub version: Field<u8>,
    /// Header length in words of four bytes.
    pub ihl: Field<u8>,
    /// Total length in bytes.
    pub total_length: Field<u16>,
    /// Protocol number.
    pub protocol: Field<u8>,
    /// The header's checksum.
    pub checksum: Checksum,
    /// What it carries.
    pub payload: Transport,
}

impl Ipv4 {
    /// A packet of TTL 64 without options.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, payload: impl Into<Transport>) -> Self {
        Self {
            source,
            destination,
            ttl: 64,
            tos: 0,
            id: 0,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset: 0,
            options: Vec::new(),
            version: Field::Auto,
            ihl: Field::Auto,
            total_length: Field::Auto,
            protocol: Field::Auto,
            checksum: Checksum::Right,
            payload: payload.into(),
        }
    }

    /// Length of the header with its options, in bytes.
    #[must_use]
    pub fn header_len(&self) -> usize {
        20 + self.options.len().next_multiple_of(4)
    }

    /// The packet's bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let header_len = self.header_len();
        assert!(header_len <= 60, "IPv4 options are at most 40 bytes");
        let payload = self
            .payload
            .build(self.source.into(), self.destination.into());
        let mut out = vec![0; header_len];
        let words = u8::try_from(header_len / 4).expect("at most 15");
        out[0] = self.version.or(4) << 4 | self.ihl.or(words) & 0x0f;
        out[1] = self.tos;
        put16(
            &mut out,
            2,
            self.total_length.or(length16(header_len + payload.len())),
        );
        put16(&mut out, 4, self.id);
        let flags = u16::from(self.dont_fragment) << 14 | u16::from(self.more_fragments) << 13;
        put16(&mut out, 6, flags | self.fragment_offset & 0x1fff);
        out[8] = self.ttl;
        out[9] = self.protocol.or(self.payload.protocol());
        out[12..16].copy_from_slice(&self.source.octets());
        out[16..20].copy_from_slice(&self.destination.octets());
        out[20..20 + self.options.len()].copy_from_slice(&self.options);
        let right = internet_checksum(&out);
        put16(&mut out, 10, self.checksum.apply(right));
        out.extend(payload);
        out
    }
}
