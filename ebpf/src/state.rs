//! What the steering maps should hold: the output of the compiler, the input of the map writers.

use std::collections::{BTreeMap, BTreeSet};

use tp_pipeline::abi::{AddrKey, LinkKey, MacKey, PortEntry, SlotRef, TunnelKey};

/// The desired contents of all steering maps but the sockets'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SteeringState {
    /// By ifindex.
    pub ports: BTreeMap<u32, PortEntry>,
    /// Destination MACs that are ours.
    pub local_macs: BTreeSet<MacKey>,
    /// Addresses of the portal.
    pub local_addrs: BTreeSet<AddrKey>,
    /// Tunnels by outer header.
    pub tunnels: BTreeMap<TunnelKey, SlotRef>,
    /// Upstreams and layer-two clients by link.
    pub links: BTreeMap<LinkKey, SlotRef>,
}
