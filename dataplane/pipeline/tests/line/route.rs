//! Which way does it leave?

use tp_pipeline::DropReason::{Blackhole, NoClientRoute, NoRoute};
use tp_pipeline::{LinkCounts, PuntTo, Verdict, VfibId};

use crate::bed::{
    BACK_OUT, BLACKHOLE, Bed, C0, C1, CLIENT_PORT, NO_TUNNEL, PUNT, REMOTES, UPSTREAM_PORT, WORLD,
};
use crate::packets::{Arrival, ETHERNET, Inner};

/// From client 0 through upstream 0's table.
fn first(destination: [u8; 4]) -> Arrival {
    let inner = Inner::new(C0, destination).bytes();
    Arrival::gre(0, &[0x20, 0, 0x08, 0, 0, 0, 0, 7], &inner)
}

/// From client 0 through upstream 1's table, which has no default route.
fn second(destination: [u8; 4]) -> Arrival {
    Arrival::gre(2, &[0, 0, 0x08, 0], &Inner::new(C0, destination).bytes())
}

fn from_upstream(slot: u32, destination: [u8; 4]) -> Arrival {
    Arrival::from_upstream(slot, &Inner::new(WORLD, destination).bytes())
}

#[test]
fn a_client_without_a_route_is_told_so() {
    Bed::new().drops_as(NoRoute, &second([8, 8, 8, 8]));
}

#[test]
fn a_table_that_is_not_there_has_no_route() {
    let mut bed = Bed::new();
    bed.tunnel(0).vfib = Some(VfibId(99));
    bed.upstream(0).vfib = VfibId(99);
    bed.drops_as(NoRoute, &first(WORLD));
    bed.drops_as(NoClientRoute, &from_upstream(0, C0));
}

#[test]
fn an_upstreams_packet_that_no_client_announced_has_no_client_route() {
    let mut bed = Bed::new();
    // No match at all; the default route to the upstream; a longer route to the upstream.
    bed.drops_as(NoClientRoute, &from_upstream(1, [8, 8, 8, 8]));
    bed.drops_as(NoClientRoute, &from_upstream(0, [8, 8, 8, 8]));
    bed.drops_as(NoClientRoute, &from_upstream(0, BACK_OUT));
    // The other upstream is no way out either, there or not.
    bed.drops_as(NoClientRoute, &from_upstream(1, WORLD));
    bed.current.upstreams[0] = None;
    bed.upstream(1).vfib = VfibId(0);
    bed.drops_as(NoClientRoute, &from_upstream(1, [8, 8, 8, 8]));
}

#[test]
fn a_route_to_nowhere_is_a_blackhole_both_ways() {
    let mut bed = Bed::new();
    bed.drops_as(Blackhole, &first(BLACKHOLE));
    bed.drops_as(Blackhole, &from_upstream(0, BLACKHOLE));
}

#[test]
fn a_route_to_what_is_not_there_is_a_blackhole() {
    let mut bed = Bed::new();
    bed.drops_as(Blackhole, &first(NO_TUNNEL));
    bed.drops_as(Blackhole, &from_upstream(0, NO_TUNNEL));
    bed.current.upstreams[0] = None;
    bed.drops_as(Blackhole, &first(WORLD));
    bed.current.next_hops.clear();
    bed.drops_as(Blackhole, &first(C0));
}

#[test]
fn a_punted_packet_is_its_inner_packet_as_it_came() {
    let mut bed = Bed::new();
    let inner = Inner {
        ttl: 1,
        ..Inner::new(C0, PUNT)
    };
    let arrival = Arrival::gre(0, &[0x20, 0, 0x08, 0, 0, 0, 0, 7], &inner.bytes());
    let seen = bed.send(&arrival.padded(9));
    assert_eq!(seen.verdict, Verdict::Punt(PuntTo::Tun));
    assert_eq!(seen.bytes, inner.bytes());

    let inner = Inner {
        ttl: 1,
        ..Inner::new(WORLD, PUNT)
    };
    let seen = bed.send(&Arrival::from_upstream(0, &inner.bytes()));
    assert_eq!(seen.verdict, Verdict::Punt(PuntTo::Tap));
    assert_eq!(seen.bytes, [&ETHERNET[..], &inner.bytes()].concat());
}

#[test]
fn a_client_reaches_another_client_of_the_same_upstream() {
    let seen = Bed::new().send(&first(C1));
    assert_eq!(seen.leaves_by(CLIENT_PORT)[18 + 16..18 + 20], REMOTES[1]);
}

#[test]
fn a_tunnel_may_lead_back_to_where_the_packet_came_from() {
    let seen = Bed::new().send(&first(C0));
    assert_eq!(seen.leaves_by(CLIENT_PORT)[14 + 16..14 + 20], REMOTES[0]);
}

#[test]
fn packets_of_one_burst_each_use_their_own_links_table() {
    let mut bed = Bed::new();
    let burst: Vec<_> = (0..64)
        .map(|i| match i % 3 {
            0 => first([8, 8, 8, 8]),
            1 => second([8, 8, 8, 8]),
            _ => second(WORLD),
        })
        .collect();
    for (i, seen) in bed.burst(&burst).iter().enumerate() {
        match i % 3 {
            0 => assert_eq!(seen.leaves_by(UPSTREAM_PORT)[..6], [2, 0, 0, 1, 0, 0]),
            1 => assert_eq!(seen.verdict, Verdict::Drop(NoRoute)),
            _ => assert_eq!(seen.leaves_by(UPSTREAM_PORT)[..6], [2, 0, 0, 1, 0, 1]),
        }
    }
    assert_eq!(bed.counters.dropped(NoRoute), 21);
    let tunnel = LinkCounts {
        rx_packets: 42,
        rx_bytes: 42 * 60,
        dropped_packets: 21,
        ..LinkCounts::default()
    };
    assert_eq!(bed.tunnel_counts(2), tunnel);
    let upstream = LinkCounts {
        tx_packets: 21,
        tx_bytes: 21 * 60,
        ..LinkCounts::default()
    };
    assert_eq!(bed.upstream_counts(1), upstream);
}

#[test]
fn an_empty_burst_is_nothing() {
    assert_eq!(Bed::new().burst(&[]), []);
}
