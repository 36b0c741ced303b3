//! What the mirror resolves.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::{Model, Name, NextHop};

/// What the mirror resolves besides following links and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Addresses whose route is looked up, and whose gateway (or themselves) becomes a neighbour.
    pub far_ends: BTreeSet<IpAddr>,
    /// Neighbours on the network of a device.
    pub next_hops: BTreeSet<(Name, IpAddr)>,
}

impl Wanted {
    /// What a model needs: the far ends of its tunnels, and next hops of upstreams that are addresses.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        let next_hops = model
            .upstreams
            .values()
            .filter_map(|upstream| match upstream.next_hop {
                NextHop::Address(address) => Some((upstream.port.clone(), address)),
                NextHop::Mac(_) => None,
            });
        Self {
            far_ends: model
                .tunnels
                .values()
                .map(|tunnel| tunnel.remote.into())
                .collect(),
            next_hops: next_hops.collect(),
        }
    }

    /// What either needs.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.far_ends.extend(other.far_ends);
        self.next_hops.extend(other.next_hops);
        self
    }
}
