//! Step 5: UDP to an address of the portal.

use tp_ebpf::{SteeringState, UdpKind};
use tp_pipeline::abi::{Counter, IngressKind, NO_SLOT};

use super::tunnel::{OTHER, OTHER6, outer, to_portal, tunnel};
use crate::common::frames::*;
use crate::common::{FOU_PORT, GUE_PORT, VLAN, slots, udp_port};
use crate::{Drop, Expect, Pass, Row, redirect, redirect_tagged};

/// A port of the kernel's.
const BFD: u16 = 3784;
const UNKNOWN: Expect = Drop(Counter::UnknownTunnel);
const UNSUPPORTED: Expect = Drop(Counter::GueUnsupported);

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = fou_rows();
    rows.extend(gue_rows());
    rows.extend(gue_header_rows());
    rows.extend(ipv6_rows());
    rows.extend(fragment_rows());
    rows.extend(other_rows());
    rows
}

fn to(port: u16, rest: &[u8]) -> Vec<u8> {
    to_portal(UDP, &[udp(port), rest.to_vec()].concat())
}

fn set_kind(state: &mut SteeringState, port: u16, kind: UdpKind) {
    state.udp_ports.insert(udp_port(port), kind);
}

fn fou_rows() -> Vec<Row> {
    let options = outer(&ipv4_options(ipv4(CLIENT, PORTAL, UDP), 10), &udp(FOU_PORT));
    let tagged = stack([
        &eth(PORTAL_MAC, STRANGER_MAC, CTAG),
        &tag(VLAN, IPV4),
        &ipv4(CLIENT, PORTAL, UDP),
        &udp(FOU_PORT),
        &payload(),
    ]);
    // Source port 0, a length beyond the frame, a wrong checksum: the worker's to judge.
    let odd = [&[0, 0][..], &FOU_PORT.to_be_bytes(), &[0xff; 4]].concat();
    let fou = |frame, name| Row::new(name, frame, 42, tunnel(slots::FOU, [14, 34, 42]));
    vec![
        fou(to(FOU_PORT, &[]), "FOU"),
        fou(to_portal(UDP, &odd), "FOU in odd UDP"),
        Row::new(
            "FOU behind options",
            options,
            82,
            tunnel(slots::FOU, [14, 74, 82]),
        ),
        Row::new(
            "FOU on a VLAN, through any router",
            tagged,
            46,
            redirect_tagged(IngressKind::Tunnel, slots::FOU, 1, [18, 38, 46]),
        ),
        Row::new(
            "FOU from a stranger",
            outer(&ipv4(OTHER, PORTAL, UDP), &udp(FOU_PORT)),
            42,
            UNKNOWN,
        ),
        Row::new(
            "FOU to another port of such tunnels",
            to(FOU_PORT + 1, &[]),
            42,
            UNKNOWN,
        )
        .with(|s| set_kind(s, FOU_PORT + 1, UdpKind::Fou)),
        Row::new(
            "FOU where the port's kind is another",
            to(FOU_PORT, &[0; 4]),
            46,
            UNKNOWN,
        )
        .with(|s| set_kind(s, FOU_PORT, UdpKind::Gue)),
    ]
}

fn gue_rows() -> Vec<Row> {
    let gue = |name, rest: &[u8], needs, inner| {
        let expect = tunnel(slots::GUE, [14, 34, inner]);
        Row::new(name, to(GUE_PORT, rest), needs, expect)
    };
    let longest = [&[0x1f, 4, 0, 0][..], &[0; 124]].concat();
    vec![
        gue("GUE", &[0, 4, 0, 0], 46, 46),
        gue("GUE with one word", &[1, 41, 0, 0, 9, 9, 9, 9], 50, 50),
        gue("GUE with 31 words", &longest, 170, 170),
        // What it carries, and its flags, are the worker's to judge.
        gue(
            "GUE with all flags and protocol 255",
            &[0, 255, 255, 255],
            46,
            46,
        ),
        gue("GUE variant 1, IPv4", &[0x45], 43, 42),
        gue("GUE variant 1, IPv6", &[0x60], 43, 42),
        gue("GUE variant 1 of no IP version", &[0x7f], 43, 42),
        Row::new(
            "GUE from a stranger",
            outer(
                &ipv4(OTHER, PORTAL, UDP),
                &[udp(GUE_PORT), vec![0; 4]].concat(),
            ),
            46,
            UNKNOWN,
        ),
    ]
}

fn gue_header_rows() -> Vec<Row> {
    let unsupported = |name, first| {
        let frame = to(GUE_PORT, &[first, 4, 0, 0]);
        Row::new(name, frame, 43, UNSUPPORTED)
    };
    vec![
        unsupported("a GUE control message", 0x20),
        unsupported("a GUE control message with 31 words", 0x3f),
        unsupported("GUE variant 2", 0x80),
        unsupported("GUE variant 2, the control bit", 0xa0),
        unsupported("GUE variant 3", 0xc0),
        unsupported("GUE variant 3, all bits", 0xff),
        Row::new(
            "GUE variant 2 from a stranger",
            outer(
                &ipv4(OTHER, PORTAL, UDP),
                &[udp(GUE_PORT), vec![0x80]].concat(),
            ),
            43,
            UNSUPPORTED,
        ),
        Row::new(
            "GUE whose words end behind the frame",
            to(GUE_PORT, &[0x1f, 4, 0, 0]),
            46 + payload().len(),
            Drop(Counter::Truncated),
        ),
    ]
}

fn ipv6_rows() -> Vec<Row> {
    let packet = |from, next, rest: &[u8]| {
        stack([
            &from_isp(IPV6),
            &ipv6(from, PORTAL6, next),
            rest,
            &payload(),
        ])
    };
    let behind = |header: Vec<u8>, port| [header, udp(port)].concat();
    let gue = [udp(GUE_PORT), vec![2, 4, 0, 0], vec![0; 8]].concat();
    vec![
        Row::new(
            "FOU over IPv6",
            packet(CLIENT6, UDP, &udp(FOU_PORT)),
            62,
            tunnel(slots::FOU_OVER_V6, [14, 54, 62]),
        ),
        Row::new(
            "FOU behind destination options",
            packet(CLIENT6, DSTOPTS, &behind(extension(UDP, 0), FOU_PORT)),
            70,
            tunnel(slots::FOU_OVER_V6, [14, 62, 70]),
        ),
        Row::new(
            "GUE over IPv6",
            packet(CLIENT6, UDP, &gue),
            74,
            tunnel(slots::GUE_OVER_V6, [14, 54, 74]),
        ),
        Row::new(
            "FOU over IPv6 from a stranger",
            packet(OTHER6, UDP, &udp(FOU_PORT)),
            62,
            UNKNOWN,
        ),
        Row::new(
            "UDP behind destination options to the kernel",
            packet(CLIENT6, DSTOPTS, &behind(extension(UDP, 0), BFD)),
            70,
            Pass,
        ),
        Row::new(
            "FOU to the portal's IPv4 address in IPv6",
            stack([
                &from_isp(IPV6),
                &ipv6(CLIENT.to_ipv6_mapped(), PORTAL.to_ipv6_mapped(), UDP),
                &udp(FOU_PORT),
            ]),
            54,
            redirect(IngressKind::Upstream, slots::UNTAGGED, [14, 54, 14]),
        ),
    ]
}

fn fragment_rows() -> Vec<Row> {
    let v4 = |flags, port| {
        let header = ipv4_fragment(ipv4(CLIENT, PORTAL, UDP), flags);
        outer(&header, &udp(port))
    };
    let v6 = |offset| {
        let headers = [
            ipv6(CLIENT6, PORTAL6, FRAGMENT),
            ipv6_fragment(UDP, offset),
            udp(FOU_PORT),
        ];
        stack([&from_isp(IPV6), &headers.concat(), &payload()])
    };
    let fragment = |l4_off| redirect(IngressKind::OuterFragment, NO_SLOT, [14, l4_off, l4_off]);
    vec![
        Row::new(
            "first fragment of FOU",
            v4(0x2000, FOU_PORT),
            42,
            fragment(34),
        ),
        Row::new(
            "first fragment of GUE",
            v4(0x2000, GUE_PORT),
            42,
            fragment(34),
        ),
        Row::new("first fragment of other UDP", v4(0x2000, BFD), 42, Pass),
        Row::new(
            "what looks like FOU in a later fragment",
            v4(0x2001, FOU_PORT),
            34,
            Pass,
        ),
        Row::new(
            "what looks like FOU in the last fragment",
            v4(0x0001, FOU_PORT),
            34,
            Pass,
        ),
        Row::new(
            "first fragment of FOU over IPv6",
            v6(0x0001),
            70,
            fragment(62),
        ),
        Row::new("a later one over IPv6", v6(0x0008), 62, Pass),
        Row::new(
            "FOU with a whole packet's fragment header",
            v6(0x0000),
            70,
            tunnel(slots::FOU_OVER_V6, [14, 62, 70]),
        ),
    ]
}

fn other_rows() -> Vec<Row> {
    vec![
        Row::new("UDP to the portal", to(BFD, &[]), 42, Pass),
        Row::new("UDP to port 0", to(0, &[]), 42, Pass),
        Row::new("to a port below", to(FOU_PORT - 1, &[]), 42, Pass),
        Row::new(
            "the tunnels' port with its bytes swapped",
            to(FOU_PORT.swap_bytes(), &[]),
            42,
            Pass,
        ),
        Row::new("no port is a tunnels'", to(FOU_PORT, &[]), 42, Pass)
            .with(|s| s.udp_ports.clear()),
        Row::new(
            "UDP from a tunnels' port",
            to_portal(
                UDP,
                &[FOU_PORT.to_be_bytes(), BFD.to_be_bytes(), [0; 2], [0; 2]].concat(),
            ),
            42,
            Pass,
        ),
        Row::new(
            "FOU in transit",
            outer(&ipv4(CLIENT, HOST, UDP), &udp(FOU_PORT)),
            34,
            redirect(IngressKind::Upstream, slots::UNTAGGED, [14, 34, 14]),
        ),
        Row::new(
            "FOU to a group",
            stack([
                &eth(BROADCAST, ISP_MAC, IPV4),
                &ipv4(CLIENT, PORTAL, UDP),
                &udp(FOU_PORT),
            ]),
            34,
            Drop(Counter::Group),
        ),
    ]
}
