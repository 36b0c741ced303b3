//! Step 4: link protocols over IP (IGMP, MLD, neighbour discovery), to groups and to one receiver.

use std::net::{Ipv4Addr, Ipv6Addr};

use tp_pipeline::abi::{Counter, IngressKind};

use crate::common::frames::*;
use crate::common::slots;
use crate::{Drop, Expect, Pass, Row, redirect};

const ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const NODES6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const GROUP6: [u8; 6] = [0x33, 0x33, 0, 0, 0, 0x01];
const NS: u8 = 135;
const GROUP: Expect = Drop(Counter::Group);
const UNKNOWN: Expect = Drop(Counter::UnknownSource);

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = igmp_rows();
    rows.extend(nd_rows());
    rows.extend(type_rows());
    rows.extend(fragment_rows());
    rows
}

fn upstream(l4_off: u16) -> Expect {
    redirect(IngressKind::Upstream, slots::UNTAGGED, [14, l4_off, 14])
}

fn igmp(link: Vec<u8>, to: Ipv4Addr) -> Vec<u8> {
    stack([&link, &ipv4(HOST, to, IGMP), &[0; 8]])
}

/// ICMPv6 of this type.
fn message(link: Vec<u8>, to: Ipv6Addr, kind: u8) -> Vec<u8> {
    stack([&link, &ipv6(HOST6, to, ICMP6), &[kind, 0, 0, 0]])
}

fn igmp_rows() -> Vec<Row> {
    let group = |to| igmp(eth(MULTICAST, ISP_MAC, IPV4), to);
    let ours = |to| igmp(from_isp(IPV4), to);
    let stranger = |to| igmp(eth(PORTAL_MAC, STRANGER_MAC, IPV4), to);
    let with_router_alert = stack([
        &eth(MULTICAST, STRANGER_MAC, IPV4),
        &ipv4_options(ipv4(HOST, ROUTERS, IGMP), 1),
        &[0; 8],
    ]);
    let udp = stack([
        &eth(MULTICAST, ISP_MAC, IPV4),
        &ipv4(HOST, ROUTERS, UDP),
        &[0; 8],
    ]);
    let first = Ipv4Addr::new(224, 0, 0, 0);
    let last = Ipv4Addr::new(239, 255, 255, 255);
    let below = Ipv4Addr::new(223, 255, 255, 255);
    let above = Ipv4Addr::new(240, 0, 0, 0);
    vec![
        Row::new("IGMP, router alert", with_router_alert, 38, Pass),
        Row::new("IGMP to the first group", group(first), 34, Pass),
        Row::new("IGMP to the last group", group(last), 34, Pass),
        Row::new("IGMP below the groups", group(below), 34, GROUP),
        Row::new("IGMP above the groups", group(above), 34, GROUP),
        Row::new("IGMP, group MAC, a host", group(HOST), 34, GROUP),
        Row::new("IGMP, group MAC, the portal", group(PORTAL), 34, GROUP),
        Row::new("UDP to a group", udp, 34, GROUP),
        Row::new("IGMP to the portal", ours(PORTAL), 34, Pass),
        Row::new("a stranger's, to the portal", stranger(PORTAL), 34, Pass),
        Row::new("IGMP in transit", ours(HOST), 34, upstream(34)),
        Row::new("a stranger's, in transit", stranger(HOST), 34, UNKNOWN),
        Row::new("IGMP, our MAC, a group", ours(ROUTERS), 34, upstream(34)),
        Row::new("a stranger's, a group", stranger(ROUTERS), 34, UNKNOWN),
    ]
}

fn nd_rows() -> Vec<Row> {
    let group = |to| message(eth(GROUP6, ISP_MAC, IPV6), to, NS);
    let ours = |to| message(from_isp(IPV6), to, NS);
    let stranger = |to| message(eth(PORTAL_MAC, STRANGER_MAC, IPV6), to, NS);
    let udp = stack([
        &eth(GROUP6, ISP_MAC, IPV6),
        &ipv6(HOST6, NODES6, UDP),
        &[0; 8],
    ]);
    // Protocol 2 is IGMP in IPv4 only, 58 is ICMPv6 in IPv6 only.
    let igmp6 = stack([
        &eth(GROUP6, ISP_MAC, IPV6),
        &ipv6(HOST6, NODES6, IGMP),
        &[0; 8],
    ]);
    let icmp6_in_ipv4 = stack([
        &eth(MULTICAST, ISP_MAC, IPV4),
        &ipv4(HOST, ROUTERS, ICMP6),
        &[NS; 8],
    ]);
    let mapped = ROUTERS.to_ipv6_mapped();
    vec![
        Row::new("ND, group MAC, a host", group(HOST6), 54, GROUP),
        Row::new("ND, group MAC, the portal", group(PORTAL6), 54, GROUP),
        Row::new("ND, group MAC, a mapped group", group(mapped), 54, GROUP),
        Row::new("UDP over IPv6 to a group", udp, 54, GROUP),
        Row::new("protocol 2 over IPv6 to a group", igmp6, 54, GROUP),
        Row::new("protocol 58 over IPv4 to a group", icmp6_in_ipv4, 34, GROUP),
        Row::new("ND to the portal", ours(PORTAL6), 55, Pass),
        Row::new("a stranger's ND to the portal", stranger(PORTAL6), 55, Pass),
        Row::new("ND in transit", ours(HOST6), 54, upstream(54)),
        Row::new("a stranger's ND in transit", stranger(HOST6), 54, UNKNOWN),
        Row::new("ND, our MAC, a group", ours(NODES6), 54, upstream(54)),
        Row::new("a stranger's ND, a group", stranger(NODES6), 54, UNKNOWN),
    ]
}

fn type_rows() -> Vec<Row> {
    let group = |kind| message(eth(GROUP6, STRANGER_MAC, IPV6), NODES6, kind);
    let report = stack([
        &eth(GROUP6, STRANGER_MAC, IPV6),
        &ipv6(HOST6, NODES6, HOPOPTS),
        &extension(ICMP6, 0),
        &[143, 0, 0, 0],
    ]);
    vec![
        Row::new("ICMPv6 129, echo reply", group(129), 55, GROUP),
        Row::new("ICMPv6 130, the first of MLD", group(130), 55, Pass),
        Row::new("ICMPv6 135, neighbour solicitation", group(NS), 55, Pass),
        Row::new("ICMPv6 137, the last of ND", group(137), 55, Pass),
        Row::new("ICMPv6 138", group(138), 55, GROUP),
        Row::new("ICMPv6 142", group(142), 55, GROUP),
        Row::new("ICMPv6 143 behind hop-by-hop options", report, 63, Pass),
        Row::new("ICMPv6 144", group(144), 55, GROUP),
    ]
}

fn fragment_rows() -> Vec<Row> {
    let fragment = |offset| {
        let header = ipv6_fragment(ICMP6, offset);
        stack([
            &eth(GROUP6, STRANGER_MAC, IPV6),
            &ipv6(HOST6, NODES6, FRAGMENT),
            &header,
            &[NS, 0, 0, 0],
        ])
    };
    vec![
        Row::new(
            "ND with a whole packet's fragment header",
            fragment(0),
            63,
            Pass,
        ),
        Row::new("ND in a first fragment", fragment(1), 63, Pass),
        Row::new("what looks like it in a later one", fragment(8), 62, GROUP),
    ]
}
