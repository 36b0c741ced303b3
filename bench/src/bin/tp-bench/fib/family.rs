//! What the bench must know of each address family: where the Internet's routes lie.

use std::str::FromStr;

use tp_fib::Address;

use super::random::Random;

/// An address family.
pub(super) trait Family: Address<Ip: FromStr> {
    /// As cases name it.
    const NAME: &'static str;

    /// The option that makes `dpdk-test-fib` take it, and the rest of what it needs for a full table.
    const DPDK: &'static [&'static str];

    /// Lengths of what clients announce.
    const CLIENTS: [u8; 2];

    /// Routes of a full table.
    const FULL: usize;

    /// Share of each length, in parts of about a thousand: near what default-free routers have, but
    /// not counted in any one table; and some longer ones, which providers have among their own.
    const LENGTHS: &'static [(u8, u64)];

    /// An address where routes are.
    fn anywhere(random: &mut Random) -> Self;

    /// Addresses whose first so many bits are the same are near each other, as allocations are
    /// split.
    const NEAR: u8;

    /// An address whose first `len` bits are this one's.
    fn within(self, len: u8, random: &mut Random) -> Self;

    /// The last address whose first `len` bits are this one's, which has no others.
    fn last_of(self, len: u8) -> Self;

    /// The address with only the first `len` bits.
    fn first_of(self, len: u8) -> Self;
}

impl Family for u32 {
    const NAME: &'static str = "ipv4";
    const DPDK: &'static [&'static str] = &["-b", "dir", "-e", "4", "-g", "65535"];
    const FULL: usize = 1_000_000;
    const NEAR: u8 = 16;
    const CLIENTS: [u8; 2] = [24, 20];
    const LENGTHS: &'static [(u8, u64)] = &[
        (8, 1),
        (9, 1),
        (10, 1),
        (11, 1),
        (12, 1),
        (13, 1),
        (14, 2),
        (15, 2),
        (16, 14),
        (17, 8),
        (18, 14),
        (19, 25),
        (20, 43),
        (21, 52),
        (22, 112),
        (23, 99),
        (24, 603),
        (25, 2),
        (26, 2),
        (27, 2),
        (28, 3),
        (29, 3),
        (30, 3),
        (31, 1),
        (32, 4),
    ];

    /// In 1.0.0.0 to 223.255.255.255.
    fn anywhere(random: &mut Random) -> Self {
        (1 << 24) + random.below(223 << 24)
    }

    fn within(self, len: u8, random: &mut Random) -> Self {
        self.first_of(len) | (random.below(1 << 32) & !mask4(len))
    }

    fn last_of(self, len: u8) -> Self {
        self | !mask4(len)
    }

    fn first_of(self, len: u8) -> Self {
        self & mask4(len)
    }
}

impl Family for u128 {
    const NAME: &'static str = "ipv6";
    const DPDK: &'static [&'static str] = &["-6", "-b", "trie", "-e", "4", "-g", "600000"];
    const FULL: usize = 250_000;
    const NEAR: u8 = 40;
    const CLIENTS: [u8; 2] = [48, 56];
    const LENGTHS: &'static [(u8, u64)] = &[
        (20, 1),
        (24, 1),
        (26, 1),
        (28, 3),
        (29, 18),
        (30, 4),
        (31, 3),
        (32, 110),
        (33, 12),
        (34, 10),
        (35, 6),
        (36, 40),
        (38, 9),
        (40, 85),
        (42, 14),
        (44, 100),
        (45, 9),
        (46, 26),
        (47, 28),
        (48, 500),
        (56, 6),
        (64, 11),
        (128, 3),
    ];

    /// In one of some thousand allocations, each a /29 in what one of the five registries has.
    fn anywhere(random: &mut Random) -> Self {
        const REGISTRIES: [u128; 5] = [0x240, 0x260, 0x280, 0x2a0, 0x2c0];
        const ALLOCATIONS: u64 = 5_000;
        let mut of_allocation = Random::new(random.below(ALLOCATIONS).into());
        let registry = REGISTRIES[of_allocation.index(REGISTRIES.len())] << 116;
        let allocation = registry | u128::from(of_allocation.below(1 << 17)) << 99;
        allocation.within(29, random)
    }

    fn within(self, len: u8, random: &mut Random) -> Self {
        self.first_of(len) | (random.wide() & !mask6(len))
    }

    fn last_of(self, len: u8) -> Self {
        self | !mask6(len)
    }

    fn first_of(self, len: u8) -> Self {
        self & mask6(len)
    }
}

/// The highest bits.
fn mask4(len: u8) -> u32 {
    !u32::MAX.checked_shr(len.into()).unwrap_or(0)
}

/// The highest bits.
fn mask6(len: u8) -> u128 {
    !u128::MAX.checked_shr(len.into()).unwrap_or(0)
}
