//! IPv6 (RFC 8200).

use core::net::Ipv6Addr;

use crate::{Ecn, Error, Protocol};

mod field {
    use core::ops::Range;

    pub(super) const PAYLOAD_LEN: Range<usize> = 4..6;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SOURCE: Range<usize> = 8..24;
    pub(super) const DESTINATION: Range<usize> = 24..40;
}

/// A view of an IPv6 packet: the buffer may be longer than the packet (link padding).
///
/// A jumbogram (RFC 2675) has a payload length of 0 and is a packet without payload here.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Length of the header, without extension headers.
    pub const HEADER_LEN: usize = field::DESTINATION.end;

    /// A view of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] if header or payload go beyond the buffer, [`Error::Malformed`]
    /// if the version is not 6.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let len = buffer.as_ref().len();
        if len < Self::HEADER_LEN {
            return Err(Error::Truncated);
        }
        let packet = Self { buffer };
        if packet.buffer.as_ref()[0] >> 4 != 6 {
            return Err(Error::Malformed);
        }
        if packet.total_len() > len {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// Traffic class: DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        let b = self.buffer.as_ref();
        b[0] << 4 | b[1] >> 4
    }

    /// The ECN field.
    #[inline]
    pub fn ecn(&self) -> Ecn {
        Ecn::from_tos(self.traffic_class())
    }

    /// The flow label, 20 bits (RFC 6437).
    #[inline]
    pub fn flow_label(&self) -> u32 {
        let b = self.buffer.as_ref();
        u32::from_be_bytes([0, b[1] & 0x0f, b[2], b[3]])
    }

    /// Length in bytes of what follows the header, extension headers included.
    #[inline]
    pub fn payload_len(&self) -> u16 {
        let b = self.buffer.as_ref();
        u16::from_be_bytes([b[field::PAYLOAD_LEN.start], b[field::PAYLOAD_LEN.start + 1]])
    }

    /// Length of header and payload in bytes.
    #[inline]
    pub fn total_len(&self) -> usize {
        Self::HEADER_LEN + usize::from(self.payload_len())
    }

    /// What follows the header: an extension header or what the packet carries.
    #[inline]
    pub fn next_header(&self) -> Protocol {
        Protocol(self.buffer.as_ref()[field::NEXT_HEADER])
    }

    /// Hop limit.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.buffer.as_ref()[field::HOP_LIMIT]
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv6Addr {
        self.address(field::SOURCE.start)
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv6Addr {
        self.address(field::DESTINATION.start)
    }

    /// What follows the header, extension headers included.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[Self::HEADER_LEN..self.total_len()]
    }

    /// What stands behind the header and up to four extension headers.
    ///
    /// # Errors
    /// [`Error::Truncated`] if an extension header goes beyond the packet, [`Error::Malformed`] if
    /// one still follows the fourth.
    #[inline]
    pub fn upper_layer(&self) -> Result<UpperLayer, Error> {
        let mut upper = UpperLayer {
            protocol: self.next_header(),
            offset: Self::HEADER_LEN,
            is_fragment: false,
        };
        let payload = &self.buffer.as_ref()[..self.total_len()];
        let mut passed = 0;
        while upper.protocol.is_extension_header() && !upper.is_fragment {
            if passed == MAX_EXTENSION_HEADERS {
                return Err(Error::Malformed);
            }
            upper.pass(&payload[upper.offset..])?;
            passed += 1;
        }
        Ok(upper)
    }

    fn address(&self, at: usize) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.buffer.as_ref()[at..at + 16]);
        Ipv6Addr::from(octets)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the ECN field.
    #[inline]
    pub fn set_ecn(&mut self, ecn: Ecn) {
        let second = &mut self.buffer.as_mut()[1];
        *second = *second & !0x30 | (ecn as u8) << 4;
    }

    /// Takes one from the hop limit, which must not be 0.
    #[inline]
    pub fn decrement_hop_limit(&mut self) {
        debug_assert!(
            self.hop_limit() > 0,
            "a hop limit of 0 has nothing to take from"
        );
        let hop_limit = &mut self.buffer.as_mut()[field::HOP_LIMIT];
        *hop_limit = hop_limit.wrapping_sub(1);
    }
}

/// Extension headers that are read, at most: Linux's tunnels send one, and a chain without a
/// bound would cost the reader whatever its sender likes.
const MAX_EXTENSION_HEADERS: usize = 4;

impl Protocol {
    /// Hop-by-hop options, routing, fragment, destination options (RFC 8200 section 4.1).
    const fn is_extension_header(self) -> bool {
        matches!(self.0, 0 | 43 | 44 | 60)
    }
}

/// Where an IPv6 packet's extension headers end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperLayer {
    /// What follows them.
    pub protocol: Protocol,
    /// Where it starts, from the packet's start.
    pub offset: usize,
    /// Whether a fragment header has more fragments to follow, or an offset: the walk ends there.
    pub is_fragment: bool,
}

impl UpperLayer {
    /// Goes on behind the extension header that `rest` begins with.
    fn pass(&mut self, rest: &[u8]) -> Result<(), Error> {
        let [next, len, fragment @ ..] = *rest.first_chunk::<4>().ok_or(Error::Truncated)?;
        let header_len = match self.protocol {
            Protocol(44) => {
                // Offset and M; the two bits between them are reserved.
                self.is_fragment = u16::from_be_bytes(fragment) & 0xfff9 != 0;
                8
            }
            _ => (usize::from(len) + 1) * 8,
        };
        if rest.len() < header_len {
            return Err(Error::Truncated);
        }
        self.protocol = Protocol(next);
        self.offset += header_len;
        Ok(())
    }
}

/// Whether these bytes begin like an IPv6 packet. Says nothing about what follows.
#[inline]
#[must_use]
pub fn is_ipv6(packet: &[u8]) -> bool {
    packet.first().is_some_and(|b| b >> 4 == 6)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    /// Traffic class 0xb9 (EF, ECT(1)), flow label 0xabcde, 4 bytes of ICMPv6, and padding.
    static BYTES: [u8; 46] = [
        0x6b, 0x9a, 0xbc, 0xde, 0, 4, 58, 64, //
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, //
        0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
        128, 0, 1, 2, 0xee, 0xee,
    ];

    #[test]
    fn all_fields_are_read() {
        let packet = Packet::new_checked(BYTES).unwrap();
        assert_eq!(packet.traffic_class(), 0xb9);
        assert_eq!(packet.ecn(), Ecn::Ect1);
        assert_eq!(packet.flow_label(), 0xabcde);
        assert_eq!((packet.payload_len(), packet.total_len()), (4, 44));
        assert_eq!(packet.next_header(), Protocol::ICMPV6);
        assert_eq!(packet.hop_limit(), 64);
        assert_eq!(packet.source(), "2001:db8::1".parse::<Ipv6Addr>().unwrap());
        assert_eq!(
            packet.destination(),
            "2001:db8::2".parse::<Ipv6Addr>().unwrap()
        );
        assert_eq!(packet.payload(), [128, 0, 1, 2]);
    }

    #[test]
    fn packets_cut_at_each_byte_are_refused() {
        for len in 0..44 {
            assert_eq!(
                Packet::new_checked(&BYTES[..len]).err(),
                Some(Error::Truncated),
                "{len}"
            );
        }
        assert!(Packet::new_checked(&BYTES[..44]).is_ok());
    }

    #[test]
    fn other_versions_are_refused() {
        for first in [0x00, 0x45, 0x5b, 0x7b] {
            let mut bytes = BYTES;
            bytes[0] = first;
            assert_eq!(Packet::new_checked(bytes).err(), Some(Error::Malformed));
        }
    }

    #[test]
    fn setters_change_their_fields_alone() {
        let mut packet = Packet::new_checked(BYTES).unwrap();
        for ecn in [Ecn::NotEct, Ecn::Ect0, Ecn::Ce, Ecn::Ect1] {
            packet.set_ecn(ecn);
            assert_eq!(packet.ecn(), ecn);
            assert_eq!(packet.traffic_class() & !3, 0xb8);
        }
        assert_eq!(packet.buffer, BYTES);
        packet.decrement_hop_limit();
        assert_eq!(packet.hop_limit(), 63);
        packet.buffer[field::HOP_LIMIT] = 64;
        assert_eq!(packet.buffer, BYTES);
    }

    /// An IPv6 packet whose payload is these extension headers, of which the first is `first`.
    fn chain(first: u8, headers: &[&[u8]]) -> std::vec::Vec<u8> {
        let mut bytes = BYTES[..40].to_vec();
        bytes.extend(headers.concat());
        bytes[5] = u8::try_from(bytes.len() - 40).unwrap();
        bytes[6] = first;
        bytes
    }

    fn upper(bytes: &[u8]) -> Result<(u8, usize, bool), Error> {
        let upper = Packet::new_checked(bytes).unwrap().upper_layer()?;
        Ok((upper.protocol.0, upper.offset, upper.is_fragment))
    }

    const OPTIONS: [u8; 8] = [60, 0, 1, 4, 0, 0, 0, 0];
    const LONG_OPTIONS: [u8; 16] = [43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const ROUTING: [u8; 8] = [44, 0, 4, 0, 0, 0, 0, 0];
    const ATOMIC: [u8; 8] = [47, 0xff, 0, 6, 0, 0, 0, 9];

    #[test]
    fn four_extension_headers_are_passed_and_no_fifth() {
        assert_eq!(upper(&chain(47, &[&[0; 4]])), Ok((47, 40, false)));
        let four = chain(0, &[&OPTIONS, &LONG_OPTIONS, &ROUTING, &ATOMIC, &[0; 4]]);
        assert_eq!(upper(&four), Ok((47, 80, false)));
        let five = chain(60, &[&OPTIONS, &OPTIONS, &OPTIONS, &OPTIONS, &OPTIONS]);
        assert_eq!(upper(&five), Err(Error::Malformed));
    }

    #[test]
    fn the_walk_ends_at_a_fragment() {
        for (word, expected) in [
            (0x0001u16, true),
            (0x0008, true),
            (0xfff8, true),
            (0x0006, false),
        ] {
            let mut fragment = [60, 0, 0, 0, 0, 0, 0, 9];
            fragment[2..4].copy_from_slice(&word.to_be_bytes());
            let bytes = chain(44, &[&fragment, &[17, 0, 0, 0, 0, 0, 0, 0]]);
            let end = if expected {
                (60, 48, true)
            } else {
                (17, 56, false)
            };
            assert_eq!(upper(&bytes), Ok(end), "{word:x}");
        }
    }

    #[test]
    fn extension_headers_end_with_the_packet() {
        let whole = chain(0, &[&OPTIONS, &LONG_OPTIONS]);
        for len in 40..64 {
            // Padding behind the packet is no part of it.
            let mut bytes = whole.clone();
            bytes[5] = u8::try_from(len - 40).unwrap();
            assert_eq!(upper(&bytes), Err(Error::Truncated), "{len}");
        }
        assert_eq!(
            upper(&whole),
            Err(Error::Truncated),
            "routing follows, and is not there"
        );
    }

    #[test]
    fn the_family_is_the_version_nibble() {
        assert!(is_ipv6(&[0x60]));
        assert!(is_ipv6(&[0x6f, 0]));
        assert!(!is_ipv6(&[0x45]));
        assert!(!is_ipv6(&[]));
    }
}
