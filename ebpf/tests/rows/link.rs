//! Steps 1 to 3, 6 and 7: ports, MAC addresses, VLANs, links and sockets.

use tp_ebpf::{NO_PORT_ROW, SteeringState};
use tp_pipeline::abi::{Counter, IngressKind, PortEntry};

use crate::common::frames::*;
use crate::common::{CLIENT_VLAN, INNER_VLAN, LOOPBACK, PORT, VLAN, slots};
use crate::{Drop, Pass, Row, redirect, redirect_tagged};

const UPSTREAM: IngressKind = IngressKind::Upstream;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = ports_and_macs();
    rows.extend(vlans());
    rows.extend(links());
    rows
}

fn set_port(state: &mut SteeringState, port: u16, queues: u16) {
    state.ports.insert(
        LOOPBACK,
        PortEntry {
            port,
            queues,
            reserved: 0,
        },
    );
}

fn transit(link: &[u8]) -> Vec<u8> {
    stack([link, &ipv4(HOST, HOST, UDP), &[0; 8]])
}

fn ports_and_macs() -> Vec<Row> {
    vec![
        Row::new(
            "device that is no port",
            transit(&from_isp(IPV4)),
            14,
            Drop(Counter::NoPort),
        )
        .with(|s| s.ports.clear())
        .on_port(NO_PORT_ROW),
        Row::new(
            "to a stranger's MAC",
            transit(&eth(STRANGER_MAC, ISP_MAC, IPV4)),
            14,
            Drop(Counter::NotForUs),
        ),
        Row::new(
            "ARP to a stranger's MAC",
            stack([&eth(STRANGER_MAC, ISP_MAC, ARP), &[0; 28]]),
            14,
            Drop(Counter::NotForUs),
        ),
        Row::new(
            "to our MAC of another port",
            transit(&from_isp(IPV4)),
            14,
            Drop(Counter::NotForUs),
        )
        .with(|s| set_port(s, PORT + 1, 1))
        .on_port(usize::from(PORT) + 1),
        Row::new(
            "IPv4 broadcast",
            transit(&eth(BROADCAST, ISP_MAC, IPV4)),
            34,
            Drop(Counter::Group),
        ),
        Row::new(
            "IPv4 multicast",
            transit(&eth(MULTICAST, ISP_MAC, IPV4)),
            34,
            Drop(Counter::Group),
        ),
        Row::new(
            "broadcast of a type that we do not know",
            stack([&eth(BROADCAST, ISP_MAC, 0x9000), &[0; 8]]),
            14,
            Drop(Counter::Group),
        ),
        Row::new(
            "unicast of a type that we do not know",
            stack([&from_isp(0x9000), &[0; 8]]),
            14,
            Drop(Counter::Ethertype),
        ),
        Row::new(
            "IEEE 802.3 length",
            stack([&from_isp(46), &[0; 46]]),
            14,
            Drop(Counter::Ethertype),
        ),
    ]
}

fn vlans() -> Vec<Row> {
    let tagged = |tags: &[&[u8]], tpid| transit(&[&from_isp(tpid)[..], &tags.concat()].concat());
    vec![
        Row::new(
            "one tag",
            tagged(&[&tag(VLAN, IPV4)], CTAG),
            38,
            redirect_tagged(UPSTREAM, slots::TAGGED, 1, [18, 38, 18]),
        ),
        Row::new(
            "two tags, the outer one of a provider",
            tagged(&[&tag(VLAN, CTAG), &tag(INNER_VLAN, IPV4)], STAG),
            42,
            redirect_tagged(UPSTREAM, slots::DOUBLE_TAGGED, 2, [22, 42, 22]),
        ),
        Row::new(
            "the same VIDs without the provider's TPID",
            tagged(&[&tag(VLAN, CTAG), &tag(INNER_VLAN, IPV4)], CTAG),
            42,
            Drop(Counter::UnknownSource),
        ),
        Row::new(
            "one tag with the provider's TPID",
            tagged(&[&tag(VLAN, IPV4)], STAG),
            38,
            Drop(Counter::UnknownSource),
        ),
        Row::new(
            "VID 0 counts as untagged",
            tagged(&[&tag(0, IPV4)], CTAG),
            38,
            redirect_tagged(UPSTREAM, slots::UNTAGGED, 1, [18, 38, 18]),
        ),
        Row::new(
            "VID 0 of a provider counts as untagged",
            tagged(&[&tag(0, IPV4)], STAG),
            38,
            redirect_tagged(UPSTREAM, slots::UNTAGGED, 1, [18, 38, 18]),
        ),
        Row::new(
            "VID 0 in front of a tag",
            tagged(&[&tag(0, CTAG), &tag(VLAN, IPV4)], CTAG),
            42,
            redirect_tagged(UPSTREAM, slots::TAGGED, 2, [22, 42, 22]),
        ),
        Row::new(
            "VID 0 behind a tag",
            tagged(&[&tag(VLAN, CTAG), &tag(0, IPV4)], CTAG),
            42,
            redirect_tagged(UPSTREAM, slots::TAGGED, 2, [22, 42, 22]),
        ),
        Row::new(
            "VID 0 twice",
            tagged(&[&tag(0, CTAG), &tag(0, IPV4)], CTAG),
            42,
            redirect_tagged(UPSTREAM, slots::UNTAGGED, 2, [22, 42, 22]),
        ),
        Row::new(
            "three tags",
            tagged(
                &[&tag(VLAN, CTAG), &tag(INNER_VLAN, CTAG), &tag(1, IPV4)],
                STAG,
            ),
            22,
            Drop(Counter::Ethertype),
        ),
        Row::new(
            "three tags, VID 0 among them",
            tagged(&[&tag(0, CTAG), &tag(0, STAG), &tag(VLAN, IPV4)], CTAG),
            22,
            Drop(Counter::Ethertype),
        ),
        Row::new(
            "three tags to a group",
            transit(&stack([
                &eth(BROADCAST, ISP_MAC, CTAG),
                &tag(1, CTAG),
                &tag(2, CTAG),
                &tag(3, IPV4),
            ])),
            22,
            Drop(Counter::Ethertype),
        ),
        Row::new(
            "a VLAN that we do not know",
            tagged(&[&tag(VLAN + 1, IPV4)], CTAG),
            38,
            Drop(Counter::UnknownSource),
        ),
        Row::new(
            "tagged ARP passes",
            stack([&from_isp(CTAG), &tag(VLAN, ARP), &[0; 28]]),
            18,
            Pass,
        ),
    ]
}

fn links() -> Vec<Row> {
    let tagged = |from| stack([&eth(PORTAL_MAC, from, CTAG), &tag(CLIENT_VLAN, IPV4)]);
    let untagged = redirect(UPSTREAM, slots::UNTAGGED, [14, 34, 14]);
    vec![
        Row::new(
            "from the upstream's router",
            transit(&from_isp(IPV4)),
            34,
            untagged,
        ),
        Row::new(
            "from a router that is no upstream",
            transit(&eth(PORTAL_MAC, STRANGER_MAC, IPV4)),
            34,
            Drop(Counter::UnknownSource),
        ),
        Row::new(
            "from a layer-two client",
            transit(&tagged(STRANGER_MAC)),
            38,
            redirect_tagged(IngressKind::L2Client, slots::L2_CLIENT, 1, [18, 38, 18]),
        ),
        Row::new(
            "an exact source MAC wins over any",
            transit(&tagged(ISP_MAC)),
            38,
            redirect_tagged(UPSTREAM, slots::BESIDE_L2, 1, [18, 38, 18]),
        ),
        Row::new(
            "more queues than sockets",
            transit(&from_isp(IPV4)),
            34,
            Drop(Counter::NoSocket),
        )
        .with(|s| set_port(s, PORT, 0)),
    ]
}
