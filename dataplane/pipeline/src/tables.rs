//! All forwarding state of one generation, as the pipeline reads it.
//!
//! `tp-control` compiles it; nothing here changes once it is published.

use std::sync::Arc;

use tp_fib::{Fib4, NextHopId};

use crate::meter::MeterSpec;
use crate::tunnel::Encap;

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
    /// By [`VfibId`]: routes to a client's tunnel, and the default route to the upstream.
    /// Values index [`Tables::next_hops`].
    pub vfibs: Vec<Fib4>,
    /// Where routes lead.
    pub next_hops: Vec<NextHop>,
    /// Which client owns a source address; the value is a [`ClientSlot`].
    pub owners: Fib4,
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
    /// How frames to its router start; `None` while the router's MAC is unknown.
    pub egress: Option<LinkHeader>,
}

/// The link of one client to one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Tag of the slot's allocation.
    pub tag: Tag,
    /// Whose it is.
    pub client: ClientSlot,
    /// The virtual table of its upstream.
    pub vfib: VfibId,
    /// The outer headers, prebuilt; they name the kind.
    pub encap: Encap,
    /// How frames to the far end start; `None` while the underlay neighbour is unresolved.
    pub egress: Option<LinkHeader>,
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

/// Ethernet header with up to two VLAN tags, and the port to send it from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkHeader {
    /// Where to send.
    pub port: PortId,
    len: u8,
    bytes: [u8; Self::MAX],
}

impl LinkHeader {
    /// Two addresses, two tags, the type.
    pub const MAX: usize = 22;

    /// A header of these bytes, all but the EtherType of the payload; `None` if they are
    /// not 12, 16 or 20 (addresses and up to two tags).
    #[must_use]
    pub fn new(port: PortId, addresses_and_tags: &[u8]) -> Option<Self> {
        let n = addresses_and_tags.len();
        if !matches!(n, 12 | 16 | 20) {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        bytes[..n].copy_from_slice(addresses_and_tags);
        #[allow(clippy::cast_possible_truncation, reason = "at most 22")]
        let len = (n + 2) as u8;
        Some(Self { port, len, bytes })
    }

    /// Length in bytes, the EtherType included: 14, 18 or 22.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Writes the header with this EtherType into `out`, which is [`Self::len`] long.
    #[inline]
    pub fn write(&self, ethertype: u16, out: &mut [u8]) {
        let n = self.len();
        out.copy_from_slice(&self.bytes[..n]);
        out[n - 2..].copy_from_slice(&ethertype.to_be_bytes());
    }
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
    fn a_link_header_is_its_addresses_its_tags_and_the_type() {
        for tags in [0, 1, 2] {
            let bytes: Vec<u8> = (1..).take(12 + 4 * tags).collect();
            let header = LinkHeader::new(PortId(3), &bytes).unwrap();
            let mut out = vec![0xff; header.len()];
            header.write(0x86dd, &mut out);
            assert_eq!(out, [&bytes[..], &[0x86, 0xdd]].concat());
        }
    }

    #[test]
    fn a_link_header_of_other_lengths_is_refused() {
        for len in (0..=64).filter(|len| !matches!(len, 12 | 16 | 20)) {
            assert_eq!(
                LinkHeader::new(PortId(0), &vec![0; len]),
                None,
                "{len} bytes"
            );
        }
    }

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
