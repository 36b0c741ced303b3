//! The mirrored tables: pure; messages in, a [`KernelView`] out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use tp_wire::MacAddr;

use super::Wanted;
use super::requests::OURS;
use crate::model::{KernelView, Link, Name, UnderlayRoute};

/// What a message may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that a view shows.
    None,
    /// The tables.
    Tables,
    /// Routes to addresses within the prefix.
    Routes(IpNet),
    /// Any route, and perhaps the tables.
    AllRoutes,
}

/// A neighbour of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) state: NeighbourState,
    pub(super) mac: Option<MacAddr>,
    /// The kernel resolves and refreshes it by itself.
    pub(super) managed: bool,
    /// Made by a mirror: this one, or one that died.
    pub(super) ours: bool,
}

impl Neighbour {
    /// Its MAC address, in the states in which the kernel itself sends to it
    /// (`NUD_CONNECTED`, STALE, DELAY, PROBE of linux/neighbour.h).
    fn resolved(&self) -> Option<MacAddr> {
        use NeighbourState as S;
        match self.state {
            S::Reachable | S::Stale | S::Delay | S::Probe | S::Permanent | S::Noarp => self.mac,
            _ => None,
        }
    }

    /// An operator's or the link's own entry, which needs no resolution.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(
            self.state,
            NeighbourState::Permanent | NeighbourState::Noarp
        )
    }
}

/// A neighbour's key: ifindex and address.
pub(super) type Key = (u32, IpAddr);

/// The mirrored tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    /// By ifindex: names change.
    pub(super) links: BTreeMap<u32, (Name, Link)>,
    /// With the device and the prefix length: an address may be there more than once.
    pub(super) addresses: BTreeSet<(u32, u8, IpAddr)>,
    pub(super) neighbours: BTreeMap<Key, Neighbour>,
    /// Answers to look-ups, not the kernel's whole table.
    pub(super) underlay: BTreeMap<IpAddr, UnderlayRoute>,
}

impl Tables {
    /// Takes a message in.
    pub(super) fn apply(&mut self, message: &RouteNetlinkMessage) -> Effect {
        use RouteNetlinkMessage as M;
        match message {
            M::NewLink(link) => self.new_link(link),
            M::DelLink(link) => self.del_link(link),
            M::NewAddress(address) => self.address(address, true),
            M::DelAddress(address) => self.address(address, false),
            M::NewNeighbour(neighbour) => self.new_neighbour(neighbour),
            M::DelNeighbour(neighbour) => self.del_neighbour(neighbour),
            M::NewRoute(route) | M::DelRoute(route) => route_effect(route),
            M::NewRule(_) | M::DelRule(_) => Effect::AllRoutes,
            _ => Effect::None,
        }
    }

    fn new_link(&mut self, message: &LinkMessage) -> Effect {
        if is_bridge_news(message) {
            return Effect::None;
        }
        let index = message.header.index;
        let before = self.links.get(&index).cloned();
        let (mut name, mut link) = before
            .clone()
            .unwrap_or_else(|| (Name::new(), no_link(index)));
        let up = LinkFlags::Up | LinkFlags::LowerUp;
        link.up = message.header.flags.contains(up);
        // News may leave attributes out (wireless events do): what they do not name stays.
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(n) => name.clone_from(n),
                LinkAttribute::Address(bytes) => link.mac = mac(bytes).unwrap_or(link.mac),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::NumRxQueues(n) if before.is_none() => link.rx_queues = *n,
                LinkAttribute::NumTxQueues(n) if before.is_none() => link.tx_queues = *n,
                LinkAttribute::LinkInfo(infos) => link.kind = kind(infos).or(link.kind),
                _ => {}
            }
        }
        let after = (name, link);
        if before.as_ref() == Some(&after) {
            return Effect::None;
        }
        self.links.insert(index, after);
        // A link that goes down takes its IPv4 routes with it without news of them
        // (fib_sync_down_dev of net/ipv4/fib_semantics.c).
        Effect::AllRoutes
    }

    fn del_link(&mut self, message: &LinkMessage) -> Effect {
        if is_bridge_news(message) {
            return Effect::None;
        }
        let index = message.header.index;
        self.links.remove(&index);
        self.addresses.retain(|(ifindex, ..)| *ifindex != index);
        self.neighbours.retain(|(ifindex, _), _| *ifindex != index);
        Effect::AllRoutes
    }

    fn address(&mut self, message: &AddressMessage, new: bool) -> Effect {
        let mut own = None;
        for attribute in &message.attributes {
            match attribute {
                // On a point-to-point link Address is the peer's (linux/if_addr.h).
                AddressAttribute::Local(address) => own = Some(*address),
                AddressAttribute::Address(address) => own = own.or(Some(*address)),
                _ => {}
            }
        }
        let Some(own) = own else { return Effect::None };
        let entry = (message.header.index, message.header.prefix_len, own);
        let changed = if new {
            self.addresses.insert(entry)
        } else {
            self.addresses.remove(&entry)
        };
        if changed {
            Effect::AllRoutes
        } else {
            Effect::None
        }
    }

    fn new_neighbour(&mut self, message: &NeighbourMessage) -> Effect {
        let Some(key) = neighbour_key(message) else {
            return Effect::None;
        };
        let mut neighbour = Neighbour {
            state: message.header.state,
            mac: None,
            managed: false,
            ours: false,
        };
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => neighbour.mac = mac(bytes),
                NeighbourAttribute::ExtFlags(flags) => {
                    neighbour.managed = flags.contains(NeighbourExtFlags::Managed);
                }
                NeighbourAttribute::Protocol(protocol) => {
                    neighbour.ours = *protocol == RouteProtocol::from(OURS);
                }
                _ => {}
            }
        }
        let before = self.neighbours.insert(key, neighbour);
        if before.as_ref() == self.neighbours.get(&key) {
            Effect::None
        } else {
            Effect::Tables
        }
    }

    fn del_neighbour(&mut self, message: &NeighbourMessage) -> Effect {
        let removed = neighbour_key(message).and_then(|key| self.neighbours.remove(&key));
        if removed.is_some() {
            Effect::Tables
        } else {
            Effect::None
        }
    }

    /// The neighbours that forwarding needs; those on devices that are not there are left out.
    pub(super) fn needed(&self, wanted: &Wanted) -> BTreeSet<Key> {
        wanted.neighbours(&self.underlay, |device| {
            let (index, _) = self.links.iter().find(|(_, (name, _))| name == device)?;
            Some(*index)
        })
    }

    /// What forwarding needs of all this.
    pub(super) fn view(&self, wanted: &Wanted) -> KernelView {
        let resolved = |key: Key| Some((key, self.neighbours.get(&key)?.resolved()?));
        let own = self
            .links
            .iter()
            .filter(|(_, (name, _))| wanted.own_devices.contains(name));
        let own: BTreeSet<u32> = own.map(|(index, _)| *index).collect();
        KernelView {
            links: self.links.values().cloned().collect(),
            addresses: self
                .addresses
                .iter()
                .filter(|(index, ..)| !own.contains(index))
                .map(|(_, _, address)| *address)
                .collect(),
            neighbours: self
                .needed(wanted)
                .into_iter()
                .filter_map(resolved)
                .collect(),
            underlay: self.underlay.clone(),
        }
    }
}

/// Bridges tell of their ports by link messages of their own family; the end of a port's
/// membership is a `DelLink` there, which is no end of the link.
fn is_bridge_news(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Bridge
}

fn no_link(ifindex: u32) -> Link {
    let mac = MacAddr::new([0; 6]);
    Link {
        ifindex,
        mac,
        mtu: 0,
        rx_queues: 1,
        tx_queues: 1,
        up: false,
        kind: None,
    }
}

fn mac(bytes: &[u8]) -> Option<MacAddr> {
    <[u8; 6]>::try_from(bytes).ok().map(MacAddr::new)
}

fn kind(infos: &[LinkInfo]) -> Option<String> {
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    })
}

fn neighbour_key(message: &NeighbourMessage) -> Option<Key> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                Some((message.header.ifindex, (*address).into()))
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
                Some((message.header.ifindex, (*address).into()))
            }
            _ => None,
        })
}

fn route_effect(message: &RouteMessage) -> Effect {
    let length = message.header.destination_prefix_length;
    let destination = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(address) => route_address(address),
            _ => None,
        });
    match destination.map(|address| IpNet::new(address, length)) {
        Some(Ok(prefix)) => Effect::Routes(prefix),
        // A default route has no destination.
        _ => Effect::AllRoutes,
    }
}

fn route_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// The way that a look-up's answer names; `None` where it leads to this host or nowhere.
pub(super) fn underlay_route(answer: &RouteMessage) -> Option<UnderlayRoute> {
    if answer.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut ifindex, mut gateway) = (None, None);
    for attribute in &answer.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(address) => gateway = route_address(address),
            // A gateway of the other family (RFC 8950).
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            _ => {}
        }
    }
    Some(UnderlayRoute {
        ifindex: ifindex?,
        gateway,
    })
}
