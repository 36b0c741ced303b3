//! What links carry: packets of clients and of the Internet, and what is for the links themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Rng;
use super::config::mac;
use super::frame::Draft;
use super::pick::{any, bytes, chance, host, near, one_of};
use super::wrap::arrive;
use crate::packet::{Arp, Icmp, Icmp6, Ip, Tcp, Transport, Udp};
use crate::reference::{End, Portal};

/// A client's packet on its link.
pub(super) fn from_tunnel(rng: &mut Rng, portal: &Portal<'_>) -> Option<Draft> {
    let tunnels = portal.ends().filter(|end| matches!(end, End::Tunnel(..)));
    let end = any(rng, tunnels)?;
    from_link(rng, portal, end)
}

/// A packet on an upstream's link.
pub(super) fn from_upstream(rng: &mut Rng, portal: &Portal<'_>) -> Option<Draft> {
    let upstreams = portal.ends().filter(|end| matches!(end, End::Upstream(..)));
    let end = any(rng, upstreams)?;
    from_link(rng, portal, end)
}

fn from_link(rng: &mut Rng, portal: &Portal<'_>, end: End<'_>) -> Option<Draft> {
    let network = match rng.u32(0..100) {
        0..6 if end.is_ethernet() => arp(rng, end).into(),
        6..12 if end.is_ethernet() => neighbour_discovery(rng, end).into(),
        12..25 if end.is_local() => talk(rng, portal, end)?.into(),
        _ => to_be_forwarded(rng, portal, end).into(),
    };
    arrive(rng, portal, end, network)
}

fn to_be_forwarded(rng: &mut Rng, portal: &Portal<'_>, end: End<'_>) -> Ip {
    let (source, destination) = match end {
        End::Tunnel(_, tunnel) => {
            let own = *one_of(rng, &portal.model.clients[&tunnel.client].prefixes);
            let source = host(rng, own);
            (source, destination(rng, portal, source))
        }
        End::Upstream(name, _) => {
            let announced = (portal.model.tunnels.values())
                .filter(|tunnel| tunnel.upstreams.names().any(|n| n == name))
                .flat_map(|tunnel| tunnel.routes.clone());
            let announced: Vec<IpNet> = announced.collect();
            match any(rng, announced) {
                Some(route) if chance(rng, 75) => {
                    let to = near(rng, route);
                    (anywhere(rng, to), to)
                }
                _ => {
                    let from = some_address(rng);
                    (from, destination(rng, portal, from))
                }
            }
        }
    };
    inner(rng, portal, source, destination)
}

/// What a link's other end says to the portal, mostly between the addresses that may talk.
fn talk(rng: &mut Rng, portal: &Portal<'_>, end: End<'_>) -> Option<Ip> {
    let to = any(rng, end.addresses())?.portal;
    let peers = (end.addresses().iter())
        .map(|pair| pair.peer)
        .filter(|peer| peer.is_ipv4() == to.is_ipv4());
    let from = match (any(rng, peers), rng.u32(0..10)) {
        (Some(peer), 0..9) => peer,
        _ => anywhere(rng, to),
    };
    Some(inner(rng, portal, from, to))
}

fn arp(rng: &mut Rng, end: End<'_>) -> Arp {
    let v4 = |address: IpAddr| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    let pair = any(rng, end.addresses());
    let [sender, target] = [pair.map(|p| p.peer), pair.map(|p| p.portal)]
        .map(|a| a.and_then(v4).unwrap_or(Ipv4Addr::new(169, 254, 9, 9)));
    let mut arp = Arp::request(mac(rng), sender, target);
    arp.operation = rng.u16(1..=2);
    arp
}

fn neighbour_discovery(rng: &mut Rng, end: End<'_>) -> Ip {
    let v6 = |address: IpAddr| match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    };
    let pair = any(rng, end.addresses());
    let [from, to] = [pair.map(|p| p.peer), pair.map(|p| p.portal)].map(|a| {
        a.and_then(v6)
            .unwrap_or(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9))
    });
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, to.segments()[7]);
    let mac = mac(rng);
    let mut message = if rng.bool() {
        Icmp6::solicitation(to, mac)
    } else {
        Icmp6::advertisement(from, mac)
    };
    if chance(rng, 20) {
        message.0.kind = rng.u8(132..138);
    }
    let to = if rng.bool() { group } else { to };
    let mut packet = Ip::new(from.into(), to.into(), message);
    *packet.ttl_mut() = if chance(rng, 90) { 255 } else { rng.u8(..) };
    packet
}

/// Where clients send to: each other, the Internet, and where nobody should; of the family of `like`.
fn destination(rng: &mut Rng, portal: &Portal<'_>, like: IpAddr) -> IpAddr {
    let model = portal.model;
    let clients = model.clients.values().flat_map(|c| c.prefixes.clone());
    let routes = model.tunnels.values().flat_map(|t| t.routes.clone());
    let known: Vec<IpNet> = clients
        .chain(routes)
        .filter(|net| net.addr().is_ipv4() == like.is_ipv4())
        .collect();
    if !known.is_empty() && chance(rng, 60) {
        let prefix = *one_of(rng, &known);
        return near(rng, prefix);
    }
    anywhere(rng, like)
}

/// Any address of any family.
pub(super) fn some_address(rng: &mut Rng) -> IpAddr {
    let like = if rng.bool() {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    anywhere(rng, like)
}

/// Any address of the family of `like`, the edges of the martian blocks more often than others.
pub(super) fn anywhere(rng: &mut Rng, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => anywhere_v4(rng).into(),
        IpAddr::V6(_) => anywhere_v6(rng).into(),
    }
}

fn anywhere_v4(rng: &mut Rng) -> Ipv4Addr {
    const EDGES: [[u8; 4]; 10] = [
        [0, 0, 0, 0],
        [0, 255, 255, 255],
        [1, 0, 0, 0],
        [126, 255, 255, 255],
        [127, 0, 0, 1],
        [128, 0, 0, 0],
        [223, 255, 255, 255],
        [224, 0, 0, 0],
        [239, 255, 255, 255],
        [255, 255, 255, 255],
    ];
    match rng.u32(0..100) {
        0..10 => (*one_of(rng, &EDGES)).into(),
        10..13 => Ipv4Addr::new(192, 0, 2, rng.u8(0..8)),
        13..15 => Ipv4Addr::new(169, 254, rng.u8(0..2), rng.u8(0..5)),
        _ => Ipv4Addr::new(8, 8, rng.u8(..), rng.u8(..)),
    }
}

fn anywhere_v6(rng: &mut Rng) -> Ipv6Addr {
    const EDGES: [[u16; 8]; 14] = [
        [0; 8],
        [0, 0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0, 2],
        [0, 0, 0, 0, 0, 0xfffe, 0xffff, 0xffff],
        [0, 0, 0, 0, 0, 0xffff, 0x0808, 0x0808],
        [0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201],
        [0, 0, 0, 0, 1, 0, 0, 0],
        [0xfe7f, 0xffff, 0, 0, 0, 0, 0, 1],
        [0xfe80, 0, 0, 0, 0, 0, 0, 1],
        [0xfebf, 0xffff, 0, 0, 0, 0, 0, 1],
        [0xfec0, 0, 0, 0, 0, 0, 0, 0],
        [0xfeff, 0xffff, 0, 0, 0, 0, 0, 1],
        [0xff00, 0, 0, 0, 0, 0, 0, 0],
        [0xff02, 0, 0, 0, 0, 0, 0, 1],
    ];
    match rng.u32(0..100) {
        0..12 => (*one_of(rng, &EDGES)).into(),
        12..15 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, rng.u16(0..6)),
        15..17 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, rng.u16(0..5)),
        _ => Ipv6Addr::from(0x2600_u128 << 112 | rng.u128(..) >> 16),
    }
}

pub(super) fn ecn(rng: &mut Rng) -> u8 {
    if chance(rng, 50) { 0 } else { rng.u8(0..4) }
}

/// A packet that is well-formed, whatever its fate.
pub(super) fn inner(rng: &mut Rng, portal: &Portal<'_>, source: IpAddr, destination: IpAddr) -> Ip {
    let (a, b) = (rng.u16(..), rng.u16(..));
    let transport: Transport = match (rng.u32(0..4), source) {
        (0, _) => Udp::new(a, b, Vec::new()).into(),
        (1, _) => Tcp {
            source: a,
            destination: b,
            sequence: rng.u32(..),
            payload: Vec::new(),
        }
        .into(),
        (2, IpAddr::V4(_)) => Icmp::echo(a, b, Vec::new()).into(),
        (2, IpAddr::V6(_)) => Icmp6::echo(a, b, Vec::new()).into(),
        // SCTP, and numbers that nobody knows.
        _ => Transport::Raw(if rng.bool() { 132 } else { rng.u8(..) }, Vec::new()),
    };
    let mut packet = Ip::new(source, destination, transport);
    *packet.traffic_class_mut() = rng.u8(..) & 0xfc | ecn(rng);
    *packet.ttl_mut() = match rng.u32(0..10) {
        0 => rng.u8(0..=2),
        1 => 255,
        _ => rng.u8(3..),
    };
    match &mut packet {
        Ip::V4(packet) => {
            packet.id = rng.u16(..);
            packet.dont_fragment = rng.bool();
            if chance(rng, 8) {
                let length = rng.usize(1..=40);
                packet.options = bytes(rng, length);
            }
            if chance(rng, 5) {
                packet.more_fragments = rng.bool();
                packet.fragment_offset = rng.u16(0..64);
            }
        }
        Ip::V6(packet) => {
            packet.flow_label = rng.u32(..);
            if chance(rng, 10) {
                packet.extensions = (0..rng.u32(0..3))
                    .map(|_| super::ipv6::extension(rng))
                    .collect();
            }
        }
    }
    fill(rng, portal, &mut packet);
    packet
}

/// Gives the packet a payload: of a length at the edges of the ports' MTUs, less the overheads, and others.
fn fill(rng: &mut Rng, portal: &Portal<'_>, packet: &mut Ip) {
    // IPv4 and IPv6 outside, with each kind's header.
    const OVERHEADS: [u32; 13] = [0, 20, 24, 28, 32, 38, 42, 40, 44, 48, 52, 58, 62];
    let mtu = any(rng, portal.kernel.links.values().map(|link| link.mtu)).unwrap_or(1500);
    let length = match rng.u32(0..10) {
        0 => {
            let whole = mtu - one_of(rng, &OVERHEADS) + 1 - rng.u32(0..3);
            (whole as usize).saturating_sub(packet.build().len())
        }
        1 => rng.usize(0..1480),
        _ => rng.usize(0..64),
    };
    let data = bytes(rng, length);
    match packet.payload_mut() {
        Transport::Udp(udp) => udp.payload = data.into(),
        Transport::Tcp(tcp) => tcp.payload = data,
        Transport::Icmp(icmp) | Transport::Icmp6(Icmp6(icmp)) => icmp.body = data,
        Transport::Raw(_, raw) => *raw = data,
        Transport::Gre(_) | Transport::Ip(_) => {}
    }
}
