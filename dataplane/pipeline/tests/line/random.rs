//! Whatever comes in: no panic, no forged source out, nothing from an upstream to an upstream.

use etherparse::Ipv4HeaderSlice;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tp_pipeline::abi::{IngressKind, Meta};
use tp_pipeline::{DropReason, Verdict};

use crate::bed::{Bed, C0, C1, CLIENT_PORT, Seen, UPSTREAM_PORT, WORLD};
use crate::packets::{Arrival, Inner, is_whole};

fn address() -> impl Strategy<Value = [u8; 4]> {
    prop_oneof![
        4 => Just(C0), 4 => Just(C1), 4 => Just(WORLD),
        1 => (200u8..204).prop_map(|third| [10, 1, third, 1]),
        1 => any::<[u8; 4]>(),
    ]
}

fn inner() -> impl Strategy<Value = Inner> {
    (address(), address(), any::<u8>(), 0u8..4, 28u16..300).prop_map(
        |(source, destination, ttl, ecn, len)| Inner {
            ttl,
            ecn,
            len,
            ..Inner::new(source, destination)
        },
    )
}

/// A packet with nothing wrong in its headers; mostly from an address that its tunnel may use.
fn sound() -> impl Strategy<Value = Arrival> {
    let own = prop_oneof![4 => Just(true), 1 => Just(false)];
    (inner(), 0u32..4, any::<bool>(), own).prop_map(|(mut inner, slot, upstream, own)| {
        if upstream {
            return Arrival::from_upstream(slot % 2, &inner.bytes());
        }
        if own {
            inner.source = if slot == 1 { C1 } else { C0 };
        }
        match slot {
            1 => Arrival::ipip(1, &inner.bytes()),
            2 => Arrival::gre(2, &[0, 0, 0x08, 0], &inner.bytes()),
            _ => Arrival::gre(slot, &[0x20, 0, 0x08, 0, 0, 0, 0, 7], &inner.bytes()),
        }
    })
}

/// A sound packet with some bytes changed, one header's checksum made right again, and cut.
fn damaged() -> impl Strategy<Value = Arrival> {
    let bytes = vec((any::<Index>(), any::<u8>()), 0..3);
    let header = prop_oneof![Just(None), Just(Some(14)), Just(Some(34)), Just(Some(42))];
    let cut = prop_oneof![3 => Just(None), 1 => any::<Index>().prop_map(Some)];
    (sound(), bytes, header, cut).prop_map(|(mut arrival, bytes, header, cut)| {
        for (at, byte) in bytes {
            let at = 14 + at.index((arrival.frame.len() - 14).min(48));
            arrival.frame[at] = byte;
        }
        if let Some(at) = header.filter(|at| *at < arrival.frame.len()) {
            let len = usize::from(arrival.frame[at] & 15) * 4;
            if len >= 20 && at + len <= arrival.frame.len() {
                arrival = arrival.with_checksum_at(at);
            }
        }
        match cut {
            Some(len) => {
                let len = len.index(arrival.frame.len());
                arrival.cut(len)
            }
            None => arrival,
        }
    })
}

/// Random bytes behind metadata that is random, or nearly right.
fn noise() -> impl Strategy<Value = Arrival> {
    let frame = vec(any::<u8>(), 0..120);
    (
        frame,
        any::<[u8; Meta::SIZE]>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(frame, meta, plausible, port)| {
            let port = if port { CLIENT_PORT } else { UPSTREAM_PORT };
            let mut meta = Meta::from_bytes(&meta);
            if plausible {
                let sound = Arrival::ipip(meta.slot % 4, &[]).meta.unwrap();
                meta = Meta {
                    port: u16::try_from(port.0).unwrap(),
                    ingress: meta.ingress % 8,
                    l3_off: meta.l3_off % 60,
                    l4_off: meta.l4_off % 128,
                    inner_off: meta.inner_off % 128,
                    ..sound
                };
            }
            Arrival {
                port,
                meta: Some(meta),
                frame,
            }
        })
}

/// What must hold for whatever leaves.
fn check(arrival: &Arrival, seen: &Seen) -> Result<(), TestCaseError> {
    let Verdict::Transmit(port) = seen.verdict else {
        return Ok(());
    };
    let meta = arrival.meta.unwrap();
    let offset = if port == UPSTREAM_PORT {
        prop_assert_ne!(meta.ingress, IngressKind::Upstream as u8, "{:?}", arrival);
        if seen.bytes[5] == 1 { 22 } else { 14 }
    } else {
        // The link header names the tunnel, whose headers are known.
        let slot = seen.bytes[5];
        14 + [28, 4 + 20, 24, 28][usize::from(slot)]
    };
    let inner = &seen.bytes[offset..];
    let header = Ipv4HeaderSlice::from_slice(inner).unwrap();
    prop_assert_eq!(usize::from(header.total_len()), inner.len());
    prop_assert!(is_whole(header.slice()), "{:?}", arrival);
    if meta.ingress == IngressKind::Tunnel as u8 {
        let client = if meta.slot == 1 { 2 } else { 1 };
        prop_assert_eq!(
            header.source()[..2].to_vec(),
            vec![10, client],
            "{:?}",
            arrival
        );
    }
    Ok(())
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    vec(
        prop_oneof![2 => sound(), 3 => damaged(), 2 => noise()],
        1..64,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn nothing_leaves_that_should_not(mut arrivals in arrivals(), headroom in 24usize..100) {
        let port = arrivals[0].port;
        arrivals.retain(|a| a.port == port);
        let mut bed = Bed::new();
        bed.headroom = headroom;
        let seen = bed.burst(&arrivals);
        let mut drops = 0;
        for (arrival, seen) in arrivals.iter().zip(&seen) {
            check(arrival, seen)?;
            drops += u64::from(matches!(seen.verdict, Verdict::Drop(_)));
        }
        let counted: u64 = DropReason::ALL.iter().map(|r| bed.counters.dropped(*r)).sum();
        prop_assert_eq!(counted, drops);
        // A packet's fate does not depend on its neighbours in the burst (nothing is metered).
        let mut alone = Bed::new();
        alone.headroom = headroom;
        for (arrival, seen) in arrivals.iter().zip(&seen) {
            let verdict = alone.send(arrival).verdict;
            prop_assert_eq!(verdict, seen.verdict);
        }
    }
}
