//! Frames of clients and of upstreams.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use tp_control::model::{Tunnel, TunnelKind};

use super::Rng;
use super::config::{Config, bare, carried, mac, source_macs};
use super::frame::Draft;
use super::pick::{any, bytes, chance, host, near, one_of};
use crate::packet::{Frame, Gre, Icmp, Ipv4, Tag, Tcp, Transport, Udp};

/// A client's packet in its tunnel.
pub(super) fn from_tunnel(rng: &mut Rng, config: &Config) -> Option<Draft> {
    let tunnel = any(rng, config.model.tunnels.values())?;
    let own = ipv4(*one_of(rng, &config.model.clients[&tunnel.client].prefixes));
    let source = host(rng, own);
    let destination = destination(rng, config);
    let inner = inner(rng, config, source, destination);
    let mut outer = encapsulate(tunnel, inner);
    outer.tos = rng.u8(..) & 0xfc | ecn(rng);
    outer.ttl = rng.u8(1..);
    let port = any(rng, config.model.ports.keys())?;
    let link = &config.kernel.links[port];
    let source = mac(rng);
    Some(Draft {
        ifindex: link.ifindex,
        frame: Frame::new(link.mac, source, outer),
    })
}

/// The packet as the far end of the tunnel sends it.
pub(super) fn encapsulate(tunnel: &Tunnel, inner: Ipv4) -> Ipv4 {
    let carried = carried(tunnel);
    let payload: Transport = match carried.kind {
        TunnelKind::Ipip => inner.into(),
        TunnelKind::Gre { key } => Gre::new(key, inner).into(),
        other => unreachable!("no configuration has {other:?} yet"),
    };
    let (IpAddr::V4(remote), IpAddr::V4(local)) = (carried.remote, carried.local) else {
        unreachable!("generated outer headers are IPv4");
    };
    Ipv4::new(remote, local, payload)
}

/// A packet from the Internet, as an upstream's router sends it.
pub(super) fn from_upstream(rng: &mut Rng, config: &Config) -> Option<Draft> {
    let (name, upstream) = any(rng, &config.model.upstreams)?;
    let macs = source_macs(config, upstream);
    let source = if macs.is_empty() {
        mac(rng)
    } else {
        *one_of(rng, &macs)
    };
    let from = anywhere(rng);
    let announced = any(
        rng,
        config
            .model
            .tunnels
            .values()
            .filter(|t| t.upstreams.contain(name))
            .flat_map(|t| t.routes.clone()),
    );
    let to = match announced {
        Some(route) if chance(rng, 75) => near(rng, ipv4(route)),
        _ => destination(rng, config),
    };
    let bare = bare(upstream);
    let link = &config.kernel.links[&bare.port];
    let packet = inner(rng, config, from, to);
    let mut frame = Frame::new(link.mac, source, packet);
    for vlan in &bare.vlans {
        let mut tag = if vlan.service {
            Tag::s(vlan.vid)
        } else {
            Tag::c(vlan.vid)
        };
        tag.priority = rng.u16(..);
        frame = frame.tag(tag);
    }
    Some(Draft {
        ifindex: link.ifindex,
        frame,
    })
}

/// All prefixes that are generated are IPv4.
fn ipv4(net: IpNet) -> Ipv4Net {
    match net {
        IpNet::V4(net) => net,
        IpNet::V6(net) => unreachable!("no configuration has {net} yet"),
    }
}

/// Where clients send to: each other, the Internet, and where nobody should.
fn destination(rng: &mut Rng, config: &Config) -> Ipv4Addr {
    let clients = config
        .model
        .clients
        .values()
        .flat_map(|c| c.prefixes.clone());
    let routes = config.model.tunnels.values().flat_map(|t| t.routes.clone());
    let known: Vec<IpNet> = clients.chain(routes).collect();
    if !known.is_empty() && chance(rng, 60) {
        let prefix = *one_of(rng, &known);
        return near(rng, ipv4(prefix));
    }
    anywhere(rng)
}

/// Any address, the edges of the martian blocks more often than others.
pub(super) fn anywhere(rng: &mut Rng) -> Ipv4Addr {
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
        _ => Ipv4Addr::new(8, 8, rng.u8(..), rng.u8(..)),
    }
}

pub(super) fn ecn(rng: &mut Rng) -> u8 {
    if chance(rng, 50) { 0 } else { rng.u8(0..4) }
}

/// A packet that is well-formed, whatever its fate.
pub(super) fn inner(
    rng: &mut Rng,
    config: &Config,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> Ipv4 {
    let length = payload_length(rng, config);
    let payload = bytes(rng, length);
    let (a, b) = (rng.u16(..), rng.u16(..));
    let transport: Transport = match rng.u32(0..4) {
        0 => Udp::new(a, b, payload).into(),
        1 => Tcp {
            source: a,
            destination: b,
            sequence: rng.u32(..),
            payload,
        }
        .into(),
        2 => Icmp::echo(a, b, payload).into(),
        _ => Transport::Raw(rng.u8(..), payload),
    };
    let mut packet = Ipv4::new(source, destination, transport);
    packet.id = rng.u16(..);
    packet.tos = rng.u8(..) & 0xfc | ecn(rng);
    packet.dont_fragment = rng.bool();
    packet.ttl = match rng.u32(0..10) {
        0 => rng.u8(0..=2),
        1 => 255,
        _ => rng.u8(3..),
    };
    if chance(rng, 8) {
        let length = rng.usize(1..=40);
        packet.options = bytes(rng, length);
    }
    if chance(rng, 5) {
        packet.more_fragments = rng.bool();
        packet.fragment_offset = rng.u16(0..64);
    }
    packet
}

/// Lengths at the edges of the ports' MTUs, less the overheads, and others.
fn payload_length(rng: &mut Rng, config: &Config) -> usize {
    let mtu = any(rng, config.kernel.links.values().map(|link| link.mtu)).unwrap_or(1500);
    match rng.u32(0..10) {
        0 => {
            let headers = one_of(rng, &[20_u32, 40, 44, 48]);
            (mtu - headers + 1 - rng.u32(0..3)) as usize
        }
        1 => rng.usize(0..1480),
        _ => rng.usize(0..64),
    }
}
