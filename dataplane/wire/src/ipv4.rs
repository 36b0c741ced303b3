//! IPv4 (RFC 791), with the ECN field of RFC 3168 and the DSCP of RFC 2474.

use core::net::Ipv4Addr;

use crate::{Error, checksum};

/// An IP protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// IPv4 in IP (RFC 2003).
    pub const IPIP: Self = Self(4);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// IPv6 in IP (RFC 4213).
    pub const IPV6: Self = Self(41);
    /// GRE.
    pub const GRE: Self = Self(47);
    /// ICMPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// SCTP.
    pub const SCTP: Self = Self(132);
}

/// The ECN field (RFC 3168 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ecn {
    /// Not ECN-capable.
    NotEct = 0,
    /// ECN-capable, codepoint 1.
    Ect1 = 1,
    /// ECN-capable, codepoint 0.
    Ect0 = 2,
    /// Congestion experienced.
    Ce = 3,
}

impl Ecn {
    /// The field of a type-of-service octet.
    #[inline]
    #[must_use]
    pub const fn from_tos(tos: u8) -> Self {
        match tos & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }
}

mod field {
    use core::ops::Range;

    pub(super) const TOTAL_LEN: Range<usize> = 2..4;
    pub(super) const CHECKSUM: Range<usize> = 10..12;
    pub(super) const SOURCE: Range<usize> = 12..16;
    pub(super) const DESTINATION: Range<usize> = 16..20;
    pub(super) const TOS: usize = 1;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
}

/// A view of an IPv4 packet: the buffer may be longer than the packet (link padding).
#[derive(Clone, Copy, Debug)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Length of a header without options.
    pub const MIN_LEN: usize = field::DESTINATION.end;

    /// A view of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] if header or total length go beyond the buffer,
    /// [`Error::Malformed`] if the version is not 4 or the lengths contradict each other.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let len = buffer.as_ref().len();
        if len < Self::MIN_LEN {
            return Err(Error::Truncated);
        }
        let packet = Self { buffer };
        let (header, total) = (packet.header_len(), usize::from(packet.total_len()));
        if packet.buffer.as_ref()[0] >> 4 != 4 || header < Self::MIN_LEN || total < header {
            return Err(Error::Malformed);
        }
        // The header is within the total length, so this covers both.
        if total > len {
            return Err(Error::Truncated);
        }
        Ok(packet)
    }

    /// Length of the header in bytes: 20 to 60.
    #[inline]
    pub fn header_len(&self) -> usize {
        usize::from(self.buffer.as_ref()[0] & 0x0f) * 4
    }

    /// Type of service: DSCP and ECN.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.buffer.as_ref()[field::TOS]
    }

    /// The ECN field.
    #[inline]
    pub fn ecn(&self) -> Ecn {
        Ecn::from_tos(self.tos())
    }

    /// Length of header and payload in bytes.
    #[inline]
    pub fn total_len(&self) -> u16 {
        self.word(field::TOTAL_LEN.start)
    }

    /// Whether it is a fragment: more follow, or the offset is not 0.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.word(6) & 0x3fff != 0
    }

    /// Time to live.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.buffer.as_ref()[field::TTL]
    }

    /// What it carries.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.buffer.as_ref()[field::PROTOCOL])
    }

    /// Header checksum as it is in the packet.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.word(field::CHECKSUM.start)
    }

    /// Whether the header checksum is right.
    #[inline]
    pub fn is_checksum_valid(&self) -> bool {
        let b = self.buffer.as_ref();
        match (
            self.header_len(),
            b.first_chunk::<{ field::DESTINATION.end }>(),
        ) {
            // Nearly all headers: a length that is known beforehand makes the sum a few additions.
            (Self::MIN_LEN, Some(header)) => checksum::is_valid(header),
            (len, _) => checksum::is_valid(&b[..len]),
        }
    }

    /// Source address.
    #[inline]
    pub fn source(&self) -> Ipv4Addr {
        self.address(field::SOURCE.start)
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> Ipv4Addr {
        self.address(field::DESTINATION.start)
    }

    /// What follows the header, to the total length.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[self.header_len()..usize::from(self.total_len())]
    }

    fn word(&self, at: usize) -> u16 {
        let b = self.buffer.as_ref();
        u16::from_be_bytes([b[at], b[at + 1]])
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let b = self.buffer.as_ref();
        Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3])
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Sets the ECN field and updates the checksum.
    #[inline]
    pub fn set_ecn(&mut self, ecn: Ecn) {
        let old = self.word(0);
        self.buffer.as_mut()[field::TOS] = self.tos() & !3 | ecn as u8;
        self.update_checksum(old, self.word(0));
    }

    /// Takes one from the time to live, which must not be 0, and updates the checksum.
    #[inline]
    pub fn decrement_ttl(&mut self) {
        debug_assert!(self.ttl() > 0, "a TTL of 0 has nothing to take from");
        let old = self.word(field::TTL);
        self.buffer.as_mut()[field::TTL] = self.ttl().wrapping_sub(1);
        self.update_checksum(old, self.word(field::TTL));
    }

    fn update_checksum(&mut self, old: u16, new: u16) {
        let updated = checksum::update(self.checksum(), old, new);
        self.buffer.as_mut()[field::CHECKSUM].copy_from_slice(&updated.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An ICMP echo request's header as sent by Linux, with one word of options and padding behind.
    static BYTES: [u8; 30] = [
        0x46, 0x02, 0x00, 0x1c, 0x12, 0x34, 0x40, 0x00, 0x40, 0x01, 0x8b, 0xad, 192, 0, 2, 1, 198,
        51, 100, 7, 0x94, 0x04, 0x00, 0x00, 8, 0, 0, 0, 0xee, 0xee,
    ];

    fn with_checksum(mut bytes: [u8; 30]) -> [u8; 30] {
        bytes[10..12].fill(0);
        let header = usize::from(bytes[0] & 15) * 4;
        let checksum = checksum::full(&bytes[..header]);
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    #[test]
    fn all_fields_are_read() {
        let packet = Packet::new_checked(BYTES).unwrap();
        assert_eq!(packet.header_len(), 24);
        assert_eq!(packet.total_len(), 28);
        assert_eq!(packet.ecn(), Ecn::Ect0);
        assert_eq!(packet.ttl(), 64);
        assert_eq!(packet.protocol(), Protocol::ICMP);
        assert_eq!(packet.source(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(packet.destination(), Ipv4Addr::new(198, 51, 100, 7));
        assert_eq!(packet.payload(), [8, 0, 0, 0]);
        assert!(!packet.is_fragment());
    }

    #[test]
    fn packets_cut_at_each_byte_are_refused() {
        for len in 0..28 {
            assert_eq!(
                Packet::new_checked(&BYTES[..len]).err(),
                Some(Error::Truncated),
                "{len}"
            );
        }
        assert!(Packet::new_checked(&BYTES[..28]).is_ok());
    }

    #[test]
    fn lengths_and_versions_that_cannot_be_are_refused() {
        for (at, value) in [(0, 0x66), (0, 0x44), (0, 0x40), (3, 23), (3, 0)] {
            let mut bytes = BYTES;
            bytes[at] = value;
            assert_eq!(
                Packet::new_checked(bytes).err(),
                Some(Error::Malformed),
                "{at}: {value}"
            );
        }
    }

    #[test]
    fn more_fragments_and_an_offset_make_a_fragment() {
        for (word, expected) in [
            (0x4000u16, false),
            (0x8000, false),
            (0x2000, true),
            (0x0001, true),
        ] {
            let mut bytes = BYTES;
            bytes[6..8].copy_from_slice(&word.to_be_bytes());
            assert_eq!(
                Packet::new_checked(bytes).unwrap().is_fragment(),
                expected,
                "{word:x}"
            );
        }
    }

    proptest! {
        #[test]
        fn setters_leave_the_checksum_that_a_full_computation_gives(
            bytes in any::<[u8; 30]>(), ttl in 1u8.., ecn in 0u8..4,
        ) {
            let mut bytes = bytes;
            bytes[0] = 0x45 + bytes[0] % 3;
            bytes[2..4].copy_from_slice(&[0, 30]);
            bytes[8] = ttl;
            let bytes = with_checksum(bytes);
            let mut packet = Packet::new_checked(bytes).unwrap();
            prop_assert!(packet.is_checksum_valid());
            packet.decrement_ttl();
            packet.set_ecn(Ecn::from_tos(ecn));
            prop_assert_eq!(packet.ttl(), ttl - 1);
            prop_assert_eq!(packet.ecn() as u8, ecn);
            prop_assert_eq!(packet.buffer, with_checksum(packet.buffer));
        }
    }
}
