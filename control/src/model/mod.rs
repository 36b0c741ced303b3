//! The validated desired state: what the operator asked for, with nothing left to check
//! that the configuration alone can tell.
//!
//! Built by [`crate::config`]; read by the compiler and by the reference model of the tests.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use tp_wire::MacAddr;

mod attachment;
mod kernel;

pub use attachment::{Attachment, Bare, Carried, LinkAddresses, TunnelKind, Udp, Vlan};
pub use kernel::{KernelView, Link, UnderlayRoute};

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

impl Model {
    /// The device that speaks for the portal on an Ethernet link: its MAC address is the link's own, and the kernel
    /// resolves the other end on it. The portal's TAP device, but for a bare link without link addresses, which has
    /// nothing but its port. `None` for a link that carries IP packets.
    #[must_use]
    pub fn ethernet_device<'a>(
        &'a self,
        attachment: &'a Attachment,
        addresses: &[LinkAddresses],
    ) -> Option<&'a Name> {
        match attachment {
            Attachment::Bare(bare) if addresses.is_empty() => Some(&bare.port),
            _ if attachment.is_ethernet() => Some(&self.portal.slow_path.tap),
            _ => None,
        }
    }
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
    /// The kernel's way to links with link addresses.
    pub slow_path: SlowPath,
}

/// The kernel's way to links with link addresses: two devices of the ports' namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowPath {
    /// TUN device: to and from links that carry IP packets.
    pub tun: Name,
    /// TAP device: to and from Ethernet links. Its MAC address is theirs.
    pub tap: Name,
    /// Of what each link may send to the kernel.
    pub rate: Rate,
}

impl SlowPath {
    /// Whether this is one of the two devices.
    #[must_use]
    pub fn owns(&self, device: &str) -> bool {
        self.tun == device || self.tap == device
    }
}

impl Default for SlowPath {
    fn default() -> Self {
        Self {
            tun: "tp-tun".to_owned(),
            tap: "tp-tap".to_owned(),
            rate: Rate {
                bits_per_second: 10_000_000,
                burst: 65_536,
            },
        }
    }
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

/// An ISP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What stands between us and its router.
    pub attachment: Attachment,
    /// What we send to; `None` for a carrier of IP packets, which has one far end. With an address, the kernel
    /// resolves it: on the port, or on the portal's TAP device where the link has link addresses.
    pub next_hop: Option<NextHop>,
    /// Source MACs of its routers, for a bare link; empty stands for the next hop's.
    pub source_macs: Vec<MacAddr>,
    /// By which routing protocols and ping talk with its router; `peer` is the router's.
    pub addresses: Vec<LinkAddresses>,
}

/// What we send an upstream's packets to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// An address, which the kernel resolves.
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
    pub prefixes: Vec<IpNet>,
    /// Over all its tunnels.
    pub rates: Rates,
}

/// The link of one client to one upstream, or on an Ethernet link to several side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Whose it is.
    pub client: Name,
    /// Where it leads.
    pub upstreams: Upstreams,
    /// What stands between us and the client.
    pub attachment: Attachment,
    /// Of an Ethernet link, the MAC of the client's router; `None` is what the kernel resolves the first
    /// address of `addresses` to that it can.
    pub peer: Option<MacAddr>,
    /// By which routing protocols and ping talk with the client; `peer` is the client's.
    pub addresses: Vec<LinkAddresses>,
    /// Static routes: what the client announces over this tunnel to each of its upstreams; within its
    /// prefixes. No two tunnels of one upstream announce the same prefix.
    pub routes: Vec<IpNet>,
    /// Of this tunnel alone.
    pub rates: Rates,
}

/// Where a tunnel leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstreams {
    /// To one upstream.
    One(Name),
    /// To several, shown side by side on an Ethernet link: each has its own next-hop addresses there, and its own
    /// MAC address.
    Shown(BTreeMap<Name, Vec<IpAddr>>),
}

impl Upstreams {
    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let (one, shown) = match self {
            Self::One(name) => (Some(name), None),
            Self::Shown(shown) => (None, Some(shown.keys())),
        };
        one.into_iter().chain(shown.into_iter().flatten())
    }

    /// The next-hop addresses of those that are shown.
    pub fn next_hops(&self) -> impl Iterator<Item = IpAddr> {
        let shown = match self {
            Self::One(_) => None,
            Self::Shown(shown) => Some(shown),
        };
        shown
            .into_iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .copied()
    }

    /// Whether this upstream is one of them.
    #[must_use]
    pub fn contain(&self, upstream: &str) -> bool {
        match self {
            Self::One(name) => name == upstream,
            Self::Shown(shown) => shown.contains_key(upstream),
        }
    }
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
