//! Ethernet links: which table a destination MAC selects, and which upstream a source MAC shows.

use tp_pipeline::DropReason::{
    InnerGroup, InnerMalformed, InnerNotForUs, InnerUnsupported, NoRoute,
};
use tp_pipeline::abi::IngressKind;
use tp_pipeline::{Encap, EthernetAddresses, EthernetLink, Verdict, VfibId};

use crate::bed::{
    Bed, C0, CLIENT_PORT, UPSTREAM_PORT, WORLD, ends, shown_mac, tunnel_link, upstream_link,
};
use crate::packets::{Arrival, Inner, outer};

const OWN: [u8; 6] = [2, 0, 0, 0, 9, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 9, 2];
const GRE: [u8; 4] = [0, 0, 0x65, 0x58];

/// Tunnel 0 is EGRE and has an upstream of its own; `shown` shows both, too.
fn bed(shown: bool) -> Bed {
    let mut bed = Bed::new();
    let addresses = EthernetAddresses {
        own: OWN.into(),
        peer: PEER.into(),
    };
    let tunnel = bed.tunnel(0);
    tunnel.link.encap = Encap::egre(ends([198, 51, 100, 8]), None, addresses);
    let pairs = [0, 1].map(|id| (shown_mac(id), VfibId(id.into())));
    tunnel.link.ethernet = Some(EthernetLink {
        own: OWN.into(),
        shown: if shown { pairs.into() } else { Box::default() },
    });
    bed
}

/// The same, but none of the upstreams is the link's own, and the link is bare.
fn bare() -> Bed {
    let mut bed = bed(true);
    bed.tunnel(0).vfib = None;
    bed.tunnel(0).link.encap = Encap::bare();
    bed
}

fn egre(to: [u8; 6], between: &[u8], inner: &[u8]) -> Arrival {
    let ethernet = [&to[..], &PEER, between, inner].concat();
    let header = outer([198, 51, 100, 8], [192, 0, 2, 1], 47, 4 + ethernet.len());
    Arrival::from_tunnel(0, header, &GRE, &ethernet)
}

fn on_bare(to: [u8; 6], inner: &[u8]) -> Arrival {
    let header = [&to[..], &PEER, &[0x81, 0, 0, 9, 0x08, 0]].concat();
    Arrival::bare(CLIENT_PORT, IngressKind::L2Client, 0, &header, inner)
}

fn outward() -> Vec<u8> {
    Inner::new(C0, WORLD).bytes()
}

/// The upstream that a packet went to, by the MAC address of its router.
#[track_caller]
fn upstream(bed: &mut Bed, arrival: &Arrival) -> u8 {
    let seen = bed.send(arrival);
    let bytes = seen.leaves_by(UPSTREAM_PORT);
    assert_eq!(bytes[..5], upstream_link(0)[..5]);
    bytes[5]
}

#[test]
fn the_destination_mac_selects_the_table() {
    let mut bed = bed(true);
    for (mac, expected) in [
        (OWN, 0),
        (shown_mac(0).octets(), 0),
        (shown_mac(1).octets(), 1),
    ] {
        assert_eq!(
            upstream(&mut bed, &egre(mac, &[8, 0], &outward())),
            expected
        );
    }
    let mut bed = bare();
    for (id, expected) in [(0, 0), (1, 1)] {
        let arrival = on_bare(shown_mac(id).octets(), &outward());
        assert_eq!(upstream(&mut bed, &arrival), expected);
    }
}

#[test]
fn a_link_without_a_table_of_its_own_routes_nothing_to_its_own_mac() {
    bare().drops_as(NoRoute, &on_bare(OWN, &outward()));
}

#[test]
fn a_frame_to_a_group_or_to_another_station_is_not_forwarded() {
    for shown in [false, true] {
        let mut bed = bed(shown);
        for group in [[0xff; 6], [1, 0, 0x5e, 0, 0, 5], [0x33, 0x33, 0, 0, 0, 1]] {
            bed.drops_as(InnerGroup, &egre(group, &[8, 0], &outward()));
        }
        for other in [[0; 6], [2, 0, 0, 0, 9, 3], [2, 0x54, 0x50, 0, 0, 2]] {
            bed.drops_as(InnerNotForUs, &egre(other, &[8, 0], &outward()));
        }
    }
    bed(false).drops_as(
        InnerNotForUs,
        &egre(shown_mac(1).octets(), &[8, 0], &outward()),
    );
    bare().drops_as(InnerNotForUs, &on_bare(PEER, &outward()));
}

#[test]
fn what_came_without_an_ethernet_header_is_for_no_station() {
    let inner = outward();
    let arrival = Arrival::gre(0, &[0, 0, 8, 0], &inner);
    bed(false).drops_as(InnerNotForUs, &arrival);
}

#[test]
fn priority_tags_are_skipped_and_vlans_are_not() {
    let mut bed = bed(false);
    for tags in [
        &[0x81, 0, 0xe0, 0][..],
        &[0x88, 0xa8, 0, 0],
        &[0x88, 0xa8, 0x10, 0, 0x81, 0, 0, 0],
    ] {
        let between = [tags, &[8, 0]].concat();
        bed.send(&egre(OWN, &between, &outward()))
            .leaves_by(UPSTREAM_PORT);
    }
    for tags in [
        &[0x81, 0, 0, 1][..],
        &[0x81, 0, 0, 0, 0x88, 0xa8, 0, 5],
        // A third, which is not looked at.
        &[0x81, 0, 0, 0, 0x81, 0, 0, 0, 0x81, 0, 0, 0],
    ] {
        let between = [tags, &[8, 0]].concat();
        bed.drops_as(InnerUnsupported, &egre(OWN, &between, &outward()));
    }
    // LLDP, a length, MPLS.
    for between in [[0x88, 0xcc], [0, 60], [0x88, 0x47]] {
        bed.drops_as(InnerUnsupported, &egre(OWN, &between, &outward()));
    }
}

#[test]
fn an_ethernet_header_that_is_not_whole_is_malformed() {
    let mut bed = bed(false);
    for len in 0..14 {
        let ethernet = &[0x02; 14][..len];
        let header = outer([198, 51, 100, 8], [192, 0, 2, 1], 47, 4 + len);
        bed.drops_as(
            InnerMalformed,
            &Arrival::from_tunnel(0, header, &GRE, ethernet),
        );
    }
    bed.drops_as(InnerMalformed, &egre(OWN, &[0x81, 0, 0, 0], &[]));
    // Their EtherType says IPv6, and ARP.
    bed.drops_as(InnerMalformed, &egre(OWN, &[0x86, 0xdd], &outward()));
    bed.drops_as(InnerMalformed, &egre(OWN, &[0x08, 0x06], &outward()));
}

#[test]
fn the_source_mac_shows_the_upstream_that_a_packet_came_by() {
    let inner = Inner::new(WORLD, C0);
    // Upstream 1 leads to tunnel 2: make both lead to the one that shows them.
    for slot in [0, 1] {
        for (mut bed, at) in [(bed(true), 14 + 20 + 4 + 6), (bare(), 6)] {
            bed.current.next_hops[4] = bed.current.next_hops[2];
            let seen = bed.send(&Arrival::from_upstream(slot, &inner.bytes()));
            let bytes = seen.leaves_by(CLIENT_PORT);
            let id = u8::try_from(slot).unwrap();
            assert_eq!(bytes[at..at + 6], shown_mac(id).octets());
            // What is in front of it is what it is without.
            assert_eq!(bytes[..6], tunnel_link(0)[..6]);
        }
    }
    // A link that shows nobody shows itself.
    let seen = bed(false).send(&Arrival::from_upstream(0, &inner.bytes()));
    assert_eq!(seen.leaves_by(CLIENT_PORT)[44..50], OWN);
}

#[test]
fn a_client_that_answers_a_shown_mac_reaches_the_upstream_it_stands_for() {
    let mut bed = bare();
    bed.current.next_hops[4] = bed.current.next_hops[2];
    let seen = bed.send(&Arrival::from_upstream(1, &Inner::new(WORLD, C0).bytes()));
    let shown: [u8; 6] = seen.leaves_by(CLIENT_PORT)[6..12].try_into().unwrap();
    let back = bed.send(&on_bare(shown, &outward()));
    assert!(matches!(back.verdict, Verdict::Transmit(UPSTREAM_PORT)));
    assert_eq!(back.bytes[5], 1);
}
