//! Random links: upstreams and tunnels of every kind, with and without link addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tp_control::model::{
    Attachment, Bare, Carried, LinkAddresses, NextHop, Tunnel, TunnelKind, Udp, Upstream,
    Upstreams, Vlan,
};

use super::Rng;
use super::client::{add_routes, rates};
use super::config::{Config, TAP, free_name, mac, portal_v6, reach, resolve};
use super::pick::{any, chance, one_of};

pub(super) fn add_upstream(rng: &mut Rng, config: &mut Config) {
    let Some(name) = free_name(rng, "isp", &config.model.upstreams) else {
        return;
    };
    let Some(attachment) = attachment(rng, config, 40) else {
        return;
    };
    let bare = matches!(attachment, Attachment::Bare(_));
    let source_macs = match rng.u32(0..4) {
        0 if bare => (0..rng.usize(1..=3))
            .map(|_| mac(rng))
            .collect::<BTreeSet<_>>(),
        _ => BTreeSet::new(),
    };
    let addresses = addresses(rng, config);
    let next_hop = is_ethernet(&attachment).then(|| next_hop(rng, config, &attachment, &addresses));
    let upstream = Upstream {
        attachment,
        next_hop,
        source_macs: Vec::from_iter(source_macs),
        addresses,
    };
    config.model.upstreams.insert(name, upstream);
}

pub(super) fn add_tunnel(rng: &mut Rng, config: &mut Config) {
    let Some(name) = free_name(rng, "t", &config.model.tunnels) else {
        return;
    };
    let Some(client) = any(rng, config.model.clients.keys().cloned()) else {
        return;
    };
    let Some(attachment) = attachment(rng, config, 78) else {
        return;
    };
    let addresses = addresses(rng, config);
    let shows = is_ethernet(&attachment) && !addresses.is_empty();
    let Some(upstreams) = upstreams(rng, config, shows) else {
        return;
    };
    let peer = (is_ethernet(&attachment) && chance(rng, 60)).then(|| mac(rng));
    let mut tunnel = Tunnel {
        client,
        upstreams,
        attachment,
        peer,
        addresses,
        routes: Vec::new(),
        rates: rates(rng),
    };
    for pair in &tunnel.addresses {
        if is_ethernet(&tunnel.attachment) && chance(rng, 80) {
            resolve(rng, config, TAP, pair.peer);
        }
    }
    add_routes(rng, config, &mut tunnel);
    config.model.tunnels.insert(name, tunnel);
}

pub(super) fn is_ethernet(attachment: &Attachment) -> bool {
    match attachment {
        Attachment::Bare(_) => true,
        Attachment::Carried(carried) => matches!(carried.kind, TunnelKind::Egre { .. }),
    }
}

/// A way to attach a link, carried so many times in a hundred, that no other link has.
fn attachment(rng: &mut Rng, config: &mut Config, carried_percent: u32) -> Option<Attachment> {
    let attachment = if chance(rng, carried_percent) {
        let carried = carried(rng);
        reach(rng, config, carried.remote);
        Attachment::Carried(carried)
    } else {
        Attachment::Bare(Bare {
            port: any(rng, config.model.ports.keys().cloned())?,
            vlans: vlans(rng),
        })
    };
    is_free(config, &attachment).then_some(attachment)
}

/// Whether no other link is known by the same outer header. Bare links may share port and VLANs: sources tell them
/// apart, and what two upstreams claim is neither's; but of clients there is one, since it may send from any MAC.
pub(super) fn is_free(config: &Config, attachment: &Attachment) -> bool {
    let tunnels = config.model.tunnels.values().map(|t| &t.attachment);
    let upstreams = config.model.upstreams.values().map(|u| &u.attachment);
    match attachment {
        Attachment::Bare(_) => !tunnels.into_iter().any(|other| other == attachment),
        Attachment::Carried(carried) => !(tunnels.chain(upstreams)).any(|other| match other {
            Attachment::Carried(other) => key(other) == key(carried),
            Attachment::Bare(_) => false,
        }),
    }
}

/// By what an outer header is known.
pub(super) fn key(carried: &Carried) -> (IpAddr, IpAddr, TunnelKind) {
    let kind = match carried.kind {
        TunnelKind::Fou(udp) => TunnelKind::Fou(received_at(udp.port)),
        TunnelKind::Gue(udp) => TunnelKind::Gue(received_at(udp.port)),
        other => other,
    };
    (carried.local, carried.remote, kind)
}

fn received_at(port: u16) -> Udp {
    Udp {
        port,
        remote_port: 0,
        checksum: false,
    }
}

pub(super) fn carried(rng: &mut Rng) -> Carried {
    let remote = remote(rng);
    // One address in eight is none of the portal's: its frames are nobody's tunnel.
    let stranger = chance(rng, 12);
    let local = match remote {
        IpAddr::V4(_) => IpAddr::from([192, 0, 2, if stranger { 5 } else { rng.u8(1..=4) }]),
        IpAddr::V6(_) => portal_v6(if stranger { 4 } else { rng.u16(1..=3) }).into(),
    };
    Carried {
        local,
        remote,
        kind: kind(rng),
        ttl: *one_of(rng, &[1, 64, 255]),
        dscp: *one_of(rng, &[0, 46, 63]),
    }
}

pub(super) fn remote(rng: &mut Rng) -> IpAddr {
    if rng.bool() {
        Ipv4Addr::new(198, 18, 0, rng.u8(1..=5)).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0x18, 0, 0, 0, 0, rng.u16(1..=5)).into()
    }
}

pub(super) fn kind(rng: &mut Rng) -> TunnelKind {
    let key = match rng.u32(0..4) {
        0 => None,
        1 => Some(0),
        _ => Some(*one_of(rng, &[1, 7, 0x0100_0000, u32::MAX])),
    };
    // A port is of one kind: the program must know before it has found a tunnel.
    let mut udp = |ports: [u16; 2]| Udp {
        port: *one_of(rng, &ports),
        remote_port: *one_of(rng, &[5555, 6080, 1, 65535]),
        checksum: rng.bool(),
    };
    let (fou, gue) = (udp([5555, 5556]), udp([6080, 6081]));
    match rng.u32(0..9) {
        0 | 1 => TunnelKind::Ipip,
        2 | 3 => TunnelKind::Gre { key },
        4 | 5 => TunnelKind::Egre { key },
        6 => TunnelKind::Fou(fou),
        _ => TunnelKind::Gue(gue),
    }
}

/// VLAN stacks that differ in one thing each.
pub(super) fn vlans(rng: &mut Rng) -> Vec<Vlan> {
    let c = |vid| Vlan {
        vid,
        service: false,
    };
    let s = |vid| Vlan { vid, service: true };
    match rng.u32(0..10) {
        0 => vec![c(10)],
        1 => vec![c(20)],
        2 => vec![s(10)],
        3 => vec![s(20), c(10)],
        4 => vec![c(10), c(20)],
        _ => Vec::new(),
    }
}

/// What an upstream on Ethernet is sent to; an address is resolved most of the time.
pub(super) fn next_hop(
    rng: &mut Rng,
    config: &mut Config,
    attachment: &Attachment,
    addresses: &[LinkAddresses],
) -> NextHop {
    if chance(rng, 40) {
        return NextHop::Mac(mac(rng));
    }
    let address = match any(rng, addresses) {
        Some(pair) if chance(rng, 80) => pair.peer,
        _ if rng.bool() => Ipv4Addr::new(198, 51, 100, rng.u8(1..20)).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, rng.u16(1..20)).into(),
    };
    let ifindex = match attachment {
        Attachment::Bare(bare) if addresses.is_empty() => config.kernel.links[&bare.port].ifindex,
        _ => TAP,
    };
    if chance(rng, 85) {
        resolve(rng, config, ifindex, address);
    }
    NextHop::Address(address)
}

/// No pairs of link addresses, or a few, of one family or both; a peer's address is of one link.
pub(super) fn addresses(rng: &mut Rng, config: &Config) -> Vec<LinkAddresses> {
    let mut pairs: Vec<LinkAddresses> = Vec::new();
    if chance(rng, 45) {
        return pairs;
    }
    let tunnels = config.model.tunnels.values().flat_map(|t| &t.addresses);
    let upstreams = config.model.upstreams.values().flat_map(|u| &u.addresses);
    let taken: BTreeSet<IpAddr> = tunnels.chain(upstreams).map(|pair| pair.peer).collect();
    for _ in 0..rng.u32(1..=3) {
        let (portal, peer): (IpAddr, IpAddr) = if rng.bool() {
            let [portal, peer] = [rng.u8(1..=3), rng.u8(..)];
            ([169, 254, 0, portal].into(), [169, 254, 1, peer].into())
        } else {
            let [portal, peer] = [rng.u16(1..=3), rng.u16(0x100..0x200)];
            let address = |n| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n);
            (address(portal).into(), address(peer).into())
        };
        if !taken.contains(&peer) && pairs.iter().all(|pair| pair.peer != peer) {
            pairs.push(LinkAddresses { portal, peer });
        }
    }
    pairs
}

/// One upstream, or where a link can show them often some side by side, each with an address of its own there.
pub(super) fn upstreams(rng: &mut Rng, config: &Config, shows: bool) -> Option<Upstreams> {
    let one = any(rng, config.model.upstreams.keys().cloned())?;
    if !shows || rng.bool() {
        return Some(Upstreams::One(one));
    }
    let mut shown = BTreeMap::new();
    for name in config.model.upstreams.keys() {
        if rng.bool() {
            continue;
        }
        let host = u8::try_from(shown.len()).expect("few upstreams") + 1;
        let v4 = IpAddr::from([100, 65, rng.u8(..), host]);
        let v6 = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, rng.u16(..), host.into()).into();
        let addresses = match rng.u32(0..3) {
            0 => vec![v4],
            1 => vec![v6],
            _ => vec![v4, v6],
        };
        shown.insert(name.clone(), addresses);
    }
    if shown.is_empty() {
        return Some(Upstreams::One(one));
    }
    Some(Upstreams::Shown(shown))
}
