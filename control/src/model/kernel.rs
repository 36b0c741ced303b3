//! The kernel's state, as far as forwarding needs it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tp_wire::MacAddr;

use super::Name;

/// What the kernel knows that forwarding needs. Filled by the mirror; read by the compiler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelView {
    /// By device name.
    pub links: BTreeMap<Name, Link>,
    /// Addresses of this network namespace, but for those on the portal's own TUN and TAP devices.
    pub addresses: BTreeSet<IpAddr>,
    /// Resolved neighbours, by (ifindex, address).
    pub neighbours: BTreeMap<(u32, IpAddr), MacAddr>,
    /// How each carried link's far end is reached; a missing one is unreachable.
    pub underlay: BTreeMap<IpAddr, UnderlayRoute>,
}

/// A device of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub ifindex: u32,
    /// Its address.
    pub mac: MacAddr,
    /// Most bytes of a network packet.
    pub mtu: u32,
    /// Receive queues.
    pub rx_queues: u32,
    /// Transmit queues.
    pub tx_queues: u32,
    /// Administratively up, with a carrier.
    pub up: bool,
    /// Kind as rtnetlink says it ("veth", "tun", "gre"), if any.
    pub kind: Option<String>,
}

/// How an underlay address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderlayRoute {
    /// The device.
    pub ifindex: u32,
    /// The gateway; `None` is on-link.
    pub gateway: Option<IpAddr>,
}
