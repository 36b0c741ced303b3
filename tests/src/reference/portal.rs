//! What a configuration and a state of the kernel mean, by scanning them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use tp_control::compile::Compiled;
use tp_control::model::{Client, KernelView, Link, Model, Name, NextHop, Tunnel, Upstream};
use tp_wire::MacAddr;

/// A slot and the tag of its allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// The slot.
    pub slot: u32,
    /// Its tag.
    pub tag: u32,
}

/// Which numbers the compiler gave to names: all that the reference takes from it.
///
/// Numbers carry no meaning of their own, so whoever hands them out cannot
/// thereby hide a mistake in what they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Index of each port.
    pub ports: BTreeMap<Name, u16>,
    /// Slot and tag of each upstream.
    pub upstreams: BTreeMap<Name, Id>,
    /// Slot and tag of each tunnel.
    pub tunnels: BTreeMap<Name, Id>,
}

impl Numbers {
    /// The numbers that this compile gave.
    #[must_use]
    pub fn of(compiled: &Compiled) -> Self {
        let names = &compiled.names;
        let port = |slot: u32| u16::try_from(slot).expect("fewer than MAX_PORTS");
        Self {
            ports: names
                .ports
                .iter()
                .map(|(n, a)| (n.clone(), port(a.id.slot.0)))
                .collect(),
            upstreams: names
                .upstreams
                .iter()
                .map(|(n, a)| {
                    (
                        n.clone(),
                        Id {
                            slot: a.id.slot.0,
                            tag: a.id.tag.0,
                        },
                    )
                })
                .collect(),
            tunnels: names
                .tunnels
                .iter()
                .map(|(n, a)| {
                    (
                        n.clone(),
                        Id {
                            slot: a.id.slot.0,
                            tag: a.id.tag.0,
                        },
                    )
                })
                .collect(),
        }
    }
}

/// The portal as its operator and its kernel describe it.
#[derive(Clone, Copy, Debug)]
pub struct Portal<'a> {
    /// What the operator asked for.
    pub model: &'a Model,
    /// What the kernel knows.
    pub kernel: &'a KernelView,
    /// Which numbers the names have.
    pub numbers: &'a Numbers,
}

impl<'a> Portal<'a> {
    /// The port that is this device: its name, its link and its index.
    #[must_use]
    pub fn port(&self, ifindex: u32) -> Option<(&'a Name, &'a Link, u16)> {
        self.model.ports.keys().find_map(|name| {
            let link = self.kernel.links.get(name)?;
            (link.ifindex == ifindex).then(|| (name, link, self.numbers.ports[name]))
        })
    }

    /// The kernel's link of a port of the model.
    #[must_use]
    pub fn link(&self, port: &str) -> Option<&'a Link> {
        self.kernel.links.get(port)
    }

    /// Where frames to this upstream's router go, if the kernel knows.
    #[must_use]
    pub fn router_mac(&self, upstream: &Upstream) -> Option<MacAddr> {
        match upstream.next_hop? {
            NextHop::Mac(mac) => Some(mac),
            NextHop::Address(address) => {
                let ifindex = self.link(&upstream.attachment.bare()?.port)?.ifindex;
                self.kernel.neighbours.get(&(ifindex, address)).copied()
            }
        }
    }

    /// Which MACs this upstream's routers send from.
    #[must_use]
    pub fn source_macs(&self, upstream: &Upstream) -> Vec<MacAddr> {
        if upstream.source_macs.is_empty() {
            self.router_mac(upstream).into_iter().collect()
        } else {
            upstream.source_macs.clone()
        }
    }

    /// The port by which a tunnel's far end is reached and the MAC to send to, if known.
    #[must_use]
    pub fn far_end(&self, tunnel: &Tunnel) -> Option<(&'a Name, &'a Link, MacAddr)> {
        let far_end = tunnel.attachment.carried()?.remote;
        let route = self.kernel.underlay.get(&far_end)?;
        let (name, link, _) = self.port(route.ifindex)?;
        let hop = route.gateway.unwrap_or(far_end);
        let mac = self.kernel.neighbours.get(&(route.ifindex, hop))?;
        Some((name, link, *mac))
    }

    /// Whose address this is.
    #[must_use]
    pub fn owner(&self, address: Ipv4Addr) -> Option<&'a Name> {
        let address = IpAddr::V4(address);
        let owns = |client: &Client| client.prefixes.iter().any(|p| p.contains(&address));
        self.model
            .clients
            .iter()
            .find(|(_, client)| owns(client))
            .map(|(name, _)| name)
    }

    /// The tunnel of this upstream that announced the longest prefix over this address.
    #[must_use]
    pub fn client_route(
        &self,
        upstream: &str,
        address: Ipv4Addr,
    ) -> Option<(&'a Name, &'a Tunnel)> {
        let address = IpAddr::V4(address);
        let mut best: Option<(IpNet, &Name, &Tunnel)> = None;
        for (name, tunnel) in self
            .model
            .tunnels
            .iter()
            .filter(|(_, t)| t.upstreams.contain(upstream))
        {
            for route in tunnel.routes.iter().filter(|r| r.contains(&address)) {
                if best.is_none_or(|(longest, ..)| route.prefix_len() > longest.prefix_len()) {
                    best = Some((*route, name, tunnel));
                }
            }
        }
        best.map(|(_, name, tunnel)| (name, tunnel))
    }
}
