//! What the operator configured, and how it stands.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A device that the data plane owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The device.
    pub name: String,
    /// Its index in the kernel; none while the device is gone.
    pub ifindex: Option<u32>,
    /// Its address.
    pub mac: Option<String>,
    /// Most bytes of a network packet.
    pub mtu: Option<u32>,
    /// Administratively up, with a carrier.
    pub up: bool,
    /// Where the steering program runs: `native` or `generic`.
    pub xdp: String,
    /// Queues with a socket.
    pub queues: Vec<Queue>,
    /// Why it is not in service, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A queue with its socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its number.
    pub queue: u32,
    /// Who serves it.
    pub worker: usize,
    /// `zero-copy` or `copy`, as the kernel bound it.
    pub mode: String,
}

/// An ISP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its name; its virtual FIB has the same.
    pub name: String,
    /// Where its router is.
    pub port: String,
    /// Outermost first.
    pub vlans: Vec<Vlan>,
    /// What packets are sent to: an address or a MAC address.
    pub next_hop: String,
    /// The next hop's MAC address, once it is known.
    pub next_hop_mac: Option<String>,
    /// MAC addresses that its frames come from.
    pub source_macs: Vec<String>,
    /// Tunnels that lead to it.
    pub tunnels: usize,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// VLAN identifier.
    pub vid: u16,
    /// TPID 0x88a8 instead of 0x8100.
    pub service: bool,
}

/// A hosted network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// AS number.
    pub asn: Option<u32>,
    /// What it owns.
    pub prefixes: Vec<IpNet>,
    /// Over all its tunnels.
    pub rates: Rates,
    /// Names of its tunnels.
    pub tunnels: Vec<String>,
}

/// The link of one client to one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub client: String,
    /// Where it leads.
    pub upstream: String,
    /// How it encapsulates.
    pub kind: TunnelKind,
    /// GRE key; no key is not key 0.
    pub key: Option<u32>,
    /// Outer address of the portal.
    pub local: IpAddr,
    /// Outer address of the client.
    pub remote: IpAddr,
    /// TTL of the outer header.
    pub ttl: u8,
    /// DSCP of the outer header.
    pub dscp: u8,
    /// What the client announces to the upstream over it.
    pub routes: Vec<IpNet>,
    /// Of this tunnel alone.
    pub rates: Rates,
    /// How the far end is reached; none while it is not.
    pub reach: Option<Reach>,
}

/// How a tunnel encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// GRE.
    Gre,
}

/// How a far end is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The device that the kernel's route names.
    pub port: String,
    /// The gateway; none is on-link.
    pub gateway: Option<IpAddr>,
    /// MAC address of the gateway or the far end, once it is known.
    pub mac: Option<String>,
}

/// Limits by direction; none is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Of what the client sends.
    pub from_client: Option<Rate>,
    /// Of what the client receives.
    pub to_client: Option<Rate>,
}

/// A token bucket over inner IP bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Bits a second.
    pub bits_per_second: u64,
    /// Depth in bytes.
    pub burst_bytes: u64,
}
