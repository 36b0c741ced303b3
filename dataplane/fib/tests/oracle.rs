//! The table against an independent one (`prefix-trie`), on random routes and changes of both
//! families.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod family;

use std::net::{Ipv4Addr, Ipv6Addr};

use prefix_trie::PrefixMap;
use proptest::collection::vec;
use proptest::prelude::*;
use tp_fib::{Change, Fib, Fib4, Fib6, NextHopId, Prefix, Prefix4, Prefix6};

use family::{Family, address, net, prefix};

type Oracle<A> = PrefixMap<<A as Family>::Net, u32>;

fn change<A: Family>() -> impl Strategy<Value = Change<A>> {
    prop_oneof![
        3 => (prefix(), 0u32..8).prop_map(|(p, v)| Change::Set(p, NextHopId(v))),
        2 => prefix().prop_map(Change::Remove),
    ]
}

fn apply<A: Family>(oracle: &mut Oracle<A>, change: Change<A>) {
    match change {
        Change::Set(p, NextHopId(value)) => oracle.insert(net(p), value),
        Change::Remove(p) => oracle.remove(&net(p)),
    };
}

fn assert_same<A: Family>(table: &Fib<A>, oracle: &Oracle<A>, addrs: &[A]) {
    let routes: Vec<_> = table.iter().map(|(p, v)| (net(p), v.0)).collect();
    let expected: Vec<_> = oracle.iter().map(|(p, v)| (p, *v)).collect();
    assert_eq!(routes, expected);
    assert_eq!(table.len(), oracle.len());
    assert_eq!(table.is_empty(), oracle.is_empty());

    let edges = routes.iter().flat_map(|(p, _)| A::edges(p));
    let addrs: Vec<A> = addrs.iter().copied().chain(edges).collect();
    let mut found = vec![None; addrs.len()];
    table.lookup_burst(&addrs, &mut found);
    for (addr, found) in addrs.iter().zip(found) {
        let host = Prefix::from_bits(*addr, A::BITS).unwrap();
        let expected = oracle.get_lpm(&net(host)).map(|(p, v)| (p, *v));
        let longest = table
            .longest_match((*addr).into())
            .map(|(p, v)| (net(p), v.0));
        assert_eq!(longest, expected, "{host} in {table:?}");
        assert_eq!(found.map(|v| v.0), expected.map(|(_, v)| v));
        assert_eq!(table.lookup((*addr).into()), found);
    }
}

/// Each version answers like its own oracle, also after its successors were made: nothing that
/// is shared was written to.
fn versions_answer_like_their_oracles<A: Family>(
    steps: &[Vec<Change<A>>],
    addrs: &[A],
    probes: &[Prefix<A>],
) {
    let mut versions = vec![(Fib::default(), Oracle::<A>::new())];
    for changes in steps {
        let (table, oracle) = versions.last().unwrap();
        let (table, mut oracle) = (table.with(changes), oracle.clone());
        changes.iter().for_each(|c| apply(&mut oracle, *c));
        versions.push((table, oracle));
    }
    for (table, oracle) in &versions {
        assert_same(table, oracle, addrs);
        for p in probes {
            assert_eq!(table.get(*p).map(|v| v.0), oracle.get(&net(*p)).copied());
        }
        let rebuilt: Fib<A> = table.iter().collect();
        assert_eq!(table, &rebuilt);
        assert_same(&rebuilt, oracle, addrs);
    }
}

fn removing_all_leaves_nothing<A: Family>(routes: &[Prefix<A>]) {
    let set = routes.iter().map(|p| Change::Set(*p, NextHopId(1)));
    let unset = routes.iter().map(|p| Change::Remove(*p));
    let full = Fib::default().with(&set.collect::<Vec<_>>());
    let empty = full.with(&unset.collect::<Vec<_>>());
    assert!(empty.is_empty());
    assert_eq!(empty.iter().count(), 0);
    assert_eq!(empty.lookup(A::default().into()), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_version_answers_like_its_oracle(
        steps in vec(vec(change::<u32>(), 0..12), 1..12),
        addrs in vec(address(), 32),
        probes in vec(prefix(), 8),
    ) {
        versions_answer_like_their_oracles(&steps, &addrs, &probes);
    }

    #[test]
    fn every_version_answers_like_its_oracle_ipv6(
        steps in vec(vec(change::<u128>(), 0..12), 1..12),
        addrs in vec(address(), 32),
        probes in vec(prefix(), 8),
    ) {
        versions_answer_like_their_oracles(&steps, &addrs, &probes);
    }

    #[test]
    fn what_is_removed_is_gone(v4 in vec(prefix::<u32>(), 0..64), v6 in vec(prefix::<u128>(), 0..64)) {
        removing_all_leaves_nothing(&v4);
        removing_all_leaves_nothing(&v6);
    }
}

#[test]
fn the_deepest_path_has_a_route_of_each_length() {
    let routes = (0..=32).map(|len| {
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let prefix = Prefix4::from_bits(mask, len).unwrap();
        (prefix, NextHopId(u32::from(len)))
    });
    let table: Fib4 = routes.collect();
    assert_eq!(table.len(), 33);
    let lookup = |addr: u32| table.lookup(Ipv4Addr::from(addr)).unwrap().0;
    assert_eq!(lookup(u32::MAX), 32);
    assert_eq!(lookup(u32::MAX - 1), 31);
    assert_eq!(lookup(0), 0);

    let routes = (0..=128).map(|len| {
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        let prefix = Prefix6::from_bits(mask, len).unwrap();
        (prefix, NextHopId(u32::from(len)))
    });
    let table: Fib6 = routes.collect();
    assert_eq!(table.len(), 129);
    let lookup = |addr: u128| table.lookup(Ipv6Addr::from(addr)).unwrap().0;
    assert_eq!(lookup(u128::MAX), 128);
    assert_eq!(lookup(u128::MAX - 1), 127);
    assert_eq!(lookup(u128::MAX ^ 1 << 63), 64);
    assert_eq!(lookup(0), 0);
}
