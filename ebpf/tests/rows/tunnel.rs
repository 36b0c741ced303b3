//! Step 5: what comes to an address of the portal: IPIP, IPv6 outside, fragments, upstreams' tunnels,
//! the kernel's.

use std::net::{Ipv4Addr, Ipv6Addr};

use tp_pipeline::abi::{Counter, IngressKind, NO_SLOT};

use crate::common::frames::*;
use crate::common::{FOU_PORT, GRE_KEY, VLAN, slots};
use crate::{Drop, Expect, Pass, Row, redirect, redirect_tagged};

/// A client that has no tunnel.
pub(super) const OTHER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 99);
pub(super) const OTHER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99);

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = ipip_rows();
    rows.extend(ipv6_rows());
    rows.extend(fragment_rows());
    rows.extend(upstream_rows());
    rows.extend(kernel_rows());
    rows
}

pub(super) fn outer(header: &[u8], rest: &[u8]) -> Vec<u8> {
    stack([&from_isp(IPV4), header, rest, &payload()])
}

pub(super) fn to_portal(protocol: u8, rest: &[u8]) -> Vec<u8> {
    outer(&ipv4(CLIENT, PORTAL, protocol), rest)
}

pub(super) fn tunnel(slot: u32, offsets: [u16; 3]) -> Expect {
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

/// An upstream behind a tunnel comes in like a client's tunnel, but as an upstream.
fn upstream_rows() -> Vec<Row> {
    let from_router = |protocol, rest: &[u8]| outer(&ipv4(ROUTER, PORTAL, protocol), rest);
    let upstream = |slot, inner| redirect(IngressKind::UpstreamTunnel, slot, [14, 34, inner]);
    vec![
        Row::new(
            "an upstream behind IPIP",
            from_router(IPIP, &[]),
            34,
            upstream(slots::UPSTREAM_IPIP, 34),
        ),
        Row::new(
            "an upstream behind Ethernet in GRE",
            from_router(GRE, &gre(K, TEB, GRE_KEY)),
            42,
            upstream(slots::UPSTREAM_EGRE, 42),
        ),
        Row::new(
            "an upstream behind FOU",
            from_router(UDP, &udp(FOU_PORT)),
            42,
            upstream(slots::UPSTREAM_FOU, 42),
        ),
        Row::new(
            "an upstream behind a tunnel, with another's protocol",
            from_router(GRE, &gre(K, IPV4, GRE_KEY)),
            42,
            Drop(Counter::UnknownTunnel),
        ),
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
