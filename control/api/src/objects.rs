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
    /// What stands between the portal and its router.
    #[serde(flatten)]
    pub attachment: Attachment,
    /// What packets are sent to: an address or a MAC address; none behind a carrier of IP packets.
    pub next_hop: Option<String>,
    /// The next hop's MAC address, once it is known.
    pub next_hop_mac: Option<String>,
    /// MAC addresses that its frames come from, on a port.
    pub source_macs: Vec<String>,
    /// Link addresses; the peer is its router.
    #[serde(default)]
    pub link: Vec<LinkAddresses>,
    /// The MAC address by which it is shown on links with several upstreams.
    pub shown_mac: String,
    /// Tunnels that lead to it.
    pub tunnels: usize,
}

/// What stands between a link's ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attachment {
    /// Outer headers.
    Carried(Carried),
    /// A port and its VLANs.
    Bare(Bare),
}

/// A port and its VLANs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bare {
    /// Whether there are VLANs.
    pub kind: BareKind,
    /// The device.
    pub port: String,
    /// Outermost first.
    pub vlans: Vec<Vlan>,
}

/// Whether there are VLANs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BareKind {
    /// Untagged frames.
    Port,
    /// One tag or two.
    Vlan,
}

/// Outer headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// How it encapsulates.
    pub kind: TunnelKind,
    /// GRE key; no key is not key 0.
    pub key: Option<u32>,
    /// Of a UDP carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Udp>,
    /// Outer address of the portal.
    pub local: IpAddr,
    /// Outer address of the far end.
    pub remote: IpAddr,
    /// TTL or hop limit of the outer header.
    pub ttl: u8,
    /// DSCP of the outer header.
    pub dscp: u8,
    /// How the far end is reached; none while it is not.
    pub reach: Option<Reach>,
}

/// How a link encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// IP in IP.
    Ipip,
    /// GRE.
    Gre,
    /// Ethernet over GRE.
    Egre,
    /// IP in UDP.
    Fou,
    /// Generic UDP Encapsulation.
    Gue,
}

/// Ports and checksum of a UDP carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Udp {
    /// Where the portal receives.
    pub port: u16,
    /// Where it sends to.
    pub remote_port: u16,
    /// Whether it sends checksums.
    pub checksum: bool,
}

/// A pair of link addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAddresses {
    /// The portal's.
    pub portal: IpAddr,
    /// The other end's.
    pub peer: IpAddr,
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

/// The link of one client to one upstream, or to several side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub client: String,
    /// Where it leads.
    pub upstreams: Vec<Shown>,
    /// What stands between the portal and the client.
    #[serde(flatten)]
    pub attachment: Attachment,
    /// Link addresses; the peer is the client's router.
    #[serde(default)]
    pub link: Vec<LinkAddresses>,
    /// MAC addresses of an Ethernet link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ethernet: Option<Ethernet>,
    /// What the client announces to the upstreams over it.
    pub routes: Vec<IpNet>,
    /// Of this tunnel alone.
    pub rates: Rates,
}

/// An upstream that a tunnel leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name.
    pub upstream: String,
    /// Its next-hop addresses there, where several are shown side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_hops: Vec<IpAddr>,
}

/// MAC addresses of an Ethernet link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ethernet {
    /// The portal's own; none while the device that has it is not there.
    pub own: Option<String>,
    /// The other end's, once it is known.
    pub peer: Option<String>,
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
