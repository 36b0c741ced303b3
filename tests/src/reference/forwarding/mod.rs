//! What a worker does with a redirected packet: `docs/forwarding.md`, read sentence by sentence.

mod parse;
mod police;
mod write;

use std::net::Ipv4Addr;

use tp_control::model::{Name, Tunnel, Upstream};
use tp_pipeline::DropReason;
use tp_pipeline::abi::Meta;

use super::portal::{Id, Portal};
use parse::{Inner, Origin, parse};
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
    /// Bytes that it counts with: its inner total length.
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
    let outcome = way(generations, police, arrival, &mut links)
        .map_or_else(Outcome::Drop, |(port, bytes)| {
            Outcome::Transmit(port, bytes)
        });
    (outcome, links)
}

/// Either end of a packet's way through the portal.
enum End<'a> {
    Upstream(&'a Name, &'a Upstream),
    Tunnel(&'a Name, &'a Tunnel),
}

impl End<'_> {
    fn link(&self, portal: &Portal<'_>) -> Link {
        match self {
            Self::Upstream(name, _) => Link::Upstream(portal.numbers.upstreams[*name].slot),
            Self::Tunnel(name, _) => Link::Tunnel(portal.numbers.tunnels[*name].slot),
        }
    }
}

fn way(
    generations: &Generations<'_>,
    police: &mut Police,
    arrival: &Arrival<'_>,
    links: &mut Links,
) -> Result<(u16, Vec<u8>), DropReason> {
    let (meta, mut inner) = parse(arrival)?;

    // 2. Classify.
    let id = Id {
        slot: meta.slot,
        tag: meta.tag,
    };
    let (portal, source) = [Some(generations.current), generations.retiring]
        .into_iter()
        .flatten()
        .find_map(|portal| Some((portal, classify(&portal, &inner, id)?)))
        .ok_or(DropReason::StaleIngress)?;
    let portal = &portal;
    links.from = Some(source.link(portal));
    links.bytes = inner.total_length() as u64;

    // 3. Decapsulate.
    if let Origin::Tunnel { outer_ecn } = inner.from {
        let ecn = combine_ecn(inner.ecn(), outer_ecn).ok_or(DropReason::EcnViolation)?;
        inner.set_ecn(ecn);
    }

    // 4. Verify.
    match source {
        End::Tunnel(_, tunnel) => {
            if portal.owner(inner.source()) != Some(&tunnel.client) {
                return Err(DropReason::ForgedSource);
            }
            if martian(inner.destination()) {
                return Err(DropReason::MartianDestination);
            }
        }
        End::Upstream(..) if martian(inner.source()) => return Err(DropReason::MartianSource),
        End::Upstream(..) => {}
    }

    // 5. Route.
    let way = route(portal, &source, inner.destination())?;

    // 6. Fit.
    if inner.ttl() <= 1 {
        return Err(DropReason::TtlExceeded);
    }
    let out = write::headers(portal, &way, &inner).ok_or(DropReason::NeighbourUnresolved)?;
    if inner.total_length() + out.tunnel.len() > out.mtu {
        return Err(DropReason::TooBig);
    }
    if arrival.headroom + inner.start < out.link.len() + out.tunnel.len() {
        return Err(DropReason::NoHeadroom);
    }
    inner.set_ttl(inner.ttl() - 1);

    // 7. Police.
    police.charge(
        portal,
        &meters(&source, &way),
        inner.total_length(),
        arrival.now,
    )?;

    // 8. Write.
    links.to = Some(way.link(portal));
    Ok((out.port, [out.link, out.tunnel, inner.finish()].concat()))
}

fn classify<'a>(portal: &Portal<'a>, inner: &Inner, id: Id) -> Option<End<'a>> {
    let numbers = portal.numbers;
    match inner.from {
        Origin::Upstream => {
            let (name, _) = numbers.upstreams.iter().find(|(_, known)| **known == id)?;
            Some(End::Upstream(name, portal.model.upstreams.get(name)?))
        }
        Origin::Tunnel { .. } => {
            let (name, _) = numbers.tunnels.iter().find(|(_, known)| **known == id)?;
            Some(End::Tunnel(name, portal.model.tunnels.get(name)?))
        }
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

fn martian(address: Ipv4Addr) -> bool {
    matches!(address.octets()[0], 0 | 127 | 224..)
}

fn route<'a>(
    portal: &Portal<'a>,
    source: &End<'a>,
    destination: Ipv4Addr,
) -> Result<End<'a>, DropReason> {
    match source {
        End::Upstream(name, _) => portal
            .client_route(name, destination)
            .map(|(name, tunnel)| End::Tunnel(name, tunnel))
            .ok_or(DropReason::NoClientRoute),
        End::Tunnel(_, from) => {
            let leads_to = from
                .upstreams
                .names()
                .next()
                .expect("a tunnel leads somewhere");
            let default = || {
                let (name, upstream) = portal.model.upstreams.get_key_value(leads_to)?;
                Some(End::Upstream(name, upstream))
            };
            portal
                .client_route(leads_to, destination)
                .map(|(name, tunnel)| End::Tunnel(name, tunnel))
                .or_else(default)
                .ok_or(DropReason::NoRoute)
        }
    }
}

/// The meters that apply, in the order in which they are asked.
fn meters<'a>(source: &End<'a>, way: &End<'a>) -> Vec<Meter<'a>> {
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
