//! Virtual FIBs and the table of source owners, advanced by what changed.

use std::collections::BTreeMap;

use ipnet::IpNet;
use tp_fib::{Address, Change, Fib, NextHopId, Prefix};
use tp_pipeline::{NextHop, Owners, TunnelSlot, UpstreamSlot, Vfib};
use tp_wire::MacAddr;

use super::{View, narrow};
use crate::model::Name;

/// Routes of both families: what a virtual FIB should hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    v4: BTreeMap<Prefix<u32>, NextHopId>,
    v6: BTreeMap<Prefix<u128>, NextHopId>,
}

/// Values below this are not slots.
const FIRST_SLOT: u32 = 2;

/// The next hop with this value: 0 drops, 1 punts, then upstreams and tunnels in turn by slot, so
/// that a value means the same as long as its slot is in use, and FIBs share their structure.
fn next_hop(value: u32) -> NextHop {
    match value {
        0 => NextHop::Drop,
        1 => NextHop::Punt,
        v if v % 2 == 0 => NextHop::Upstream(UpstreamSlot((v - FIRST_SLOT) / 2)),
        v => NextHop::Tunnel(TunnelSlot((v - FIRST_SLOT) / 2)),
    }
}

fn to_upstream(slot: UpstreamSlot) -> NextHopId {
    NextHopId(FIRST_SLOT + 2 * slot.0)
}

fn to_tunnel(slot: TunnelSlot) -> NextHopId {
    NextHopId(FIRST_SLOT + 2 * slot.0 + 1)
}

/// The table of next hops for slots below these bounds.
pub(super) fn next_hops(upstreams: usize, tunnels: usize) -> Vec<NextHop> {
    let slots = narrow(upstreams.max(tunnels));
    (0..FIRST_SLOT + 2 * slots).map(next_hop).collect()
}

impl Routes {
    /// Default routes of both families.
    fn to(value: NextHopId) -> Self {
        Self {
            v4: BTreeMap::from([(Prefix::DEFAULT, value)]),
            v6: BTreeMap::from([(Prefix::DEFAULT, value)]),
        }
    }

    fn insert(&mut self, prefix: IpNet, value: NextHopId) {
        match prefix {
            IpNet::V4(net) => self
                .v4
                .insert(exact(net.network(), net.prefix_len()), value),
            IpNet::V6(net) => self
                .v6
                .insert(exact(net.network(), net.prefix_len()), value),
        };
    }

    /// The virtual FIB that holds these routes, sharing what it can with its predecessor, which holds those.
    pub(super) fn vfib(&self, previous: Option<(&Vfib, &Self)>, mac: MacAddr) -> Vfib {
        Vfib {
            v4: advance(previous.map(|(vfib, held)| (&vfib.v4, &held.v4)), &self.v4),
            v6: advance(previous.map(|(vfib, held)| (&vfib.v6, &held.v6)), &self.v6),
            mac,
        }
    }

    /// The owners that these are, as [`Self::vfib`].
    pub(super) fn owners(&self, previous: Option<(&Owners, &Self)>) -> Owners {
        Owners {
            v4: advance(
                previous.map(|(owners, held)| (&owners.v4, &held.v4)),
                &self.v4,
            ),
            v6: advance(
                previous.map(|(owners, held)| (&owners.v6, &held.v6)),
                &self.v6,
            ),
        }
    }
}

type RouteTable<A> = BTreeMap<Prefix<A>, NextHopId>;

fn advance<A: Address>(
    previous: Option<(&Fib<A>, &RouteTable<A>)>,
    wanted: &RouteTable<A>,
) -> Fib<A> {
    let empty = (&Fib::default(), &RouteTable::new());
    let (fib, held) = previous.unwrap_or(empty);
    let set = wanted
        .iter()
        .filter(|(prefix, value)| held.get(*prefix) != Some(*value))
        .map(|(prefix, value)| Change::Set(*prefix, *value));
    let removed = held
        .keys()
        .filter(|prefix| !wanted.contains_key(*prefix))
        .map(|prefix| Change::Remove(*prefix));
    let changes: Vec<Change<A>> = set.chain(removed).collect();
    fib.with(&changes)
}

fn exact<A: Address>(network: A::Ip, len: u8) -> Prefix<A> {
    Prefix::new(network, len).unwrap_or_else(|| unreachable!("a network address has no host bits"))
}

impl View<'_> {
    /// The routes of each upstream's virtual FIB: the defaults to it, and what clients announce to it.
    pub(super) fn routes(&self) -> BTreeMap<Name, Routes> {
        let slots = self.names.upstreams.iter();
        let mut routes: BTreeMap<Name, Routes> = slots
            .map(|(name, allocated)| (name.clone(), Routes::to(to_upstream(allocated.id.slot))))
            .collect();
        for (name, tunnel) in &self.model.tunnels {
            let value = to_tunnel(self.names.tunnels.expect(name).id.slot);
            for upstream in tunnel.upstreams.names() {
                let Some(vfib) = routes.get_mut(upstream) else {
                    unreachable!("the model names {upstream:?} and does not contain it");
                };
                for prefix in &tunnel.routes {
                    vfib.insert(*prefix, value);
                }
            }
        }
        routes
    }

    /// Which client owns which source addresses.
    pub(super) fn owners(&self) -> Routes {
        let mut owners = Routes::default();
        for (name, client) in &self.model.clients {
            let value = NextHopId(self.client_slot(name).0);
            for prefix in &client.prefixes {
                owners.insert(*prefix, value);
            }
        }
        owners
    }
}
