//! Step 4: ARP and neighbour discovery of local links, which the portal's slow path answers.

use std::net::Ipv6Addr;

use tp_ebpf::SteeringState;
use tp_pipeline::abi::{Counter, IngressKind, LinkKey, REF_LOCAL};

use crate::common::frames::*;
use crate::common::{CLIENT_VLAN, INNER_VLAN, LOCAL_CLIENT_VLAN, LOCAL_UPSTREAM_VLAN, VLAN, slots};
use crate::{Drop, Expect, Pass, Row, redirect_tagged};

const NODES6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const GROUP6: [u8; 6] = [0x33, 0x33, 0, 0, 0, 0x01];
const NS: u8 = 135;
const NA: u8 = 136;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = arp_rows();
    rows.extend(vlan_rows());
    rows.extend(nd_rows());
    rows.extend(nd_type_rows());
    rows.extend(other_rows());
    rows
}

fn make_local(state: &mut SteeringState, slot: u32) {
    let link = state.links.values_mut().find(|link| link.slot == slot);
    link.expect("a link").flags = REF_LOCAL;
}

fn client(offsets: [u16; 3]) -> Expect {
    redirect_tagged(IngressKind::L2Client, slots::LOCAL_CLIENT, 1, offsets)
}

fn upstream(slot: u32, vlans: u8, at: u16) -> Expect {
    redirect_tagged(IngressKind::Upstream, slot, vlans, [at; 3])
}

/// ARP between these MACs, behind these tags.
fn arp(to: [u8; 6], from: [u8; 6], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut types: Vec<u16> = tags.iter().map(|(tpid, _)| *tpid).collect();
    types.push(ARP);
    let mut frame = eth(to, from, types[0]);
    for ((_, vid), next) in tags.iter().zip(&types[1..]) {
        frame.extend(tag(*vid, *next));
    }
    frame.extend([0; 28]);
    frame
}

fn arp_rows() -> Vec<Row> {
    let client_tag = &[(CTAG, LOCAL_CLIENT_VLAN)];
    let upstream_tag = &[(CTAG, LOCAL_UPSTREAM_VLAN)];
    vec![
        Row::new(
            "ARP request of a local client",
            arp(BROADCAST, STRANGER_MAC, client_tag),
            18,
            client([18; 3]),
        ),
        Row::new(
            "ARP reply of a local client",
            arp(PORTAL_MAC, STRANGER_MAC, client_tag),
            18,
            client([18; 3]),
        ),
        Row::new(
            "ARP of a local upstream",
            arp(BROADCAST, ISP_MAC, upstream_tag),
            18,
            upstream(slots::LOCAL_UPSTREAM, 1, 18),
        ),
        Row::new(
            "ARP beside a local upstream",
            arp(BROADCAST, STRANGER_MAC, upstream_tag),
            18,
            Pass,
        ),
        Row::new(
            "ARP of a link that is not local",
            arp(BROADCAST, ISP_MAC, &[(CTAG, VLAN)]),
            18,
            Pass,
        ),
        Row::new(
            "ARP of a local client to another member of an exchange",
            arp(MEMBER_MAC, STRANGER_MAC, client_tag),
            14,
            Drop(Counter::NotForUs),
        ),
        Row::new(
            "ARP of a local client, no socket",
            arp(BROADCAST, STRANGER_MAC, client_tag),
            18,
            Drop(Counter::NoSocket),
        )
        .with(|s| s.ports.values_mut().for_each(|port| port.queues = 0)),
        Row::new(
            "an exact source MAC wins, local or not",
            arp(BROADCAST, ISP_MAC, &[(CTAG, CLIENT_VLAN)]),
            18,
            Pass,
        )
        .with(|s| make_local(s, slots::L2_CLIENT)),
    ]
}

fn vlan_rows() -> Vec<Row> {
    let untagged_local = |s: &mut SteeringState| make_local(s, slots::UNTAGGED);
    let two_tags = [(STAG, VLAN), (CTAG, INNER_VLAN)];
    vec![
        Row::new(
            "ARP of a local upstream without tags",
            arp(BROADCAST, ISP_MAC, &[]),
            14,
            upstream(slots::UNTAGGED, 0, 14),
        )
        .with(untagged_local),
        Row::new(
            "ARP of the same behind VID 0",
            arp(BROADCAST, ISP_MAC, &[(CTAG, 0)]),
            18,
            upstream(slots::UNTAGGED, 1, 18),
        )
        .with(untagged_local),
        Row::new(
            "ARP of a local upstream behind two tags",
            arp(BROADCAST, ISP_MAC, &two_tags),
            22,
            upstream(slots::DOUBLE_TAGGED, 2, 22),
        )
        .with(|s| make_local(s, slots::DOUBLE_TAGGED)),
        Row::new(
            "ARP behind three tags",
            arp(BROADCAST, ISP_MAC, &[two_tags[0], two_tags[1], (CTAG, 1)]),
            22,
            Drop(Counter::Ethertype),
        )
        .with(|s| make_local(s, slots::DOUBLE_TAGGED)),
        Row::new(
            "ARP of a local port on a VLAN that is no link",
            arp(BROADCAST, STRANGER_MAC, &[(CTAG, VLAN + 1)]),
            18,
            Pass,
        )
        .with(|s| {
            let any = s.links.keys().find(|key| key.mac == [0; 6]).copied();
            let (key, mut link) = any.map(|key| (key, s.links[&key])).expect("a client");
            link.flags = REF_LOCAL;
            s.links.insert(
                LinkKey {
                    vlan: [0; 2],
                    ..key
                },
                link,
            );
        }),
    ]
}

/// ICMPv6 from the local client's router.
fn message(mac: [u8; 6], to: Ipv6Addr, kind: u8) -> Vec<u8> {
    local_client(mac, &ipv6(HOST6, to, ICMP6), &[kind, 0, 0, 0])
}

fn local_client(mac: [u8; 6], header: &[u8], rest: &[u8]) -> Vec<u8> {
    let link = [eth(mac, STRANGER_MAC, CTAG), tag(LOCAL_CLIENT_VLAN, IPV6)].concat();
    stack([&link, header, rest])
}

fn nd_rows() -> Vec<Row> {
    let fragment = |offset| {
        let rest = [ipv6_fragment(ICMP6, offset), vec![NS, 0, 0, 0]].concat();
        local_client(GROUP6, &ipv6(HOST6, NODES6, FRAGMENT), &rest)
    };
    let behind_options = local_client(
        GROUP6,
        &ipv6(HOST6, NODES6, HOPOPTS),
        &[extension(ICMP6, 0), vec![NS, 0, 0, 0]].concat(),
    );
    let group = Drop(Counter::Group);
    vec![
        Row::new(
            "ND of a local client",
            message(GROUP6, NODES6, NS),
            59,
            client([18, 58, 18]),
        ),
        Row::new(
            "ND behind hop-by-hop options",
            behind_options,
            67,
            client([18, 66, 18]),
        ),
        Row::new(
            "ND to a MAC of ours",
            message(PORTAL_MAC, HOST6, NA),
            58,
            client([18, 58, 18]),
        ),
        Row::new(
            "ND to an address of the portal",
            message(PORTAL_MAC, PORTAL6, NS),
            59,
            Pass,
        ),
        Row::new(
            "ND, group MAC, a host",
            message(GROUP6, HOST6, NS),
            58,
            group,
        ),
        Row::new(
            "ND in a first fragment",
            fragment(1),
            67,
            client([18, 66, 18]),
        ),
        Row::new("what looks like it in a later one", fragment(8), 66, group),
        Row::new(
            "ND beside a local upstream",
            stack([
                &eth(GROUP6, STRANGER_MAC, CTAG),
                &tag(LOCAL_UPSTREAM_VLAN, IPV6),
                &ipv6(HOST6, NODES6, ICMP6),
                &[NS, 0, 0, 0],
            ]),
            59,
            Pass,
        ),
    ]
}

fn nd_type_rows() -> Vec<Row> {
    let group = |kind| message(GROUP6, NODES6, kind);
    let worker = client([18, 58, 18]);
    vec![
        Row::new("an MLD query on a local link", group(130), 59, Pass),
        Row::new("an MLD done on a local link", group(132), 59, Pass),
        Row::new("router solicitation", group(133), 59, worker),
        Row::new("router advertisement", group(134), 59, worker),
        Row::new("neighbour advertisement", group(NA), 59, worker),
        Row::new("a redirect on a local link", group(137), 59, Pass),
        Row::new("an MLDv2 report on a local link", group(143), 59, Pass),
        Row::new("echo on a local link", group(128), 59, Drop(Counter::Group)),
    ]
}

fn other_rows() -> Vec<Row> {
    let frame = |to, next: u16| {
        stack([
            &eth(to, STRANGER_MAC, CTAG),
            &tag(LOCAL_CLIENT_VLAN, next),
            &[0; 28],
        ])
    };
    let igmp = stack([
        &eth(MULTICAST, STRANGER_MAC, CTAG),
        &tag(LOCAL_CLIENT_VLAN, IPV4),
        &ipv4(HOST, [224, 0, 0, 22].into(), IGMP),
    ]);
    vec![
        Row::new("LLDP on a local link", frame(MULTICAST, LLDP), 18, Pass),
        Row::new("LACP on a local link", frame(MULTICAST, SLOW), 18, Pass),
        Row::new("IGMP on a local link", igmp, 38, Pass),
        Row::new(
            "RARP on a local link",
            frame(BROADCAST, 0x8035),
            18,
            Drop(Counter::Group),
        ),
        Row::new(
            "a packet from a local client",
            local_client(PORTAL_MAC, &ipv6(HOST6, HOST6, UDP), &[]),
            58,
            client([18, 58, 18]),
        ),
    ]
}
