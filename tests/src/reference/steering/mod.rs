//! What the steering program does with a frame: `docs/steering.md`, read sentence by sentence.

mod headers;

use std::net::IpAddr;

use tp_control::model::{TunnelKind, Vlan};
use tp_pipeline::abi::{Counter, IngressKind, META_MAGIC, Meta, NO_SLOT};
use tp_wire::MacAddr;

use super::bytes::{Bytes, Truncated};
use super::end::End;
use super::portal::{Id, Portal};
use headers::{Gre, GreCarries, Network, Vlans, read_gue};

/// How a frame reached the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The device.
    pub ifindex: u32,
    /// Its receive queue.
    pub queue: u32,
    /// Whether a socket is bound to the queue.
    pub socket: bool,
}

/// What becomes of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steered {
    /// To the kernel; counted as [`Counter::Passed`].
    Pass,
    /// Nowhere, with its reason.
    Drop(Counter),
    /// To a worker, with this metadata; counted as [`Counter::Redirected`].
    Redirect(Meta),
}

impl Steered {
    /// The counter that moves, beside [`Counter::Seen`].
    #[must_use]
    pub fn counter(&self) -> Counter {
        match self {
            Self::Pass => Counter::Passed,
            Self::Drop(reason) => *reason,
            Self::Redirect(_) => Counter::Redirected,
        }
    }
}

/// The program's answer by the text.
///
/// There is always room for metadata: `BPF_PROG_TEST_RUN` and the drivers in use leave 256 bytes.
#[must_use]
pub fn steer(portal: &Portal<'_>, ingress: &Ingress, frame: &[u8]) -> Steered {
    decide(portal, ingress, Bytes(frame)).unwrap_or_else(|decided| match decided {
        Decided::Pass => Steered::Pass,
        Decided::Drop(reason) => Steered::Drop(reason),
    })
}

/// A check that ended the frame's way before its redirect.
enum Decided {
    Pass,
    Drop(Counter),
}

impl From<Truncated> for Decided {
    fn from(_: Truncated) -> Self {
        Self::Drop(Counter::Truncated)
    }
}

/// Where a redirected frame goes, less what every one has.
struct Target {
    ingress: IngressKind,
    id: Id,
    /// Network header, what follows it, and what the tunnel carries.
    offsets: [usize; 3],
}

fn decide(portal: &Portal<'_>, ingress: &Ingress, frame: Bytes<'_>) -> Result<Steered, Decided> {
    let Some((port_name, link, port)) = portal.port(ingress.ifindex) else {
        return Err(Decided::Drop(Counter::NoPort));
    };

    // 2. Destination MAC.
    frame.range(0, 14)?;
    let (destination, source) = (frame.mac(0)?, frame.mac(6)?);
    let group = destination.octets()[0] & 1 == 1;
    if !group && !portal.is_local_mac(port_name, destination) {
        return Err(Decided::Drop(Counter::NotForUs));
    }

    // 3. VLAN headers, and the link.
    let vlans = Vlans::read(frame)?;
    let from = link_of(portal, port_name, &vlans.stack, source);

    let target = target(portal, frame, group, &vlans, from)?;

    // 7. Redirect.
    if ingress.queue >= link.rx_queues || !ingress.socket {
        return Err(Decided::Drop(Counter::NoSocket));
    }
    let [l3_off, l4_off, inner_off] = target.offsets.map(offset);
    Ok(Steered::Redirect(Meta {
        slot: target.id.slot,
        tag: target.id.tag,
        magic: META_MAGIC,
        port,
        ingress: target.ingress as u8,
        vlans: vlans.count,
        l3_off,
        l4_off,
        inner_off,
        reserved: 0,
    }))
}

/// Steps 4 to 6.
fn target(
    portal: &Portal<'_>,
    frame: Bytes<'_>,
    group: bool,
    vlans: &Vlans,
    from: Option<End<'_>>,
) -> Result<Target, Decided> {
    let local = from.filter(|end| end.is_local());

    // 4. Link protocols and network header.
    let network = match vlans.ethertype {
        0x0806 => {
            let end = local.ok_or(Decided::Pass)?;
            return Ok(on_the_link(portal, end, [vlans.end; 3]));
        }
        0x88cc | 0x8809 => return Err(Decided::Pass),
        0x0800 => Network::read_v4(frame, vlans.end)?,
        0x86dd => Network::read_v6(frame, vlans.end)?,
        _ if group => return Err(Decided::Drop(Counter::Group)),
        _ => return Err(Decided::Drop(Counter::Ethertype)),
    };
    let offsets = [network.start, network.payload, network.start];
    if group {
        return match to_a_group(frame, &network)? {
            ToAGroup::NeighbourDiscovery => {
                let end = local.ok_or(Decided::Pass)?;
                Ok(on_the_link(portal, end, offsets))
            }
            ToAGroup::LinkProtocol => Err(Decided::Pass),
            ToAGroup::Another => Err(Decided::Drop(Counter::Group)),
        };
    }

    // 5. To an address of the portal.
    let is_mapped = matches!(network.destination, IpAddr::V6(a) if a.to_ipv4_mapped().is_some());
    if !is_mapped && portal.kernel.addresses.contains(&network.destination) {
        return to_the_portal(portal, frame, &network);
    }

    // 6. From a link.
    let end = from.ok_or(Decided::Drop(Counter::UnknownSource))?;
    Ok(on_the_link(portal, end, offsets))
}

/// The link that frames of this port, VLAN stack and source are of. What two upstreams claim is of neither.
fn link_of<'a>(
    portal: &Portal<'a>,
    port: &str,
    stack: &[Vlan],
    source: MacAddr,
) -> Option<End<'a>> {
    let there = (portal.ends())
        .filter(|end| (end.bare()).is_some_and(|bare| bare.port == port && bare.vlans == stack));
    let from = |mac: MacAddr| {
        let mut all = there.clone().filter(|end| match portal.source_macs(*end) {
            Some(macs) => macs.contains(&mac),
            None => mac.octets() == [0; 6],
        });
        let one = all.next()?;
        all.next().is_none().then_some(one)
    };
    from(source).or_else(|| from(MacAddr::new([0; 6])))
}

fn on_the_link(portal: &Portal<'_>, end: End<'_>, offsets: [usize; 3]) -> Target {
    let ingress = match end {
        End::Upstream(..) => IngressKind::Upstream,
        End::Tunnel(..) => IngressKind::L2Client,
    };
    Target {
        ingress,
        id: portal.id(end),
        offsets,
    }
}

/// What IP to a group's MAC is.
enum ToAGroup {
    NeighbourDiscovery,
    LinkProtocol,
    Another,
}

fn to_a_group(frame: Bytes<'_>, network: &Network) -> Result<ToAGroup, Truncated> {
    if !network.destination.is_multicast() {
        return Ok(ToAGroup::Another);
    }
    Ok(match (network.destination, network.protocol) {
        (IpAddr::V4(_), 2) => ToAGroup::LinkProtocol,
        (IpAddr::V6(_), 58) if !network.later_fragment => match frame.u8(network.payload)? {
            133..=136 => ToAGroup::NeighbourDiscovery,
            130..=132 | 137 | 143 => ToAGroup::LinkProtocol,
            _ => ToAGroup::Another,
        },
        _ => ToAGroup::Another,
    })
}

fn to_the_portal(
    portal: &Portal<'_>,
    frame: Bytes<'_>,
    network: &Network,
) -> Result<Target, Decided> {
    let at = |inner_off| [network.start, network.payload, inner_off];
    let udp = udp_tunnel(portal, frame, network)?;
    if matches!(network.protocol, 4 | 41 | 47) || udp.is_some() {
        if network.fragment {
            return Ok(Target {
                ingress: IngressKind::OuterFragment,
                id: Id {
                    slot: NO_SLOT,
                    tag: 0,
                },
                offsets: at(network.payload),
            });
        }
        let (kind, inner_off) = tunnel_header(frame, network, udp)?;
        let end = kind
            .and_then(|kind| carrier(portal, network.source, network.destination, kind))
            .ok_or(Decided::Drop(Counter::UnknownTunnel))?;
        return Ok(Target {
            ingress: match end {
                End::Upstream(..) => IngressKind::UpstreamTunnel,
                End::Tunnel(..) => IngressKind::Tunnel,
            },
            id: portal.id(end),
            offsets: at(inner_off),
        });
    }
    let errors: &[u8] = match (network.source, network.protocol) {
        (IpAddr::V4(_), 1) => &[3, 11, 12],
        (IpAddr::V6(_), 58) => &[1, 2, 3, 4],
        _ => &[],
    };
    let quote = network.payload + 8;
    if !errors.is_empty()
        && !network.later_fragment
        && errors.contains(&frame.u8(network.payload)?)
        && let Ok(Some(end)) = quoted_carrier(portal, frame, network, quote)
    {
        return Ok(Target {
            ingress: match end {
                End::Upstream(..) => IngressKind::OuterIcmpUpstream,
                End::Tunnel(..) => IngressKind::OuterIcmp,
            },
            id: portal.id(end),
            offsets: at(quote),
        });
    }
    Err(Decided::Pass)
}

/// By what a carrier's packets are known, besides their addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Ipip,
    Gre(Option<u32>),
    Egre(Option<u32>),
    Fou(u16),
    Gue(u16),
}

impl Key {
    fn of(kind: TunnelKind) -> Self {
        match kind {
            TunnelKind::Ipip => Self::Ipip,
            TunnelKind::Gre { key } => Self::Gre(key),
            TunnelKind::Egre { key } => Self::Egre(key),
            TunnelKind::Fou(udp) => Self::Fou(udp.port),
            TunnelKind::Gue(udp) => Self::Gue(udp.port),
        }
    }
}

/// The kind and port of UDP that is to a port of UDP tunnels.
fn udp_tunnel(
    portal: &Portal<'_>,
    frame: Bytes<'_>,
    network: &Network,
) -> Result<Option<Key>, Truncated> {
    if network.protocol != 17 || network.later_fragment {
        return Ok(None);
    }
    frame.range(network.payload, 8)?;
    Ok(udp_port(portal, frame.u16(network.payload + 2)?))
}

fn udp_port(portal: &Portal<'_>, port: u16) -> Option<Key> {
    let mut keys = (portal.ends())
        .filter_map(End::carried)
        .map(|c| Key::of(c.kind));
    keys.find(|key| matches!(key, Key::Fou(p) | Key::Gue(p) if *p == port))
}

/// What the tunnel header says (`None`: what no carrier has) and its end.
fn tunnel_header(
    frame: Bytes<'_>,
    network: &Network,
    udp: Option<Key>,
) -> Result<(Option<Key>, usize), Decided> {
    let start = network.payload;
    if let Some(key) = udp {
        let end = match key {
            Key::Gue(_) => read_gue(frame, start + 8)?,
            _ => start + 8,
        };
        return Ok((Some(key), end));
    }
    if network.protocol != 47 {
        return Ok((Some(Key::Ipip), start));
    }
    let gre = Gre::read(frame, start)?;
    frame.range(start, gre.length)?;
    Ok((gre_key(&gre), start + gre.length))
}

fn gre_key(gre: &Gre) -> Option<Key> {
    match gre.carries {
        GreCarries::Ip => Some(Key::Gre(gre.key)),
        GreCarries::Ethernet => Some(Key::Egre(gre.key)),
        GreCarries::Another => None,
    }
}

fn carrier<'a>(portal: &Portal<'a>, remote: IpAddr, local: IpAddr, key: Key) -> Option<End<'a>> {
    portal.ends().find(|end| {
        end.carried().is_some_and(|carried| {
            Key::of(carried.kind) == key && carried.remote == remote && carried.local == local
        })
    })
}

/// The carrier of the outer header that an ICMP error quotes; what the quote lacks is no match.
fn quoted_carrier<'a>(
    portal: &Portal<'a>,
    frame: Bytes<'_>,
    error: &Network,
    quote: usize,
) -> Result<Option<End<'a>>, Decided> {
    let quoted = Network::read_like(error, frame, quote)?;
    if quoted.later_fragment {
        return Ok(None);
    }
    let key = match quoted.protocol {
        4 | 41 => Some(Key::Ipip),
        47 => gre_key(&Gre::read(frame, quoted.payload)?),
        17 => udp_tunnel(portal, frame, &quoted)?,
        _ => None,
    };
    Ok(key.and_then(|key| carrier(portal, quoted.destination, quoted.source, key)))
}

fn offset(at: usize) -> u16 {
    u16::try_from(at).expect("a frame is shorter than 64 KiB")
}
