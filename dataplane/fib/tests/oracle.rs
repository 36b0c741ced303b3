//! The table against an independent one (`prefix-trie`), on random routes and changes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use prefix_trie::PrefixMap;
use proptest::collection::vec;
use proptest::prelude::*;
use tp_fib::{Change, Fib4, NextHopId, Prefix4};

type Oracle = PrefixMap<Ipv4Net, u32>;

/// Addresses that share long prefixes: random ones would hardly ever nest.
fn address() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        (0u32..16, 0u32..16).prop_map(|(high, low)| high << 28 | low),
        any::<u8>().prop_map(|low| 0x0a00_0000 | u32::from(low) << 14),
        Just(0),
        Just(u32::MAX),
    ]
}

fn prefix() -> impl Strategy<Value = Prefix4> {
    (address(), 0u8..=32).prop_map(|(addr, len)| {
        let net = Ipv4Net::new(Ipv4Addr::from(addr), len).unwrap().trunc();
        Prefix4::new(net.network(), len).unwrap()
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (prefix(), 0u32..8).prop_map(|(p, v)| Change::Set(p, NextHopId(v))),
        2 => prefix().prop_map(Change::Remove),
    ]
}

fn net(prefix: Prefix4) -> Ipv4Net {
    Ipv4Net::new(prefix.addr(), prefix.len()).unwrap()
}

fn apply(oracle: &mut Oracle, change: Change) {
    match change {
        Change::Set(p, NextHopId(value)) => oracle.insert(net(p), value),
        Change::Remove(p) => oracle.remove(&net(p)),
    };
}

fn assert_same(table: &Fib4, oracle: &Oracle, addrs: &[u32]) {
    let routes: Vec<_> = table.iter().map(|(p, v)| (net(p), v.0)).collect();
    let expected: Vec<_> = oracle.iter().map(|(p, v)| (p, *v)).collect();
    assert_eq!(routes, expected);
    assert_eq!(table.len(), oracle.len());
    assert_eq!(table.is_empty(), oracle.is_empty());

    // Edges of each route: its first and last address, and the ones beside them.
    let edges = routes.iter().flat_map(|(p, _)| {
        let (first, last) = (p.network().to_bits(), p.broadcast().to_bits());
        [first, last, first.wrapping_sub(1), last.wrapping_add(1)]
    });
    let addrs: Vec<u32> = addrs.iter().copied().chain(edges).collect();
    let mut found = vec![None; addrs.len()];
    table.lookup_burst(&addrs, &mut found);
    for (addr, found) in addrs.iter().zip(found) {
        let addr = Ipv4Addr::from(*addr);
        let host = Ipv4Net::new(addr, 32).unwrap();
        let expected = oracle.get_lpm(&host).map(|(p, v)| (p, *v));
        let longest = table.longest_match(addr).map(|(p, v)| (net(p), v.0));
        assert_eq!(longest, expected, "{addr} in {table:?}");
        assert_eq!(found.map(|v| v.0), expected.map(|(_, v)| v));
        assert_eq!(table.lookup(addr), found);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Each version answers like its own oracle, also after its successors were made: nothing
    /// that is shared was written to.
    #[test]
    fn every_version_answers_like_its_oracle(
        steps in vec(vec(change(), 0..12), 1..12),
        addrs in vec(address(), 32),
        probes in vec(prefix(), 8),
    ) {
        let mut versions = vec![(Fib4::default(), Oracle::new())];
        for changes in &steps {
            let (table, oracle) = versions.last().unwrap();
            let (table, mut oracle) = (table.with(changes), oracle.clone());
            changes.iter().for_each(|c| apply(&mut oracle, *c));
            versions.push((table, oracle));
        }
        for (table, oracle) in &versions {
            assert_same(table, oracle, &addrs);
            for p in &probes {
                prop_assert_eq!(table.get(*p).map(|v| v.0), oracle.get(&net(*p)).copied());
            }
            let rebuilt: Fib4 = table.iter().collect();
            prop_assert_eq!(table, &rebuilt);
            assert_same(&rebuilt, oracle, &addrs);
        }
    }

    #[test]
    fn removing_all_leaves_nothing(routes in vec(prefix(), 0..64)) {
        let set: Vec<_> = routes.iter().map(|p| Change::Set(*p, NextHopId(1))).collect();
        let unset: Vec<_> = routes.iter().map(|p| Change::Remove(*p)).collect();
        let empty = Fib4::default().with(&set).with(&unset);
        prop_assert!(empty.is_empty());
        prop_assert_eq!(empty.iter().count(), 0);
        prop_assert_eq!(empty.lookup(Ipv4Addr::UNSPECIFIED), None);
    }
}

#[test]
fn the_deepest_path_has_a_route_of_each_length() {
    let routes = (0..=32).map(|len| {
        let addr = Ipv4Net::new(Ipv4Addr::BROADCAST, len).unwrap().network();
        (Prefix4::new(addr, len).unwrap(), NextHopId(u32::from(len)))
    });
    let table: Fib4 = routes.collect();
    assert_eq!(table.len(), 33);
    assert_eq!(table.lookup(Ipv4Addr::BROADCAST), Some(NextHopId(32)));
    assert_eq!(
        table.lookup(Ipv4Addr::new(255, 255, 255, 254)),
        Some(NextHopId(31))
    );
    assert_eq!(table.lookup(Ipv4Addr::UNSPECIFIED), Some(NextHopId(0)));
}
