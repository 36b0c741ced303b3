//! Prefixes of either address family.

use std::fmt;

use crate::address::Address;

/// A prefix of addresses; bits behind its length are zero.
///
/// Ordered by address, then shorter first: a prefix comes before all that it contains.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix<A> {
    addr: A,
    len: u8,
}

/// An IPv4 prefix.
pub type Prefix4 = Prefix<u32>;

/// An IPv6 prefix.
pub type Prefix6 = Prefix<u128>;

impl<A: Address> Prefix<A> {
    /// All addresses.
    pub const DEFAULT: Self = Self {
        addr: A::ZERO,
        len: 0,
    };

    /// The prefix of this length; `None` above 32 (IPv4) or 128 (IPv6), or if a bit behind the
    /// length is set.
    #[must_use]
    pub fn new(addr: A::Ip, len: u8) -> Option<Self> {
        Self::from_bits(addr.into(), len)
    }

    /// As [`Self::new`], of an address as its bits.
    #[must_use]
    pub fn from_bits(addr: A, len: u8) -> Option<Self> {
        (len <= A::BITS && A::and(addr, A::mask(len)) == addr).then_some(Self { addr, len })
    }

    /// First address.
    #[inline]
    #[must_use]
    pub fn addr(self) -> A::Ip {
        A::Ip::from(self.addr)
    }

    /// First address, as its bits.
    #[inline]
    #[must_use]
    pub fn bits(self) -> A {
        self.addr
    }

    /// Length in bits.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "the length of a prefix, not of a collection"
    )]
    pub fn len(self) -> u8 {
        self.len
    }

    /// Whether `addr` begins with this prefix.
    #[inline]
    #[must_use]
    pub fn contains(self, addr: A::Ip) -> bool {
        self.covers_bits(addr.into())
    }

    #[inline]
    pub(crate) fn covers_bits(self, addr: A) -> bool {
        A::and(addr, A::mask(self.len)) == self.addr
    }
}

impl<A: Address> fmt::Display for Prefix<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr(), self.len)
    }
}

impl<A: Address> fmt::Debug for Prefix<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn v4(a: [u8; 4], len: u8) -> Option<Prefix4> {
        Prefix4::new(Ipv4Addr::from(a), len)
    }

    fn v6(addr: &str, len: u8) -> Option<Prefix6> {
        Prefix6::new(addr.parse().unwrap(), len)
    }

    #[test]
    fn host_bits_and_lengths_beyond_the_address_are_refused() {
        assert!(v4([192, 0, 2, 0], 24).is_some());
        assert!(v4([192, 0, 2, 1], 24).is_none());
        assert!(v4([192, 0, 2, 1], 32).is_some());
        assert!(v4([0, 0, 0, 0], 33).is_none());
        assert!(v4([128, 0, 0, 0], 0).is_none());
        assert!(v6("2001:db8::", 32).is_some());
        assert!(v6("2001:db8::", 28).is_none());
        assert!(v6("2001:db8::1", 127).is_none());
        assert!(v6("2001:db8::1", 128).is_some());
        assert!(v6("::", 129).is_none());
        assert!(v6("8000::", 0).is_none());
    }

    #[test]
    fn contains_ends_at_the_last_address() {
        let p = v4([192, 0, 2, 0], 23).unwrap();
        assert!(p.contains(Ipv4Addr::new(192, 0, 2, 0)));
        assert!(p.contains(Ipv4Addr::new(192, 0, 3, 255)));
        assert!(!p.contains(Ipv4Addr::new(192, 0, 4, 0)));
        assert!(!p.contains(Ipv4Addr::new(192, 0, 1, 255)));
        assert!(Prefix4::DEFAULT.contains(Ipv4Addr::BROADCAST));
        assert_eq!(p.to_string(), "192.0.2.0/23");

        let p = v6("2001:db8:0:fffe::", 63).unwrap();
        let within = |addr: &str| p.contains(addr.parse().unwrap());
        assert!(within("2001:db8:0:fffe::"));
        assert!(within("2001:db8:0:ffff:ffff:ffff:ffff:ffff"));
        assert!(!within("2001:db8:1::"));
        assert!(!within("2001:db8:0:fffd:ffff:ffff:ffff:ffff"));
        assert!(Prefix6::DEFAULT.contains(Ipv6Addr::from(u128::MAX)));
        assert_eq!(p.to_string(), "2001:db8:0:fffe::/63");
    }
}
