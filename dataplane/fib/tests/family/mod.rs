//! What the tests need of each address family.

#![allow(dead_code, reason = "each test uses some of it")]

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use tp_fib::{Address, Prefix};

pub(crate) trait Family: Address {
    type Net: prefix_trie::Prefix + Copy + Eq + std::fmt::Debug;

    /// Addresses that share long prefixes: random ones would hardly ever nest.
    fn addresses() -> BoxedStrategy<Self>;
    /// The prefix of this length (at most the family's bits) that the address is in, and its
    /// first address.
    fn around(addr: Self, len: u8) -> (Self::Net, Self);
    /// First and last address, and the ones beside them.
    fn edges(net: &Self::Net) -> [Self; 4];
}

impl Family for u32 {
    type Net = Ipv4Net;

    fn addresses() -> BoxedStrategy<Self> {
        prop_oneof![
            any::<u32>(),
            (0u32..16, 0u32..16).prop_map(|(high, low)| high << 28 | low),
            any::<u8>().prop_map(|low| 0x0a00_0000 | u32::from(low) << 14),
            Just(0),
            Just(u32::MAX),
        ]
        .boxed()
    }

    fn around(addr: Self, len: u8) -> (Ipv4Net, Self) {
        let net = Ipv4Net::new(Ipv4Addr::from(addr), len).unwrap().trunc();
        (net, net.network().to_bits())
    }

    fn edges(net: &Ipv4Net) -> [Self; 4] {
        let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
        [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
    }
}

impl Family for u128 {
    type Net = Ipv6Net;

    fn addresses() -> BoxedStrategy<Self> {
        let allocation = 0x2001_0db8u128 << 96;
        prop_oneof![
            any::<u128>(),
            (0u128..16, 0u128..16).prop_map(|(high, low)| high << 124 | low),
            any::<u8>().prop_map(move |site| allocation | u128::from(site) << 80),
            (0u128..4, 0u128..4, 0u128..4)
                .prop_map(move |(a, b, c)| allocation | a << 78 | b << 63 | c),
            Just(0),
            Just(u128::MAX),
        ]
        .boxed()
    }

    fn around(addr: Self, len: u8) -> (Ipv6Net, Self) {
        let net = Ipv6Net::new(Ipv6Addr::from(addr), len).unwrap().trunc();
        (net, net.network().to_bits())
    }

    fn edges(net: &Ipv6Net) -> [Self; 4] {
        let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
        [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
    }
}

pub(crate) fn address<A: Family>() -> BoxedStrategy<A> {
    A::addresses()
}

pub(crate) fn prefix<A: Family>() -> BoxedStrategy<Prefix<A>> {
    let around = |(addr, len)| Prefix::from_bits(A::around(addr, len).1, len).unwrap();
    (address(), 0..=A::BITS).prop_map(around).boxed()
}

pub(crate) fn net<A: Family>(prefix: Prefix<A>) -> A::Net {
    A::around(prefix.bits(), prefix.len()).0
}
