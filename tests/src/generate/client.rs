//! Random clients: prefixes, routes, rates.

use ipnet::IpNet;
use tp_control::model::{Client, Rate, Rates, Tunnel};

use super::Rng;
use super::config::{Config, free_name};
use super::pick::{chance, one_of, subnet};

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
    for _ in 0..rng.u8(1..=4) {
        add_prefix(rng, config, &name);
    }
    if config.model.clients[&name].prefixes.is_empty() {
        config.model.clients.remove(&name);
    }
}

/// Gives a client a prefix that overlaps no other, if the dice find one.
pub(super) fn add_prefix(rng: &mut Rng, config: &mut Config, client: &str) {
    const BLOCKS: [&str; 7] = [
        "10.0.0.0/20",
        "100.64.0.0/29",
        "203.0.113.0/24",
        "172.16.0.0/12",
        "2001:db8:a::/48",
        "2001:db8:b:c::/60",
        "2001:db8:d::8/125",
    ];
    let block = one_of(rng, &BLOCKS).parse().expect("a prefix");
    let candidate = subnet(rng, block);
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

/// Up to four routes within the client's prefixes that no tunnel of its upstreams has.
pub(super) fn add_routes(rng: &mut Rng, config: &Config, tunnel: &mut Tunnel) {
    for _ in 0..rng.u8(0..=4) {
        let prefix = *one_of(rng, &config.model.clients[&tunnel.client].prefixes);
        let route = if chance(rng, 40) {
            prefix
        } else {
            subnet(rng, prefix)
        };
        if !tunnel.routes.contains(&route) {
            tunnel.routes.push(route);
            if !announces_alone(config, tunnel) {
                tunnel.routes.pop();
            }
        }
    }
}

/// Whether no other tunnel of its upstreams has one of its routes.
pub(super) fn announces_alone(config: &Config, tunnel: &Tunnel) -> bool {
    let shares_upstream = |other: &&Tunnel| {
        (tunnel.upstreams.names()).any(|name| other.upstreams.names().any(|n| n == name))
    };
    (config.model.tunnels.values())
        .filter(shares_upstream)
        .all(|other| {
            !other
                .routes
                .iter()
                .any(|route| tunnel.routes.contains(route))
        })
}
