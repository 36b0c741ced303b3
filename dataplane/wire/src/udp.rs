//! UDP (RFC 768), with the zero checksum of tunnels over IPv6 (RFC 6935).

use crate::{Error, checksum};

mod field {
    use core::ops::Range;

    pub(super) const SOURCE: usize = 0;
    pub(super) const DESTINATION: usize = 2;
    pub(super) const LEN: usize = 4;
    pub(super) const CHECKSUM: Range<usize> = 6..8;
}

/// A view of a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Datagram<T> {
    /// Length of the header.
    pub const HEADER_LEN: usize = field::CHECKSUM.end;

    /// A view of `buffer`, which ends where the IP packet ends.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes, [`Error::Malformed`] if the length field is not the
    /// buffer's length.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let len = buffer.as_ref().len();
        if len < Self::HEADER_LEN {
            return Err(Error::Truncated);
        }
        let datagram = Self { buffer };
        if usize::from(datagram.len()) != len {
            return Err(Error::Malformed);
        }
        Ok(datagram)
    }

    /// Source port.
    #[inline]
    pub fn source(&self) -> u16 {
        self.word(field::SOURCE)
    }

    /// Destination port.
    #[inline]
    pub fn destination(&self) -> u16 {
        self.word(field::DESTINATION)
    }

    /// Length of header and payload in bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> u16 {
        self.word(field::LEN)
    }

    /// Checksum as it is in the datagram; 0 is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        self.word(field::CHECKSUM.start)
    }

    /// Whether there is no checksum, or the right one; `address_sum` is the ones' complement sum
    /// ([`checksum::sum`]) of both IP addresses.
    #[inline]
    pub fn is_checksum_valid(&self, address_sum: u16) -> bool {
        self.checksum() == 0
            || total(address_sum, self.len(), checksum::sum(self.buffer.as_ref())) == 0xffff
    }

    /// What follows the header.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buffer.as_ref()[Self::HEADER_LEN..]
    }

    fn word(&self, at: usize) -> u16 {
        let b = self.buffer.as_ref();
        u16::from_be_bytes([b[at], b[at + 1]])
    }
}

/// The checksum of a datagram of `len` bytes, whose ones' complement sum ([`checksum::sum`]) with a
/// checksum field of 0 is `sum`, between addresses of this sum. Never 0, which means none.
#[inline]
#[must_use]
pub fn datagram_checksum(address_sum: u16, len: u16, sum: u16) -> u16 {
    match !total(address_sum, len, sum) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// The sum over pseudo-header (addresses, protocol, length) and datagram: RFC 768, and
/// RFC 8200 section 8.1, whose wider fields add up to the same.
fn total(address_sum: u16, len: u16, sum: u16) -> u16 {
    const PROTOCOL: u64 = 17;
    checksum::fold(u64::from(address_sum) + PROTOCOL + u64::from(len) + u64::from(sum))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use etherparse::{PacketBuilder, UdpHeader};

    use super::*;

    const SOURCE: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const DESTINATION: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 2];

    fn v6(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6(SOURCE, DESTINATION, 64)
            .udp(0xc123, 5555)
            .write(&mut bytes, payload)
            .unwrap();
        bytes.split_off(40)
    }

    fn v4(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [198, 51, 100, 7], 64)
            .udp(0xc123, 5555)
            .write(&mut bytes, payload)
            .unwrap();
        bytes.split_off(20)
    }

    fn address_sums() -> (u16, u16) {
        (
            checksum::sum(&[192, 0, 2, 1, 198, 51, 100, 7]),
            checksum::sum(&[SOURCE, DESTINATION].concat()),
        )
    }

    #[test]
    fn all_fields_are_read() {
        let bytes = v4(b"abc");
        let datagram = Datagram::new_checked(&bytes).unwrap();
        assert_eq!((datagram.source(), datagram.destination()), (0xc123, 5555));
        assert_eq!((datagram.len(), datagram.payload()), (11, &b"abc"[..]));
        let header = UdpHeader::from_slice(&bytes).unwrap().0;
        assert_eq!(datagram.checksum(), header.checksum);
    }

    #[test]
    fn checksums_are_etherparses_in_both_families() {
        let (sum4, sum6) = address_sums();
        for payload in [&b""[..], b"a", b"ab", &[0xff; 301]] {
            for (bytes, sum) in [(v4(payload), sum4), (v6(payload), sum6)] {
                assert!(
                    Datagram::new_checked(&bytes)
                        .unwrap()
                        .is_checksum_valid(sum)
                );
                let mut again = bytes.clone();
                again[6..8].fill(0xab);
                assert!(
                    !Datagram::new_checked(&again)
                        .unwrap()
                        .is_checksum_valid(sum)
                );
                again[6..8].fill(0);
                let len = u16::try_from(again.len()).unwrap();
                let checksum = datagram_checksum(sum, len, checksum::sum(&again));
                assert_eq!(checksum.to_be_bytes(), bytes[6..8]);
            }
        }
    }

    #[test]
    fn no_checksum_is_valid_and_a_sum_of_zero_is_sent_as_ones() {
        let (sum, _) = address_sums();
        let mut bytes = v4(b"ab");
        bytes[6..8].fill(0);
        assert!(
            Datagram::new_checked(&bytes)
                .unwrap()
                .is_checksum_valid(sum)
        );
        // The payload that makes the sum 0xffff without a checksum.
        bytes[8..10].fill(0);
        let rest = !total(sum, 10, checksum::sum(&bytes));
        bytes[8..10].copy_from_slice(&rest.to_be_bytes());
        assert_eq!(datagram_checksum(sum, 10, checksum::sum(&bytes)), 0xffff);
        bytes[6..8].fill(0xff);
        assert!(
            Datagram::new_checked(&bytes)
                .unwrap()
                .is_checksum_valid(sum)
        );
    }

    #[test]
    fn lengths_that_disagree_are_refused() {
        let bytes = v4(b"abc");
        for len in 0..8 {
            assert_eq!(
                Datagram::new_checked(&bytes[..len]).err(),
                Some(Error::Truncated)
            );
        }
        for len in 8..11 {
            assert_eq!(
                Datagram::new_checked(&bytes[..len]).err(),
                Some(Error::Malformed)
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Datagram::new_checked(longer).err(), Some(Error::Malformed));
    }
}
