//! What goes on the wire? Every byte, against what etherparse builds.

use etherparse::{EtherType, SingleVlanHeader};
use etherparse::{Ethernet2Header, IpDscp, IpEcn, VlanId, VlanPcp};
use tp_pipeline::LinkCounts;

use crate::bed::{
    Bed, C0, C1, CLIENT_PORT, LOCAL, OUTER_DSCP, OUTER_TTL, REMOTES, UPSTREAM_PORT, WORLD,
};
use crate::packets::{Arrival, Inner, emit, outer};

const KEYED: [u8; 8] = [0x20, 0, 0x08, 0, 0, 0, 0, 7];

fn ethernet(destination: [u8; 6], source: [u8; 6], ether_type: EtherType) -> Vec<u8> {
    Ethernet2Header {
        source,
        destination,
        ether_type,
    }
    .to_bytes()
    .to_vec()
}

fn vlan(vid: u16, ether_type: EtherType) -> Vec<u8> {
    SingleVlanHeader {
        pcp: VlanPcp::ZERO,
        drop_eligible_indicator: false,
        vlan_id: VlanId::try_new(vid).unwrap(),
        ether_type,
    }
    .to_bytes()
    .to_vec()
}

/// The outer header that the portal is to send.
fn sent(slot: usize, protocol: u8, payload: usize, ecn: u8) -> Vec<u8> {
    let mut header = outer(LOCAL, REMOTES[slot], protocol, payload);
    header.time_to_live = OUTER_TTL;
    header.dscp = IpDscp::try_new(OUTER_DSCP).unwrap();
    header.ecn = IpEcn::try_new(ecn).unwrap();
    header.identification = 0;
    emit(header)
}

#[test]
fn to_an_untagged_upstream_the_inner_packet_follows_its_link_header() {
    let inner = Inner {
        dscp: 34,
        ..Inner::new(C1, WORLD)
    };
    let seen = Bed::new().send(&Arrival::ipip(1, &inner.bytes()));
    let expected = [
        ethernet([2, 0, 0, 1, 0, 0], [2, 0, 0, 0, 0, 1], EtherType::IPV4),
        inner.hop().bytes(),
    ];
    assert_eq!(seen.leaves_by(UPSTREAM_PORT), expected.concat());
}

#[test]
fn to_a_doubly_tagged_upstream_both_tags_are_sent() {
    let inner = Inner::new(C0, WORLD);
    let seen = Bed::new().send(&Arrival::gre(2, &[0, 0, 0x08, 0], &inner.bytes()));
    let expected = [
        ethernet(
            [2, 0, 0, 1, 0, 1],
            [2, 0, 0, 0, 0, 1],
            EtherType::PROVIDER_BRIDGING,
        ),
        vlan(5, EtherType::VLAN_TAGGED_FRAME),
        vlan(300, EtherType::IPV4),
        inner.hop().bytes(),
    ];
    assert_eq!(seen.leaves_by(UPSTREAM_PORT), expected.concat());
}

#[test]
fn into_a_gre_tunnel_with_a_key() {
    for len in [28, 60, 61, 1472] {
        let inner = Inner {
            len,
            ..Inner::new(WORLD, C0)
        };
        let seen = Bed::new().send(&Arrival::from_upstream(0, &inner.bytes()));
        let expected = [
            ethernet([2, 0, 0, 2, 0, 0], [2, 0, 0, 0, 0, 0], EtherType::IPV4),
            sent(0, 47, 8 + usize::from(len), 0),
            KEYED.to_vec(),
            inner.hop().bytes(),
        ];
        assert_eq!(seen.leaves_by(CLIENT_PORT), expected.concat());
    }
}

#[test]
fn into_a_gre_tunnel_without_a_key() {
    let inner = Inner::new(WORLD, C0);
    let seen = Bed::new().send(&Arrival::from_upstream(1, &inner.bytes()));
    let expected = [
        ethernet([2, 0, 0, 2, 0, 2], [2, 0, 0, 0, 0, 0], EtherType::IPV4),
        sent(2, 47, 4 + 60, 0),
        vec![0, 0, 0x08, 0],
        inner.hop().bytes(),
    ];
    assert_eq!(seen.leaves_by(CLIENT_PORT), expected.concat());
}

#[test]
fn into_an_ipip_tunnel_behind_a_vlan_with_the_inner_congestion_field() {
    for ecn in 0..4 {
        let inner = Inner {
            ecn,
            dscp: 10,
            ..Inner::new(WORLD, C1)
        };
        let seen = Bed::new().send(&Arrival::from_upstream(0, &inner.bytes()));
        let expected = [
            ethernet(
                [2, 0, 0, 2, 0, 1],
                [2, 0, 0, 0, 0, 0],
                EtherType::VLAN_TAGGED_FRAME,
            ),
            vlan(100, EtherType::IPV4),
            sent(1, 4, 60, ecn),
            inner.hop().bytes(),
        ];
        assert_eq!(seen.leaves_by(CLIENT_PORT), expected.concat());
    }
}

#[test]
fn from_tunnel_to_tunnel_the_mark_of_one_reaches_the_other() {
    let inner = Inner {
        ecn: 2,
        ..Inner::new(C0, C1)
    };
    let mut header = outer(REMOTES[0], LOCAL, 47, 68);
    header.ecn = IpEcn::try_new(3).unwrap();
    let mut bed = Bed::new();
    let seen = bed.send(&Arrival::from_tunnel(0, header, &KEYED, &inner.bytes()));
    let expected = [
        ethernet(
            [2, 0, 0, 2, 0, 1],
            [2, 0, 0, 0, 0, 0],
            EtherType::VLAN_TAGGED_FRAME,
        ),
        vlan(100, EtherType::IPV4),
        sent(1, 4, 60, 3),
        Inner {
            ecn: 3,
            ..inner.hop()
        }
        .bytes(),
    ];
    assert_eq!(seen.leaves_by(CLIENT_PORT), expected.concat());

    let from = LinkCounts {
        rx_packets: 1,
        rx_bytes: 60,
        ..LinkCounts::default()
    };
    let to = LinkCounts {
        tx_packets: 1,
        tx_bytes: 60,
        ..LinkCounts::default()
    };
    assert_eq!((bed.tunnel_counts(0), bed.tunnel_counts(1)), (from, to));
}

#[test]
fn every_ttl_leaves_with_a_right_checksum() {
    let mut bed = Bed::new();
    for ttl in 2..=255 {
        let inner = Inner {
            ttl,
            ..Inner::new(C1, WORLD)
        };
        let seen = bed.send(&Arrival::ipip(1, &inner.bytes()));
        assert_eq!(
            seen.leaves_by(UPSTREAM_PORT)[14..],
            inner.hop().bytes(),
            "TTL {ttl}"
        );
    }
}
