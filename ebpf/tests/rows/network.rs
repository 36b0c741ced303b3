//! Step 4: link protocols of their own types, IPv4 and IPv6 headers.

use tp_pipeline::abi::{Counter, IngressKind};

use crate::common::frames::*;
use crate::common::slots;
use crate::{Drop, Expect, Pass, Row, redirect};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = link_protocols();
    rows.extend(ipv4_rows());
    rows.extend(ipv6_rows());
    rows.extend(extension_rows());
    rows
}

fn upstream(l4_off: u16) -> Expect {
    redirect(IngressKind::Upstream, slots::UNTAGGED, [14, l4_off, 14])
}

fn link_protocols() -> Vec<Row> {
    const SLOW_GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x02];
    const LLDP_GROUP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 0x0e];
    let broadcast = |ethertype| stack([&eth(BROADCAST, STRANGER_MAC, ethertype), &[0; 28]]);
    vec![
        Row::new("ARP request", broadcast(ARP), 14, Pass),
        Row::new("ARP reply", stack([&from_isp(ARP), &[0; 28]]), 14, Pass),
        Row::new(
            "LLDP",
            stack([&eth(LLDP_GROUP, ISP_MAC, LLDP), &[0; 28]]),
            14,
            Pass,
        ),
        Row::new(
            "LACP",
            stack([&eth(SLOW_GROUP, ISP_MAC, SLOW), &[0; 28]]),
            14,
            Pass,
        ),
        Row::new("RARP is none", broadcast(0x8035), 14, Drop(Counter::Group)),
    ]
}

fn ipv4_rows() -> Vec<Row> {
    let packet = |header: Vec<u8>| stack([&from_isp(IPV4), &header, &[0; 8]]);
    let plain = || ipv4(HOST, HOST, UDP);
    let first_byte = |byte| {
        let mut header = plain();
        header[0] = byte;
        packet(header)
    };
    vec![
        Row::new("IPv4", packet(plain()), 34, upstream(34)),
        Row::new(
            "IPv4 with options",
            packet(ipv4_options(plain(), 10)),
            74,
            upstream(74),
        ),
        Row::new(
            "IPv4 of version 6",
            first_byte(0x65),
            34,
            Drop(Counter::Malformed),
        ),
        Row::new(
            "IPv4 with a short IHL",
            first_byte(0x44),
            34,
            Drop(Counter::Malformed),
        ),
        Row::new(
            "IPv4 whose IHL ends behind the frame",
            first_byte(0x48),
            34,
            Drop(Counter::Truncated),
        ),
        Row::new(
            "a tunnel protocol in transit",
            packet(ipv4(CLIENT, HOST, GRE)),
            34,
            upstream(34),
        ),
        Row::new(
            "a fragment in transit",
            packet(ipv4_fragment(ipv4(CLIENT, HOST, GRE), 0x2010)),
            34,
            upstream(34),
        ),
    ]
}

fn ipv6_rows() -> Vec<Row> {
    let packet = |header: Vec<u8>| stack([&from_isp(IPV6), &header, &[0; 8]]);
    let mut version = ipv6(HOST6, HOST6, UDP);
    version[0] = 0x45;
    vec![
        Row::new("IPv6", packet(ipv6(HOST6, HOST6, UDP)), 54, upstream(54)),
        Row::new(
            "IPv6 of version 4",
            packet(version),
            54,
            Drop(Counter::Malformed),
        ),
        Row::new(
            "IPv6 to the portal's IPv4 address",
            packet(ipv6(HOST6, PORTAL.to_ipv6_mapped(), UDP)),
            54,
            upstream(54),
        ),
        Row::new(
            "IPv6 to the portal",
            packet(ipv6(HOST6, PORTAL6, TCP)),
            54,
            Pass,
        ),
    ]
}

fn extension_rows() -> Vec<Row> {
    let packet = |next, rest: &[&[u8]]| {
        stack([
            &from_isp(IPV6),
            &ipv6(HOST6, HOST6, next),
            &rest.concat(),
            &[0; 8],
        ])
    };
    vec![
        Row::new(
            "each extension header",
            packet(
                HOPOPTS,
                &[
                    &extension(ROUTING, 0),
                    &extension(FRAGMENT, 1),
                    &ipv6_fragment(DSTOPTS, 0),
                    &extension(UDP, 2),
                ],
            ),
            // The last one's first 8 bytes; the rest of it is not read.
            94,
            upstream(110),
        ),
        Row::new(
            "five extension headers",
            packet(
                HOPOPTS,
                &[
                    &[0; 8],
                    &[0; 8],
                    &[0; 8],
                    &[60, 0, 0, 0, 0, 0, 0, 0],
                    &extension(UDP, 0),
                ],
            ),
            86,
            Drop(Counter::Malformed),
        ),
        Row::new(
            "an extension header that ends behind the frame",
            packet(DSTOPTS, &[&[UDP, 255, 0, 0, 0, 0, 0, 0]]),
            62,
            upstream(54 + 2048),
        ),
        Row::new(
            "an extension header behind the frame",
            packet(
                DSTOPTS,
                &[&[DSTOPTS, 255, 0, 0, 0, 0, 0, 0], &extension(UDP, 0)],
            ),
            78,
            Drop(Counter::Truncated),
        ),
        Row::new(
            "a later fragment, and what looks like a truncated extension header",
            packet(FRAGMENT, &[&ipv6_fragment(DSTOPTS, 8)])[..66].to_vec(),
            62,
            upstream(62),
        ),
        Row::new(
            "a later fragment behind four extension headers",
            packet(
                HOPOPTS,
                &[
                    &extension(ROUTING, 0),
                    &extension(DSTOPTS, 0),
                    &extension(FRAGMENT, 0),
                    &ipv6_fragment(DSTOPTS, 8),
                ],
            ),
            86,
            upstream(86),
        ),
        Row::new(
            "a first fragment behind as many",
            packet(
                HOPOPTS,
                &[
                    &extension(ROUTING, 0),
                    &extension(DSTOPTS, 0),
                    &extension(FRAGMENT, 0),
                    &ipv6_fragment(DSTOPTS, 1),
                ],
            ),
            86,
            Drop(Counter::Malformed),
        ),
        Row::new(
            "authentication header is none",
            packet(51, &[&extension(UDP, 0)]),
            54,
            upstream(54),
        ),
    ]
}
