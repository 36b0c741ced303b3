//! Step 5, ICMP: errors about what we sent into a tunnel.

use tp_pipeline::abi::{Counter, IngressKind};

use crate::common::frames::*;
use crate::common::{FOU_PORT, GRE_KEY, GUE_PORT, slots};
use crate::{Drop, Expect, Pass, Row, redirect};

/// Where ICMP begins, what it quotes, and what the quote carries.
const L4: u16 = 34;
const QUOTE: u16 = 42;
const QUOTED: usize = 62;

const UNREACHABLE: u8 = 3;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = quoted_tunnels();
    rows.extend(quoted_udp());
    rows.extend(quoted_upstreams());
    rows.extend(other_quotes());
    rows.extend(other_messages());
    rows
}

fn error(kind: u8, quote: &[u8]) -> Vec<u8> {
    stack([
        &from_isp(IPV4),
        &ipv4(ROUTER, PORTAL, ICMP),
        &icmp(kind),
        quote,
    ])
}

/// What we sent: from our address to the client's.
fn sent(protocol: u8, rest: &[u8]) -> Vec<u8> {
    stack([&ipv4(PORTAL, CLIENT, protocol), rest])
}

fn about(slot: u32) -> Expect {
    redirect(IngressKind::OuterIcmp, slot, [14, L4, QUOTE])
}

/// The worker's if the quote is whole up to `needs` bytes, the kernel's otherwise.
fn quoted(name: &'static str, kind: u8, quote: &[u8], needs: usize, slot: u32) -> Row {
    // ICMP's type is needed whatever follows.
    Row::new(name, error(kind, quote), 35, about(slot)).below(needs, Pass)
}

fn quoted_tunnels() -> Vec<Row> {
    let gre8 = |flags, key| sent(GRE, &gre(flags, IPV4, key));
    let options = [ipv4_options(ipv4(PORTAL, CLIENT, IPIP), 3), payload()].concat();
    vec![
        quoted(
            "unreachable, IPIP",
            UNREACHABLE,
            &sent(IPIP, &[0; 8]),
            QUOTED,
            slots::IPIP,
        ),
        quoted(
            "time exceeded, IPIP",
            11,
            &sent(IPIP, &[0; 8]),
            QUOTED,
            slots::IPIP,
        ),
        quoted(
            "parameter problem, IPv6 in IPIP",
            12,
            &sent(IP6, &[0; 8]),
            QUOTED,
            slots::IPIP,
        ),
        quoted(
            "IPIP with options",
            UNREACHABLE,
            &options,
            QUOTED + 12,
            slots::IPIP,
        ),
        quoted("GRE", UNREACHABLE, &gre8(0, 0), QUOTED + 4, slots::GRE),
        quoted(
            "GRE with a key",
            UNREACHABLE,
            &gre8(K, GRE_KEY),
            QUOTED + 8,
            slots::GRE_KEYED,
        ),
        quoted(
            "GRE with key 0",
            UNREACHABLE,
            &gre8(K, 0),
            QUOTED + 8,
            slots::GRE_KEY_ZERO,
        ),
        quoted(
            "GRE with a checksum and a key",
            11,
            &gre8(C | K, GRE_KEY),
            QUOTED + 12,
            slots::GRE_KEYED,
        ),
        quoted(
            "GRE whose sequence number is not quoted",
            UNREACHABLE,
            &gre8(K | S, GRE_KEY)[..28],
            QUOTED + 8,
            slots::GRE_KEYED,
        ),
        quoted(
            "GRE whose checksum is not quoted",
            UNREACHABLE,
            &gre8(C, 0)[..24],
            QUOTED + 4,
            slots::GRE,
        ),
        quoted(
            "Ethernet in GRE",
            UNREACHABLE,
            &sent(GRE, &gre(0, TEB, 0)),
            QUOTED + 4,
            slots::EGRE,
        ),
        quoted(
            "a quoted first fragment",
            UNREACHABLE,
            &[
                ipv4_fragment(ipv4(PORTAL, CLIENT, IPIP), 0x2000),
                vec![0; 8],
            ]
            .concat(),
            QUOTED,
            slots::IPIP,
        ),
    ]
}

/// Found by the port that both ends of the tunnel use: what we send from tells nothing.
fn quoted_udp() -> Vec<Row> {
    let sent = |port, rest: &[u8]| sent(UDP, &[udp(port), rest.to_vec()].concat());
    let passes = |name, quote: &[u8]| {
        let frame = error(UNREACHABLE, quote);
        // The quote's length does not matter to what is no tunnel's.
        Row::new(name, frame, 35, Pass)
    };
    let later = ipv4_fragment(ipv4(PORTAL, CLIENT, UDP), 0x0001);
    let first = ipv4_fragment(ipv4(PORTAL, CLIENT, UDP), 0x2000);
    let from_tunnels_port = [FOU_PORT.to_be_bytes(), [0x12, 0x34], [0; 2], [0; 2]].concat();
    vec![
        quoted(
            "FOU",
            UNREACHABLE,
            &sent(FOU_PORT, &[]),
            QUOTED + 8,
            slots::FOU,
        ),
        quoted(
            "GUE, whose own header is not read",
            UNREACHABLE,
            &sent(GUE_PORT, &[0xff; 4]),
            QUOTED + 8,
            slots::GUE,
        ),
        quoted(
            "a quoted first fragment of FOU",
            11,
            &stack([&first, &udp(FOU_PORT)]),
            QUOTED + 8,
            slots::FOU,
        ),
        passes("a quote of UDP", &sent(53, &[])),
        passes(
            "a quote of UDP from a tunnels' port",
            &self::sent(UDP, &from_tunnels_port),
        ),
        passes(
            "a quoted later fragment of FOU",
            &stack([&later, &udp(FOU_PORT)]),
        ),
        passes(
            "a quote of FOU to a stranger",
            &stack([&ipv4(PORTAL, HOST, UDP), &udp(FOU_PORT)]),
        ),
    ]
}

fn quoted_upstreams() -> Vec<Row> {
    let row = |name, protocol, rest: &[u8], needs, slot| {
        let quote = stack([&ipv4(PORTAL, ROUTER, protocol), rest]);
        let about = redirect(IngressKind::OuterIcmpUpstream, slot, [14, L4, QUOTE]);
        Row::new(name, error(UNREACHABLE, &quote), 35, about).below(needs, Pass)
    };
    vec![
        row(
            "an upstream's IPIP",
            IPIP,
            &[0; 8],
            QUOTED,
            slots::UPSTREAM_IPIP,
        ),
        row(
            "an upstream's Ethernet in GRE",
            GRE,
            &gre(K, TEB, GRE_KEY),
            QUOTED + 8,
            slots::UPSTREAM_EGRE,
        ),
        row(
            "an upstream's FOU",
            UDP,
            &udp(FOU_PORT),
            QUOTED + 8,
            slots::UPSTREAM_FOU,
        ),
    ]
}

fn other_quotes() -> Vec<Row> {
    let passes = |name, quote: &[u8]| Row::new(name, error(UNREACHABLE, quote), 35, Pass);
    let first_byte = |byte| {
        let mut quote = sent(IPIP, &[0; 40]);
        quote[0] = byte;
        quote
    };
    vec![
        passes("no quote", &[]),
        passes(
            "a quote of what another sent",
            &stack([&ipv4(HOST, CLIENT, IPIP), &[0; 8]]),
        ),
        passes(
            "a quote of what the client sent",
            &stack([&ipv4(CLIENT, PORTAL, IPIP), &[0; 8]]),
        ),
        passes("a quote of another version", &first_byte(0x65)),
        passes("a quote with a short IHL", &first_byte(0x44)),
        passes(
            "a quoted later fragment",
            &stack([&ipv4_fragment(ipv4(PORTAL, CLIENT, IPIP), 0x0001), &[0; 8]]),
        ),
        passes(
            "a quote of an unknown GRE key",
            &sent(GRE, &gre(K, IPV4, GRE_KEY + 1)),
        ),
        passes("a quote of GRE version 1", &sent(GRE, &gre(1, IPV4, 0))),
        passes("a quote of GRE with routing", &sent(GRE, &gre(R, IPV4, 0))),
        passes("a quote of ERSPAN", &sent(GRE, &gre(0, 0x88be, 0))),
    ]
}

fn other_messages() -> Vec<Row> {
    let tunnel = sent(IPIP, &[0; 8]);
    let fragment = |flags| {
        let header = ipv4_fragment(ipv4(ROUTER, PORTAL, ICMP), flags);
        stack([&from_isp(IPV4), &header, &icmp(UNREACHABLE), &tunnel])
    };
    vec![
        Row::new("echo request to the portal", error(8, &[0; 32]), 35, Pass),
        Row::new(
            "a redirect that quotes a tunnel",
            error(5, &tunnel),
            35,
            Pass,
        ),
        Row::new("an error in a later fragment", fragment(0x0001), 34, Pass),
        Row::new(
            "an error in a first fragment",
            fragment(0x2000),
            35,
            about(slots::IPIP),
        )
        .below(QUOTED, Pass),
        Row::new(
            "an error in transit",
            stack([
                &from_isp(IPV4),
                &ipv4(ROUTER, HOST, ICMP),
                &icmp(UNREACHABLE),
                &tunnel,
            ]),
            34,
            redirect(IngressKind::Upstream, slots::UNTAGGED, [14, 34, 14]),
        ),
        Row::new(
            "ICMP for IPv4 over IPv6 is none of ours",
            stack([
                &from_isp(IPV6),
                &ipv6(HOST6, PORTAL6, ICMP),
                &icmp(UNREACHABLE),
                &tunnel,
            ]),
            54,
            Pass,
        ),
        Row::new(
            "an error to a group",
            stack([
                &eth(BROADCAST, ISP_MAC, IPV4),
                &ipv4(ROUTER, PORTAL, ICMP),
                &icmp(UNREACHABLE),
                &tunnel,
            ]),
            34,
            Drop(Counter::Group),
        ),
    ]
}
