//! Random valid configurations and states of the kernel.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tp_control::model::{
    BindMode, HugePages, KernelView, Link, Memory, Model, Name, OnStop, Port, Portal, Rate,
    SlowPath, UnderlayRoute, XdpMode,
};
use tp_wire::MacAddr;

use super::Rng;
use super::attach::{add_tunnel, add_upstream};
use super::client::add_client;
use super::pick::{any, chance, one_of};

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
/// Index of the TAP device: nothing arrives by it, so no kernel need have it.
pub(super) const TAP: u32 = 1_000_000;

/// A random valid configuration.
#[must_use]
pub fn config(rng: &mut Rng, devices: &Devices) -> Config {
    let mut config = Config {
        model: empty_model(rng),
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
        let link = link(rng, ifindex, devices.queues, index);
        config.kernel.links.insert(name, link);
    }
    let stranger = link(rng, devices.stranger, devices.queues, 9);
    config.kernel.links.insert(STRANGER.into(), stranger);
    let tap = link(rng, TAP, 1, 10);
    let name = config.model.portal.slow_path.tap.clone();
    config.kernel.links.insert(name, tap);
    let addresses = &mut config.kernel.addresses;
    addresses.extend((1..=4).map(|n| IpAddr::from([192, 0, 2, n])));
    addresses.extend((1..=3).map(|n| IpAddr::from(portal_v6(n))));
    addresses.insert(Ipv4Addr::LOCALHOST.into());
    for _ in 0..rng.u8(1..=5) {
        add_upstream(rng, &mut config);
    }
    for _ in 0..rng.u8(1..=4) {
        add_client(rng, &mut config);
    }
    for _ in 0..rng.u8(1..=9) {
        add_tunnel(rng, &mut config);
    }
    config
}

fn empty_model(rng: &mut Rng) -> Model {
    let slow_path = SlowPath {
        rate: Rate {
            bits_per_second: 10_000_000,
            burst: *one_of(rng, &[65_536, 65_536, 100, 300]),
        },
        ..SlowPath::default()
    };
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
            slow_path,
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

/// An address of the portal's namespace; those above 3 are none.
pub(super) fn portal_v6(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

/// MACs of a small world, so that the same one turns up on several ports.
pub(super) fn mac(rng: &mut Rng) -> MacAddr {
    MacAddr::new([2, 0x11, 0, 0, 0, rng.u8(0..12)])
}

/// Most upstreams, clients and tunnels, each.
const MOST: u32 = 14;

/// A name of this kind that is not taken; `None` if there are enough.
pub(super) fn free_name<T>(rng: &mut Rng, kind: &str, taken: &BTreeMap<Name, T>) -> Option<Name> {
    let free = (0..MOST)
        .map(|n| format!("{kind}{n}"))
        .filter(|name| !taken.contains_key(name));
    any(rng, free)
}

/// Gives a far end its underlay route and neighbour, most of the time.
pub(super) fn reach(rng: &mut Rng, config: &mut Config, remote: IpAddr) {
    if config.kernel.underlay.contains_key(&remote) || chance(rng, 8) {
        return;
    }
    let ports = (config.kernel.links.iter())
        .filter(|(name, _)| config.model.ports.contains_key(*name))
        .map(|(_, link)| link.ifindex);
    let Some(ifindex) = any(rng, ports) else {
        return;
    };
    let stranger = config.kernel.links[STRANGER].ifindex;
    let ifindex = if chance(rng, 3) { stranger } else { ifindex };
    // A gateway of the other family is possible too (RFC 5549).
    let gateway = chance(rng, 40).then(|| match (remote, chance(rng, 20)) {
        (IpAddr::V4(_), false) | (IpAddr::V6(_), true) => {
            IpAddr::from([192, 0, 2, rng.u8(250..=254)])
        }
        _ => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, rng.u16(1..6)).into(),
    });
    let route = UnderlayRoute { ifindex, gateway };
    config.kernel.underlay.insert(remote, route);
    if chance(rng, 88) {
        resolve(rng, config, ifindex, gateway.unwrap_or(remote));
    }
}

/// Gives an address a neighbour, unless it has one.
pub(super) fn resolve(rng: &mut Rng, config: &mut Config, ifindex: u32, address: IpAddr) {
    let mac = mac(rng);
    let neighbours = &mut config.kernel.neighbours;
    neighbours.entry((ifindex, address)).or_insert(mac);
}
