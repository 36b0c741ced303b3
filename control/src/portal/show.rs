//! What the portal tells about what was configured, and how it stands.

use std::net::{IpAddr, Ipv4Addr};

use tp_api::{
    ApiError, Egress, ErrorKind, Lookup, Neighbour, Outer, Reach, RouteTarget, Vfib, VfibRoute,
    VfibSummary,
};
use tp_pipeline::{DropReason, NextHop};

use super::Portal;
use crate::compile::next_hop_mac as resolve_next_hop;
use crate::model::{self, Name};

impl Portal {
    /// Devices.
    #[must_use]
    pub fn ports(&self) -> Vec<tp_api::Port> {
        let reports = self.fleet.report().unwrap_or_default();
        let port = |(name, port): (&Name, &model::Port)| {
            let link = self.view.links.get(name);
            let id = self.bound.get(name).map(|bound| bound.id);
            let mut queues: Vec<tp_api::Queue> = reports
                .iter()
                .enumerate()
                .flat_map(|(worker, report)| report.open.iter().map(move |s| (worker, s)))
                .filter(|(_, socket)| Some(socket.port) == id)
                .map(|(worker, socket)| tp_api::Queue {
                    queue: socket.queue,
                    worker,
                    mode: mode(socket.mode).to_owned(),
                })
                .collect();
            queues.sort_by_key(|queue| queue.queue);
            tp_api::Port {
                name: name.clone(),
                ifindex: link.map(|l| l.ifindex),
                mac: link.map(|l| l.mac.to_string()),
                mtu: link.map(|l| l.mtu),
                up: link.is_some_and(|l| l.up),
                xdp: match port.xdp {
                    model::XdpMode::Native => "native",
                    model::XdpMode::Generic => "generic",
                }
                .to_owned(),
                queues,
                fault: self.faults.get(name).map(|fault| super::chain(fault)),
            }
        };
        self.model.ports.iter().map(port).collect()
    }

    /// ISPs.
    #[must_use]
    pub fn upstreams(&self) -> Vec<tp_api::Upstream> {
        let upstream = |(name, upstream): (&Name, &model::Upstream)| {
            let allocated = self.compiled.names.upstreams.get(name);
            let macs = allocated.map(|a| a.identity.source_macs().map(|m| m.to_string()).collect());
            let bare = upstream.attachment.bare();
            let next_hop_mac = resolve_next_hop(upstream, &self.model, &self.view);
            tp_api::Upstream {
                name: name.clone(),
                port: bare.map(|b| b.port.clone()).unwrap_or_default(),
                vlans: bare.map(|b| vlans(&b.vlans)).unwrap_or_default(),
                next_hop: match upstream.next_hop {
                    Some(model::NextHop::Address(address)) => address.to_string(),
                    Some(model::NextHop::Mac(mac)) => mac.to_string(),
                    None => String::new(),
                },
                next_hop_mac: next_hop_mac.map(|mac| mac.to_string()),
                source_macs: macs.unwrap_or_default(),
                tunnels: self
                    .model
                    .tunnels
                    .values()
                    .filter(|t| t.upstreams.contain(name))
                    .count(),
            }
        };
        self.model.upstreams.iter().map(upstream).collect()
    }

    /// Hosted networks.
    #[must_use]
    pub fn clients(&self) -> Vec<tp_api::Client> {
        let tunnels = |client: &str| {
            let mine = self
                .model
                .tunnels
                .iter()
                .filter(move |(_, t)| t.client == client);
            mine.map(|(name, _)| name.clone()).collect()
        };
        let client = |(name, client): (&Name, &model::Client)| tp_api::Client {
            name: name.clone(),
            asn: client.asn,
            prefixes: client.prefixes.clone(),
            rates: rates(&client.rates),
            tunnels: tunnels(name),
        };
        self.model.clients.iter().map(client).collect()
    }

    /// Links of clients to upstreams.
    #[must_use]
    pub fn tunnels(&self) -> Vec<tp_api::Tunnel> {
        let tunnel = |(name, tunnel): (&Name, &model::Tunnel)| {
            let carried = tunnel.attachment.carried()?;
            let (kind, key) = kind(carried.kind)?;
            Some(tp_api::Tunnel {
                name: name.clone(),
                client: tunnel.client.clone(),
                upstream: tunnel.upstreams.names().next()?.clone(),
                kind,
                key,
                local: carried.local,
                remote: carried.remote,
                ttl: carried.ttl,
                dscp: carried.dscp,
                routes: tunnel.routes.clone(),
                rates: rates(&tunnel.rates),
                reach: self.reach(carried.remote),
            })
        };
        self.model.tunnels.iter().filter_map(tunnel).collect()
    }

    fn reach(&self, far_end: IpAddr) -> Option<Reach> {
        let route = self.view.underlay.get(&far_end)?;
        let next_hop = route.gateway.unwrap_or(far_end);
        Some(Reach {
            port: self.device(route.ifindex),
            gateway: route.gateway,
            mac: self
                .view
                .neighbours
                .get(&(route.ifindex, next_hop))
                .map(ToString::to_string),
        })
    }

    fn device(&self, ifindex: u32) -> String {
        let by_index = self
            .view
            .links
            .iter()
            .find(|(_, link)| link.ifindex == ifindex);
        by_index.map_or_else(|| format!("ifindex {ifindex}"), |(name, _)| name.clone())
    }

    /// Underlay next hops, of upstreams and of tunnels' far ends.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Neighbour> {
        let mut users: std::collections::BTreeMap<(u32, IpAddr), Vec<String>> = Default::default();
        for (name, upstream) in &self.model.upstreams {
            let device = self
                .model
                .ethernet_device(&upstream.attachment, &upstream.addresses);
            let link = device.and_then(|device| self.view.links.get(device));
            if let (Some(link), Some(model::NextHop::Address(address))) = (link, upstream.next_hop)
            {
                users
                    .entry((link.ifindex, address))
                    .or_default()
                    .push(name.clone());
            }
        }
        for (name, tunnel) in &self.model.tunnels {
            let Some(far_end) = tunnel.attachment.carried().map(|carried| carried.remote) else {
                continue;
            };
            if let Some(route) = self.view.underlay.get(&far_end) {
                let next_hop = route.gateway.unwrap_or(far_end);
                users
                    .entry((route.ifindex, next_hop))
                    .or_default()
                    .push(name.clone());
            }
        }
        let neighbour = |((ifindex, address), users)| Neighbour {
            port: self.device(ifindex),
            address,
            mac: self
                .view
                .neighbours
                .get(&(ifindex, address))
                .map(ToString::to_string),
            users,
        };
        users.into_iter().map(neighbour).collect()
    }

    /// All virtual FIBs.
    #[must_use]
    pub fn vfibs(&self) -> Vec<VfibSummary> {
        let summary = |name: &Name| {
            let id = self.compiled.vfib(name)?;
            let routes = self.compiled.tables.vfibs.get(id.index())?.v4.len();
            Some(VfibSummary {
                name: name.clone(),
                routes,
            })
        };
        self.model.upstreams.keys().filter_map(summary).collect()
    }

    /// One virtual FIB, as workers look it up.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn vfib(&self, name: &str) -> Result<Vfib, ApiError> {
        let id = self.compiled.vfib(name).ok_or_else(|| no_vfib(name))?;
        let fib = &self.compiled.tables.vfibs[id.index()].v4;
        let routes = fib
            .iter()
            .map(|(prefix, value)| self.route(prefix, value))
            .collect();
        Ok(Vfib {
            name: name.to_owned(),
            routes,
        })
    }

    fn route(&self, prefix: tp_fib::Prefix4, value: tp_fib::NextHopId) -> VfibRoute {
        let net = ipnet::Ipv4Net::new_assert(prefix.addr(), prefix.len());
        let target = match self.compiled.tables.next_hop(value) {
            NextHop::Upstream(slot) => RouteTarget::Upstream {
                upstream: self
                    .compiled
                    .names
                    .upstreams
                    .name_of(slot)
                    .cloned()
                    .unwrap_or_default(),
            },
            NextHop::Tunnel(slot) => {
                let tunnel = self
                    .compiled
                    .names
                    .tunnels
                    .name_of(slot)
                    .cloned()
                    .unwrap_or_default();
                let client = self.model.tunnels.get(&tunnel).map(|t| t.client.clone());
                RouteTarget::Tunnel {
                    tunnel,
                    client: client.unwrap_or_default(),
                }
            }
            NextHop::Punt => RouteTarget::Kernel,
            NextHop::Drop => RouteTarget::Drop,
        };
        VfibRoute {
            prefix: net.into(),
            target,
        }
    }

    /// Where a client's packet to this address would go.
    ///
    /// # Errors
    /// There is no such virtual FIB, or the address is of another family than its routes.
    pub fn lookup(&self, name: &str, address: IpAddr) -> Result<Lookup, ApiError> {
        let id = self.compiled.vfib(name).ok_or_else(|| no_vfib(name))?;
        let IpAddr::V4(v4) = address else {
            return Err(ApiError {
                kind: ErrorKind::BadRequest,
                message: format!("{address} is no IPv4 address"),
                help: Some("virtual FIBs hold IPv4 routes".to_owned()),
                places: Vec::new(),
            });
        };
        let matched = self.compiled.tables.vfibs[id.index()].v4.longest_match(v4);
        let route = matched.map(|(prefix, value)| self.route(prefix, value));
        let (egress, drop) = self.egress(v4, route.as_ref().map(|route| &route.target));
        Ok(Lookup {
            vfib: name.to_owned(),
            address,
            route,
            egress,
            drop: drop.map(|reason| reason.name().to_owned()),
            generation: self.compiled.tables.generation,
        })
    }

    fn egress(
        &self,
        destination: Ipv4Addr,
        target: Option<&RouteTarget>,
    ) -> (Option<Egress>, Option<DropReason>) {
        let unresolved = (None, Some(DropReason::NeighbourUnresolved));
        if tp_pipeline::is_martian(destination.into()) {
            return (None, Some(DropReason::MartianDestination));
        }
        match target {
            None => (None, Some(DropReason::NoRoute)),
            Some(RouteTarget::Drop) => (None, Some(DropReason::Blackhole)),
            Some(RouteTarget::Kernel) => (None, None),
            Some(RouteTarget::Upstream { upstream }) => {
                let upstream = &self.model.upstreams[upstream];
                let mac = resolve_next_hop(upstream, &self.model, &self.view);
                let (Some(mac), Some(bare)) = (mac, upstream.attachment.bare()) else {
                    return unresolved;
                };
                let (port, vlans) = (bare.port.clone(), vlans(&bare.vlans));
                (
                    Some(Egress {
                        port,
                        mac: mac.to_string(),
                        vlans,
                        outer: None,
                    }),
                    None,
                )
            }
            Some(RouteTarget::Tunnel { tunnel, .. }) => {
                let Some(carried) = self.model.tunnels[tunnel].attachment.carried() else {
                    return unresolved;
                };
                let Some((kind, key)) = kind(carried.kind) else {
                    return unresolved;
                };
                let reach = self.reach(carried.remote);
                let Some(Reach {
                    port,
                    mac: Some(mac),
                    ..
                }) = reach
                else {
                    return unresolved;
                };
                let (source, destination) = (carried.local, carried.remote);
                let outer = Some(Outer {
                    kind,
                    key,
                    source,
                    destination,
                });
                (
                    Some(Egress {
                        port,
                        mac,
                        vlans: Vec::new(),
                        outer,
                    }),
                    None,
                )
            }
        }
    }

    /// Generation of the forwarding state in force.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.compiled.tables.generation
    }

    /// Since when the portal runs.
    #[must_use]
    pub fn uptime(&self) -> std::time::Duration {
        self.started.elapsed()
    }
}

fn no_vfib(name: &str) -> ApiError {
    ApiError {
        kind: ErrorKind::NotFound,
        message: format!("there is no virtual FIB {name:?}"),
        help: Some("a virtual FIB has the name of its upstream: tpctl show upstreams".to_owned()),
        places: Vec::new(),
    }
}

fn kind(kind: model::TunnelKind) -> Option<(tp_api::TunnelKind, Option<u32>)> {
    match kind {
        model::TunnelKind::Ipip => Some((tp_api::TunnelKind::Ipip, None)),
        model::TunnelKind::Gre { key } => Some((tp_api::TunnelKind::Gre, key)),
        _ => None,
    }
}

fn vlans(vlans: &[model::Vlan]) -> Vec<tp_api::Vlan> {
    vlans
        .iter()
        .map(|v| tp_api::Vlan {
            vid: v.vid,
            service: v.service,
        })
        .collect()
}

fn rates(rates: &model::Rates) -> tp_api::Rates {
    let rate = |rate: model::Rate| tp_api::Rate {
        bits_per_second: rate.bits_per_second,
        burst_bytes: rate.burst,
    };
    tp_api::Rates {
        from_client: rates.from_client.map(rate),
        to_client: rates.to_client.map(rate),
    }
}

pub(super) fn mode(mode: tp_xsk::Mode) -> &'static str {
    match mode {
        tp_xsk::Mode::ZeroCopy => "zero-copy",
        tp_xsk::Mode::Copy => "copy",
        tp_xsk::Mode::Memory => "memory",
    }
}
