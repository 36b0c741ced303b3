//! Does the model fit the machine? What only the kernel's state tells, with places in the file.

mod problem;

use std::collections::BTreeMap;
use std::net::IpAddr;

use miette::{Diagnostic as _, Severity, SourceSpan};
use tp_pipeline::abi::MAX_QUEUES;
use tp_wire::MacAddr;

use super::attachment::LinkName;
use super::report::{LinkSpans, Problems, Report, Spans};
use crate::compile::source_macs;
use crate::model::{Attachment, Bare, KernelView, Link, LinkAddresses, Model, Name};
pub use problem::KernelProblem;

/// Kinds of devices that encapsulate (`rtnl_link_ops.kind` of drivers/net and net/): a far end
/// behind one would be tunnelled twice.
const TUNNEL_DEVICES: &[&str] = &[
    "tun",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "erspan",
    "ip6erspan",
    "ipip",
    "ip6tnl",
    "sit",
    "vti",
    "vti6",
    "xfrm",
    "wireguard",
    "vxlan",
    "geneve",
    "gtp",
    "bareudp",
    "amt",
    "ovpn",
    "ppp",
];

/// What a comparison with the machine found.
#[derive(Debug, Default)]
pub struct KernelCheck {
    /// Why the model cannot run here.
    pub errors: Option<Report>,
    /// What will not work until the kernel's state changes.
    pub warnings: Option<Report>,
}

/// Frames that a socket may have lent to the kernel: 1,024 to receive into, and 1,024 to send from.
pub const CHUNKS_OF_A_SOCKET: u32 = 2048;

/// Largest MTU of a port whose frames are received into chunks of `chunk` bytes: the kernel keeps
/// 256 bytes in front (`XDP_PACKET_HEADROOM` of linux/bpf.h), and a frame has an Ethernet header
/// and up to two VLAN tags besides its packet.
#[must_use]
pub const fn max_mtu(chunk: u32) -> u32 {
    const XDP_PACKET_HEADROOM: u32 = 256;
    const ETHERNET: u32 = 14;
    const VLANS: u32 = 8;
    chunk.saturating_sub(XDP_PACKET_HEADROOM + ETHERNET + VLANS)
}

/// Compares the model with the kernel's state. `kernel` must have looked up the far ends
/// (`Mirror::resolve`): one that it does not hold is unreachable.
#[must_use]
pub fn check_kernel(model: &Model, kernel: &KernelView, spans: &Spans) -> KernelCheck {
    let mut problems = Problems::default();
    for name in model.ports.keys() {
        check_port(name, model, kernel, spans, &mut problems);
    }
    check_frames(model, kernel, spans, &mut problems);
    check_upstreams(model, kernel, spans, &mut problems);
    let machine = Machine::new(model, kernel);
    for (name, upstream) in &model.upstreams {
        let link = LinkName::Upstream(name.clone());
        if let Some(places) = spans.links.get(&link) {
            let shown = std::iter::empty();
            machine.check_addresses(&link, &upstream.addresses, shown, places, &mut problems);
            machine.check_outer(&link, &upstream.attachment, places, &mut problems);
        }
    }
    for (name, tunnel) in &model.tunnels {
        let link = LinkName::Tunnel(name.clone());
        if let Some(places) = spans.links.get(&link) {
            let shown = tunnel.upstreams.next_hops();
            machine.check_addresses(&link, &tunnel.addresses, shown, places, &mut problems);
            machine.check_outer(&link, &tunnel.attachment, places, &mut problems);
        }
    }
    let (warnings, errors) = problems.split(|p| p.severity() == Some(Severity::Warning));
    KernelCheck {
        errors: errors.into_report(&spans.source),
        warnings: warnings.into_report(&spans.source),
    }
}

fn check_port(
    name: &Name,
    model: &Model,
    kernel: &KernelView,
    spans: &Spans,
    problems: &mut Problems,
) {
    let at = spans
        .ports
        .get(name)
        .copied()
        .unwrap_or_else(|| (0..0).into());
    let Some(link) = kernel.links.get(name) else {
        let known: Vec<&str> = kernel
            .links
            .keys()
            .map(String::as_str)
            .filter(|n| *n != "lo")
            .collect();
        problems.push(KernelProblem::NoDevice {
            port: name.clone(),
            known: known.join(", "),
            at,
        });
        return;
    };
    let chunk = model.portal.memory.chunk;
    let most = max_mtu(chunk);
    if link.mtu > most {
        problems.push(KernelProblem::Mtu {
            port: name.clone(),
            mtu: link.mtu,
            most,
            chunk,
            remedy: mtu_remedy(name, link.mtu, most),
            at,
            chunk_at: spans.chunk,
        });
    }
    check_queues(name, link, model, (spans.workers, at), problems);
}

/// A worker needs a queue of each port, and a port has no more queues than steering knows.
fn check_queues(
    name: &Name,
    link: &Link,
    model: &Model,
    (workers_at, at): (SourceSpan, SourceSpan),
    problems: &mut Problems,
) {
    if link.rx_queues as usize > MAX_QUEUES {
        problems.push(KernelProblem::TooManyQueues {
            port: name.clone(),
            rx: link.rx_queues,
            limit: MAX_QUEUES,
            at,
        });
    }
    let workers = model.portal.workers.len();
    let queues = link.rx_queues.min(link.tx_queues);
    if workers > queues as usize {
        problems.push(KernelProblem::Queues {
            workers,
            port: name.clone(),
            rx: link.rx_queues,
            tx: link.tx_queues,
            remedy: format!(
                "no more workers than {queues}, or more queues: ethtool -L {name} combined {workers}"
            ),
            at: workers_at,
            port_at: at,
        });
    }
}

/// Every receive queue has a socket, and all sockets share the frames.
fn check_frames(model: &Model, kernel: &KernelView, spans: &Spans, problems: &mut Problems) {
    let links = model.ports.keys().filter_map(|name| {
        let (link, at) = (kernel.links.get(name)?, spans.ports.get(name)?);
        Some((name, link.rx_queues, *at))
    });
    let sockets = links.clone().map(|(_, queues, _)| queues).sum::<u32>();
    let (needed, frames) = (
        sockets.saturating_mul(CHUNKS_OF_A_SOCKET),
        model.portal.memory.frames,
    );
    let mut before = 0_u32;
    for (port, queues, at) in links {
        before = before.saturating_add(queues.saturating_mul(CHUNKS_OF_A_SOCKET));
        if before > frames {
            problems.push(KernelProblem::Frames {
                port: port.clone(),
                sockets,
                needed,
                frames,
                at,
                frames_at: spans.frames,
            });
            return;
        }
    }
}

fn mtu_remedy(port: &Name, mtu: u32, most: u32) -> String {
    let lower = format!("ip link set {port} mtu {most}");
    if mtu <= max_mtu(4096) {
        format!("memory = {{ chunk = 4096 }}, or {lower}")
    } else {
        lower
    }
}

/// No two upstreams may send from one MAC address: by configuration they do not, but the kernel may
/// resolve an address to the MAC that another upstream has.
fn check_upstreams(model: &Model, kernel: &KernelView, spans: &Spans, problems: &mut Problems) {
    let mut owners: BTreeMap<(&Bare, MacAddr), &Name> = BTreeMap::new();
    let place = |name: &Name| {
        let link = LinkName::Upstream(name.clone());
        spans.links.get(&link).and_then(|places| places.next_hop)
    };
    for (name, upstream) in &model.upstreams {
        let Some(bare) = upstream.attachment.bare() else {
            continue;
        };
        for mac in source_macs(upstream, model, kernel) {
            let key = (bare, mac);
            let other = *owners.entry(key).or_insert(name);
            if other != name
                && let (Some(at), Some(first)) = (place(name), place(other))
            {
                problems.push(KernelProblem::SharedMac {
                    upstream: name.clone(),
                    other: other.clone(),
                    mac,
                    port: bare.port.clone(),
                    at,
                    first,
                });
            }
        }
    }
}

/// What links are compared with.
struct Machine<'a> {
    model: &'a Model,
    kernel: &'a KernelView,
    /// Names and links of devices by their index.
    devices: BTreeMap<u32, (&'a Name, &'a Link)>,
}

impl<'a> Machine<'a> {
    fn new(model: &'a Model, kernel: &'a KernelView) -> Self {
        let devices = (kernel.links.iter()).map(|(name, link)| (link.ifindex, (name, link)));
        Self {
            model,
            kernel,
            devices: devices.collect(),
        }
    }

    /// What the kernel has on a device of its own it keeps for itself: none of it may be on a link.
    fn check_addresses(
        &self,
        link: &LinkName,
        pairs: &[LinkAddresses],
        shown: impl Iterator<Item = IpAddr>,
        places: &LinkSpans,
        problems: &mut Problems,
    ) {
        let on_the_link = pairs.iter().flat_map(|pair| [pair.portal, pair.peer]);
        for address in on_the_link.chain(shown) {
            if self.kernel.addresses.contains(&address) {
                let (link, at) = (link.clone(), places.name);
                problems.push(KernelProblem::LinkAddressHere { link, address, at });
            }
        }
    }

    fn check_outer(
        &self,
        link: &LinkName,
        attachment: &Attachment,
        places: &LinkSpans,
        problems: &mut Problems,
    ) {
        let (Some(carried), Some(local_at), Some(at)) =
            (attachment.carried(), places.local, places.remote)
        else {
            return;
        };
        let link = link.clone();
        if !self.kernel.addresses.contains(&carried.local) {
            let (link, address, at) = (link.clone(), carried.local, local_at);
            problems.push(KernelProblem::LocalNotHere { link, address, at });
        }
        let address = carried.remote;
        if self.kernel.addresses.contains(&address) {
            problems.push(KernelProblem::RemoteIsHere { link, address, at });
            return;
        }
        let route = self.kernel.underlay.get(&address);
        // A device that was deleted between the route's look-up and this: the same as no route.
        match route.and_then(|route| self.devices.get(&route.ifindex)) {
            None => problems.push(KernelProblem::Unreachable { link, address, at }),
            Some((name, device)) => {
                problems.extend(self.check_way(link, address, (name, device), at));
            }
        }
    }

    /// A far end is reached by a port, and not through a tunnel.
    fn check_way(
        &self,
        link: LinkName,
        address: IpAddr,
        (device, way): (&Name, &Link),
        at: SourceSpan,
    ) -> Option<KernelProblem> {
        let device = device.clone();
        if self.model.portal.slow_path.owns(&device) {
            return Some(KernelProblem::RouteIntoSlowPath {
                link,
                address,
                device,
                at,
            });
        }
        let is_port = self.model.ports.contains_key(&device);
        match &way.kind {
            // A TAP device has kind "tun" too; configured as a port it is one.
            Some(kind) if is_port && kind == "tun" => None,
            Some(kind) if TUNNEL_DEVICES.contains(&kind.as_str()) => {
                Some(KernelProblem::RouteIntoTunnel {
                    link,
                    address,
                    device,
                    kind: kind.clone(),
                    at,
                })
            }
            _ if !is_port => {
                let ports: Vec<&str> = self.model.ports.keys().map(String::as_str).collect();
                Some(KernelProblem::RouteToNoPort {
                    link,
                    address,
                    device,
                    ports: ports.join(", "),
                    at,
                })
            }
            _ => None,
        }
    }
}
