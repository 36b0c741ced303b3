//! Virtual FIBs, look-ups and neighbours.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{TunnelKind, Vlan};

/// A virtual FIB without its routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfibSummary {
    /// Name of its upstream.
    pub name: String,
    /// How many routes it has, the default route included.
    pub routes: usize,
}

/// A virtual FIB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vfib {
    /// Name of its upstream.
    pub name: String,
    /// By prefix.
    pub routes: Vec<VfibRoute>,
}

/// A route of a virtual FIB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VfibRoute {
    /// The destinations.
    pub prefix: IpNet,
    /// Where they are.
    #[serde(flatten)]
    pub target: RouteTarget,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "to", rename_all = "kebab-case")]
pub enum RouteTarget {
    /// To the ISP's router.
    Upstream {
        /// The ISP.
        upstream: String,
    },
    /// Into a client's tunnel.
    Tunnel {
        /// The tunnel.
        tunnel: String,
        /// Whose it is.
        client: String,
    },
    /// To the kernel.
    Kernel,
    /// Nowhere.
    Drop,
}

/// Answer of `GET /v1/lookup/{vfib}/{address}`: where a client's packet to this address would go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// The virtual FIB.
    pub vfib: String,
    /// The destination.
    pub address: IpAddr,
    /// The longest route that matches; none drops as `no-route`.
    pub route: Option<VfibRoute>,
    /// How frames would leave; none where they would not.
    pub egress: Option<Egress>,
    /// Why packets would be dropped, where the tables alone tell.
    pub drop: Option<String>,
    /// Of the forwarding state that was asked.
    pub generation: u64,
}

/// How frames leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Egress {
    /// The device.
    pub port: String,
    /// Destination MAC address.
    pub mac: String,
    /// Outermost first.
    pub vlans: Vec<Vlan>,
    /// What packets are wrapped in.
    pub outer: Option<Outer>,
    /// Destination MAC address within, of a carrier of Ethernet frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_mac: Option<String>,
}

/// An outer header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outer {
    /// How it encapsulates.
    pub kind: TunnelKind,
    /// GRE key.
    pub key: Option<u32>,
    /// UDP destination port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_port: Option<u16>,
    /// Outer source.
    pub source: IpAddr,
    /// Outer destination.
    pub destination: IpAddr,
}

/// An underlay next hop that forwarding needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The device.
    pub port: String,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address, once it is known.
    pub mac: Option<String>,
    /// Upstreams and tunnels that are reached through it.
    pub users: Vec<String>,
}
