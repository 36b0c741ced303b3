//! Random valid configurations and states of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use tp_control::model::{
    Attachment, Bare, BindMode, Carried, Client, HugePages, KernelView, Link, Memory, Model, Name,
    NextHop, OnStop, Port, Portal, Rate, Rates, SlowPath, Tunnel, TunnelKind, UnderlayRoute,
    Upstream, Upstreams, Vlan, XdpMode,
};
use tp_wire::MacAddr;

use super::Rng;
use super::pick::{any, chance, one_of, subnet};

/// A configuration, and the kernel that it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the operator asked for.
    pub model: Model,
    /// What the kernel knows.
    pub kernel: KernelView,
}

/// Indices of the devices that configurations may name. A test that runs in the kernel says which are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Devices {
    /// Of the devices that may be ports: eth0, eth1, eth2.
    pub ports: [u32; 3],
    /// Of one that is never a port: eth9.
    pub stranger: u32,
    /// Receive queues that each of them has.
    pub queues: u32,
}

impl Default for Devices {
    fn default() -> Self {
        Self {
            ports: [10, 11, 12],
            stranger: 99,
            queues: 4,
        }
    }
}

/// The device that is never a port.
const STRANGER: &str = "eth9";

/// A random valid configuration.
#[must_use]
pub fn config(rng: &mut Rng, devices: &Devices) -> Config {
    let mut config = Config {
        model: empty_model(),
        kernel: KernelView::default(),
    };
    for index in 0..rng.u8(1..=3) {
        let name = format!("eth{index}");
        let port = Port {
            mode: BindMode::Auto,
            xdp: XdpMode::Native,
        };
        config.model.ports.insert(name.clone(), port);
        let ifindex = devices.ports[usize::from(index)];
        config
            .kernel
            .links
            .insert(name, link(rng, ifindex, devices.queues, index));
    }
    let stranger = link(rng, devices.stranger, devices.queues, 9);
    config.kernel.links.insert(STRANGER.into(), stranger);
    config
        .kernel
        .addresses
        .extend((1..=4).map(|n| IpAddr::from([192, 0, 2, n])));
    config
        .kernel
        .addresses
        .insert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    config.kernel.addresses.insert(Ipv4Addr::LOCALHOST.into());
    for _ in 0..rng.u8(1..=4) {
        add_upstream(rng, &mut config);
    }
    for _ in 0..rng.u8(1..=4) {
        add_client(rng, &mut config);
    }
    for _ in 0..rng.u8(1..=7) {
        add_tunnel(rng, &mut config);
    }
    config
}

fn empty_model() -> Model {
    Model {
        portal: Portal {
            workers: vec![0],
            busy_poll: false,
            on_stop: OnStop::Hold,
            api: "tpd.sock".into(),
            bpffs: "bpf".into(),
            state: "state".into(),
            memory: Memory {
                frames: 4096,
                chunk: 2048,
                huge_pages: HugePages::Never,
            },
            slow_path: SlowPath::default(),
        },
        ports: BTreeMap::new(),
        upstreams: BTreeMap::new(),
        clients: BTreeMap::new(),
        tunnels: BTreeMap::new(),
    }
}

fn link(rng: &mut Rng, ifindex: u32, queues: u32, index: u8) -> Link {
    // A port may be told of fewer queues than its device has: the others have no socket.
    let queues = if chance(rng, 80) {
        queues
    } else {
        rng.u32(1..=queues)
    };
    Link {
        ifindex,
        mac: MacAddr::new([2, 0, 0, 0, 0, index]),
        mtu: *one_of(rng, &[576, 1280, 1400, 1500, 1500, 1500]),
        rx_queues: queues,
        tx_queues: queues,
        up: true,
        kind: Some("veth".into()),
    }
}

/// MACs of a small world, so that the same one turns up on several ports.
pub(super) fn mac(rng: &mut Rng) -> MacAddr {
    MacAddr::new([2, 0x11, 0, 0, 0, rng.u8(0..12)])
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

/// Most upstreams, clients and tunnels, each.
const MOST: u32 = 12;

/// A name of this kind that is not taken; `None` if there are enough.
fn free_name<T>(rng: &mut Rng, kind: &str, taken: &BTreeMap<Name, T>) -> Option<Name> {
    let free = (0..MOST)
        .map(|n| format!("{kind}{n}"))
        .filter(|name| !taken.contains_key(name));
    any(rng, free)
}

pub(super) fn add_upstream(rng: &mut Rng, config: &mut Config) {
    let Some(port) = any(rng, config.model.ports.keys().cloned()) else {
        return;
    };
    let Some(name) = free_name(rng, "isp", &config.model.upstreams) else {
        return;
    };
    let before = config.clone();
    let next_hop = if chance(rng, 60) {
        NextHop::Address(Ipv4Addr::new(198, 51, 100, rng.u8(1..20)).into())
    } else {
        NextHop::Mac(mac(rng))
    };
    if let NextHop::Address(address) = next_hop
        && chance(rng, 85)
    {
        let ifindex = config.kernel.links[&port].ifindex;
        let mac = mac(rng);
        config
            .kernel
            .neighbours
            .entry((ifindex, address))
            .or_insert(mac);
    }
    let source_macs = match rng.u32(0..4) {
        0 => (0..rng.usize(1..=3))
            .map(|_| mac(rng))
            .collect::<BTreeSet<_>>(),
        _ => BTreeSet::new(),
    };
    let upstream = Upstream {
        attachment: Attachment::Bare(Bare {
            port,
            vlans: vlans(rng),
        }),
        next_hop: Some(next_hop),
        source_macs: Vec::from_iter(source_macs),
        addresses: Vec::new(),
    };
    config.model.upstreams.insert(name, upstream);
    // With its neighbour, which another upstream may have waited for.
    if !links_are_distinct(config) {
        *config = before;
    }
}

/// No two upstreams may share a link key: neither by configuration nor by what the kernel resolves.
pub(super) fn links_are_distinct(config: &Config) -> bool {
    let mut seen = BTreeSet::new();
    config.model.upstreams.values().all(|upstream| {
        source_macs(config, upstream)
            .iter()
            .all(|mac| seen.insert((bare(upstream).clone(), *mac)))
    })
}

/// Where an upstream's frames arrive: all that are generated are bare.
pub(super) fn bare(upstream: &Upstream) -> &Bare {
    upstream.attachment.bare().expect("a bare upstream")
}

/// The outer header of a tunnel: all that are generated have one.
pub(super) fn carried(tunnel: &Tunnel) -> &Carried {
    tunnel.attachment.carried().expect("a carried tunnel")
}

/// The MACs that an upstream's routers send from, as far as they are known.
pub(super) fn source_macs(config: &Config, upstream: &Upstream) -> Vec<MacAddr> {
    if !upstream.source_macs.is_empty() {
        return upstream.source_macs.clone();
    }
    let resolved = match upstream.next_hop.expect("of a bare upstream") {
        NextHop::Mac(mac) => Some(mac),
        NextHop::Address(address) => {
            config
                .kernel
                .links
                .get(&bare(upstream).port)
                .and_then(|link| {
                    config
                        .kernel
                        .neighbours
                        .get(&(link.ifindex, address))
                        .copied()
                })
        }
    };
    Vec::from_iter(resolved)
}

pub(super) fn add_client(rng: &mut Rng, config: &mut Config) {
    let Some(name) = free_name(rng, "net", &config.model.clients) else {
        return;
    };
    let client = Client {
        asn: Some(64512),
        prefixes: Vec::new(),
        rates: rates(rng),
    };
    config.model.clients.insert(name.clone(), client);
    for _ in 0..rng.u8(1..=3) {
        add_prefix(rng, config, &name);
    }
    if config.model.clients[&name].prefixes.is_empty() {
        config.model.clients.remove(&name);
    }
}

/// Gives a client a prefix that overlaps no other, if the dice find one.
pub(super) fn add_prefix(rng: &mut Rng, config: &mut Config, client: &str) {
    const BLOCKS: [&str; 4] = [
        "10.0.0.0/20",
        "100.64.0.0/29",
        "203.0.113.0/24",
        "172.16.0.0/12",
    ];
    let block = one_of(rng, &BLOCKS).parse().expect("a prefix");
    let candidate = subnet(rng, block);
    let candidate = IpNet::V4(candidate);
    let overlaps = |p: &IpNet| p.contains(&candidate) || candidate.contains(p);
    let clients = &mut config.model.clients;
    if !clients.values().flat_map(|c| &c.prefixes).any(overlaps)
        && let Some(client) = clients.get_mut(client)
    {
        client.prefixes.push(candidate);
        client.prefixes.sort();
    }
}

pub(super) fn rates(rng: &mut Rng) -> Rates {
    let mut rate = || {
        chance(rng, 8).then(|| Rate {
            bits_per_second: rng.u64(64_000..10_000_000_000),
            burst: rng.u64(20..5000),
        })
    };
    Rates {
        from_client: rate(),
        to_client: rate(),
    }
}

pub(super) fn kind(rng: &mut Rng) -> TunnelKind {
    match rng.u32(0..6) {
        0 | 1 => TunnelKind::Ipip,
        2 => TunnelKind::Gre { key: None },
        3 => TunnelKind::Gre { key: Some(0) },
        _ => TunnelKind::Gre {
            key: Some(*one_of(rng, &[1, 7, 0x0100_0000, u32::MAX])),
        },
    }
}

pub(super) fn remote(rng: &mut Rng) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, rng.u8(1..=5))
}

pub(super) fn add_tunnel(rng: &mut Rng, config: &mut Config) {
    let Some(name) = free_name(rng, "t", &config.model.tunnels) else {
        return;
    };
    let Some(client) = any(rng, config.model.clients.keys().cloned()) else {
        return;
    };
    let Some(upstream) = any(rng, config.model.upstreams.keys().cloned()) else {
        return;
    };
    // One address in eight is none of the portal's: its frames are nobody's tunnel.
    let local = Ipv4Addr::new(192, 0, 2, if chance(rng, 12) { 5 } else { rng.u8(1..=4) });
    let mut tunnel = Tunnel {
        client,
        upstreams: Upstreams::One(upstream),
        attachment: Attachment::Carried(Carried {
            local: local.into(),
            remote: remote(rng).into(),
            kind: kind(rng),
            ttl: *one_of(rng, &[1, 64, 255]),
            dscp: *one_of(rng, &[0, 46, 63]),
        }),
        peer: None,
        addresses: Vec::new(),
        routes: Vec::new(),
        rates: rates(rng),
    };
    let same = |t: &Tunnel| outer_key(t) == outer_key(&tunnel);
    if config.model.tunnels.values().any(same) {
        return;
    }
    add_routes(rng, config, &mut tunnel);
    reach(rng, config, carried(&tunnel).remote);
    config.model.tunnels.insert(name, tunnel);
}

/// By what steering knows the tunnel.
pub(super) fn outer_key(tunnel: &Tunnel) -> (IpAddr, IpAddr, TunnelKind) {
    let carried = carried(tunnel);
    (carried.local, carried.remote, carried.kind)
}

/// Up to four routes within the client's prefixes that no tunnel of the upstream has.
pub(super) fn add_routes(rng: &mut Rng, config: &Config, tunnel: &mut Tunnel) {
    for _ in 0..rng.u8(0..=4) {
        let prefix = *one_of(rng, &config.model.clients[&tunnel.client].prefixes);
        let IpNet::V4(net) = prefix else {
            unreachable!("generated prefixes are IPv4");
        };
        let route = if chance(rng, 40) {
            prefix
        } else {
            subnet(rng, net).into()
        };
        let mut siblings = config
            .model
            .tunnels
            .values()
            .filter(|t| t.upstreams == tunnel.upstreams);
        if !tunnel.routes.contains(&route) && !siblings.any(|t| t.routes.contains(&route)) {
            tunnel.routes.push(route);
        }
    }
}

/// Gives a far end its underlay route and neighbour, most of the time.
pub(super) fn reach(rng: &mut Rng, config: &mut Config, remote: IpAddr) {
    if config.kernel.underlay.contains_key(&remote) || chance(rng, 8) {
        return;
    }
    let ports = config
        .kernel
        .links
        .iter()
        .filter(|(name, _)| config.model.ports.contains_key(*name));
    let Some(ifindex) = any(rng, ports.map(|(_, link)| link.ifindex)) else {
        return;
    };
    let stranger = config.kernel.links[STRANGER].ifindex;
    let ifindex = if chance(rng, 3) { stranger } else { ifindex };
    let gateway = chance(rng, 40).then(|| IpAddr::from([192, 0, 2, rng.u8(250..=254)]));
    config
        .kernel
        .underlay
        .insert(remote, UnderlayRoute { ifindex, gateway });
    if chance(rng, 88) {
        let mac = mac(rng);
        config
            .kernel
            .neighbours
            .entry((ifindex, gateway.unwrap_or(remote)))
            .or_insert(mac);
    }
}
