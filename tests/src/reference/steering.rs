//! What the steering program does with a frame: `docs/steering.md`, read sentence by sentence.

use std::net::IpAddr;

use tp_control::model::{TunnelKind, Vlan};
use tp_pipeline::abi::{Counter, IngressKind, META_MAGIC, Meta, NO_SLOT};
use tp_wire::MacAddr;

use super::bytes::{Bytes, Truncated};
use super::portal::{Id, Portal};

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
    inner_off: usize,
}

fn decide(portal: &Portal<'_>, ingress: &Ingress, frame: Bytes<'_>) -> Result<Steered, Decided> {
    let Some((port_name, link, port)) = portal.port(ingress.ifindex) else {
        return Err(Decided::Drop(Counter::NoPort));
    };

    // 2. Destination MAC.
    frame.range(0, 14)?;
    let (destination, source) = (frame.mac(0)?, frame.mac(6)?);
    let group = destination.octets()[0] & 1 == 1;
    if !group && destination != link.mac {
        return Err(Decided::Drop(Counter::NotForUs));
    }

    // 3. VLAN headers.
    let vlans = read_vlans(frame)?;

    // 4. Link protocols and network header.
    let network = match vlans.ethertype {
        0x0806 | 0x88cc | 0x8809 => return Err(Decided::Pass),
        0x0800 => read_ipv4(frame, vlans.end)?,
        0x86dd => read_ipv6(frame, vlans.end)?,
        _ if group => return Err(Decided::Drop(Counter::Group)),
        _ => return Err(Decided::Drop(Counter::Ethertype)),
    };
    if group {
        return Err(to_a_group(frame, &network)?);
    }

    // 5. To an address of the portal, or 6. from a link.
    let target = if portal.kernel.addresses.contains(&network.destination) {
        to_the_portal(portal, frame, &network)?
    } else {
        from_a_link(portal, port_name, &vlans.stack, source, &network)?
    };

    // 7. Redirect.
    if ingress.queue >= link.rx_queues || !ingress.socket {
        return Err(Decided::Drop(Counter::NoSocket));
    }
    Ok(Steered::Redirect(Meta {
        slot: target.id.slot,
        tag: target.id.tag,
        magic: META_MAGIC,
        port,
        ingress: target.ingress as u8,
        vlans: vlans.count,
        l3_off: offset(network.start),
        l4_off: offset(network.payload),
        inner_off: offset(target.inner_off),
        reserved: 0,
    }))
}

struct Vlans {
    /// Tags with a VID, outermost first.
    stack: Vec<Vlan>,
    /// Tags in the frame.
    count: u8,
    /// The type behind them.
    ethertype: u16,
    /// Where they end.
    end: usize,
}

fn read_vlans(frame: Bytes<'_>) -> Result<Vlans, Decided> {
    let mut vlans = Vlans {
        stack: Vec::new(),
        count: 0,
        ethertype: frame.u16(12)?,
        end: 14,
    };
    while matches!(vlans.ethertype, 0x8100 | 0x88a8) {
        if vlans.count == 2 {
            return Err(Decided::Drop(Counter::Ethertype));
        }
        let service = vlans.ethertype == 0x88a8;
        let tag = frame.range(vlans.end, 4)?;
        let vid = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
        if vid != 0 {
            vlans.stack.push(Vlan { vid, service });
        }
        vlans.ethertype = u16::from_be_bytes([tag[2], tag[3]]);
        vlans.count += 1;
        vlans.end += 4;
    }
    Ok(vlans)
}

struct Network {
    source: IpAddr,
    destination: IpAddr,
    /// Protocol, or what the last extension header names.
    protocol: u8,
    /// More follow, or it is not the first.
    fragment: bool,
    /// Not the first of its packet.
    later_fragment: bool,
    start: usize,
    /// Behind the header and its extension headers.
    payload: usize,
}

fn read_ipv4(frame: Bytes<'_>, start: usize) -> Result<Network, Decided> {
    let fixed = frame.range(start, 20)?;
    let ihl = usize::from(fixed[0] & 0x0f);
    if fixed[0] >> 4 != 4 || ihl < 5 {
        return Err(Decided::Drop(Counter::Malformed));
    }
    frame.range(start, ihl * 4)?;
    let fragmentation = u16::from_be_bytes([fixed[6], fixed[7]]);
    Ok(Network {
        source: frame.ipv4(start + 12)?.into(),
        destination: frame.ipv4(start + 16)?.into(),
        protocol: fixed[9],
        fragment: fragmentation & 0x3fff != 0,
        later_fragment: fragmentation & 0x1fff != 0,
        start,
        payload: start + ihl * 4,
    })
}

fn read_ipv6(frame: Bytes<'_>, start: usize) -> Result<Network, Decided> {
    let fixed = frame.range(start, 40)?;
    if fixed[0] >> 4 != 6 {
        return Err(Decided::Drop(Counter::Malformed));
    }
    let mut network = Network {
        source: frame.ipv6(start + 8)?.into(),
        destination: frame.ipv6(start + 24)?.into(),
        protocol: fixed[6],
        fragment: false,
        later_fragment: false,
        start,
        payload: start + 40,
    };
    let mut extensions = 0;
    while matches!(network.protocol, 0 | 43 | 44 | 60) {
        if extensions == 4 {
            return Err(Decided::Drop(Counter::Malformed));
        }
        let header = frame.range(network.payload, 8)?;
        if network.protocol == 44 {
            let word = u16::from_be_bytes([header[2], header[3]]);
            network.fragment |= word & 0xfff9 != 0;
            network.payload += 8;
            if word & 0xfff8 != 0 {
                network.later_fragment = true;
                network.protocol = header[0];
                break;
            }
        } else {
            network.payload += (usize::from(header[1]) + 1) * 8;
        }
        network.protocol = header[0];
        extensions += 1;
    }
    Ok(network)
}

/// Of IP to a group's MAC.
fn to_a_group(frame: Bytes<'_>, network: &Network) -> Result<Decided, Truncated> {
    let link_protocol = network.destination.is_multicast()
        && match (network.destination, network.protocol) {
            (IpAddr::V4(_), 2) => true,
            (IpAddr::V6(_), 58) if !network.later_fragment => {
                matches!(frame.u8(network.payload)?, 130..=137 | 143)
            }
            _ => false,
        };
    Ok(if link_protocol {
        Decided::Pass
    } else {
        Decided::Drop(Counter::Group)
    })
}

fn to_the_portal(
    portal: &Portal<'_>,
    frame: Bytes<'_>,
    network: &Network,
) -> Result<Target, Decided> {
    let tunnel_protocol = matches!(network.protocol, 4 | 41 | 47);
    if tunnel_protocol && network.fragment {
        return Ok(Target {
            ingress: IngressKind::OuterFragment,
            id: Id {
                slot: NO_SLOT,
                tag: 0,
            },
            inner_off: network.payload,
        });
    }
    if tunnel_protocol {
        let (kind, inner_off) = read_tunnel_header(frame, network)?;
        let id = kind
            .and_then(|kind| tunnel(portal, network.source, network.destination, kind))
            .ok_or(Decided::Drop(Counter::UnknownTunnel))?;
        return Ok(Target {
            ingress: IngressKind::Tunnel,
            id,
            inner_off,
        });
    }
    if network.protocol == 1 && network.source.is_ipv4() && !network.later_fragment {
        let kind = frame.u8(network.payload)?;
        let quote = network.payload + 8;
        if matches!(kind, 3 | 11 | 12)
            && let Ok(Some(id)) = quoted_tunnel(portal, frame, quote)
        {
            return Ok(Target {
                ingress: IngressKind::OuterIcmp,
                id,
                inner_off: quote,
            });
        }
    }
    Err(Decided::Pass)
}

/// The kind that the tunnel header names (`None`: one that no tunnel of the model has) and its end.
fn read_tunnel_header(
    frame: Bytes<'_>,
    network: &Network,
) -> Result<(Option<TunnelKind>, usize), Decided> {
    if network.protocol != 47 {
        return Ok((Some(TunnelKind::Ipip), network.payload));
    }
    frame.range(network.payload, 4)?;
    let flags = frame.u16(network.payload)?;
    if gre_is_unsupported(flags) {
        return Err(Decided::Drop(Counter::GreUnsupported));
    }
    let length = 4 + 4 * [0x8000, 0x2000, 0x1000]
        .iter()
        .filter(|bit| flags & **bit != 0)
        .count();
    frame.range(network.payload, length)?;
    let kind = read_gre(frame, network.payload, flags)?;
    Ok((kind, network.payload + length))
}

fn gre_is_unsupported(flags: u16) -> bool {
    flags & (0x4000 | 0x0800 | 0x0400 | 0x0007) != 0
}

/// The tunnel kind of a GRE header: layer three only, since no tunnel of the model carries Ethernet.
fn read_gre(frame: Bytes<'_>, start: usize, flags: u16) -> Result<Option<TunnelKind>, Truncated> {
    let key_at = if flags & 0x8000 != 0 {
        start + 8
    } else {
        start + 4
    };
    let key = if flags & 0x2000 != 0 {
        Some(frame.u32(key_at)?)
    } else {
        None
    };
    let layer_three = matches!(frame.u16(start + 2)?, 0x0800 | 0x86dd);
    Ok(layer_three.then_some(TunnelKind::Gre { key }))
}

fn tunnel(portal: &Portal<'_>, remote: IpAddr, local: IpAddr, kind: TunnelKind) -> Option<Id> {
    let (name, _) = portal.model.tunnels.iter().find(|(_, t)| {
        let carried = t.attachment.carried();
        carried.is_some_and(|t| (t.kind, t.remote, t.local) == (kind, remote, local))
    })?;
    Some(portal.numbers.tunnels[name])
}

/// The tunnel of the outer header that an ICMP error quotes; what the quote lacks is no match.
fn quoted_tunnel(
    portal: &Portal<'_>,
    frame: Bytes<'_>,
    quote: usize,
) -> Result<Option<Id>, Truncated> {
    let fixed = frame.range(quote, 20)?;
    let header_len = usize::from(fixed[0] & 0x0f) * 4;
    if fixed[0] >> 4 != 4 || header_len < 20 {
        return Ok(None);
    }
    frame.range(quote, header_len)?;
    if u16::from_be_bytes([fixed[6], fixed[7]]) & 0x1fff != 0 {
        return Ok(None);
    }
    let kind = match fixed[9] {
        4 | 41 => Some(TunnelKind::Ipip),
        47 => {
            let flags = frame.u16(quote + header_len)?;
            if gre_is_unsupported(flags) {
                return Ok(None);
            }
            read_gre(frame, quote + header_len, flags)?
        }
        _ => None,
    };
    let (local, remote) = (frame.ipv4(quote + 12)?, frame.ipv4(quote + 16)?);
    Ok(kind.and_then(|kind| tunnel(portal, remote.into(), local.into(), kind)))
}

fn from_a_link(
    portal: &Portal<'_>,
    port: &str,
    stack: &[Vlan],
    source: MacAddr,
    network: &Network,
) -> Result<Target, Decided> {
    let (name, _) = portal
        .model
        .upstreams
        .iter()
        .find(|(_, upstream)| {
            let bare = upstream.attachment.bare();
            bare.is_some_and(|bare| bare.port == port && bare.vlans == stack)
                && portal.source_macs(upstream).contains(&source)
        })
        .ok_or(Decided::Drop(Counter::UnknownSource))?;
    Ok(Target {
        ingress: IngressKind::Upstream,
        id: portal.numbers.upstreams[name],
        inner_off: network.start,
    })
}

fn offset(at: usize) -> u16 {
    u16::try_from(at).expect("a frame is shorter than 64 KiB")
}
