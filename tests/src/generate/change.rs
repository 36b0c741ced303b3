//! Random changes of a configuration.

use tp_control::model::{Attachment, NextHop, Upstreams};
use tp_wire::MacAddr;

use super::Rng;
use super::config::{
    Config, add_client, add_prefix, add_routes, add_tunnel, add_upstream, kind, links_are_distinct,
    mac, outer_key, rates, reach, remote,
};
use super::pick::{any, chance};

/// A valid configuration that differs from `before` in one to three things: of the operator or of the kernel.
#[must_use]
pub fn change(rng: &mut Rng, before: &Config) -> Config {
    let mut config = before.clone();
    for _ in 0..rng.u8(1..=3) {
        let mut candidate = config.clone();
        step(rng, &mut candidate);
        if links_are_distinct(&candidate) && keys_are_distinct(&candidate) {
            config = candidate;
        }
    }
    config
}

fn step(rng: &mut Rng, config: &mut Config) {
    match rng.u32(0..14) {
        0 => add_upstream(rng, config),
        1 => remove_upstream(rng, config),
        2 => add_client(rng, config),
        3 => remove_client(rng, config),
        4 | 5 => add_tunnel(rng, config),
        6 => remove_tunnel(rng, config),
        7 => change_tunnel(rng, config),
        8 => change_routes(rng, config),
        9 => change_rates(rng, config),
        10 => change_upstream(rng, config),
        11 => change_prefixes(rng, config),
        12 => change_device(rng, config),
        _ => change_neighbours(rng, config),
    }
}

fn keys_are_distinct(config: &Config) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    let mut tunnels = config.model.tunnels.values();
    tunnels.all(|tunnel| seen.insert(outer_key(tunnel)))
}

fn remove_upstream(rng: &mut Rng, config: &mut Config) {
    if let Some(name) = any(rng, config.model.upstreams.keys().cloned()) {
        config.model.upstreams.remove(&name);
        config
            .model
            .tunnels
            .retain(|_, t| !t.upstreams.contain(&name));
    }
}

fn remove_client(rng: &mut Rng, config: &mut Config) {
    if let Some(name) = any(rng, config.model.clients.keys().cloned()) {
        config.model.clients.remove(&name);
        config.model.tunnels.retain(|_, t| t.client != name);
    }
}

fn remove_tunnel(rng: &mut Rng, config: &mut Config) {
    if let Some(name) = any(rng, config.model.tunnels.keys().cloned()) {
        config.model.tunnels.remove(&name);
    }
}

/// Another key, outer address or upstream for a tunnel that keeps its name.
fn change_tunnel(rng: &mut Rng, config: &mut Config) {
    let Some(name) = any(rng, config.model.tunnels.keys().cloned()) else {
        return;
    };
    let Some(mut tunnel) = config.model.tunnels.remove(&name) else {
        return;
    };
    let Attachment::Carried(carried) = &mut tunnel.attachment else {
        unreachable!("generated tunnels are carried");
    };
    match rng.u32(0..4) {
        0 => carried.kind = kind(rng),
        1 => {
            carried.remote = remote(rng).into();
            reach(rng, config, carried.remote);
        }
        2 => carried.ttl = carried.ttl.wrapping_add(1).max(1),
        _ => {
            if let Some(upstream) = any(rng, config.model.upstreams.keys().cloned()) {
                tunnel.upstreams = Upstreams::One(upstream);
                tunnel.routes.clear();
                add_routes(rng, config, &mut tunnel);
            }
        }
    }
    config.model.tunnels.insert(name, tunnel);
}

/// Withdraws some routes of a tunnel and announces others.
fn change_routes(rng: &mut Rng, config: &mut Config) {
    let Some(name) = any(rng, config.model.tunnels.keys().cloned()) else {
        return;
    };
    let Some(mut tunnel) = config.model.tunnels.remove(&name) else {
        return;
    };
    tunnel.routes.retain(|_| rng.bool());
    add_routes(rng, config, &mut tunnel);
    config.model.tunnels.insert(name, tunnel);
}

/// Another prefix for a client, or one less with what was announced of it.
fn change_prefixes(rng: &mut Rng, config: &mut Config) {
    let Some(name) = any(rng, config.model.clients.keys().cloned()) else {
        return;
    };
    if rng.bool() {
        return add_prefix(rng, config, &name);
    }
    let Some(client) = config.model.clients.get_mut(&name) else {
        return;
    };
    if client.prefixes.len() > 1 {
        let gone = client.prefixes.remove(rng.usize(0..client.prefixes.len()));
        let tunnels = config
            .model
            .tunnels
            .values_mut()
            .filter(|t| t.client == name);
        tunnels.for_each(|tunnel| tunnel.routes.retain(|route| !gone.contains(route)));
    }
}

/// A device gets another MTU or MAC, or the portal an address more or less.
fn change_device(rng: &mut Rng, config: &mut Config) {
    let address = [192, 0, 2, rng.u8(1..=5)].into();
    let link = any(rng, config.kernel.links.values_mut());
    match (rng.u32(0..4), link) {
        (0, Some(link)) => link.mtu = rng.u32(576..=1500),
        (1, Some(link)) => link.mac = MacAddr::new([2, 0, 0, 0, 0, rng.u8(0..20)]),
        (2, _) => {
            config.kernel.addresses.insert(address);
        }
        _ => {
            config.kernel.addresses.remove(&address);
        }
    }
}

fn change_rates(rng: &mut Rng, config: &mut Config) {
    if let Some(client) = any(rng, config.model.clients.values_mut()) {
        client.rates = rates(rng);
    }
    if let Some(tunnel) = any(rng, config.model.tunnels.values_mut()) {
        tunnel.rates = rates(rng);
    }
}

fn change_upstream(rng: &mut Rng, config: &mut Config) {
    if let Some(upstream) = any(rng, config.model.upstreams.values_mut()) {
        match rng.u32(0..3) {
            0 => upstream.next_hop = Some(NextHop::Mac(mac(rng))),
            1 => upstream.source_macs = vec![mac(rng)],
            _ => {
                if let Attachment::Bare(bare) = &mut upstream.attachment {
                    bare.vlans = super::config::vlans(rng);
                }
            }
        }
    }
}

/// The kernel resolves, forgets or moves neighbours, and finds or loses ways to far ends.
fn change_neighbours(rng: &mut Rng, config: &mut Config) {
    if let Some(key) = any(rng, config.kernel.neighbours.keys().copied()) {
        if chance(rng, 50) {
            config.kernel.neighbours.remove(&key);
        } else {
            config.kernel.neighbours.insert(key, mac(rng));
        }
    }
    let remote = remote(rng).into();
    if chance(rng, 50) {
        config.kernel.underlay.remove(&remote);
    } else {
        reach(rng, config, remote);
    }
}
