//! All forwarding state of one generation, as the pipeline reads it.
//!
//! `tp-control` compiles it; nothing here changes once it is published.

use std::sync::Arc;

use tp_fib::{Fib4, Fib6, NextHopId};
use tp_wire::MacAddr;

use crate::link::Link;
use crate::meter::MeterSpec;

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// As an index.
            #[inline]
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

index! {
    /// A port: its index in `abi::PortEntry` and in [`Tables::ports`].
    PortId,
    /// Slot of an upstream: its index in [`Tables::upstreams`].
    UpstreamSlot,
    /// Slot of a tunnel: its index in [`Tables::tunnels`].
    TunnelSlot,
    /// Slot of a client: its index in [`Tables::clients`].
    ClientSlot,
    /// A virtual FIB: its index in [`Tables::vfibs`].
    VfibId,
}

/// Tag of a slot's allocation; a slot that is freed and used again has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

/// A slot with the tag of its allocation: an id that is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tagged<S> {
    /// The slot.
    pub slot: S,
    /// Its tag.
    pub tag: Tag,
}

/// What a worker reads once a burst: the current tables and, during a change, their predecessor.
///
/// A packet whose ingress the current tables know is forwarded by them alone; one whose
/// ingress only the predecessor knows is forwarded by the predecessor alone. So no
/// packet meets two generations.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The configuration in force.
    pub current: Arc<Tables>,
    /// Its predecessor, while steering may still send packets under its slots.
    pub retiring: Option<Arc<Tables>>,
}

/// Forwarding state of one configuration and one state of the kernel.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Grows by one with each compile.
    pub generation: u64,
    /// By [`PortId`].
    pub ports: Vec<Option<Port>>,
    /// By [`UpstreamSlot`].
    pub upstreams: Vec<Option<Upstream>>,
    /// By [`TunnelSlot`].
    pub tunnels: Vec<Option<Tunnel>>,
    /// By [`ClientSlot`].
    pub clients: Vec<Option<Client>>,
    /// By [`VfibId`].
    pub vfibs: Vec<Vfib>,
    /// Where routes lead.
    pub next_hops: Vec<NextHop>,
    /// Which client owns a source address.
    pub owners: Owners,
}

/// The virtual table of an upstream: routes to clients' tunnels, and the default route to the
/// upstream. Values index [`Tables::next_hops`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vfib {
    /// Routes of IPv4.
    pub v4: Fib4,
    /// Routes of IPv6.
    pub v6: Fib6,
    /// The source MAC by which links that show several upstreams show this one.
    pub mac: MacAddr,
}

/// Which client owns a source address; values are [`ClientSlot`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    /// IPv4 prefixes.
    pub v4: Fib4,
    /// IPv6 prefixes.
    pub v6: Fib6,
}

impl Tables {
    /// Where the route with this value leads; a value out of range drops.
    #[inline]
    #[must_use]
    pub fn next_hop(&self, id: NextHopId) -> NextHop {
        self.next_hops
            .get(id.0 as usize)
            .copied()
            .unwrap_or(NextHop::Drop)
    }
}

/// A device that the data plane owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Most bytes of a network packet (the device's MTU).
    pub mtu: u16,
}

/// An ISP, as ingress and as way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Tag of the slot's allocation.
    pub tag: Tag,
    /// Its virtual table.
    pub vfib: VfibId,
    /// How its packets come and go.
    pub link: Link,
}

/// The link of one client to its upstream, or to several shown side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Tag of the slot's allocation.
    pub tag: Tag,
    /// Whose it is.
    pub client: ClientSlot,
    /// The virtual table of its upstream; `None`: the link shows several upstreams and none is its own.
    pub vfib: Option<VfibId>,
    /// How its packets come and go.
    pub link: Link,
    /// Rates of this tunnel alone.
    pub rates: Rates,
}

/// A hosted network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Rates over all its tunnels.
    pub rates: Rates,
}

/// Limits of one client or tunnel; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of what the client sends.
    pub from_client: Option<MeterSpec>,
    /// Of what the client receives.
    pub to_client: Option<MeterSpec>,
}

/// Where a route leads. New forwarding behaviour is a new variant with its own file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// To the ISP's router.
    Upstream(UpstreamSlot),
    /// Into a client's tunnel.
    Tunnel(TunnelSlot),
    /// To the kernel.
    Punt,
    /// Nowhere: counted as [`crate::DropReason::Blackhole`].
    Drop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_to_no_next_hop_drops() {
        let tables = Tables {
            next_hops: vec![NextHop::Punt],
            ..Tables::default()
        };
        assert_eq!(tables.next_hop(NextHopId(0)), NextHop::Punt);
        assert_eq!(tables.next_hop(NextHopId(1)), NextHop::Drop);
        assert_eq!(tables.next_hop(NextHopId(u32::MAX)), NextHop::Drop);
    }
}
