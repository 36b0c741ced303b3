//! Virtual FIBs, look-ups and neighbours.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tp_api::{
    ApiError, Egress, ErrorKind, Lookup, Neighbour, Outer, Reach, RouteTarget, Vfib, VfibRoute,
    VfibSummary,
};
use tp_fib::NextHopId;
use tp_pipeline::{DropReason, NextHop, TunnelSlot, UpstreamSlot};
use tp_wire::MacAddr;

use super::{kind, udp, vlans};
use crate::compile::{next_hop_mac, peer_mac};
use crate::model::{self, Attachment, LinkAddresses, Name};
use crate::portal::Portal;

/// Names by slot, for many routes at once.
struct Slots<'a> {
    upstreams: BTreeMap<UpstreamSlot, &'a Name>,
    tunnels: BTreeMap<TunnelSlot, &'a Name>,
}

impl Portal {
    /// Next hops, of the underlay and on links, that forwarding needs.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Neighbour> {
        let mut users: BTreeMap<(u32, IpAddr), Vec<String>> = BTreeMap::new();
        let mut use_of = |key: Option<(u32, IpAddr)>, name: &Name| {
            if let Some(key) = key {
                users.entry(key).or_default().push(name.clone());
            }
        };
        for (name, upstream) in &self.model.upstreams {
            use_of(self.underlay_hop(&upstream.attachment), name);
            if let Some(model::NextHop::Address(address)) = upstream.next_hop {
                let on = self.link_device(&upstream.attachment, &upstream.addresses);
                use_of(on.map(|ifindex| (ifindex, address)), name);
            }
        }
        for (name, tunnel) in &self.model.tunnels {
            use_of(self.underlay_hop(&tunnel.attachment), name);
            if tunnel.peer.is_none() {
                let on = self.link_device(&tunnel.attachment, &tunnel.addresses);
                for pair in &tunnel.addresses {
                    use_of(on.map(|ifindex| (ifindex, pair.peer)), name);
                }
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

    /// What a carried link's packets are sent to.
    fn underlay_hop(&self, attachment: &Attachment) -> Option<(u32, IpAddr)> {
        let far_end = attachment.carried()?.remote;
        let route = self.view.underlay.get(&far_end)?;
        Some((route.ifindex, route.gateway.unwrap_or(far_end)))
    }

    /// The device on which the other end of an Ethernet link is a neighbour.
    fn link_device(&self, attachment: &Attachment, addresses: &[LinkAddresses]) -> Option<u32> {
        let device = self.model.ethernet_device(attachment, addresses)?;
        self.view.links.get(device).map(|link| link.ifindex)
    }

    /// All virtual FIBs.
    #[must_use]
    pub fn vfibs(&self) -> Vec<VfibSummary> {
        let summary = |name: &Name| {
            let id = self.compiled.vfib(name)?;
            let vfib = self.compiled.tables.vfibs.get(id.index())?;
            Some(VfibSummary {
                name: name.clone(),
                routes: vfib.v4.len() + vfib.v6.len(),
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
        let vfib = &self.compiled.tables.vfibs[id.index()];
        let slots = self.slots();
        let v4 = (vfib.v4.iter()).map(|(p, value)| (net4(p), value));
        let v6 = (vfib.v6.iter()).map(|(p, value)| (net6(p), value));
        let routes = v4.chain(v6);
        Ok(Vfib {
            name: name.to_owned(),
            routes: routes
                .map(|(prefix, value)| self.route(&slots, prefix, value))
                .collect(),
        })
    }

    fn slots(&self) -> Slots<'_> {
        let names = &self.compiled.names;
        Slots {
            upstreams: (names.upstreams.iter())
                .map(|(name, allocated)| (allocated.id.slot, name))
                .collect(),
            tunnels: (names.tunnels.iter())
                .map(|(name, allocated)| (allocated.id.slot, name))
                .collect(),
        }
    }

    fn route(&self, slots: &Slots<'_>, prefix: IpNet, value: NextHopId) -> VfibRoute {
        let name = |name: Option<&&Name>| name.map(|name| (*name).clone()).unwrap_or_default();
        let target = match self.compiled.tables.next_hop(value) {
            NextHop::Upstream(slot) => RouteTarget::Upstream {
                upstream: name(slots.upstreams.get(&slot)),
            },
            NextHop::Tunnel(slot) => {
                let tunnel = name(slots.tunnels.get(&slot));
                let client = self.model.tunnels.get(&tunnel).map(|t| t.client.clone());
                RouteTarget::Tunnel {
                    tunnel,
                    client: client.unwrap_or_default(),
                }
            }
            NextHop::Punt => RouteTarget::Kernel,
            NextHop::Drop => RouteTarget::Drop,
        };
        VfibRoute { prefix, target }
    }

    /// Where a client's packet to this address would go.
    ///
    /// # Errors
    /// There is no such virtual FIB.
    pub fn lookup(&self, name: &str, address: IpAddr) -> Result<Lookup, ApiError> {
        let id = self.compiled.vfib(name).ok_or_else(|| no_vfib(name))?;
        let vfib = &self.compiled.tables.vfibs[id.index()];
        let matched = match address {
            IpAddr::V4(a) => (vfib.v4.longest_match(a)).map(|(p, value)| (net4(p), value)),
            IpAddr::V6(a) => (vfib.v6.longest_match(a)).map(|(p, value)| (net6(p), value)),
        };
        let slots = self.slots();
        let route = matched.map(|(prefix, value)| self.route(&slots, prefix, value));
        let (egress, drop) = match route.as_ref().map(|route| &route.target) {
            _ if tp_pipeline::is_martian(address) => (None, Some(DropReason::MartianDestination)),
            None => (None, Some(DropReason::NoRoute)),
            Some(RouteTarget::Drop) => (None, Some(DropReason::Blackhole)),
            Some(RouteTarget::Kernel) => (None, None),
            Some(target) => match self.egress(target) {
                Some(egress) => (Some(egress), None),
                None => (None, Some(DropReason::NeighbourUnresolved)),
            },
        };
        Ok(Lookup {
            vfib: name.to_owned(),
            address,
            route,
            egress,
            drop: drop.map(|reason| reason.name().to_owned()),
            generation: self.compiled.tables.generation,
        })
    }

    /// How packets leave that are routed there; none while a neighbour is unresolved.
    fn egress(&self, target: &RouteTarget) -> Option<Egress> {
        let (attachment, peer) = match target {
            RouteTarget::Upstream { upstream } => {
                let upstream = self.model.upstreams.get(upstream)?;
                let mac = next_hop_mac(upstream, &self.model, &self.view);
                (&upstream.attachment, mac)
            }
            RouteTarget::Tunnel { tunnel, .. } => {
                let tunnel = self.model.tunnels.get(tunnel)?;
                (
                    &tunnel.attachment,
                    peer_mac(tunnel, &self.model, &self.view),
                )
            }
            RouteTarget::Kernel | RouteTarget::Drop => return None,
        };
        match attachment {
            Attachment::Bare(bare) => Some(Egress {
                port: bare.port.clone(),
                mac: peer?.to_string(),
                vlans: vlans(&bare.vlans),
                outer: None,
                inner_mac: None,
            }),
            Attachment::Carried(carried) => {
                let inner = attachment.is_ethernet().then_some(peer);
                self.wrapped(carried, inner)
            }
        }
    }

    /// `inner` is of a carrier of Ethernet frames: its other end, if it is known.
    fn wrapped(&self, carried: &model::Carried, inner: Option<Option<MacAddr>>) -> Option<Egress> {
        let inner_mac = match inner {
            Some(mac) => Some(mac?.to_string()),
            None => None,
        };
        let Reach { port, mac, .. } = self.reach(carried.remote)?;
        let (kind, key) = kind(carried.kind);
        Some(Egress {
            port,
            mac: mac?,
            vlans: Vec::new(),
            outer: Some(Outer {
                kind,
                key,
                udp_port: udp(carried.kind).map(|udp| udp.remote_port),
                source: carried.local,
                destination: carried.remote,
            }),
            inner_mac,
        })
    }
}

fn net4(prefix: tp_fib::Prefix4) -> IpNet {
    Ipv4Net::new_assert(prefix.addr(), prefix.len()).into()
}

fn net6(prefix: tp_fib::Prefix6) -> IpNet {
    Ipv6Net::new_assert(prefix.addr(), prefix.len()).into()
}

fn no_vfib(name: &str) -> ApiError {
    ApiError {
        kind: ErrorKind::NotFound,
        message: format!("there is no virtual FIB {name:?}"),
        help: Some("a virtual FIB has the name of its upstream: tpctl show upstreams".to_owned()),
        places: Vec::new(),
    }
}
