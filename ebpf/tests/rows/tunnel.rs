//! Step 5: what comes to an address of the portal, ICMP excepted.

use std::net::{Ipv4Addr, Ipv6Addr};

use tp_pipeline::abi::{Counter, IngressKind, NO_SLOT};

use crate::common::frames::*;
use crate::common::{FOU_PORT, GRE_KEY, GUE_PORT, VLAN, slots};
use crate::{Drop, Expect, Pass, Row, redirect, redirect_tagged};

/// A client that has no tunnel.
const OTHER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);
const OTHER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99);

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = ipip_rows();
    rows.extend(gre_rows());
    rows.extend(gre_header_rows());
    rows.extend(ipv6_rows());
    rows.extend(fragment_rows());
    rows.extend(udp_rows());
    rows.extend(kernel_rows());
    rows
}

fn outer(header: &[u8], rest: &[u8]) -> Vec<u8> {
    stack([&from_isp(IPV4), header, rest, &payload()])
}

fn to_portal(protocol: u8, rest: &[u8]) -> Vec<u8> {
    outer(&ipv4(CLIENT, PORTAL, protocol), rest)
}

fn tunnel(slot: u32, offsets: [u16; 3]) -> Expect {
    redirect(IngressKind::Tunnel, slot, offsets)
}

fn ipip_rows() -> Vec<Row> {
    let options = outer(&ipv4_options(ipv4(CLIENT, PORTAL, IPIP), 2), &[]);
    let tagged = stack([
        &eth(PORTAL_MAC, STRANGER_MAC, CTAG),
        &tag(VLAN, IPV4),
        &ipv4(CLIENT, PORTAL, IPIP),
        &payload(),
    ]);
    vec![
        Row::new(
            "IPIP",
            to_portal(IPIP, &[]),
            34,
            tunnel(slots::IPIP, [14, 34, 34]),
        ),
        Row::new(
            "IPv6 in the same tunnel",
            to_portal(IP6, &[]),
            34,
            tunnel(slots::IPIP, [14, 34, 34]),
        ),
        Row::new(
            "IPIP behind options",
            options,
            42,
            tunnel(slots::IPIP, [14, 42, 42]),
        ),
        Row::new(
            "IPIP on a VLAN, through any router",
            tagged,
            38,
            redirect_tagged(IngressKind::Tunnel, slots::IPIP, 1, [18, 38, 38]),
        ),
        Row::new(
            "IPIP from a stranger",
            outer(&ipv4(OTHER, PORTAL, IPIP), &[]),
            34,
            Drop(Counter::UnknownTunnel),
        ),
        Row::new(
            "no IPIP beside a GRE tunnel",
            to_portal(IPIP, &[]),
            34,
            Drop(Counter::UnknownTunnel),
        )
        .with(|s| s.tunnels.retain(|key, _| key.kind != 1)),
        Row::new(
            "an address of the portal that is not the tunnel's",
            outer(&ipv4(CLIENT, HOST, IPIP), &[]),
            34,
            Drop(Counter::UnknownTunnel),
        )
        .with(|s| {
            let addr = tp_pipeline::abi::addr_bytes(HOST.into());
            s.local_addrs.insert(tp_pipeline::abi::AddrKey { addr });
        }),
    ]
}

fn gre_rows() -> Vec<Row> {
    let keyed = |key| to_portal(GRE, &gre(K, IPV4, key));
    vec![
        Row::new(
            "GRE",
            to_portal(GRE, &gre(0, IPV4, 0)),
            38,
            tunnel(slots::GRE, [14, 34, 38]),
        ),
        Row::new(
            "GRE with IPv6",
            to_portal(GRE, &gre(0, IPV6, 0)),
            38,
            tunnel(slots::GRE, [14, 34, 38]),
        ),
        Row::new(
            "GRE with a key",
            keyed(GRE_KEY),
            42,
            tunnel(slots::GRE_KEYED, [14, 34, 42]),
        ),
        Row::new(
            "GRE with key 0",
            keyed(0),
            42,
            tunnel(slots::GRE_KEY_ZERO, [14, 34, 42]),
        ),
        Row::new(
            "GRE with another key",
            keyed(GRE_KEY + 1),
            42,
            Drop(Counter::UnknownTunnel),
        ),
        Row::new(
            "key 0 is not no key",
            keyed(0),
            42,
            Drop(Counter::UnknownTunnel),
        )
        .with(|s| s.tunnels.retain(|key, _| key.flags == 0)),
        Row::new(
            "no key is not key 0",
            to_portal(GRE, &gre(0, IPV4, 0)),
            38,
            Drop(Counter::UnknownTunnel),
        )
        .with(|s| s.tunnels.retain(|key, _| key.flags != 0)),
        Row::new(
            "Ethernet in GRE",
            to_portal(GRE, &gre(0, TEB, 0)),
            38,
            tunnel(slots::EGRE, [14, 34, 38]),
        ),
        Row::new(
            "Ethernet in a GRE tunnel of packets",
            to_portal(GRE, &gre(K, TEB, GRE_KEY)),
            42,
            Drop(Counter::UnknownTunnel),
        ),
        Row::new(
            "ERSPAN in GRE",
            to_portal(GRE, &gre(0, 0x88be, 0)),
            38,
            Drop(Counter::UnknownTunnel),
        ),
        Row::new(
            "GRE from a stranger",
            outer(&ipv4(OTHER, PORTAL, GRE), &gre(0, IPV4, 0)),
            38,
            Drop(Counter::UnknownTunnel),
        ),
    ]
}

fn gre_header_rows() -> Vec<Row> {
    let header = |flags| to_portal(GRE, &gre(flags, IPV4, GRE_KEY));
    let refused = |name, flags| Row::new(name, header(flags), 38, Drop(Counter::GreUnsupported));
    vec![
        Row::new(
            "GRE with a checksum",
            header(C),
            42,
            tunnel(slots::GRE, [14, 34, 42]),
        ),
        Row::new(
            "GRE with a sequence number",
            header(S),
            42,
            tunnel(slots::GRE, [14, 34, 42]),
        ),
        Row::new(
            "GRE key behind a checksum",
            header(C | K),
            46,
            tunnel(slots::GRE_KEYED, [14, 34, 46]),
        ),
        Row::new(
            "GRE key and sequence number",
            header(K | S),
            46,
            tunnel(slots::GRE_KEYED, [14, 34, 46]),
        ),
        Row::new(
            "GRE with everything",
            header(C | K | S),
            50,
            tunnel(slots::GRE_KEYED, [14, 34, 50]),
        ),
        // RFC 2784 section 2.3: Reserved0's other bits are ignored on receipt.
        Row::new(
            "GRE bits 6 to 12",
            header(0x03f8),
            38,
            tunnel(slots::GRE, [14, 34, 38]),
        ),
        refused("GRE version 1 (PPTP)", K | 1),
        refused("GRE version 2", 2),
        refused("GRE version 4", 4),
        refused("GRE with routing", R),
        refused("GRE strict source route", 0x0800),
        refused("GRE recursion, the bit to refuse", 0x0400),
    ]
}

fn ipv6_rows() -> Vec<Row> {
    let packet = |header: Vec<u8>, rest: &[u8]| stack([&from_isp(IPV6), &header, rest, &payload()]);
    let gre_behind_options = [extension(GRE, 0), gre(0, IPV4, 0)].concat();
    vec![
        Row::new(
            "GRE over IPv6",
            packet(ipv6(CLIENT6, PORTAL6, GRE), &gre(0, IPV4, 0)),
            58,
            tunnel(slots::GRE_OVER_V6, [14, 54, 58]),
        ),
        Row::new(
            "GRE over IPv6 as Linux sends it, behind destination options",
            packet(ipv6(CLIENT6, PORTAL6, DSTOPTS), &gre_behind_options),
            66,
            tunnel(slots::GRE_OVER_V6, [14, 62, 66]),
        ),
        Row::new(
            "IPv4 in IPv6",
            packet(ipv6(CLIENT6, PORTAL6, IPIP), &[]),
            54,
            tunnel(slots::IPIP_OVER_V6, [14, 54, 54]),
        ),
        Row::new(
            "IPv6 in IPv6",
            packet(ipv6(CLIENT6, PORTAL6, IP6), &[]),
            54,
            tunnel(slots::IPIP_OVER_V6, [14, 54, 54]),
        ),
        Row::new(
            "IPv6 between the IPv4 addresses of a tunnel",
            packet(
                ipv6(CLIENT.to_ipv6_mapped(), PORTAL.to_ipv6_mapped(), IPIP),
                &[],
            ),
            54,
            redirect(IngressKind::Upstream, slots::UNTAGGED, [14, 54, 14]),
        ),
        Row::new(
            "IPv6 in IPv6 from a stranger",
            packet(ipv6(OTHER6, PORTAL6, IP6), &[]),
            54,
            Drop(Counter::UnknownTunnel),
        ),
    ]
}

fn fragment_rows() -> Vec<Row> {
    let fragment = |l4_off| redirect(IngressKind::OuterFragment, NO_SLOT, [14, l4_off, l4_off]);
    let v4 =
        |from, protocol, flags| outer(&ipv4_fragment(ipv4(from, PORTAL, protocol), flags), &[]);
    let v6 = |offset| {
        let headers = [ipv6(CLIENT6, PORTAL6, FRAGMENT), ipv6_fragment(GRE, offset)].concat();
        stack([&from_isp(IPV6), &headers, &payload()])
    };
    vec![
        Row::new(
            "first fragment of GRE",
            v4(CLIENT, GRE, 0x2000),
            34,
            fragment(34),
        ),
        Row::new(
            "later fragment of GRE",
            v4(CLIENT, GRE, 0x2001),
            34,
            fragment(34),
        ),
        Row::new(
            "last fragment of IPIP",
            v4(CLIENT, IPIP, 0x0001),
            34,
            fragment(34),
        ),
        Row::new(
            "fragment of IPv6 in IPv4 from a stranger",
            v4(OTHER, IP6, 0x1fff),
            34,
            fragment(34),
        ),
        Row::new(
            "don't-fragment and the reserved bit are no fragment",
            v4(CLIENT, IPIP, 0xc000),
            34,
            tunnel(slots::IPIP, [14, 34, 34]),
        ),
        Row::new(
            "fragment of what is no tunnel",
            v4(CLIENT, TCP, 0x2000),
            34,
            Pass,
        ),
        Row::new("first fragment over IPv6", v6(0x0001), 62, fragment(62)),
        Row::new("later fragment over IPv6", v6(0x0008), 62, fragment(62)),
        Row::new(
            "a fragment header of a whole packet (RFC 6946)",
            stack([
                &from_isp(IPV6),
                &ipv6(CLIENT6, PORTAL6, FRAGMENT),
                &ipv6_fragment(GRE, 0x0006),
                &gre(0, IPV4, 0),
                &payload(),
            ]),
            66,
            tunnel(slots::GRE_OVER_V6, [14, 62, 66]),
        ),
    ]
}

fn udp_rows() -> Vec<Row> {
    let to = |port, rest: &[u8]| to_portal(UDP, &[udp(port), rest.to_vec()].concat());
    let gue = |first: u8| to(GUE_PORT, &[first, 4, 0, 0]);
    let unsupported = |name, first| {
        let expect = Drop(Counter::GueUnsupported);
        Row::new(name, gue(first), 43, expect)
    };
    vec![
        Row::new(
            "FOU",
            to(FOU_PORT, &[]),
            42,
            tunnel(slots::FOU, [14, 34, 42]),
        ),
        Row::new("GUE", gue(0), 46, tunnel(slots::GUE, [14, 34, 46])),
        unsupported("GUE variant 2", 0x80),
        unsupported("GUE variant 3", 0xc0),
        unsupported("a GUE control message", 0x20),
    ]
}

fn kernel_rows() -> Vec<Row> {
    vec![
        Row::new("BGP to the portal", to_portal(TCP, &[]), 34, Pass),
        Row::new("UDP to the portal", to_portal(UDP, &[]), 42, Pass),
        Row::new(
            "a tunnel protocol to a group",
            stack([
                &eth(MULTICAST, ISP_MAC, IPV4),
                &ipv4(CLIENT, PORTAL, GRE),
                &gre(0, IPV4, 0),
                &payload(),
            ]),
            34,
            Drop(Counter::Group),
        ),
        Row::new(
            "from a stranger's MAC to the portal",
            stack([
                &eth(PORTAL_MAC, STRANGER_MAC, IPV4),
                &ipv4(HOST, PORTAL, TCP),
                &[0; 20],
            ]),
            34,
            Pass,
        ),
    ]
}
