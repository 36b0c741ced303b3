//! Step 5, ICMPv6: errors about what we sent into a tunnel over IPv6.

use tp_pipeline::abi::{Counter, IngressKind};

use crate::common::frames::*;
use crate::common::{FOU_PORT, GRE_KEY, GUE_PORT, slots};
use crate::{Drop, Expect, Pass, Row, redirect};

/// Where ICMPv6 begins, what it quotes, and what the quote carries.
const L4: u16 = 54;
const QUOTE: u16 = 62;
const QUOTED: usize = 102;
/// The type is needed whatever follows.
const TYPE: usize = 55;

const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = quoted_tunnels();
    rows.extend(quoted_chains());
    rows.extend(types());
    rows.extend(other_quotes());
    rows.extend(outer_headers());
    rows
}

fn error(kind: u8, quote: &[u8]) -> Vec<u8> {
    stack([
        &from_isp(IPV6),
        &ipv6(ROUTER6, PORTAL6, ICMP6),
        &icmp(kind),
        quote,
    ])
}

/// What we sent: from our address to the client's.
fn sent(next: u8, rest: &[u8]) -> Vec<u8> {
    stack([&ipv6(PORTAL6, CLIENT6, next), rest])
}

fn about(slot: u32) -> Expect {
    redirect(IngressKind::OuterIcmp, slot, [14, L4, QUOTE])
}

/// The worker's if the quote is whole up to `needs` bytes, the kernel's otherwise.
fn quoted(name: &'static str, quote: &[u8], needs: usize, slot: u32) -> Row {
    Row::new(name, error(TOO_BIG, quote), TYPE, about(slot)).below(needs, Pass)
}

fn quoted_tunnels() -> Vec<Row> {
    let upstream = stack([&ipv6(PORTAL6, ROUTER6, GRE), &gre(0, IPV4, 0)]);
    let about_upstream = redirect(
        IngressKind::OuterIcmpUpstream,
        slots::UPSTREAM_GRE_OVER_V6,
        [14, L4, QUOTE],
    );
    vec![
        quoted(
            "IPv4 in IPv6",
            &sent(IPIP, &[0; 8]),
            QUOTED,
            slots::IPIP_OVER_V6,
        ),
        quoted(
            "IPv6 in IPv6",
            &sent(IP6, &[0; 8]),
            QUOTED,
            slots::IPIP_OVER_V6,
        ),
        quoted(
            "GRE over IPv6",
            &sent(GRE, &gre(0, IPV6, 0)),
            QUOTED + 4,
            slots::GRE_OVER_V6,
        ),
        quoted(
            "Ethernet in GRE over IPv6, key behind a checksum",
            &sent(GRE, &gre(C | K | S, TEB, GRE_KEY)),
            QUOTED + 12,
            slots::EGRE_OVER_V6,
        ),
        quoted(
            "FOU over IPv6",
            &sent(UDP, &udp(FOU_PORT)),
            QUOTED + 8,
            slots::FOU_OVER_V6,
        ),
        quoted(
            "GUE over IPv6",
            &sent(UDP, &udp(GUE_PORT)),
            QUOTED + 8,
            slots::GUE_OVER_V6,
        ),
        Row::new(
            "an upstream's GRE",
            error(UNREACHABLE, &upstream),
            TYPE,
            about_upstream,
        )
        .below(QUOTED + 4, Pass),
    ]
}

fn quoted_chains() -> Vec<Row> {
    let four = [
        extension(ROUTING, 1),
        extension(FRAGMENT, 0),
        ipv6_fragment(DSTOPTS, 0),
        extension(GRE, 0),
        gre(0, IPV4, 0),
    ];
    let four_then_gre = sent(HOPOPTS, &four.concat());
    let five = [
        extension(ROUTING, 0),
        extension(DSTOPTS, 0),
        extension(DSTOPTS, 0),
        extension(DSTOPTS, 0),
        extension(IPIP, 0),
    ];
    let fragment = |offset| {
        sent(
            FRAGMENT,
            &[ipv6_fragment(IPIP, offset), vec![0; 8]].concat(),
        )
    };
    let linux = [extension(IPIP, 0), payload()].concat();
    vec![
        quoted(
            "IPIP behind destination options, as Linux sends it",
            &sent(DSTOPTS, &linux),
            QUOTED + 8,
            slots::IPIP_OVER_V6,
        ),
        quoted(
            "GRE behind four extension headers",
            &four_then_gre,
            QUOTED + 44,
            slots::GRE_OVER_V6,
        ),
        Row::new(
            "a quote with five extension headers",
            error(TOO_BIG, &sent(HOPOPTS, &five.concat())),
            TYPE,
            Pass,
        ),
        quoted(
            "a quoted first fragment",
            &fragment(0x0001),
            QUOTED + 8,
            slots::IPIP_OVER_V6,
        ),
        quoted(
            "a quoted whole packet's fragment header",
            &fragment(0x0000),
            QUOTED + 8,
            slots::IPIP_OVER_V6,
        ),
        Row::new(
            "a quoted later fragment",
            error(TOO_BIG, &fragment(0x0008)),
            TYPE,
            Pass,
        ),
        // As in a received packet: what is not read may be missing.
        quoted(
            "a quote that ends in its extension header",
            &sent(DSTOPTS, &extension(IPIP, 31)[..8]),
            QUOTED + 8,
            slots::IPIP_OVER_V6,
        ),
        Row::new(
            "a quote that ends in front of its GRE header",
            error(TOO_BIG, &sent(DSTOPTS, &extension(GRE, 31)[..64])),
            TYPE,
            Pass,
        ),
    ]
}

fn types() -> Vec<Row> {
    let quote = sent(IPIP, &[0; 8]);
    let finds = |name, kind| {
        let row = Row::new(name, error(kind, &quote), TYPE, about(slots::IPIP_OVER_V6));
        row.below(QUOTED, Pass)
    };
    let passes = |name, kind| Row::new(name, error(kind, &quote), TYPE, Pass);
    vec![
        finds("destination unreachable", 1),
        finds("packet too big", 2),
        finds("time exceeded", 3),
        finds("parameter problem", 4),
        passes("ICMPv6 type 0", 0),
        passes("ICMPv6 type 5", 5),
        passes("ICMPv6 type 127", 127),
        passes("echo request over IPv6", 128),
        passes("a redirect that quotes a tunnel", 137),
        passes("ICMP's type 11 is none of ICMPv6", 11),
    ]
}

fn other_quotes() -> Vec<Row> {
    let passes = |name, quote: &[u8]| Row::new(name, error(UNREACHABLE, quote), TYPE, Pass);
    let version = |byte| {
        let mut quote = sent(IPIP, &[0; 8]);
        quote[0] = byte;
        quote
    };
    let mapped = ipv6(PORTAL.to_ipv6_mapped(), CLIENT.to_ipv6_mapped(), IPIP);
    vec![
        passes("no quote", &[]),
        passes("a quote of version 4", &version(0x45)),
        passes("a quote of version 7", &version(0x70)),
        passes(
            "a quote of IPv4 in ICMPv6",
            &stack([&ipv4(PORTAL, CLIENT, IPIP), &[0; 40]]),
        ),
        passes(
            "a quote of IPv4 addresses in IPv6",
            &stack([&mapped, &[0; 8]]),
        ),
        passes(
            "a quote of what another sent",
            &stack([&ipv6(HOST6, CLIENT6, IPIP), &[0; 8]]),
        ),
        passes(
            "a quote of what the client sent",
            &stack([&ipv6(CLIENT6, PORTAL6, IPIP), &[0; 8]]),
        ),
        passes("a quote of TCP", &sent(TCP, &[0; 20])),
        passes("a quote of UDP", &sent(UDP, &udp(53))),
        passes("a quote of ICMPv6", &sent(ICMP6, &icmp(128))),
        passes("a quote of GRE version 1", &sent(GRE, &gre(1, IPV4, 0))),
        passes(
            "a quote of GRE with a key",
            &sent(GRE, &gre(K, IPV4, GRE_KEY)),
        ),
    ]
}

fn outer_headers() -> Vec<Row> {
    let quote = sent(IPIP, &[0; 8]);
    let outer = |header: &[u8]| stack([&from_isp(IPV6), header, &icmp(UNREACHABLE), &quote]);
    let fragment = |offset| {
        let header = ipv6(ROUTER6, PORTAL6, FRAGMENT);
        outer(&[header, ipv6_fragment(ICMP6, offset)].concat())
    };
    let behind_options = redirect(IngressKind::OuterIcmp, slots::IPIP_OVER_V6, [14, 62, 70]);
    vec![
        Row::new(
            "an error behind hop-by-hop options",
            outer(&[ipv6(ROUTER6, PORTAL6, HOPOPTS), extension(ICMP6, 0)].concat()),
            63,
            behind_options,
        )
        .below(QUOTED + 8, Pass),
        Row::new(
            "an error in a first fragment",
            fragment(1),
            63,
            behind_options,
        )
        .below(QUOTED + 8, Pass),
        Row::new("an error in a later fragment", fragment(8), 62, Pass),
        Row::new(
            "an error in transit",
            outer(&ipv6(ROUTER6, HOST6, ICMP6)),
            54,
            redirect(IngressKind::Upstream, slots::UNTAGGED, [14, 54, 14]),
        ),
        Row::new(
            "ICMPv6 over IPv4 is none of ours",
            stack([
                &from_isp(IPV4),
                &ipv4(ROUTER, PORTAL, ICMP6),
                &icmp(UNREACHABLE),
                &ipv4(PORTAL, CLIENT, IPIP),
                &[0; 8],
            ]),
            34,
            Pass,
        ),
        Row::new(
            "an error to a group",
            stack([
                &eth(BROADCAST, ISP_MAC, IPV6),
                &ipv6(ROUTER6, PORTAL6, ICMP6),
                &icmp(UNREACHABLE),
                &quote,
            ]),
            54,
            Drop(Counter::Group),
        ),
    ]
}
