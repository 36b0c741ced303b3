//! Frames that are no link's: link protocols, the portal's own traffic, ICMP errors.

use std::net::{IpAddr, Ipv4Addr};

use tp_control::model::TunnelKind;
use tp_wire::MacAddr;

use super::Rng;
use super::config::mac;
use super::frame::Draft;
use super::pick::{any, bytes, chance, one_of};
use super::traffic::{anywhere, from_upstream, inner, some_address};
use super::wrap::{Load, outer};
use crate::packet::{Arp, Frame, Icmp, Icmp6, Ip, Network, Tcp, Transport, Udp};
use crate::reference::{End, Portal};

fn draft(rng: &mut Rng, portal: &Portal<'_>, payload: impl Into<Network>) -> Draft {
    let port = any(rng, portal.model.ports.keys()).expect("a portal has a port");
    let link = &portal.kernel.links[port];
    let source = mac(rng);
    Draft {
        ifindex: link.ifindex,
        frame: Frame::new(link.mac, source, payload),
    }
}

fn portal_address(rng: &mut Rng, portal: &Portal<'_>, like: IpAddr) -> IpAddr {
    let addresses = portal.kernel.addresses.iter().copied();
    let alike = addresses.filter(|address| address.is_ipv4() == like.is_ipv4());
    any(rng, alike).unwrap_or_else(|| anywhere(rng, like))
}

/// ARP, LLDP, slow protocols, IGMP, and EtherTypes that nobody knows.
pub(super) fn protocol(rng: &mut Rng, portal: &Portal<'_>) -> Draft {
    let ethertype = *one_of(
        rng,
        &[
            0x0806, 0x88cc, 0x8809, 0x0800, 0x0800, 0x8847, 0x9100, 0x0805,
        ],
    );
    let mut draft = match ethertype {
        0x0800 => igmp(rng, portal),
        0x0806 if rng.bool() => {
            let sender = mac(rng);
            let arp = Arp::request(sender, [10, 0, 0, 1].into(), [192, 0, 2, 1].into());
            draft(rng, portal, arp)
        }
        _ => {
            let length = rng.usize(0..60);
            let payload = Network::Raw(ethertype, bytes(rng, length));
            draft(rng, portal, payload)
        }
    };
    if chance(rng, 60) {
        draft.frame.destination = group(rng);
    }
    draft
}

/// IGMP to a group, to the portal, and to others, to which a kernel would forward it; often from an upstream's router.
fn igmp(rng: &mut Rng, portal: &Portal<'_>) -> Draft {
    let v4 = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let to = match rng.u32(0..3) {
        0 => IpAddr::from([224, 0, 0, 22]),
        1 => portal_address(rng, portal, v4),
        _ => anywhere(rng, v4),
    };
    let report = Transport::Raw(2, vec![0; rng.usize(0..9)]);
    let packet = Ip::new(anywhere(rng, to), to, report);
    match from_upstream(rng, portal) {
        Some(mut draft) if chance(rng, 60) => {
            draft.frame.payload = packet.into();
            draft
        }
        _ => draft(rng, portal, packet),
    }
}

/// A group address.
pub(super) fn group(rng: &mut Rng) -> MacAddr {
    *one_of(
        rng,
        &[
            MacAddr::new([0xff; 6]),
            MacAddr::new([1, 0x80, 0xc2, 0, 0, 2]),
            MacAddr::new([0x33, 0x33, 0xff, 0, 0, 1]),
        ],
    )
}

/// What is addressed to the portal itself and is no tunnel's.
pub(super) fn to_the_portal(rng: &mut Rng, portal: &Portal<'_>) -> Draft {
    let from = some_address(rng);
    let to = portal_address(rng, portal, from);
    let echo = vec![0; rng.usize(0..8)];
    let transport: Transport = match (rng.u32(0..5), from) {
        (0, _) => Tcp {
            source: 179,
            destination: 179,
            sequence: 1,
            payload: vec![0; 19],
        }
        .into(),
        (1, IpAddr::V4(_)) => Icmp::echo(1, 1, echo).into(),
        (1, IpAddr::V6(_)) => Icmp6::echo(1, 1, echo).into(),
        (2, _) => {
            let port = *one_of(rng, &[5555, 5556, 6080, 6081, 179, 3784]);
            let length = rng.usize(0..8);
            Udp::new(rng.u16(..), port, bytes(rng, length)).into()
        }
        // A datagram that is too short for its header.
        (3, _) => Transport::Raw(17, vec![0; rng.usize(0..9)]),
        _ => Transport::Raw(rng.u8(..), vec![0; rng.usize(0..24)]),
    };
    draft(rng, portal, Ip::new(from, to, transport))
}

/// A router's error about a packet that the portal sent into a carrier.
pub(super) fn icmp_error(rng: &mut Rng, portal: &Portal<'_>) -> Option<Draft> {
    let carriers: Vec<_> = portal.ends().filter_map(End::carried).collect();
    let mut carried = any(rng, carriers)?.clone();
    let (from, to) = (carried.local, carried.remote);
    (carried.local, carried.remote) = (to, from);
    // An error quotes the port that the portal sent to.
    if let TunnelKind::Fou(udp) | TunnelKind::Gue(udp) = &mut carried.kind
        && rng.bool()
    {
        udp.port = udp.remote_port;
    }
    let inside = some_address(rng);
    let packet = inner(rng, portal, inside, inside);
    let mut quoted = outer(rng, &carried, Load::Ip(packet));
    if chance(rng, 15) {
        super::hostile::distort_outer(rng, portal, &mut quoted);
    }
    let behind = *one_of(rng, &[8, 8, 8, 28, 48, 0, 1, 2, 3, 4, 7, 64]);
    let code = rng.u8(0..16);
    let mut transport = match quoted {
        Ip::V4(_) => {
            let kind = *one_of(rng, &[3, 3, 3, 11, 12, 4, 0, 5]);
            Icmp::error(kind, code, &quoted, behind)
        }
        Ip::V6(_) => Icmp::error(rng.u8(0..6), code, &quoted, behind),
    };
    if chance(rng, 5) {
        transport.body.truncate(rng.usize(0..68));
    }
    let like = if chance(rng, 95) {
        from
    } else {
        some_address(rng)
    };
    let (router, to) = (anywhere(rng, like), portal_address(rng, portal, like));
    let error = match quoted {
        Ip::V4(_) => Ip::new(router, to, transport),
        Ip::V6(_) => Ip::new(router, to, Icmp6(transport)),
    };
    Some(draft(rng, portal, error))
}
