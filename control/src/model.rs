//! The validated desired state: what the operator asked for, with nothing left to check
//! that the configuration alone can tell.
//!
//! Built by [`crate::config`]; read by the compiler and by the reference model of the tests.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use tp_wire::MacAddr;

/// Name of a port, upstream, client or tunnel: 1-32 of `A-Z a-z 0-9 . _ -`. Ports bear their device's name.
pub type Name = String;

/// All that the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// How the daemon runs; a change of most of these needs a restart.
    pub portal: Portal,
    /// By device name.
    pub ports: BTreeMap<Name, Port>,
    /// By name.
    pub upstreams: BTreeMap<Name, Upstream>,
    /// By name.
    pub clients: BTreeMap<Name, Client>,
    /// By name.
    pub tunnels: BTreeMap<Name, Tunnel>,
}

/// How the daemon runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portal {
    /// CPUs of the workers, one worker each.
    pub workers: Vec<usize>,
    /// Workers spin instead of sleeping in poll.
    pub busy_poll: bool,
    /// What a clean stop leaves.
    pub on_stop: OnStop,
    /// Unix socket of the control API.
    pub api: PathBuf,
    /// Where the bpffs with the pinned links is, or will be mounted.
    pub bpffs: PathBuf,
    /// Where the last good configuration is kept.
    pub state: PathBuf,
    /// Memory of the frames.
    pub memory: Memory,
}

/// Memory of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Number of chunks.
    pub frames: u32,
    /// Bytes of a chunk: 2048 or 4096.
    pub chunk: u32,
    /// Whether huge pages are used.
    pub huge_pages: HugePages,
}

/// Whether huge pages are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// If there are any.
    Try,
    /// Start fails without.
    Require,
    /// Never.
    Never,
}

/// What a clean stop leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// The steering program stays and drops client traffic.
    Hold,
    /// Nothing.
    Release,
}

/// A device that the data plane owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// AF_XDP mode.
    pub mode: BindMode,
    /// Where the XDP program is attached.
    pub xdp: XdpMode,
}

/// AF_XDP mode of a port's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// Zero-copy, else copy.
    Auto,
    /// Zero-copy, or refuse.
    ZeroCopy,
    /// Copy.
    Copy,
}

/// Where the XDP program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the generic hook: slow, only where the operator says so.
    Generic,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vlan {
    /// VLAN identifier, 1-4094.
    pub vid: u16,
    /// TPID 0x88a8 instead of 0x8100.
    pub service: bool,
}

/// An ISP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where its router is.
    pub port: Name,
    /// Outermost first; at most two.
    pub vlans: Vec<Vlan>,
    /// What we send to.
    pub next_hop: NextHop,
    /// Source MACs of its routers; empty stands for the next hop's.
    pub source_macs: Vec<MacAddr>,
}

/// What we send an upstream's packets to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// An address on the port's network; the kernel resolves it.
    Address(IpAddr),
    /// A MAC address.
    Mac(MacAddr),
}

/// A hosted network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// AS number, public or private.
    pub asn: Option<u32>,
    /// Its address blocks: disjoint from every other client's, sorted.
    pub prefixes: Vec<Ipv4Net>,
    /// Over all its tunnels.
    pub rates: Rates,
}

/// The link of one client to one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Whose it is.
    pub client: Name,
    /// Where it leads.
    pub upstream: Name,
    /// Outer address of the portal.
    pub local: Ipv4Addr,
    /// Outer address of the client.
    pub remote: Ipv4Addr,
    /// How it encapsulates.
    pub kind: TunnelKind,
    /// TTL of the outer header.
    pub ttl: u8,
    /// DSCP of the outer header, 0-63.
    pub dscp: u8,
    /// Static routes: what the client announces to this upstream over this tunnel; within its prefixes.
    /// No two tunnels of one upstream announce the same prefix.
    pub routes: Vec<Ipv4Net>,
    /// Of this tunnel alone.
    pub rates: Rates,
}

/// How a tunnel encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TunnelKind {
    /// IP in IP (RFC 2003).
    Ipip,
    /// GRE (RFC 2784), with a key (RFC 2890) or without.
    Gre {
        /// No key is not key 0.
        key: Option<u32>,
    },
}

/// Limits by direction; `None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of what the client sends.
    pub from_client: Option<Rate>,
    /// Of what the client receives.
    pub to_client: Option<Rate>,
}

/// A token bucket over inner IP bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bits a second.
    pub bits_per_second: u64,
    /// Depth in bytes.
    pub burst: u64,
}

/// What the kernel knows that forwarding needs. Filled by the mirror; read by the compiler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelView {
    /// By device name.
    pub links: BTreeMap<Name, Link>,
    /// Addresses of this network namespace.
    pub addresses: std::collections::BTreeSet<IpAddr>,
    /// Resolved neighbours, by (ifindex, address).
    pub neighbours: BTreeMap<(u32, IpAddr), MacAddr>,
    /// How each tunnel's far end is reached; a missing one is unreachable.
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
