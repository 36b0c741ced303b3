//! What is for the portal itself: link protocols, link addresses, and their rate.

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder};
use tp_pipeline::DropReason::{
    ForgedSource, InnerGroup, InnerMalformed, LinkProtocol, MartianDestination, MartianSource,
    RateSlowPath,
};
use tp_pipeline::abi::IngressKind;
use tp_pipeline::{
    Encap, EthernetAddresses, EthernetLink, Link, LinkAddresses, Local, MeterSpec, Meters, PuntTo,
    TunnelSlot, UpstreamSlot, Verdict,
};

use crate::bed::{
    Bed, C0, C0_V6, CLIENT_PORT, UPSTREAM_PORT, WORLD, WORLD_V6, ends, tunnel_link, v6,
};
use crate::packets::{Arrival, Inner, Inner6, outer};

const OWN: [u8; 6] = [2, 0, 0, 0, 9, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 9, 2];
const PORTAL: [u8; 4] = [169, 254, 1, 1];
const ROUTER: [u8; 4] = [169, 254, 1, 2];
const SECOND_ROUTER: [u8; 4] = [169, 254, 1, 3];
const PORTAL_V6: [u8; 16] = v6(0xee, 1);
const ROUTER_V6: [u8; 16] = v6(0xee, 2);

fn talk(link: &mut Link) {
    let pair = |portal: std::net::IpAddr, peer: std::net::IpAddr| LinkAddresses { portal, peer };
    link.local = Some(Box::new(Local {
        pairs: vec![
            pair(PORTAL.into(), ROUTER.into()),
            pair([169, 254, 1, 9].into(), SECOND_ROUTER.into()),
            pair(PORTAL_V6.into(), ROUTER_V6.into()),
        ],
        egress: None,
        rate: MeterSpec::new(8_000, 10_000).unwrap(),
    }));
}

/// Tunnel 0 carries IP in GRE with link addresses, tunnel 1 Ethernet in GRE with them, upstream 0 is
/// bare with them; tunnel 2 and upstream 1 have none.
fn bed() -> Bed {
    let mut bed = Bed::new();
    talk(&mut bed.tunnel(0).link);
    talk(&mut bed.tunnel(1).link);
    talk(&mut bed.upstream(0).link);
    for slot in [1, 2] {
        let addresses = EthernetAddresses {
            own: OWN.into(),
            peer: PEER.into(),
        };
        let link = &mut bed.tunnel(slot).link;
        link.encap = Encap::egre(ends([198, 51, 100, 9]), None, addresses);
        link.ethernet = Some(EthernetLink {
            own: OWN.into(),
            shown: Box::default(),
        });
    }
    bed
}

fn gre(inner: &[u8], v6: bool) -> Arrival {
    let ty: [u8; 2] = if v6 { [0x86, 0xdd] } else { [0x08, 0] };
    Arrival::gre(0, &[0x20, 0, ty[0], ty[1], 0, 0, 0, 7], inner)
}

/// On the Ethernet link of this slot.
fn egre(slot: u32, to: [u8; 6], ethertype: u16, inner: &[u8]) -> Arrival {
    let ethernet = [&to[..], &PEER, &ethertype.to_be_bytes(), inner].concat();
    let header = outer([198, 51, 100, 9], [192, 0, 2, 1], 47, 4 + ethernet.len());
    Arrival::from_tunnel(slot, header, &[0, 0, 0x65, 0x58], &ethernet)
}

fn arp() -> Vec<u8> {
    ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &PEER,
        &ROUTER,
        &[0; 6],
        &PORTAL,
    )
    .unwrap()
    .to_bytes()
    .to_vec()
}

/// ICMPv6 of this type.
fn icmp6(kind: u8, hop_limit: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(ROUTER_V6, PORTAL_V6, hop_limit)
        .icmpv6_raw(kind, 0, [0; 4])
        .write(&mut bytes, &[0; 20])
        .unwrap();
    bytes
}

#[test]
fn a_peer_talks_to_the_portals_address_of_its_link() {
    let mut bed = bed();
    let four = |from, to| {
        Inner {
            ttl: 1,
            ..Inner::new(from, to)
        }
        .bytes()
    };
    let six = Inner6 {
        hop_limit: 1,
        ..Inner6::new(ROUTER_V6, PORTAL_V6)
    }
    .bytes();
    for (inner, v6) in [
        (four(ROUTER, PORTAL), false),
        // Any of the pairs' peers, of the same family.
        (four(SECOND_ROUTER, PORTAL), false),
        (six.clone(), true),
    ] {
        let seen = bed.send(&gre(&inner, v6).padded(3));
        assert_eq!(seen.verdict, Verdict::Punt(PuntTo::Tun));
        assert_eq!(seen.bytes, inner);
    }
    let seen = bed.send(&egre(1, OWN, 0x86dd, &six));
    assert_eq!(seen.verdict, Verdict::Punt(PuntTo::Tap));
    assert_eq!(seen.bytes, [&OWN[..], &PEER, &[0x86, 0xdd], &six].concat());
}

#[test]
fn nobody_else_talks_to_it() {
    let mut bed = bed();
    for source in [C0, WORLD, PORTAL, [169, 254, 1, 4]] {
        let inner = Inner::new(source, PORTAL).bytes();
        bed.drops_as(ForgedSource, &gre(&inner, false));
        bed.drops_as(ForgedSource, &Arrival::from_upstream(0, &inner));
    }
    bed.drops_as(
        ForgedSource,
        &gre(&Inner6::new(C0_V6, PORTAL_V6).bytes(), true),
    );
}

#[test]
fn a_link_address_leads_no_further_than_the_portal() {
    let mut bed = bed();
    bed.drops_as(
        ForgedSource,
        &gre(&Inner::new(ROUTER, WORLD).bytes(), false),
    );
    // The other link has no such address.
    let second = Arrival::gre(2, &[0, 0, 0x08, 0], &Inner::new(ROUTER, PORTAL).bytes());
    let mut plain = Bed::new();
    plain.drops_as(ForgedSource, &second);
}

#[test]
fn arp_and_neighbour_discovery_go_to_the_kernel_as_frames_without_tags() {
    let mut bed = bed();
    for (ethertype, inner) in [
        (0x0806u16, arp()),
        (0x86dd, icmp6(133, 255)),
        (0x86dd, icmp6(136, 255)),
    ] {
        for to in [OWN, [0xff; 6], [0x33, 0x33, 0xff, 0, 0, 1]] {
            let header = [&to[..], &PEER, &ethertype.to_be_bytes()].concat();
            let seen = bed.send(&egre(1, to, ethertype, &inner));
            assert_eq!(seen.verdict, Verdict::Punt(PuntTo::Tap));
            assert_eq!(seen.bytes, [&header[..], &inner].concat());

            let tags = [0x88, 0xa8, 0, 5, 0x81, 0, 0, 7];
            let tagged = [&to[..], &PEER, &tags, &ethertype.to_be_bytes()].concat();
            let upstream = IngressKind::Upstream;
            let arrival = Arrival::bare(UPSTREAM_PORT, upstream, 0, &tagged, &inner);
            let seen = bed.send(&arrival.padded(18));
            assert_eq!(seen.verdict, Verdict::Punt(PuntTo::Tap));
            assert_eq!(seen.bytes, [&header[..], &inner].concat());
        }
    }
}

#[test]
fn link_protocols_of_a_link_without_addresses_are_dropped() {
    let mut bed = bed();
    for (ethertype, inner) in [(0x0806u16, arp()), (0x86dd, icmp6(135, 255))] {
        bed.drops_as(LinkProtocol, &egre(2, OWN, ethertype, &inner));
        let header = [&[0xff; 6][..], &PEER, &ethertype.to_be_bytes()].concat();
        let arrival = Arrival::bare(UPSTREAM_PORT, IngressKind::Upstream, 1, &header, &inner);
        bed.drops_as(LinkProtocol, &arrival);
    }
}

#[test]
fn what_only_looks_like_neighbour_discovery_is_a_packet_like_others() {
    let mut bed = bed();
    // Another hop limit, other types; and without Ethernet there are no neighbours.
    for inner in [icmp6(135, 254), icmp6(132, 255), icmp6(137, 255)] {
        let group = [0x33, 0x33, 0, 0, 0, 1];
        bed.drops_as(InnerGroup, &egre(1, group, 0x86dd, &inner));
        bed.drops_as(ForgedSource, &egre(2, OWN, 0x86dd, &inner));
    }
    let mut plain = Bed::new();
    plain.drops_as(ForgedSource, &gre(&icmp6(135, 255), true));
}

#[test]
fn arp_of_another_kind_is_malformed() {
    let mut bed = bed();
    for at in 0..6 {
        let mut inner = arp();
        inner[at] ^= 0x10;
        bed.drops_as(InnerMalformed, &egre(1, OWN, 0x0806, &inner));
    }
    for len in 0..28 {
        bed.drops_as(InnerMalformed, &egre(1, OWN, 0x0806, &arp()[..len]));
    }
}

#[test]
fn a_link_sends_the_kernel_no_more_than_its_rate() {
    let mut bed = bed();
    bed.meters = Meters::new(2, 4, 2);
    let inner = Inner {
        len: 1_000,
        ..Inner::new(ROUTER, PORTAL)
    }
    .bytes();
    for from_upstream in [false, true] {
        let arrival = match from_upstream {
            true => Arrival::from_upstream(0, &inner),
            false => gre(&inner, false),
        };
        for _ in 0..10 {
            assert!(matches!(bed.send(&arrival).verdict, Verdict::Punt(_)));
        }
        bed.drops_as(RateSlowPath, &arrival);
    }
    // What is forwarded is not charged to it, and a slot that is used again is full.
    bed.send(&gre(&Inner::new(C0, WORLD).bytes(), false))
        .leaves_by(UPSTREAM_PORT);
    bed.meters.reset_tunnel(TunnelSlot(0));
    assert!(matches!(
        bed.send(&gre(&inner, false)).verdict,
        Verdict::Punt(_)
    ));
    bed.meters.reset_upstream(UpstreamSlot(0));
    let arrival = Arrival::from_upstream(0, &inner);
    assert!(matches!(bed.send(&arrival).verdict, Verdict::Punt(_)));
    bed.meters = Meters::new(0, 0, 0);
    bed.drops_as(RateSlowPath, &arrival);
}

#[test]
fn martians_of_ipv6_are_forwarded_nowhere() {
    let mut bed = Bed::new();
    let martians: [[u8; 16]; 6] = [
        [0; 16],
        std::net::Ipv6Addr::LOCALHOST.octets(),
        std::net::Ipv4Addr::new(192, 0, 2, 1)
            .to_ipv6_mapped()
            .octets(),
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        [0xfe, 0xbf, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        [0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ];
    let upstream = |source, destination| {
        let header = [&tunnel_link(0)[..12], &[0x86, 0xdd]].concat();
        let inner = Inner6::new(source, destination).bytes();
        Arrival::bare(UPSTREAM_PORT, IngressKind::Upstream, 0, &header, &inner)
    };
    for martian in martians {
        bed.drops_as(
            MartianDestination,
            &gre(&Inner6::new(C0_V6, martian).bytes(), true),
        );
        bed.drops_as(MartianSource, &upstream(martian, C0_V6));
    }
    // Their neighbours are addresses like others.
    for other in [[0xfe, 0x7f], [0xfe, 0xc0], [0xfe, 0xff], [0, 1]] {
        let mut source = WORLD_V6;
        source[..2].copy_from_slice(&other);
        bed.send(&upstream(source, C0_V6)).leaves_by(CLIENT_PORT);
    }
}
