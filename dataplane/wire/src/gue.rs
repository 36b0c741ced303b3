//! Generic UDP Encapsulation (draft-ietf-intarea-gue-09), variant 0.

use crate::{Error, Protocol};

/// A view of a GUE header of variant 0, and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Length of a header without optional fields.
    pub const MIN_LEN: usize = 4;

    /// A view of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] if the header, by its length field, is not whole; [`Error::Malformed`]
    /// for another variant and for control messages.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let bytes = buffer.as_ref();
        let [first, ..] = *bytes.first_chunk::<4>().ok_or(Error::Truncated)?;
        let packet = Self { buffer };
        if packet.buffer.as_ref().len() < packet.header_len() {
            return Err(Error::Truncated);
        }
        // Two bits of variant, one that says that it is a control message.
        if first & 0xe0 != 0 {
            return Err(Error::Malformed);
        }
        Ok(packet)
    }

    /// Length of the header with its optional fields, in bytes: 4 to 128.
    #[inline]
    pub fn header_len(&self) -> usize {
        Self::MIN_LEN + 4 * usize::from(self.buffer.as_ref()[0] & 0x1f)
    }

    /// What it carries.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        Protocol(self.buffer.as_ref()[1])
    }

    /// Which optional fields there are.
    #[inline]
    pub fn flags(&self) -> u16 {
        let b = self.buffer.as_ref();
        u16::from_be_bytes([b[2], b[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_are_read() {
        let gue = Packet::new_checked([0x02, 41, 0x80, 0x01, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(gue.header_len(), 12);
        assert_eq!(gue.protocol(), Protocol::IPV6);
        assert_eq!(gue.flags(), 0x8001);
    }

    #[test]
    fn headers_that_are_not_whole_are_refused_before_their_variant() {
        for first in [0x00, 0x01, 0x1f, 0x20, 0x41, 0x80, 0xff] {
            let bytes = [first; 128];
            let whole = 4 + 4 * usize::from(first & 0x1f);
            for len in 0..whole {
                assert_eq!(
                    Packet::new_checked(&bytes[..len]).err(),
                    Some(Error::Truncated)
                );
            }
            let expected = (first & 0xe0 != 0).then_some(Error::Malformed);
            assert_eq!(
                Packet::new_checked(&bytes[..whole]).err(),
                expected,
                "{first:x}"
            );
        }
    }
}
