//! Random changes of a configuration.

use std::net::IpAddr;

use tp_control::model::{Attachment, Name, NextHop, Tunnel, Upstreams};
use tp_wire::MacAddr;

use super::Rng;
use super::attach::{
    add_tunnel, add_upstream, addresses, is_ethernet, is_free, kind, next_hop, remote, upstreams,
    vlans,
};
use super::client::{add_client, add_prefix, add_routes, announces_alone, rates};
use super::config::{Config, mac, reach};
use super::pick::{any, chance};

/// A valid configuration that differs from `before` in one to three things: of the operator or of the kernel.
#[must_use]
pub fn change(rng: &mut Rng, before: &Config) -> Config {
    let mut config = before.clone();
    for _ in 0..rng.u8(1..=3) {
        step(rng, &mut config);
    }
    config
}

fn step(rng: &mut Rng, config: &mut Config) {
    match rng.u32(0..15) {
        0 => add_upstream(rng, config),
        1 => remove_upstream(rng, config),
        2 => add_client(rng, config),
        3 => remove_client(rng, config),
        4 | 5 => add_tunnel(rng, config),
        6 => remove_tunnel(rng, config),
        7 | 8 => change_tunnel(rng, config),
        9 => change_routes(rng, config),
        10 => change_rates(rng, config),
        11 => change_upstream(rng, config),
        12 => change_prefixes(rng, config),
        13 => change_device(rng, config),
        _ => change_neighbours(rng, config),
    }
}

/// A tunnel that shows an upstream beside others goes with it too.
fn remove_upstream(rng: &mut Rng, config: &mut Config) {
    if let Some(name) = any(rng, config.model.upstreams.keys().cloned()) {
        config.model.upstreams.remove(&name);
        let tunnels = &mut config.model.tunnels;
        tunnels.retain(|_, t| t.upstreams.names().all(|n| *n != name));
    }
}

fn remove_client(rng: &mut Rng, config: &mut Config) {
    if let Some(name) = any(rng, config.model.clients.keys().cloned()) {
        config.model.clients.remove(&name);
        config.model.tunnels.retain(|_, t| t.client != name);
    }
}

fn remove_tunnel(rng: &mut Rng, config: &mut Config) {
    take_tunnel(rng, config);
}

fn take_tunnel(rng: &mut Rng, config: &mut Config) -> Option<(Name, Tunnel)> {
    let name = any(rng, config.model.tunnels.keys().cloned())?;
    config.model.tunnels.remove_entry(&name)
}

/// Another key, outer address, VLAN stack, peer or upstream for a tunnel that keeps its name.
fn change_tunnel(rng: &mut Rng, config: &mut Config) {
    let Some((name, mut tunnel)) = take_tunnel(rng, config) else {
        return;
    };
    let before = tunnel.clone();
    match rng.u32(0..6) {
        0 | 1 => change_attachment(rng, config, &mut tunnel.attachment),
        2 => tunnel.peer = is_ethernet(&tunnel.attachment).then(|| mac(rng)),
        3 => {
            let pairs = addresses(rng, config);
            if !pairs.is_empty() || matches!(tunnel.upstreams, Upstreams::One(_)) {
                tunnel.addresses = pairs;
            }
        }
        _ => {
            let shows = is_ethernet(&tunnel.attachment) && !tunnel.addresses.is_empty();
            if let Some(upstreams) = upstreams(rng, config, shows) {
                tunnel.upstreams = upstreams;
                tunnel.routes.clear();
                add_routes(rng, config, &mut tunnel);
            }
        }
    }
    let fits = is_free(config, &tunnel.attachment) && announces_alone(config, &tunnel);
    config
        .model
        .tunnels
        .insert(name, if fits { tunnel } else { before });
}

/// What stays Ethernet stays Ethernet: a link with several upstreams must be.
fn change_attachment(rng: &mut Rng, config: &mut Config, attachment: &mut Attachment) {
    let ethernet = is_ethernet(attachment);
    match attachment {
        Attachment::Bare(bare) => bare.vlans = vlans(rng),
        Attachment::Carried(carried) => match rng.u32(0..3) {
            0 => {
                let other = kind(rng);
                let as_before = carried.kind;
                carried.kind = other;
                if is_ethernet(attachment) != ethernet
                    && let Attachment::Carried(carried) = attachment
                {
                    carried.kind = as_before;
                }
            }
            1 => {
                let far_end = remote(rng);
                if matches!(
                    (far_end, carried.remote),
                    (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_))
                ) {
                    carried.remote = far_end;
                    reach(rng, config, far_end);
                }
            }
            _ => carried.ttl = carried.ttl.wrapping_add(1).max(1),
        },
    }
}

/// Withdraws some routes of a tunnel and announces others.
fn change_routes(rng: &mut Rng, config: &mut Config) {
    if let Some((name, mut tunnel)) = take_tunnel(rng, config) {
        tunnel.routes.retain(|_| rng.bool());
        add_routes(rng, config, &mut tunnel);
        config.model.tunnels.insert(name, tunnel);
    }
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
        let tunnels = config.model.tunnels.values_mut();
        tunnels
            .filter(|t| t.client == name)
            .for_each(|tunnel| tunnel.routes.retain(|route| !gone.contains(route)));
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
    let Some(name) = any(rng, config.model.upstreams.keys().cloned()) else {
        return;
    };
    let Some(mut upstream) = config.model.upstreams.remove(&name) else {
        return;
    };
    let before = upstream.clone();
    match (rng.u32(0..5), &upstream.attachment) {
        (0, Attachment::Bare(_)) => upstream.source_macs = vec![mac(rng)],
        (1 | 2, _) => change_attachment(rng, config, &mut upstream.attachment),
        (3, _) => upstream.addresses = addresses(rng, config),
        (_, attachment) if is_ethernet(attachment) => {
            let next_hop = if rng.bool() {
                NextHop::Mac(mac(rng))
            } else {
                next_hop(rng, config, attachment, &upstream.addresses)
            };
            upstream.next_hop = Some(next_hop);
        }
        _ => {}
    }
    let fits =
        is_free(config, &upstream.attachment) || matches!(upstream.attachment, Attachment::Bare(_));
    let upstreams = &mut config.model.upstreams;
    upstreams.insert(name, if fits { upstream } else { before });
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
    let remote = remote(rng);
    if chance(rng, 50) {
        config.kernel.underlay.remove(&remote);
    } else {
        reach(rng, config, remote);
    }
}
