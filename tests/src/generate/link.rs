//! Frames that are no client's: link protocols, the portal's own traffic, ICMP errors.

use std::net::{IpAddr, Ipv4Addr};

use tp_wire::MacAddr;

use super::Rng;
use super::config::{Config, mac};
use super::frame::Draft;
use super::pick::{any, bytes, chance, one_of};
use super::traffic::{anywhere, encapsulate, from_upstream, inner};
use crate::packet::{Frame, Icmp, Ipv4, Network, Tcp, Transport};

fn draft(rng: &mut Rng, config: &Config, payload: impl Into<Network>) -> Draft {
    let port = any(rng, config.model.ports.keys()).expect("a portal has a port");
    let link = &config.kernel.links[port];
    let source = mac(rng);
    Draft {
        ifindex: link.ifindex,
        frame: Frame::new(link.mac, source, payload),
    }
}

fn portal_address(rng: &mut Rng, config: &Config) -> Ipv4Addr {
    let v4 = config
        .kernel
        .addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
    any(rng, v4).expect("a portal has an IPv4 address")
}

/// ARP, LLDP, slow protocols, IGMP, and EtherTypes that nobody knows.
pub(super) fn protocol(rng: &mut Rng, config: &Config) -> Draft {
    let ethertype = *one_of(
        rng,
        &[
            0x0806, 0x88cc, 0x8809, 0x0800, 0x0800, 0x8847, 0x9100, 0x0805,
        ],
    );
    let mut draft = if ethertype == 0x0800 {
        igmp(rng, config)
    } else {
        let length = rng.usize(0..60);
        let payload = Network::Raw(ethertype, bytes(rng, length));
        draft(rng, config, payload)
    };
    if chance(rng, 60) {
        draft.frame.destination = group(rng);
    }
    draft
}

/// IGMP to a group, to the portal, and to others, to which a kernel would forward it; often from an upstream's router.
fn igmp(rng: &mut Rng, config: &Config) -> Draft {
    let to = match rng.u32(0..3) {
        0 => Ipv4Addr::new(224, 0, 0, 22),
        1 => portal_address(rng, config),
        _ => anywhere(rng),
    };
    let report = Transport::Raw(2, vec![0; rng.usize(0..9)]);
    let packet = Ipv4::new(anywhere(rng), to, report);
    match from_upstream(rng, config) {
        Some(mut draft) if chance(rng, 60) => {
            draft.frame.payload = packet.into();
            draft
        }
        _ => draft(rng, config, packet),
    }
}

/// A group address.
pub(super) fn group(rng: &mut Rng) -> MacAddr {
    *one_of(
        rng,
        &[
            MacAddr::new([0xff; 6]),
            MacAddr::new([1, 0x80, 0xc2, 0, 0, 2]),
        ],
    )
}

/// What is addressed to the portal itself and is no tunnel's.
pub(super) fn to_the_portal(rng: &mut Rng, config: &Config) -> Draft {
    let to = portal_address(rng, config);
    let transport: Transport = match rng.u32(0..3) {
        0 => Tcp {
            source: 179,
            destination: 179,
            sequence: 1,
            payload: vec![0; 19],
        }
        .into(),
        1 => Icmp::echo(1, 1, vec![0; rng.usize(0..8)]).into(),
        _ => Transport::Raw(rng.u8(..), vec![0; rng.usize(0..24)]),
    };
    let from = anywhere(rng);
    draft(rng, config, Ipv4::new(from, to, transport))
}

/// A router's error about a packet that the portal sent into a tunnel.
pub(super) fn icmp_error(rng: &mut Rng, config: &Config) -> Option<Draft> {
    let tunnel = any(rng, config.model.tunnels.values())?;
    let (from, to) = (anywhere(rng), anywhere(rng));
    let carried = inner(rng, config, from, to);
    let mut quoted = encapsulate(tunnel, carried);
    (quoted.source, quoted.destination) = (quoted.destination, quoted.source);
    if chance(rng, 15) {
        super::hostile::distort_outer(rng, config, &mut quoted);
    }
    let kind = *one_of(rng, &[3, 3, 3, 11, 12, 4, 0, 5]);
    let behind = *one_of(rng, &[8, 8, 28, 0, 3, 4, 7, 64]);
    let mut icmp = Icmp::error(kind, rng.u8(0..16), &quoted.into(), behind);
    if chance(rng, 5) {
        icmp.body.truncate(rng.usize(0..28));
    }
    let (from, to) = (anywhere(rng), portal_address(rng, config));
    Some(draft(rng, config, Ipv4::new(from, to, icmp)))
}
