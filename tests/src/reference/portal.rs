//! What a configuration and a state of the kernel mean, by scanning them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use tp_control::compile::Compiled;
use tp_control::model::{Client, KernelView, Link, Model, Name, Tunnel};
use tp_wire::MacAddr;

use super::end::End;

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
    /// The MAC by which each upstream is shown on links with several.
    pub shown: BTreeMap<Name, MacAddr>,
}

impl Numbers {
    /// The numbers that this compile gave.
    #[must_use]
    pub fn of(compiled: &Compiled) -> Self {
        let names = &compiled.names;
        let port = |slot: u32| u16::try_from(slot).expect("fewer than MAX_PORTS");
        let shown = |name: &Name| {
            let vfib = compiled.vfib(name)?;
            Some((name.clone(), compiled.tables.vfibs[vfib.index()].mac))
        };
        let id = |slot, tag| Id { slot, tag };
        Self {
            ports: (names.ports.iter())
                .map(|(n, a)| (n.clone(), port(a.id.slot.0)))
                .collect(),
            upstreams: (names.upstreams.iter())
                .map(|(n, a)| (n.clone(), id(a.id.slot.0, a.id.tag.0)))
                .collect(),
            tunnels: (names.tunnels.iter())
                .map(|(n, a)| (n.clone(), id(a.id.slot.0, a.id.tag.0)))
                .collect(),
            shown: (names.upstreams.iter())
                .filter_map(|(name, _)| shown(name))
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

    /// All upstreams and tunnels.
    pub fn ends(&self) -> impl Iterator<Item = End<'a>> + Clone + use<'a> {
        let upstreams = &self.model.upstreams;
        let tunnels = &self.model.tunnels;
        (upstreams.iter().map(|(name, u)| End::Upstream(name, u)))
            .chain(tunnels.iter().map(|(name, t)| End::Tunnel(name, t)))
    }

    /// Slot and tag of a link.
    #[must_use]
    pub fn id(&self, end: End<'_>) -> Id {
        match end {
            End::Upstream(name, _) => self.numbers.upstreams[name],
            End::Tunnel(name, _) => self.numbers.tunnels[name],
        }
    }

    /// Whose address this is.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Option<&'a Name> {
        let owns = |client: &Client| client.prefixes.iter().any(|p| p.contains(&address));
        let mut clients = self.model.clients.iter();
        clients
            .find(|(_, client)| owns(client))
            .map(|(name, _)| name)
    }

    /// The tunnel of this upstream that announced the longest prefix over this address.
    #[must_use]
    pub fn client_route(&self, upstream: &str, address: IpAddr) -> Option<(&'a Name, &'a Tunnel)> {
        let mut best: Option<(IpNet, &Name, &Tunnel)> = None;
        let tunnels = self.model.tunnels.iter();
        for (name, tunnel) in tunnels.filter(|(_, t)| t.upstreams.names().any(|n| n == upstream)) {
            for route in tunnel.routes.iter().filter(|r| r.contains(&address)) {
                if best.is_none_or(|(longest, ..)| route.prefix_len() > longest.prefix_len()) {
                    best = Some((*route, name, tunnel));
                }
            }
        }
        best.map(|(_, name, tunnel)| (name, tunnel))
    }
}
