//! IPv4 prefixes.

use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 prefix; bits behind its length are zero.
///
/// Ordered by address, then shorter first: a prefix comes before all that it contains.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix4 {
    addr: u32,
    len: u8,
}

impl Prefix4 {
    /// All addresses.
    pub const DEFAULT: Self = Self { addr: 0, len: 0 };

    /// The prefix of this length; `None` above 32, or if a bit behind the length is set.
    #[must_use]
    pub fn new(addr: Ipv4Addr, len: u8) -> Option<Self> {
        let prefix = Self {
            addr: addr.to_bits(),
            len,
        };
        (len <= 32 && prefix.addr & !mask(len) == 0).then_some(prefix)
    }

    /// First address.
    #[inline]
    #[must_use]
    pub const fn addr(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addr)
    }

    /// Length in bits.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "the length of a prefix, not of a collection"
    )]
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether `addr` begins with this prefix.
    #[inline]
    #[must_use]
    pub const fn contains(self, addr: Ipv4Addr) -> bool {
        self.covers_bits(addr.to_bits())
    }

    #[inline]
    pub(crate) const fn covers_bits(self, addr: u32) -> bool {
        (addr ^ self.addr) & mask(self.len) == 0
    }

    /// Whether all of `other` is within this prefix.
    #[inline]
    pub(crate) const fn covers(self, other: Self) -> bool {
        self.len <= other.len && self.covers_bits(other.addr)
    }

    /// The longest prefix that covers both.
    pub(crate) fn common(self, other: Self) -> Self {
        #[allow(clippy::cast_possible_truncation, reason = "at most 32")]
        let same = (self.addr ^ other.addr).leading_zeros() as u8;
        let len = same.min(self.len).min(other.len);
        Self {
            addr: self.addr & mask(len),
            len,
        }
    }

    /// The side of an address under this prefix: its first bit behind it. Only below /32.
    #[inline]
    pub(crate) const fn side(self, addr: u32) -> usize {
        (addr >> (31 - self.len) & 1) as usize
    }

    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        self.addr
    }
}

/// The `len` highest bits; `len` is at most 32.
#[inline]
const fn mask(len: u8) -> u32 {
    // A shift by 32 is none in u32, so it is done in u64.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the low half is what is wanted"
    )]
    let mask = (!0u64 << (32 - len)) as u32;
    mask
}

impl fmt::Display for Prefix4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr(), self.len)
    }
}

impl fmt::Debug for Prefix4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(a: [u8; 4], len: u8) -> Option<Prefix4> {
        Prefix4::new(Ipv4Addr::from(a), len)
    }

    #[test]
    fn host_bits_and_lengths_above_32_are_refused() {
        assert!(prefix([192, 0, 2, 0], 24).is_some());
        assert!(prefix([192, 0, 2, 1], 24).is_none());
        assert!(prefix([192, 0, 2, 1], 32).is_some());
        assert!(prefix([0, 0, 0, 0], 33).is_none());
        assert!(prefix([128, 0, 0, 0], 0).is_none());
    }

    #[test]
    fn contains_ends_at_the_last_address() {
        let p = prefix([192, 0, 2, 0], 23).unwrap();
        assert!(p.contains(Ipv4Addr::new(192, 0, 2, 0)));
        assert!(p.contains(Ipv4Addr::new(192, 0, 3, 255)));
        assert!(!p.contains(Ipv4Addr::new(192, 0, 4, 0)));
        assert!(!p.contains(Ipv4Addr::new(192, 0, 1, 255)));
        assert!(Prefix4::DEFAULT.contains(Ipv4Addr::BROADCAST));
        assert_eq!(p.to_string(), "192.0.2.0/23");
    }

    #[test]
    fn common_stops_at_the_first_difference_and_at_the_shorter() {
        let a = prefix([10, 0, 0, 0], 8).unwrap();
        let b = prefix([10, 128, 0, 0], 9).unwrap();
        let c = prefix([11, 0, 0, 0], 8).unwrap();
        assert_eq!(a.common(b), a);
        assert_eq!(a.common(c), prefix([10, 0, 0, 0], 7).unwrap());
        assert_eq!(
            c.common(prefix([128, 0, 0, 0], 1).unwrap()),
            Prefix4::DEFAULT
        );
    }
}
