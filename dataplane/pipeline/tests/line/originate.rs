//! From the kernel to a link.

use etherparse::{EtherType, IpDscp, IpEcn, Ipv6FlowLabel, Ipv6Header};
use tp_pipeline::DropReason::{InnerMalformed, NeighbourUnresolved, NoHeadroom, NoPort, TooBig};
use tp_pipeline::{
    Encap, Ends, EthernetAddresses, Link, LinkHeader, Local, MeterSpec, Packet, PortId, Verdict,
    originate,
};

use crate::bed::{
    CLIENT_PORT, LOCAL, OUTER_DSCP, OUTER_TTL, REMOTES, ends, tables, tunnel_link, v6,
};
use crate::packets::{Inner, Inner6, emit, outer};

const OWN: [u8; 6] = [2, 0, 0, 0, 9, 1];
const PEER: [u8; 6] = [2, 0, 0, 0, 9, 2];
const PORTAL: [u8; 4] = [169, 254, 1, 1];
const ROUTER: [u8; 4] = [169, 254, 1, 2];

fn link(encap: Encap, slot: u32) -> Link {
    Link {
        // Forwarding may still wait for a neighbour.
        egress: None,
        encap,
        ethernet: None,
        local: Some(Box::new(Local {
            pairs: Vec::new(),
            egress: LinkHeader::new(CLIENT_PORT, &tunnel_link(slot)),
            rate: MeterSpec::new(8_000, 10_000).unwrap(),
        })),
    }
}

fn egre() -> Link {
    let addresses = EthernetAddresses {
        own: OWN.into(),
        peer: PEER.into(),
    };
    link(Encap::egre(ends(REMOTES[0]), Some(7), addresses), 0)
}

fn send(link: &Link, packet: &[u8], headroom: usize) -> (Verdict, Vec<u8>) {
    let mut chunk = vec![0xaa; headroom];
    chunk.extend_from_slice(packet);
    let mut packet = Packet::new(&mut chunk, headroom, packet.len()).unwrap();
    let verdict = originate(link, &tables(), &mut packet);
    (verdict, packet.bytes().to_vec())
}

#[track_caller]
fn sent(link: &Link, packet: &[u8]) -> Vec<u8> {
    let (verdict, bytes) = send(link, packet, 200);
    assert_eq!(verdict, Verdict::Transmit(CLIENT_PORT));
    bytes
}

fn carrier(protocol: u8, payload: usize, ecn: u8) -> Vec<u8> {
    let mut header = outer(LOCAL, REMOTES[0], protocol, payload);
    header.time_to_live = OUTER_TTL;
    header.identification = 0;
    header.dscp = IpDscp::try_new(OUTER_DSCP).unwrap();
    header.ecn = IpEcn::try_new(ecn).unwrap();
    emit(header)
}

/// A packet with a TTL of 1, as BGP may send it: it leaves as it is.
fn bgp() -> Vec<u8> {
    let inner = Inner {
        ttl: 1,
        ecn: 2,
        ..Inner::new(PORTAL, ROUTER)
    };
    inner.bytes()
}

#[test]
fn a_packet_gets_the_headers_of_its_carrier_and_is_not_changed() {
    let ipip = link(Encap::ipip(ends(REMOTES[0])), 0);
    let expected = [tunnel_link(0), vec![8, 0], carrier(4, 60, 2), bgp()];
    assert_eq!(sent(&ipip, &bgp()), expected.concat());

    let six = Inner6::new(v6(1, 1), v6(1, 2)).bytes();
    let expected = [tunnel_link(0), vec![8, 0], carrier(41, 77, 0), six.clone()];
    assert_eq!(sent(&ipip, &six), expected.concat());
}

#[test]
fn a_frame_in_a_carrier_keeps_its_header() {
    let arp = [&[0xff; 6][..], &OWN, &[8, 6], &[0x11; 28]].concat();
    let ip = [&PEER[..], &OWN, &[8, 0], &bgp()].concat();
    for (frame, ecn) in [(arp, 0), (ip, 2)] {
        let expected = [
            tunnel_link(0),
            vec![8, 0],
            carrier(47, 8 + frame.len(), ecn),
            vec![0x20, 0, 0x65, 0x58, 0, 0, 0, 7],
            frame.clone(),
        ];
        assert_eq!(sent(&egre(), &frame), expected.concat());
    }
}

#[test]
fn over_ipv6_what_is_no_ip_packet_has_flow_label_0() {
    let (local, remote) = (v6(9, 1), v6(9, 2));
    let ends = Ends::new(local.into(), remote.into(), OUTER_TTL, OUTER_DSCP).unwrap();
    let addresses = EthernetAddresses {
        own: OWN.into(),
        peer: PEER.into(),
    };
    let frame = [&[0xff; 6][..], &OWN, &[8, 6], &[0x11; 28]].concat();
    let header = Ipv6Header {
        traffic_class: OUTER_DSCP << 2,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: 4 + 42,
        next_header: etherparse::IpNumber::GRE,
        hop_limit: OUTER_TTL,
        source: local,
        destination: remote,
    };
    let expected = [
        &tunnel_link(0)[..],
        &EtherType::IPV6.0.to_be_bytes(),
        &header.to_bytes(),
        &[0, 0, 0x65, 0x58],
        &frame,
    ];
    let egre = link(Encap::egre(ends, None, addresses), 0);
    assert_eq!(sent(&egre, &frame), expected.concat());
}

#[test]
fn a_frame_of_a_bare_link_gets_the_links_tags_behind_its_addresses() {
    let frame = [
        &PEER[..],
        &OWN,
        &[0x86, 0xdd],
        &Inner6::new(v6(1, 1), v6(1, 2)).bytes(),
    ]
    .concat();
    // Tunnel 1's link has a tag, tunnel 0's has none.
    assert_eq!(sent(&link(Encap::bare(), 0), &frame), frame);
    let expected = [&frame[..12], &tunnel_link(1)[12..], &frame[12..]].concat();
    assert_eq!(sent(&link(Encap::bare(), 1), &frame), expected);
}

#[test]
fn what_cannot_leave_is_dropped() {
    let drop = |link: &Link, packet: &[u8], headroom| send(link, packet, headroom).0;
    let gre = || link(Encap::gre(ends(REMOTES[0]), None), 0);
    let mut unresolved = gre();
    unresolved.local.as_mut().unwrap().egress = None;
    let mut silent = gre();
    silent.local = None;
    for link in [&unresolved, &silent] {
        assert_eq!(drop(link, &bgp(), 200), Verdict::Drop(NeighbourUnresolved));
    }
    let mut elsewhere = gre();
    elsewhere.local.as_mut().unwrap().egress = LinkHeader::new(PortId(9), &tunnel_link(0));
    assert_eq!(drop(&elsewhere, &bgp(), 200), Verdict::Drop(NoPort));

    let long = |len| {
        Inner {
            len,
            ..Inner::new(PORTAL, ROUTER)
        }
        .bytes()
    };
    assert_eq!(sent(&gre(), &long(1476)).len(), 1514);
    assert_eq!(drop(&gre(), &long(1477), 200), Verdict::Drop(TooBig));
    assert_eq!(drop(&gre(), &bgp(), 37), Verdict::Drop(NoHeadroom));
    assert_eq!(drop(&gre(), &bgp(), 38), Verdict::Transmit(CLIENT_PORT));

    for len in 0..60 {
        assert_eq!(
            drop(&gre(), &bgp()[..len], 200),
            Verdict::Drop(InnerMalformed)
        );
    }
    let frame = [&PEER[..], &OWN, &[8, 0], &bgp()].concat();
    for len in 0..frame.len() {
        let verdict = drop(&egre(), &frame[..len], 200);
        assert_eq!(verdict, Verdict::Drop(InnerMalformed));
    }
}
