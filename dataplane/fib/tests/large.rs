//! Tables of many routes, in every form that a region takes, against an independent table.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod family;

use prefix_trie::PrefixMap;
use proptest::collection::vec;
use proptest::prelude::*;
use tp_fib::{Change, Fib, Fib4, Fib6, NextHopId, Prefix, Prefix4, Prefix6};

use family::{Family, net};

type Oracle<A> = PrefixMap<<A as Family>::Net, u32>;

/// The prefix of this length around an address.
fn around<A: Family>(addr: A, len: u8) -> Prefix<A> {
    Prefix::from_bits(A::around(addr, len).1, len).unwrap()
}

/// A family's large tables.
trait Large: Family {
    /// Addresses near the ends of slots, regions and the address space.
    fn crowded() -> BoxedStrategy<Self>;
    /// Lengths, most of them those that regions tell apart and the ones around.
    fn lens() -> BoxedStrategy<u8>;
    /// Ten thousand routes: some regions full, others with few.
    fn base(next_hops: u32) -> Vec<(Prefix<Self>, NextHopId)>;
}

impl Large for u32 {
    fn crowded() -> BoxedStrategy<Self> {
        let near = prop_oneof![
            Just(0u32),
            Just(u32::MAX),
            Just(0x0a00_0000),
            Just(0x0a3f_ffff),
            Just(0x0a40_0000),
            Just(0x0a41_0000),
        ];
        let beside = prop_oneof![0u32..1024, (0u32..512).prop_map(|slot| slot << 8)];
        let up = |(near, by, up): (u32, u32, bool)| {
            if up {
                near.wrapping_add(by)
            } else {
                near.wrapping_sub(by)
            }
        };
        (near, beside, any::<bool>()).prop_map(up).boxed()
    }

    fn lens() -> BoxedStrategy<u8> {
        prop_oneof![1 => 0u8..=32, 2 => 8u8..=12, 3 => 22u8..=32].boxed()
    }

    fn base(next_hops: u32) -> Vec<(Prefix4, NextHopId)> {
        let full = (0u32..9_500).map(|n| {
            let region = [0, 0x0a00_0000, 0x0a40_0000, 0xffc0_0000][n as usize % 4];
            let addr = region | n.wrapping_mul(0x9e37_79b1) >> 10;
            // A /28 in 50, else three lengths up to the slots' own.
            let len = if n % 50 == 0 {
                28
            } else {
                24 - (n.leading_zeros() % 3) as u8
            };
            (around(addr, len), NextHopId(n % next_hops))
        });
        let spread = (0u32..500).map(|n| (around(n << 22 | 0x1234, 30), NextHopId(n)));
        full.chain(spread).collect()
    }
}

impl Large for u128 {
    fn crowded() -> BoxedStrategy<Self> {
        let near = prop_oneof![
            Just(0u128),
            Just(u128::MAX),
            Just(0x2001_0db8 << 96),
            Just(0x2001_0db8_0000_ffff << 64),
            Just(0x2001_0db9 << 96),
            Just(0x2a00 << 112),
        ];
        let unit = prop_oneof![Just(0u32), Just(32), Just(64), Just(76), Just(80), Just(96)];
        let up = |(near, by, unit, up): (u128, u128, u32, bool)| {
            let by = by << unit;
            if up {
                near.wrapping_add(by)
            } else {
                near.wrapping_sub(by)
            }
        };
        (near, 0u128..512, unit, any::<bool>()).prop_map(up).boxed()
    }

    fn lens() -> BoxedStrategy<u8> {
        prop_oneof![1 => 0u8..=128, 1 => 8u8..=36, 3 => 44u8..=66, 1 => 126u8..=128].boxed()
    }

    fn base(next_hops: u32) -> Vec<(Prefix6, NextHopId)> {
        let full = (0u32..9_500).map(|n| {
            let allocation = [0, 0x2001_0db8, 0x2a00_1450, 0xffff_ffff][n as usize % 4] << 96;
            let mixed = u128::from(n.wrapping_mul(0x9e37_79b1));
            let addr = allocation | mixed << 64;
            // Host routes of one /64 that are more than a region divides.
            let crowd = 0x2a00_1450_0000_0001 << 64 | mixed << 16;
            let (addr, len) = match n % 50 {
                0 => (addr, 64),
                1 | 2 => (addr, 52),
                3 => (addr | mixed, 128),
                4..10 => (crowd, 120),
                _ => (addr, 48 - (n.leading_zeros() % 5) as u8),
            };
            (around(addr, len), NextHopId(n % next_hops))
        });
        let spread = (0u32..500).map(|n| (around(u128::from(n) << 119, 32), NextHopId(n)));
        full.chain(spread).collect()
    }
}

fn change<A: Large>() -> impl Strategy<Value = Change<A>> {
    let place = (A::crowded(), A::lens()).prop_map(|(addr, len)| around(addr, len));
    (place, 0u32..400, 0..4).prop_map(|(prefix, value, kind)| match kind {
        0 => Change::Remove(prefix),
        _ => Change::Set(prefix, NextHopId(value)),
    })
}

fn apply<A: Family>(oracle: &mut Oracle<A>, change: Change<A>) {
    match change {
        Change::Set(p, NextHopId(value)) => oracle.insert(net(p), value),
        Change::Remove(p) => oracle.remove(&net(p)),
    };
}

/// Compares look-ups of all addresses, and of some their longest match, which is slow.
fn assert_answers<A: Family>(table: &Fib<A>, oracle: &Oracle<A>, addrs: impl Iterator<Item = A>) {
    let addrs: Vec<A> = addrs.collect();
    let mut found = vec![None; addrs.len()];
    table.lookup_burst(&addrs, &mut found);
    for (index, (addr, found)) in addrs.into_iter().zip(found).enumerate() {
        let host = around(addr, A::BITS);
        let expected = oracle.get_lpm(&net(host)).map(|(p, v)| (p, *v));
        assert_eq!(found.map(|v| v.0), expected.map(|(_, v)| v), "{host}");
        if index % 16 == 0 {
            assert_eq!(table.lookup(addr.into()), found, "{host}");
            let longest = table.longest_match(addr.into());
            assert_eq!(longest.map(|(p, v)| (net(p), v.0)), expected, "{host}");
        }
    }
}

/// The first and last address of each route, and the ones beside them.
fn edges<A: Family>(oracle: &Oracle<A>) -> impl Iterator<Item = A> {
    oracle.iter().flat_map(|(p, _)| A::edges(&p))
}

fn assert_same<A: Family>(table: &Fib<A>, oracle: &Oracle<A>) {
    let routes: Vec<_> = table.iter().map(|(p, v)| (net(p), v.0)).collect();
    let expected: Vec<_> = oracle.iter().map(|(p, v)| (p, *v)).collect();
    assert_eq!(routes, expected);
    assert_eq!(table.len(), oracle.len());
    assert_answers(table, oracle, edges::<A>(oracle));
}

/// Each version, its predecessors after it was made included.
fn versions_answer_like_their_oracles<A: Large>(
    next_hops: u32,
    steps: &[Vec<Change<A>>],
    addrs: &[A],
) {
    let table: Fib<A> = A::base(next_hops).into_iter().collect();
    let oracle: Oracle<A> = A::base(next_hops)
        .into_iter()
        .map(|(p, v)| (net(p), v.0))
        .collect();
    let mut versions = vec![(table, oracle)];
    for changes in steps {
        let (table, oracle) = versions.last().unwrap();
        let (table, mut oracle) = (table.with(changes), oracle.clone());
        changes.iter().for_each(|c| apply(&mut oracle, *c));
        versions.push((table, oracle));
    }
    for (table, oracle) in &versions {
        assert_same(table, oracle);
        assert_answers(table, oracle, addrs.iter().copied());
        for change in steps.iter().flatten() {
            let (Change::Set(p, _) | Change::Remove(p)) = *change;
            assert_eq!(table.get(p).map(|v| v.0), oracle.get(&net(p)).copied());
        }
        let rebuilt: Fib<A> = table.iter().collect();
        assert_eq!(table, &rebuilt);
        assert_answers(&rebuilt, oracle, edges::<A>(oracle));
    }
}

/// Few next hops have leaves of a byte, some of 264 escape from them, 3,000 take two bytes.
fn next_hops() -> impl Strategy<Value = u32> {
    prop_oneof![Just(3u32), Just(264), Just(3_000)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn versions_of_a_large_table_answer_like_their_oracles(
        next_hops in next_hops(),
        steps in vec(vec(change(), 0..60), 1..4),
        addrs in vec(u32::crowded(), 200),
    ) {
        versions_answer_like_their_oracles(next_hops, &steps, &addrs);
    }

    #[test]
    fn versions_of_a_large_table_answer_like_their_oracles_ipv6(
        next_hops in next_hops(),
        steps in vec(vec(change(), 0..60), 1..4),
        addrs in vec(u128::crowded(), 200),
    ) {
        versions_answer_like_their_oracles(next_hops, &steps, &addrs);
    }
}

/// All addresses around the ends of /24s, /16s and regions.
#[test]
fn no_address_at_a_boundary_is_answered_by_its_neighbour() {
    let mut routes = u32::base(300);
    let ends = [0x0a00_0000u32, 0x0a01_0000, 0x0a01_0100, 0x0a40_0000];
    for len in 8..=32 {
        for end in ends {
            routes.push((around(end, len), NextHopId(1000 + u32::from(len))));
            routes.push((around(end - 1, len), NextHopId(2000 + u32::from(len))));
        }
    }
    let oracle: Oracle<u32> = routes.iter().map(|(p, v)| (net(*p), v.0)).collect();
    let table: Fib4 = routes.into_iter().collect();
    for end in ends {
        assert_answers(&table, &oracle, end - 1024..end + 1024);
    }
}

/// At each step as a new table would be.
fn grows_and_shrinks<A: Large>() {
    let routes = A::base(100);
    let mut table = Fib::<A>::default();
    let mut oracle = Oracle::<A>::new();
    for routes in routes.chunks(1_000) {
        let set: Vec<_> = routes.iter().map(|(p, v)| Change::Set(*p, *v)).collect();
        table = table.with(&set);
        set.iter().for_each(|c| apply(&mut oracle, *c));
        assert_same(&table, &oracle);
    }
    for routes in routes.chunks(700) {
        let unset: Vec<_> = routes.iter().map(|(p, _)| Change::Remove(*p)).collect();
        table = table.with(&unset);
        unset.iter().for_each(|c| apply(&mut oracle, *c));
        assert_same(&table, &oracle);
    }
    assert_eq!(table.memory(), Fib::<A>::default().memory());
}

#[test]
fn a_table_grows_and_shrinks() {
    grows_and_shrinks::<u32>();
    grows_and_shrinks::<u128>();
}

/// Next hops that come and go do not pile up: 5,000 of them, of which one is in use at a time.
#[test]
fn next_hops_out_of_use_are_forgotten() {
    let mut table: Fib4 = u32::base(100).into_iter().collect();
    let before = table.memory();
    for value in 0..5_000 {
        let prefix = around(0x0a00_0000, 24);
        table = table.with(&[Change::Set(prefix, NextHopId(10_000 + value))]);
    }
    assert_eq!(table.lookup([10, 0, 0, 0].into()), Some(NextHopId(14_999)));
    let after = table.memory();
    let total = |memory: tp_fib::Memory| memory.lookup + memory.routes;
    assert!(total(after) < total(before) * 2, "{after:?}");
}

/// A thousand tables of a thousand routes each stay under 50 MiB, and a default takes next to nothing.
#[test]
fn small_tables_are_small() {
    let mixed = |n: u32, seed: u32| {
        let mixed = n.wrapping_mul(0x9e37_79b1);
        mixed.wrapping_add(seed.wrapping_mul(0x85eb_ca6b))
    };
    let limit = 50 * 1024 * 1024 / 1_000;
    for seed in 0..20 {
        let four = |n| (around(mixed(n, seed), 24), NextHopId(n));
        let six = |n| (around(u128::from(mixed(n, seed)) << 80, 48), NextHopId(n));
        let four: Fib4 = (0..1_000).map(four).collect();
        let six: Fib6 = (0..1_000).map(six).collect();
        for memory in [four.memory(), six.memory()] {
            assert!(memory.lookup + memory.routes < limit, "{memory:?}");
        }
    }
    let default = Fib4::default().with(&[Change::Set(Prefix4::DEFAULT, NextHopId(1))]);
    let memory = default.memory();
    assert!(memory.lookup + memory.routes < 512, "{memory:?}");
}
