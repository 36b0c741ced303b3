//! What waits for a neighbour, and how it goes on.

use tp_pipeline::DropReason::{
    NeighbourUnresolved, RateFromClient, StaleIngress, TooBig, TtlExceeded,
};
use tp_pipeline::{
    Encap, EthernetLink, Held, LinkCounts, LinkHeader, MeterSpec, Port, Tag, Verdict, VfibId,
};

use crate::bed::{
    Bed, C0, C1, CLIENT_PORT, Seen, UPSTREAM_PORT, WORLD, shown_mac, tunnel_link, upstream_link,
};
use crate::packets::{Arrival, Inner};

fn outward() -> Arrival {
    Arrival::ipip(1, &Inner::new(C1, WORLD).bytes())
}

fn inward() -> Arrival {
    Arrival::from_upstream(0, &Inner::new(WORLD, C0).bytes())
}

/// A bed where neither upstream 0 nor tunnel 0 knows its neighbour.
fn bed() -> Bed {
    let mut bed = Bed::new();
    bed.upstream(0).link.egress = None;
    bed.tunnel(0).link.egress = None;
    bed
}

fn learn(bed: &mut Bed) {
    bed.upstream(0).link.egress = LinkHeader::new(UPSTREAM_PORT, &upstream_link(0));
    bed.tunnel(0).link.egress = LinkHeader::new(CLIENT_PORT, &tunnel_link(0));
}

/// A packet that is to wait, as it waits.
#[track_caller]
fn waits(bed: &mut Bed, arrival: &Arrival) -> (Held, Vec<u8>) {
    let seen = bed.send(arrival);
    let Verdict::Hold(id) = seen.verdict else {
        panic!("{:?} for {arrival:?}", seen.verdict);
    };
    (bed.held(id), seen.bytes)
}

#[track_caller]
fn resumed(bed: &mut Bed, (held, packet): &(Held, Vec<u8>)) -> Seen {
    bed.resume(held, packet).expect("the neighbour is known")
}

#[test]
fn a_packet_goes_on_as_if_it_had_come_later() {
    for arrival in [
        outward(),
        inward(),
        Arrival::gre(2, &[0, 0, 8, 0], &Inner::new(C0, C0).bytes()),
    ] {
        let mut late = Bed::new();
        // Tunnel 2 leads to itself; let it wait, too.
        let mut bed = bed();
        bed.tunnel(2).link.egress = None;
        let held = waits(&mut bed, &arrival);
        assert_eq!(bed.resume(&held.0, &held.1), None);
        learn(&mut bed);
        bed.tunnel(2).link.egress = LinkHeader::new(CLIENT_PORT, &tunnel_link(2));
        assert_eq!(resumed(&mut bed, &held), late.send(&arrival));
        for slot in 0..4 {
            assert_eq!(bed.tunnel_counts(slot), late.tunnel_counts(slot));
        }
        assert_eq!(bed.upstream_counts(0), late.upstream_counts(0));
    }
}

#[test]
fn while_it_waits_it_has_come_and_neither_left_nor_was_dropped() {
    let mut bed = bed();
    let _ = waits(&mut bed, &outward());
    let came = LinkCounts {
        rx_packets: 1,
        rx_bytes: 60,
        ..LinkCounts::default()
    };
    assert_eq!(bed.tunnel_counts(1), came);
    assert_eq!(bed.upstream_counts(0), LinkCounts::default());
}

#[test]
fn a_packet_that_is_given_up_is_dropped_once() {
    let mut bed = bed();
    let (held, _) = waits(&mut bed, &outward());
    bed.give_up(&held);
    assert_eq!(bed.counters.dropped(NeighbourUnresolved), 1);
    assert_eq!(bed.tunnel_counts(1).dropped_packets, 1);
}

#[test]
fn what_would_be_dropped_anyway_does_not_wait() {
    let mut bed = bed();
    let old = Inner {
        ttl: 1,
        ..Inner::new(C1, WORLD)
    };
    bed.drops_as(TtlExceeded, &Arrival::ipip(1, &old.bytes()));
}

#[test]
fn a_packet_whose_links_are_gone_is_stale() {
    let changes: [fn(&mut Bed); 4] = [
        |bed| bed.upstream(0).tag = Tag(5),
        |bed| bed.tunnel(1).tag = Tag(5),
        |bed| bed.current.tunnels[1] = None,
        |bed| bed.current.upstreams.clear(),
    ];
    for change in changes {
        let mut bed = bed();
        let held = waits(&mut bed, &outward());
        learn(&mut bed);
        change(&mut bed);
        assert_eq!(
            resumed(&mut bed, &held).verdict,
            Verdict::Drop(StaleIngress)
        );
        assert_eq!(bed.counters.dropped(StaleIngress), 1);
    }
}

#[test]
fn what_waited_meets_the_checks_behind_the_wait_as_they_are_then() {
    let mut bed = bed();
    let held = waits(&mut bed, &outward());
    learn(&mut bed);
    bed.current.ports[1] = Some(Port { mtu: 59 });
    assert_eq!(resumed(&mut bed, &held).verdict, Verdict::Drop(TooBig));
    bed.current.ports[1] = Some(Port { mtu: 60 });
    bed.client(1).rates.from_client = MeterSpec::new(8, 59);
    assert_eq!(
        resumed(&mut bed, &held).verdict,
        Verdict::Drop(RateFromClient)
    );
}

#[test]
fn it_shows_the_upstream_that_it_came_by_whatever_its_table_is_called_now() {
    let mut bed = bed();
    let link = &mut bed.tunnel(0).link;
    link.encap = Encap::bare();
    link.ethernet = Some(EthernetLink {
        own: [2, 0, 0, 0, 9, 1].into(),
        shown: [(shown_mac(0), VfibId(0))].into(),
    });
    let held = waits(&mut bed, &inward());
    learn(&mut bed);
    bed.current.vfibs.insert(0, tp_pipeline::Vfib::default());
    let seen = resumed(&mut bed, &held);
    assert_eq!(seen.leaves_by(CLIENT_PORT)[6..12], shown_mac(0).octets());
}

#[test]
fn packets_wait_with_those_to_the_same_link() {
    let mut bed = bed();
    let first = waits(&mut bed, &outward()).0;
    let other = Inner::new(C0, WORLD).bytes();
    let same = waits(
        &mut bed,
        &Arrival::gre(0, &[0x20, 0, 8, 0, 0, 0, 0, 7], &other),
    )
    .0;
    let inward = waits(&mut bed, &inward()).0;
    assert!(first.waits_with(&same));
    assert!(!first.waits_with(&inward));
    // In one burst each has its own.
    let seen = bed.burst(&[
        outward(),
        Arrival::gre(0, &[0x20, 0, 8, 0, 0, 0, 0, 7], &other),
    ]);
    let held: Vec<Held> = seen
        .iter()
        .map(|seen| match seen.verdict {
            Verdict::Hold(id) => bed.held(id),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(held, [first, same]);
}
