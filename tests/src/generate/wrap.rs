//! How packets travel on a link: in a frame of a port, or in outer headers.

use tp_control::model::{Bare, Carried, TunnelKind};
use tp_wire::MacAddr;

use super::Rng;
use super::config::mac;
use super::frame::Draft;
use super::link::group;
use super::pick::{any, chance, one_of};
use super::traffic::ecn;
use crate::packet::{
    Checksum, Extension, Frame, Gre, GrePayload, Gue, GuePayload, Ip, Network, Tag, Transport, Udp,
    UdpPayload,
};
use crate::reference::{End, Portal};

/// What a carrier carries.
#[derive(Clone, Debug)]
pub(super) enum Load {
    Ip(Ip),
    Frame(Frame),
}

/// What a carrier carries, to be changed.
pub(super) enum LoadMut<'a> {
    Ip(&'a mut Ip),
    Frame(&'a mut Frame),
}

impl LoadMut<'_> {
    pub(super) fn cloned(&self) -> Load {
        match self {
            Self::Ip(packet) => Load::Ip((*packet).clone()),
            Self::Frame(frame) => Load::Frame((*frame).clone()),
        }
    }
}

/// What this transport carries of a tunnel, if it is one.
pub(super) fn load_of(transport: &mut Transport) -> Option<LoadMut<'_>> {
    match transport {
        Transport::Ip(packet) => Some(LoadMut::Ip(packet)),
        Transport::Gre(gre) => match &mut gre.payload {
            GrePayload::Ip(packet) => Some(LoadMut::Ip(packet)),
            GrePayload::Ethernet(frame) => Some(LoadMut::Frame(frame)),
            GrePayload::Raw(..) => None,
        },
        Transport::Udp(udp) => match &mut udp.payload {
            UdpPayload::Ip(packet) => Some(LoadMut::Ip(packet)),
            UdpPayload::Gue(gue) => match &mut gue.payload {
                GuePayload::Ip(packet) => Some(LoadMut::Ip(packet)),
                GuePayload::Raw(..) => None,
            },
            UdpPayload::Raw(_) => None,
        },
        _ => None,
    }
}

/// The frame in which this arrives from a link's other end.
pub(super) fn arrive(
    rng: &mut Rng,
    portal: &Portal<'_>,
    end: End<'_>,
    network: Network,
) -> Option<Draft> {
    let load = match network {
        Network::Ip(packet) if !end.is_ethernet() => Load::Ip(packet),
        network => Load::Frame(ethernet(rng, portal, end, network)),
    };
    match (end.bare(), end.carried(), load) {
        (Some(bare), _, Load::Frame(frame)) => Some(on_port(rng, portal, bare, frame)),
        (_, Some(carried), load) => {
            let outer = outer(rng, carried, load);
            let port = any(rng, portal.model.ports.keys())?;
            let link = &portal.kernel.links[port];
            Some(Draft {
                ifindex: link.ifindex,
                frame: Frame::new(link.mac, mac(rng), outer),
            })
        }
        _ => None,
    }
}

/// An Ethernet frame as a link's other end sends it: to the link itself or to an upstream that it shows.
fn ethernet(rng: &mut Rng, portal: &Portal<'_>, end: End<'_>, network: Network) -> Frame {
    let own = portal.own_mac(end);
    let shown: Vec<MacAddr> = portal.shown(end).map(|(mac, _)| mac).collect();
    let asks = match &network {
        Network::Ip(Ip::V6(packet)) => packet.destination.is_multicast(),
        Network::Arp(_) => true,
        _ => false,
    };
    let to = match rng.u32(0..100) {
        0..50 if asks => group(rng),
        50..52 => group(rng),
        52..55 => mac(rng),
        55..60 => *one_of(rng, &[portal.numbers.shown.values().next().copied(), own])
            .as_ref()
            .unwrap_or(&MacAddr::new([2; 6])),
        60..90 if !shown.is_empty() => *one_of(rng, &shown),
        _ => own.unwrap_or(MacAddr::new([2; 6])),
    };
    let known = match portal.source_macs(end) {
        Some(macs) => any(rng, macs),
        None => portal.peer_mac(end),
    };
    let from = match known {
        Some(known) if chance(rng, 95) => known,
        _ => mac(rng),
    };
    Frame::new(to, from, network)
}

fn on_port(rng: &mut Rng, portal: &Portal<'_>, bare: &Bare, mut frame: Frame) -> Draft {
    for vlan in &bare.vlans {
        let mut tag = if vlan.service {
            Tag::s(vlan.vid)
        } else {
            Tag::c(vlan.vid)
        };
        tag.priority = rng.u16(..);
        frame = frame.tag(tag);
    }
    Draft {
        ifindex: portal.kernel.links[&bare.port].ifindex,
        frame,
    }
}

/// The packet in which a carrier's far end sends this.
pub(super) fn outer(rng: &mut Rng, carried: &Carried, mut load: Load) -> Ip {
    if let Load::Frame(frame) = &mut load
        && chance(rng, 5)
    {
        frame.tags.push(Tag::c(0));
    }
    let transport = transport(rng, carried.kind, load);
    let mut packet = Ip::new(carried.remote, carried.local, transport);
    *packet.traffic_class_mut() = rng.u8(..) & 0xfc | ecn(rng);
    *packet.ttl_mut() = rng.u8(1..);
    if let Ip::V6(packet) = &mut packet {
        packet.flow_label = rng.u32(..);
        // Linux puts a Destination Options header with the tunnel encapsulation limit there (RFC 2473 section 4.1.1).
        if chance(rng, 30) {
            packet.extensions = vec![Extension::Destination(0)];
        }
    }
    packet
}

/// The tunnel header of this kind with what it carries. A frame that does not go into the kind gives its packet.
pub(super) fn transport(rng: &mut Rng, kind: TunnelKind, load: Load) -> Transport {
    let packet = match load {
        Load::Frame(frame) => {
            if let TunnelKind::Egre { key } = kind {
                return gre(rng, key, frame.into());
            }
            match frame.payload {
                Network::Ip(packet) => packet,
                _ => return Transport::Raw(47, frame.build()),
            }
        }
        Load::Ip(packet) => packet,
    };
    match kind {
        TunnelKind::Ipip => packet.into(),
        TunnelKind::Gre { key } | TunnelKind::Egre { key } => gre(rng, key, packet.into()),
        TunnelKind::Fou(udp) => datagram(rng, udp.port, packet.into()),
        TunnelKind::Gue(udp) if chance(rng, 30) => datagram(rng, udp.port, packet.into()),
        TunnelKind::Gue(udp) => datagram(rng, udp.port, Gue::new(packet).into()),
    }
}

fn gre(rng: &mut Rng, key: Option<u32>, payload: GrePayload) -> Transport {
    let mut gre = Gre::new(key, payload);
    gre.sequence = chance(rng, 15).then(|| rng.u32(..));
    gre.checksum = chance(rng, 15).then_some(Checksum::Right);
    gre.into()
}

fn datagram(rng: &mut Rng, port: u16, payload: UdpPayload) -> Transport {
    let mut udp = Udp::new(rng.u16(..), port, payload);
    if rng.bool() {
        udp.checksum = None;
    }
    udp.into()
}
