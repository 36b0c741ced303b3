//! What the steering maps should hold: the output of the compiler, the input of the map writers.

use std::collections::{BTreeMap, BTreeSet};

use tp_pipeline::abi::{
    AddrKey, KeyKind, LinkKey, MacKey, PortEntry, SlotRef, TunnelKey, UdpPortKey,
};

/// What UDP to a tunnels' port carries: the kinds of tunnel that `tunnels` may have there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum UdpKind {
    /// IP, at once behind the UDP header.
    Fou = KeyKind::Fou as u32,
    /// A GUE header.
    Gue = KeyKind::Gue as u32,
}

impl From<UdpKind> for KeyKind {
    fn from(kind: UdpKind) -> Self {
        match kind {
            UdpKind::Fou => Self::Fou,
            UdpKind::Gue => Self::Gue,
        }
    }
}

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
    /// Destination ports of UDP tunnels, at every address of the portal; other UDP is the kernel's.
    pub udp_ports: BTreeMap<UdpPortKey, UdpKind>,
    /// Upstreams and layer-two clients by link.
    pub links: BTreeMap<LinkKey, SlotRef>,
}
