//! Virtual FIBs and the table of source owners, advanced by what changed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use tp_fib::{Change, Fib4, NextHopId, Prefix4};
use tp_pipeline::{NextHop, TunnelSlot, UpstreamSlot};

use super::{View, narrow};

/// Routes by prefix: what a FIB should hold.
pub(super) type RouteTable = BTreeMap<Ipv4Net, NextHopId>;

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

/// The FIB that holds `wanted`, sharing what it can with its predecessor.
pub(super) fn advance(previous: Option<(&Fib4, &RouteTable)>, wanted: &RouteTable) -> Fib4 {
    let empty = (&Fib4::default(), &RouteTable::new());
    let (fib, held) = previous.unwrap_or(empty);
    let set = wanted
        .iter()
        .filter(|(prefix, value)| held.get(*prefix) != Some(*value))
        .map(|(prefix, value)| Change::Set(fib_prefix(prefix), *value));
    let removed = held
        .keys()
        .filter(|prefix| !wanted.contains_key(*prefix))
        .map(|prefix| Change::Remove(fib_prefix(prefix)));
    let changes: Vec<Change> = set.chain(removed).collect();
    fib.with(&changes)
}

fn fib_prefix(prefix: &Ipv4Net) -> Prefix4 {
    Prefix4::new(prefix.network(), prefix.prefix_len())
        .unwrap_or_else(|| unreachable!("a network address has no host bits"))
}

impl View<'_> {
    /// The routes of an upstream's virtual FIB: the default to it, and what clients announce to it.
    pub(super) fn routes_of(&self, upstream: &str) -> RouteTable {
        let default = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0);
        let slot = self.names.upstreams.expect(upstream).id.slot;
        let mut routes = RouteTable::from([(default, to_upstream(slot))]);
        for (name, tunnel) in self
            .model
            .tunnels
            .iter()
            .filter(|(_, t)| t.upstreams.contain(upstream))
        {
            let slot = self.names.tunnels.expect(name).id.slot;
            routes.extend(ipv4(&tunnel.routes).map(|prefix| (prefix, to_tunnel(slot))));
        }
        routes
    }

    /// Which client owns which source addresses.
    pub(super) fn owners(&self) -> RouteTable {
        self.model
            .clients
            .iter()
            .flat_map(|(name, client)| {
                let slot = self.client_slot(name);
                ipv4(&client.prefixes).map(move |prefix| (prefix, NextHopId(slot.0)))
            })
            .collect()
    }
}

fn ipv4(prefixes: &[IpNet]) -> impl Iterator<Item = Ipv4Net> {
    prefixes.iter().filter_map(|prefix| match prefix {
        IpNet::V4(net) => Some(net.trunc()),
        IpNet::V6(_) => None,
    })
}
