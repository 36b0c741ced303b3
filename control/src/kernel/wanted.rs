//! What the mirror resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::tables::Key;
use crate::model::{KernelView, Model, Name, NextHop, UnderlayRoute};

/// What the mirror resolves besides following links and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses whose route is looked up, and whose gateway (or themselves) becomes a neighbour.
    pub far_ends: BTreeSet<IpAddr>,
    /// Neighbours on the network of a device.
    pub next_hops: BTreeSet<(Name, IpAddr)>,
    /// Devices whose queues are looked at again and again.
    pub ports: BTreeSet<Name>,
    /// The portal's own TUN and TAP devices: addresses there are of links, and not the namespace's.
    pub own_devices: BTreeSet<Name>,
}

impl Wanted {
    /// What a model needs: the far ends of its carried links, and of its Ethernet links the other ends that are
    /// addresses, and its ports.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let attachments = (model
            .upstreams
            .values()
            .map(|upstream| &upstream.attachment))
        .chain(model.tunnels.values().map(|tunnel| &tunnel.attachment));
        let routers = model.upstreams.values().filter_map(|upstream| {
            let device = model.ethernet_device(&upstream.attachment, &upstream.addresses)?;
            match upstream.next_hop? {
                NextHop::Address(address) => Some((device.clone(), address)),
                NextHop::Mac(_) => None,
            }
        });
        let clients = model
            .tunnels
            .values()
            .filter(|tunnel| tunnel.peer.is_none());
        let clients = clients.flat_map(|tunnel| {
            let device = model.ethernet_device(&tunnel.attachment, &tunnel.addresses);
            let peers = tunnel.addresses.iter().map(|pair| pair.peer);
            peers.filter_map(move |peer| Some((device?.clone(), peer)))
        });
        Self {
            far_ends: attachments
                .filter_map(|attachment| Some(attachment.carried()?.remote))
                .collect(),
            next_hops: routers.chain(clients).collect(),
            ports: model.ports.keys().cloned().collect(),
            own_devices: [&model.portal.slow_path.tun, &model.portal.slow_path.tap]
                .into_iter()
                .cloned()
                .collect(),
        }
    }

    /// The neighbours that are sent to, as the view's routes lead; those on devices that are not there are left out.
    pub(super) fn neighbours_in(&self, view: &KernelView) -> BTreeSet<Key> {
        self.neighbours(&view.underlay, |device| {
            Some(view.links.get(device)?.ifindex)
        })
    }

    /// As [`Self::neighbours_in`], by these routes and this way to find a device.
    pub(super) fn neighbours(
        &self,
        underlay: &BTreeMap<IpAddr, UnderlayRoute>,
        index_of: impl Fn(&str) -> Option<u32>,
    ) -> BTreeSet<Key> {
        let far_ends = self.far_ends.iter().filter_map(|far_end| {
            let route = underlay.get(far_end)?;
            Some((route.ifindex, route.gateway.unwrap_or(*far_end)))
        });
        let next_hops = self
            .next_hops
            .iter()
            .filter_map(|(device, address)| Some((index_of(device)?, *address)));
        far_ends.chain(next_hops).collect()
    }

    /// What either needs.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.far_ends.extend(other.far_ends);
        self.next_hops.extend(other.next_hops);
        self.own_devices.extend(other.own_devices);
        self.ports.extend(other.ports);
        self
    }
}
