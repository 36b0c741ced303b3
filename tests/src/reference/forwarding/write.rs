//! Section 8: what comes in front of the inner packet.

use std::net::IpAddr;

use tp_control::model::{Carried, Link, Name, TunnelKind, Udp, Vlan};
use tp_wire::MacAddr;

use super::inner::{Family, Inner};
use crate::packet::internet_checksum;
use crate::reference::{End, Portal};

/// What comes in front of the inner packet, and where it leaves.
pub(super) struct Headers {
    /// Index of the port.
    pub(super) port: u16,
    /// Most bytes of a network packet there.
    pub(super) mtu: usize,
    /// Ethernet header and tags.
    pub(super) link: Vec<u8>,
    /// Outer IP header and tunnel header; empty on a bare link.
    pub(super) tunnel: Vec<u8>,
}

/// The headers, if all that the link header needs is known. The packet was looked up in the vFIB of `upstream`.
pub(super) fn headers<'a>(
    portal: &Portal<'a>,
    way: End<'a>,
    upstream: &Name,
    inner: &Inner,
) -> Option<Headers> {
    let shown = portal.shown(way).find(|(_, name)| *name == upstream);
    let ethernet_of = |vlans: &[Vlan]| {
        let source = match shown {
            Some((mac, _)) => mac,
            None => portal.own_mac(way)?,
        };
        let ethertype = inner.family.ethertype();
        Some(ethernet(portal.peer_mac(way)?, source, vlans, ethertype))
    };
    match (way.bare(), way.carried()) {
        (Some(bare), _) => {
            let link = ethernet_of(&bare.vlans)?;
            on_port(portal, &bare.port, link)
        }
        (None, Some(carried)) => {
            let frame = if way.is_ethernet() {
                ethernet_of(&[])?
            } else {
                Vec::new()
            };
            in_outer_headers(portal, carried, &frame, inner)
        }
        (None, None) => unreachable!("a link is bare or carried"),
    }
}

/// The headers of what the kernel sends: `header` is the Ethernet header that it wrote, if any.
pub(super) fn headers_of_the_kernel<'a>(
    portal: &Portal<'a>,
    way: End<'a>,
    header: &[u8],
    inner: &Inner,
) -> Option<Headers> {
    match (way.bare(), way.carried()) {
        (Some(bare), _) => {
            let (addresses, ethertype) = header.split_at(12);
            let link = [addresses, &tags(&bare.vlans), ethertype].concat();
            on_port(portal, &bare.port, link)
        }
        (None, Some(carried)) => in_outer_headers(portal, carried, header, inner),
        (None, None) => unreachable!("a link is bare or carried"),
    }
}

fn on_port(portal: &Portal<'_>, port: &Name, link: Vec<u8>) -> Option<Headers> {
    let device = portal.kernel.links.get(port)?;
    Some(out(portal, port, device, link, Vec::new()))
}

fn in_outer_headers(
    portal: &Portal<'_>,
    carried: &Carried,
    frame: &[u8],
    inner: &Inner,
) -> Option<Headers> {
    let (port, device, far_end) = portal.far_end(carried)?;
    let ethertype = match carried.remote {
        IpAddr::V4(_) => 0x0800,
        IpAddr::V6(_) => 0x86dd,
    };
    let link = ethernet(far_end, device.mac, &[], ethertype);
    let tunnel = outer(carried, frame, inner);
    Some(out(portal, port, device, link, tunnel))
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

fn ethernet(destination: MacAddr, source: MacAddr, vlans: &[Vlan], ethertype: u16) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(destination.octets());
    header.extend(source.octets());
    header.extend(tags(vlans));
    header.extend(ethertype.to_be_bytes());
    header
}

fn tags(vlans: &[Vlan]) -> Vec<u8> {
    let tag = |vlan: &Vlan| {
        let tpid: u16 = if vlan.service { 0x88a8 } else { 0x8100 };
        [tpid.to_be_bytes(), vlan.vid.to_be_bytes()].concat()
    };
    vlans.iter().flat_map(tag).collect()
}

/// Outer IP header, tunnel header and `frame`, the Ethernet header that the tunnel carries, if any.
fn outer(carried: &Carried, frame: &[u8], inner: &Inner) -> Vec<u8> {
    let (number, ethertype) = match inner.family {
        Family::V6 => (41, 0x86dd),
        Family::V4 | Family::Arp => (4, 0x0800),
    };
    let (protocol, header) = match carried.kind {
        TunnelKind::Ipip => (number, Vec::new()),
        TunnelKind::Gre { key } => (47, gre(key, ethertype)),
        TunnelKind::Egre { key } => (47, gre(key, 0x6558)),
        TunnelKind::Fou(ports) => (17, udp(carried, ports, &[], inner)),
        TunnelKind::Gue(ports) => (17, udp(carried, ports, &[0, number, 0, 0], inner)),
    };
    let behind = header.len() + frame.len() + inner.len();
    let ip = match (carried.local, carried.remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let total = u16::try_from(20 + behind).unwrap_or(u16::MAX);
            let mut ip = vec![0x45, carried.dscp << 2 | inner.ecn()];
            ip.extend(total.to_be_bytes());
            ip.extend([0, 0, 0x40, 0, carried.ttl, protocol, 0, 0]);
            ip.extend(local.octets());
            ip.extend(remote.octets());
            let checksum = internet_checksum(&ip);
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            ip
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let class = u32::from(carried.dscp << 2 | inner.ecn());
            let first = 6 << 28 | class << 20 | inner.flow_hash() >> 12;
            let mut ip = Vec::from(first.to_be_bytes());
            ip.extend(u16::try_from(behind).unwrap_or(u16::MAX).to_be_bytes());
            ip.extend([protocol, carried.ttl]);
            ip.extend(local.octets());
            ip.extend(remote.octets());
            ip
        }
        _ => unreachable!("both outer addresses are of one family"),
    };
    [&ip, &header, frame].concat()
}

fn gre(key: Option<u32>, protocol: u16) -> Vec<u8> {
    let flags: u16 = if key.is_some() { 0x2000 } else { 0 };
    let mut header = Vec::from(flags.to_be_bytes());
    header.extend(protocol.to_be_bytes());
    header.extend(key.into_iter().flat_map(u32::to_be_bytes));
    header
}

/// A UDP header and `behind`, what stands between it and the inner packet.
fn udp(carried: &Carried, ports: Udp, behind: &[u8], inner: &Inner) -> Vec<u8> {
    let source = 0xc000 + (inner.flow_hash() >> 18);
    let length = 8 + behind.len() + inner.len();
    let narrow = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
    let mut header = Vec::new();
    header.extend(u16::try_from(source).expect("16 bits").to_be_bytes());
    header.extend(ports.remote_port.to_be_bytes());
    header.extend(narrow(length).to_be_bytes());
    header.extend([0, 0]);
    header.extend(behind);
    if ports.checksum {
        let addresses = match (carried.local, carried.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => [local.octets(), remote.octets()].concat(),
            (IpAddr::V6(local), IpAddr::V6(remote)) => [local.octets(), remote.octets()].concat(),
            _ => unreachable!("both outer addresses are of one family"),
        };
        let counted = [&[0, 17][..], &narrow(length).to_be_bytes()].concat();
        let summed = [&addresses[..], &counted, &header, inner.bytes()].concat();
        let sum = match internet_checksum(&summed) {
            0 => 0xffff_u16,
            sum => sum,
        };
        header[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    header
}
