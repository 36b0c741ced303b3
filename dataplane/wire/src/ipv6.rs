//! IPv6 (RFC 8200): only what names the family.

use crate::Error;

/// A view of an IPv6 packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Length of the fixed header in bytes.
    pub const HEADER_LEN: usize = 40;

    /// Whether these bytes begin like an IPv6 packet. Says nothing about what follows.
    #[inline]
    pub fn is_family(bytes: &T) -> bool {
        bytes.as_ref().first().is_some_and(|b| b >> 4 == 6)
    }

    /// A view of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 40 bytes, [`Error::Malformed`] for another version.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        if buffer.as_ref().len() < Self::HEADER_LEN {
            return Err(Error::Truncated);
        }
        if !Self::is_family(&buffer) {
            return Err(Error::Malformed);
        }
        Ok(Self { buffer })
    }

    /// Next header.
    #[inline]
    pub fn next_header(&self) -> crate::Protocol {
        crate::Protocol(self.buffer.as_ref()[6])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_the_version_nibble() {
        assert!(Packet::is_family(&[0x60]));
        assert!(!Packet::is_family(&[0x45]));
        assert!(!Packet::is_family(&[0u8; 0]));
    }

    #[test]
    fn the_fixed_header_must_be_whole() {
        let mut bytes = [0u8; 40];
        bytes[0] = 0x6f;
        bytes[6] = 47;
        for len in 0..40 {
            assert_eq!(
                Packet::new_checked(&bytes[..len]).err(),
                Some(Error::Truncated)
            );
        }
        assert_eq!(
            Packet::new_checked(&bytes[..]).unwrap().next_header(),
            crate::Protocol::GRE
        );
        bytes[0] = 0x40;
        assert_eq!(
            Packet::new_checked(&bytes[..]).err(),
            Some(Error::Malformed)
        );
    }
}
