//! Section 8: what comes in front of the inner packet.

use std::net::IpAddr;

use tp_control::model::{Carried, Link, Name, TunnelKind, Vlan};
use tp_wire::MacAddr;

use super::End;
use super::parse::Inner;
use crate::packet::internet_checksum;
use crate::reference::Portal;

/// What comes in front of the inner packet, and where it leaves.
pub(super) struct Headers {
    /// Index of the port.
    pub(super) port: u16,
    /// Most bytes of a network packet there.
    pub(super) mtu: usize,
    /// Ethernet header and tags.
    pub(super) link: Vec<u8>,
    /// Outer IP header and tunnel header; empty towards an upstream.
    pub(super) tunnel: Vec<u8>,
}

/// The headers, if the link header is known.
pub(super) fn headers(portal: &Portal<'_>, way: &End<'_>, inner: &Inner) -> Option<Headers> {
    match way {
        End::Upstream(_, upstream) => {
            let bare = upstream.attachment.bare()?;
            let device = portal.link(&bare.port)?;
            let router = portal.router_mac(upstream)?;
            let link = ethernet(router, device.mac, &bare.vlans);
            Some(out(portal, &bare.port, device, link, Vec::new()))
        }
        End::Tunnel(_, tunnel) => {
            let (port, device, far_end) = portal.far_end(tunnel)?;
            let link = ethernet(far_end, device.mac, &[]);
            let carried = tunnel.attachment.carried()?;
            Some(out(portal, port, device, link, outer(carried, inner)))
        }
    }
}

fn out(portal: &Portal<'_>, port: &Name, device: &Link, link: Vec<u8>, tunnel: Vec<u8>) -> Headers {
    let mtu = usize::try_from(device.mtu).expect("usize has 32 bits");
    Headers {
        port: portal.numbers.ports[port],
        mtu,
        link,
        tunnel,
    }
}

fn ethernet(destination: MacAddr, source: MacAddr, vlans: &[Vlan]) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(destination.octets());
    header.extend(source.octets());
    for vlan in vlans {
        let tpid: u16 = if vlan.service { 0x88a8 } else { 0x8100 };
        header.extend(tpid.to_be_bytes());
        header.extend(vlan.vid.to_be_bytes());
    }
    header.extend([0x08, 0x00]);
    header
}

fn outer(tunnel: &Carried, inner: &Inner) -> Vec<u8> {
    let (protocol, gre) = match tunnel.kind {
        TunnelKind::Ipip => (4, Vec::new()),
        TunnelKind::Gre { key: None } => (47, vec![0, 0, 0x08, 0x00]),
        TunnelKind::Gre { key: Some(key) } => {
            (47, [[0x20, 0, 0x08, 0x00], key.to_be_bytes()].concat())
        }
        other => unreachable!("no configuration has {other:?} yet"),
    };
    let total = u16::try_from(20 + gre.len() + inner.total_length()).unwrap_or(u16::MAX);
    let mut header = vec![0x45, tunnel.dscp << 2 | inner.ecn()];
    header.extend(total.to_be_bytes());
    header.extend([0, 0, 0x40, 0, tunnel.ttl, protocol, 0, 0]);
    for address in [tunnel.local, tunnel.remote] {
        let IpAddr::V4(address) = address else {
            unreachable!("no configuration has {address} yet");
        };
        header.extend(address.octets());
    }
    let checksum = internet_checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header.extend(gre);
    header
}
