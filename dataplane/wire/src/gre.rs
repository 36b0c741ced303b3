//! GRE version 0 (RFC 2784) with key and sequence number (RFC 2890).

use crate::{Error, EtherType, checksum};

/// Flags and version: the first 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// A checksum and a reserved word follow.
    pub const CHECKSUM: u16 = 0x8000;
    /// A key follows.
    pub const KEY: u16 = 0x2000;
    /// A sequence number follows.
    pub const SEQUENCE: u16 = 0x1000;
    /// What a receiver that knows only RFC 2784 and RFC 2890 must discard: routing, strict
    /// source route, recursion's bits that RFC 2784 section 2.2 names, and another version.
    pub const UNSUPPORTED: u16 = 0x4000 | 0x0800 | 0x0400 | 0x0007;

    /// Whether any of these bits is set.
    #[inline]
    #[must_use]
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// Length of a header with these flags, in bytes: 4 to 16.
    #[inline]
    #[must_use]
    pub const fn header_len(self) -> usize {
        let optional = self.0 & (Self::CHECKSUM | Self::KEY | Self::SEQUENCE);
        4 + 4 * optional.count_ones() as usize
    }
}

/// A view of a GRE packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Length of a header without optional fields.
    pub const MIN_LEN: usize = 4;

    /// A view of `buffer`, which ends where the packet ends.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the header is not whole, [`Error::Malformed`] for
    /// [`Flags::UNSUPPORTED`], which is looked at first.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let bytes = buffer.as_ref();
        let [a, b, _, _] = *bytes.first_chunk().ok_or(Error::Truncated)?;
        let flags = Flags(u16::from_be_bytes([a, b]));
        if flags.has(Flags::UNSUPPORTED) {
            return Err(Error::Malformed);
        }
        if bytes.len() < flags.header_len() {
            return Err(Error::Truncated);
        }
        Ok(Self { buffer })
    }

    /// Flags and version.
    #[inline]
    pub fn flags(&self) -> Flags {
        let b = self.buffer.as_ref();
        Flags(u16::from_be_bytes([b[0], b[1]]))
    }

    /// What it carries.
    #[inline]
    pub fn protocol_type(&self) -> EtherType {
        let b = self.buffer.as_ref();
        EtherType(u16::from_be_bytes([b[2], b[3]]))
    }

    /// Length of the header in bytes.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.flags().header_len()
    }

    /// The key; no key is not key 0.
    #[inline]
    pub fn key(&self) -> Option<u32> {
        let flags = self.flags();
        flags.has(Flags::KEY).then(|| {
            let at = if flags.has(Flags::CHECKSUM) { 8 } else { 4 };
            let b = self.buffer.as_ref();
            u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
        })
    }

    /// Whether there is no checksum, or the right one over header and payload
    /// (RFC 2784 section 2.1).
    #[inline]
    pub fn is_checksum_valid(&self) -> bool {
        !self.flags().has(Flags::CHECKSUM) || checksum::is_valid(self.buffer.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checksum, key 7, sequence number 9, payload "abc" (odd: padded for the sum).
    static BYTES: [u8; 19] = [
        0xb0, 0x00, 0x08, 0x00, 0x82, 0x29, 0x00, 0x00, 0, 0, 0, 7, 0, 0, 0, 9, b'a', b'b', b'c',
    ];

    #[test]
    fn all_fields_are_read() {
        let gre = Packet::new_checked(BYTES).unwrap();
        assert_eq!(gre.protocol_type(), EtherType::IPV4);
        assert_eq!(gre.header_len(), 16);
        assert_eq!(gre.key(), Some(7));
        // b000 + 0800 + 0007 + 0009 + 6162 + 6300 = 17c72 -> 7c73; its complement is 838c.
        let mut bytes = BYTES;
        bytes[4..6].copy_from_slice(&[0x83, 0x8c]);
        assert!(Packet::new_checked(bytes).unwrap().is_checksum_valid());
        assert!(!gre.is_checksum_valid());
    }

    #[test]
    fn no_key_is_not_key_zero() {
        assert_eq!(Packet::new_checked([0, 0, 8, 0]).unwrap().key(), None);
        assert_eq!(
            Packet::new_checked([0x20, 0, 8, 0, 0, 0, 0, 0])
                .unwrap()
                .key(),
            Some(0)
        );
        assert!(
            Packet::new_checked([0, 0, 8, 0])
                .unwrap()
                .is_checksum_valid()
        );
    }

    #[test]
    fn headers_cut_at_each_byte_are_refused() {
        for len in 0..16 {
            assert_eq!(
                Packet::new_checked(&BYTES[..len]).err(),
                Some(Error::Truncated),
                "{len}"
            );
        }
        assert!(Packet::new_checked(&BYTES[..16]).is_ok());
    }

    #[test]
    fn other_versions_and_routing_are_refused() {
        for flags in [0x4000u16, 0x0800, 0x0400, 0x0001, 0x0002, 0x0004] {
            let [a, b] = flags.to_be_bytes();
            assert_eq!(
                Packet::new_checked([a, b, 8, 0]).err(),
                Some(Error::Malformed),
                "{flags:x}"
            );
        }
        // Bits 6-12 are reserved and ignored on receipt (RFC 2784 section 2.3.1).
        assert!(Packet::new_checked([0x03, 0xf8, 8, 0]).is_ok());
    }
}
