//! What a worker does with a redirected packet: `docs/forwarding.md`, read sentence by sentence.

mod inner;
mod outer;
mod parse;
mod police;
mod write;

use std::net::IpAddr;

use tp_control::model::Name;
use tp_pipeline::DropReason;
use tp_pipeline::abi::{IngressKind, Meta};
use tp_wire::MacAddr;

use super::end::End;
use super::portal::{Id, Portal};
use inner::{Family, Inner};
use parse::parse;
pub use police::Police;
use police::{Direction, Meter};

/// A redirected packet as its worker receives it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// What steering wrote in front of the frame, if there is room for it.
    pub meta: Option<Meta>,
    /// The frame.
    pub frame: &'a [u8],
    /// Index of the port whose socket it came from.
    pub port: u16,
    /// Bytes of the chunk in front of the frame.
    pub headroom: usize,
    /// Time of the burst, in nanoseconds.
    pub now: u64,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It leaves by this port with these bytes.
    Transmit(u16, Vec<u8>),
    /// To the kernel by the TUN device: an IP packet.
    Tun(Vec<u8>),
    /// To the kernel by the TAP device: an Ethernet frame.
    Tap(Vec<u8>),
    /// It does not leave.
    Drop(DropReason),
}

/// Which links a packet counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Where it came from, once it was classified.
    pub from: Option<Link>,
    /// Where it left, if it did.
    pub to: Option<Link>,
    /// Bytes that it counts with: its inner length.
    pub bytes: u64,
}

/// An upstream or a tunnel, by its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// This upstream.
    Upstream(u32),
    /// This tunnel.
    Tunnel(u32),
}

/// The configurations that a worker may use: the one in force and, during a change, its predecessor.
#[derive(Clone, Copy, Debug)]
pub struct Generations<'a> {
    /// The one in force.
    pub current: Portal<'a>,
    /// Its predecessor, for packets whose ingress only that one knows.
    pub retiring: Option<Portal<'a>>,
}

/// The worker's answer by the text; `police` is charged for what is admitted.
#[must_use]
pub fn forward(
    generations: &Generations<'_>,
    police: &mut Police,
    arrival: &Arrival<'_>,
) -> (Outcome, Links) {
    let mut links = Links::default();
    let outcome = way(generations, police, arrival, &mut links);
    (outcome.unwrap_or_else(Outcome::Drop), links)
}

fn link(portal: &Portal<'_>, end: End<'_>) -> Link {
    let slot = portal.id(end).slot;
    match end {
        End::Upstream(..) => Link::Upstream(slot),
        End::Tunnel(..) => Link::Tunnel(slot),
    }
}

fn way(
    generations: &Generations<'_>,
    police: &mut Police,
    arrival: &Arrival<'_>,
    links: &mut Links,
) -> Result<Outcome, DropReason> {
    let (meta, kind, mut inner) = parse(arrival)?;

    // 2. Classify.
    let (portal, source) = [Some(generations.current), generations.retiring]
        .into_iter()
        .flatten()
        .find_map(|portal| Some((portal, entry(&portal, kind, &meta)?)))
        .ok_or(DropReason::StaleIngress)?;
    let portal = &portal;
    let table = table(portal, source, &inner)?;
    links.from = Some(link(portal, source));
    links.bytes = inner.len() as u64;

    // 3. Decapsulate.
    if let Some(outer_ecn) = inner.outer_ecn
        && inner.family != Family::Arp
    {
        let ecn = combine_ecn(inner.ecn(), outer_ecn).ok_or(DropReason::EcnViolation)?;
        inner.set_ecn(ecn);
    }

    // 4. Verify: for the link itself.
    let Some((from, to)) = for_forwarding(source, &inner)? else {
        police.charge_slow_path(portal, source, inner.len(), arrival.now)?;
        return Ok(punt(&inner));
    };
    // To be forwarded.
    match source {
        End::Tunnel(_, tunnel) => {
            if portal.owner(from) != Some(&tunnel.client) {
                return Err(DropReason::ForgedSource);
            }
            if martian(to) {
                return Err(DropReason::MartianDestination);
            }
        }
        End::Upstream(..) if martian(from) => return Err(DropReason::MartianSource),
        End::Upstream(..) => {}
    }

    // 5. Route.
    let (table, way) = route(portal, source, table, to)?;

    // 6. Fit.
    if inner.ttl() <= 1 {
        return Err(DropReason::TtlExceeded);
    }
    // Nothing but a checksum in front of the packet depends on its TTL, which is the new one's.
    inner.decrement_ttl();
    let out = write::headers(portal, way, table, &inner);
    let out = fit(out, &inner, arrival.headroom + inner.start)?;

    // 7. Police.
    police.charge(portal, &meters(source, way), inner.len(), arrival.now)?;

    // 8. Write.
    links.to = Some(link(portal, way));
    let bytes = [&out.link, &out.tunnel, inner.bytes()].concat();
    Ok(Outcome::Transmit(out.port, bytes))
}

/// Section 6 without its first check, of a packet with so many bytes of the chunk in front of it.
fn fit(
    way_out: Option<write::Headers>,
    inner: &Inner,
    room: usize,
) -> Result<write::Headers, DropReason> {
    let out = way_out.ok_or(DropReason::NeighbourUnresolved)?;
    if inner.len() + out.tunnel.len() > out.mtu {
        return Err(DropReason::TooBig);
    }
    if room < out.link.len() + out.tunnel.len() {
        return Err(DropReason::NoHeadroom);
    }
    Ok(out)
}

/// What becomes of a packet that the kernel sent to an address of this link's other end: an IP packet from the TUN
/// device, or for an Ethernet link a frame of IP or ARP from the TAP device, with so many bytes of the chunk in front.
///
/// # Panics
/// If the packet is none of that: the kernel sends whole ones.
#[must_use]
pub fn originate(portal: &Portal<'_>, end: End<'_>, packet: &[u8], headroom: usize) -> Outcome {
    let (inner, header) = Inner::of_the_kernel(packet, end.is_ethernet());
    let out = write::headers_of_the_kernel(portal, end, header, &inner);
    match fit(out, &inner, headroom + header.len()) {
        Ok(out) => Outcome::Transmit(out.port, [&out.link, &out.tunnel, inner.bytes()].concat()),
        Err(reason) => Outcome::Drop(reason),
    }
}

/// The link that the metadata names.
fn entry<'a>(portal: &Portal<'a>, kind: IngressKind, meta: &Meta) -> Option<End<'a>> {
    let id = Id {
        slot: meta.slot,
        tag: meta.tag,
    };
    let of_this_kind = |end: &End<'_>| match kind {
        IngressKind::Upstream | IngressKind::UpstreamTunnel => matches!(end, End::Upstream(..)),
        _ => matches!(end, End::Tunnel(..)),
    };
    (portal.ends()).find(|end| of_this_kind(end) && portal.id(*end) == id)
}

/// The upstream for whose vFIB the packet is, by its destination MAC where the link has one.
fn table<'a>(
    portal: &Portal<'a>,
    source: End<'a>,
    inner: &Inner,
) -> Result<Option<&'a Name>, DropReason> {
    let is_bare_upstream = matches!(source, End::Upstream(..)) && source.bare().is_some();
    if is_bare_upstream || !source.is_ethernet() {
        return Ok(source.own_upstream());
    }
    let addresses = inner.addresses.ok_or(DropReason::InnerNotForUs)?;
    let to = addresses.destination;
    if Some(to) == portal.own_mac(source) {
        return Ok(source.own_upstream());
    }
    if let Some((_, upstream)) = portal.shown(source).find(|(mac, _)| *mac == to) {
        return Ok(Some(upstream));
    }
    let is_group = |mac: MacAddr| mac.octets()[0] & 1 == 1;
    match is_group(to) {
        true if inner.family == Family::Arp || inner.is_neighbour_discovery() => Ok(None),
        true => Err(DropReason::InnerGroup),
        false => Err(DropReason::InnerNotForUs),
    }
}

/// RFC 6040 section 4.2, figure 4; `None` drops.
fn combine_ecn(inner: u8, outer: u8) -> Option<u8> {
    const NOT_ECT: u8 = 0b00;
    const ECT_1: u8 = 0b01;
    const ECT_0: u8 = 0b10;
    const CE: u8 = 0b11;
    match (inner, outer) {
        (NOT_ECT, CE) => None,
        (NOT_ECT, _) => Some(NOT_ECT),
        (_, CE) | (CE, _) => Some(CE),
        (ECT_0, ECT_1) => Some(ECT_1),
        (same, _) => Some(same),
    }
}

/// Source and destination of what is to be forwarded; `None` is for the link itself.
fn for_forwarding(source: End<'_>, inner: &Inner) -> Result<Option<(IpAddr, IpAddr)>, DropReason> {
    let discovery = inner.addresses.is_some() && inner.is_neighbour_discovery();
    let Some((from, to)) = inner.ends().filter(|_| !discovery) else {
        if source.addresses().is_empty() {
            return Err(DropReason::LinkProtocol);
        }
        return Ok(None);
    };
    let pairs = source.addresses();
    if !pairs.iter().any(|pair| pair.portal == to) {
        return Ok(Some((from, to)));
    }
    // Addresses of two families are never equal.
    if pairs.iter().any(|pair| pair.peer == from) {
        Ok(None)
    } else {
        Err(DropReason::ForgedSource)
    }
}

/// What the kernel gets: of what came with an Ethernet header a frame without VLAN tags, else the packet.
fn punt(inner: &Inner) -> Outcome {
    let packet = inner.bytes();
    match inner.addresses {
        Some(addresses) => {
            let macs = [addresses.destination, addresses.source].map(MacAddr::octets);
            let ethertype = inner.family.ethertype().to_be_bytes();
            Outcome::Tap([&macs.concat(), &ethertype[..], packet].concat())
        }
        None => Outcome::Tun(packet.to_vec()),
    }
}

fn martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            // ::/127, ::ffff:0:0/96, fe80::/10, ff00::/8
            bits >> 1 == 0 || bits >> 32 == 0xffff || bits >> 118 == 0x3fa || bits >> 120 == 0xff
        }
    }
}

/// The upstream in whose vFIB the destination was looked up, and where it leads.
fn route<'a>(
    portal: &Portal<'a>,
    source: End<'a>,
    table: Option<&'a Name>,
    destination: IpAddr,
) -> Result<(&'a Name, End<'a>), DropReason> {
    let none = match source {
        End::Upstream(..) => DropReason::NoClientRoute,
        End::Tunnel(..) => DropReason::NoRoute,
    };
    let table = table.ok_or(none)?;
    if let Some((name, tunnel)) = portal.client_route(table, destination) {
        return Ok((table, End::Tunnel(name, tunnel)));
    }
    match source {
        End::Upstream(..) => Err(none),
        End::Tunnel(..) => {
            let (name, upstream) = portal.model.upstreams.get_key_value(table).ok_or(none)?;
            Ok((table, End::Upstream(name, upstream)))
        }
    }
}

/// The meters that apply, in the order in which they are asked.
fn meters<'a>(source: End<'a>, way: End<'a>) -> Vec<Meter<'a>> {
    let mut meters = Vec::new();
    if let End::Tunnel(name, tunnel) = source {
        meters.push(Meter::Tunnel(name, Direction::FromClient));
        meters.push(Meter::Client(&tunnel.client, Direction::FromClient));
    }
    if let End::Tunnel(name, tunnel) = way {
        meters.push(Meter::Tunnel(name, Direction::ToClient));
        meters.push(Meter::Client(&tunnel.client, Direction::ToClient));
    }
    meters
}
