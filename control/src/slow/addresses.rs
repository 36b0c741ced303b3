//! The links' addresses on the two devices: what is missing is added before a change, what is left over is
//! removed after it.
//!
//! Each pair of a link is the portal's address with the peer's as point-to-point destination: this gives the
//! kernel a route to the peer by the device, and routing daemons see a neighbour on a connected network.
//!
//! An IPv6 address can be on a device once, with one peer (`ipv6_add_addr` of net/ipv6/addrconf.c), and its route to the peer
//! names no source address. So each IPv6 pair has a route of ours besides, which does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::{Netlink, Request};
use crate::kernel::OURS;

/// Of our routes: preferred to the kernel's own to the same peer (`IP6_RT_PRIO_ADDRCONF`, 256), which names no source.
const METRIC: u32 = 128;

/// Addresses of a link, on its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pair {
    pub(super) ifindex: u32,
    pub(super) portal: IpAddr,
    pub(super) peer: IpAddr,
}

/// What is on the devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Present {
    /// With the peer, if there is one.
    addresses: BTreeSet<(u32, IpAddr, Option<IpAddr>)>,
    routes: BTreeSet<Pair>,
}

/// What must be done, in this order: additions, the change, removals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) additions: Vec<Step>,
    pub(super) removals: Vec<Step>,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    AddAddress(Pair),
    AddRoute(Pair),
    RemoveAddress(u32, IpAddr, Option<IpAddr>),
    RemoveRoute(Pair),
}

impl Step {
    /// The portal's address that it is about, and where.
    pub(super) fn subject(self) -> (u32, IpAddr) {
        match self {
            Self::AddAddress(p) | Self::AddRoute(p) | Self::RemoveRoute(p) => (p.ifindex, p.portal),
            Self::RemoveAddress(ifindex, portal, _) => (ifindex, portal),
        }
    }
}

/// The way from what is there to what shall be.
pub(super) fn plan(present: &Present, wanted: &BTreeSet<Pair>) -> Plan {
    let addresses = addresses_for(present, wanted);
    let routes: BTreeSet<Pair> = wanted
        .iter()
        .filter(|p| p.peer.is_ipv6())
        .copied()
        .collect();
    let missing = addresses.iter().filter(|p| {
        let there = (p.ifindex, p.portal, Some(p.peer));
        !present.addresses.contains(&there)
    });
    let additions = missing.copied().map(Step::AddAddress).chain(
        routes
            .difference(&present.routes)
            .copied()
            .map(Step::AddRoute),
    );
    let left_over = present
        .addresses
        .iter()
        .filter(|&&(ifindex, portal, peer)| {
            let stays = match (portal, peer) {
                (IpAddr::V4(_), None) => false,
                (IpAddr::V4(_), Some(peer)) => addresses.contains(&Pair {
                    ifindex,
                    portal,
                    peer,
                }),
                // One that stays with another peer was changed, not added.
                (IpAddr::V6(_), _) => has_address(&addresses, ifindex, portal),
            };
            !stays
        });
    let removals = present
        .routes
        .difference(&routes)
        .copied()
        .map(Step::RemoveRoute)
        .chain(
            left_over.map(|&(ifindex, portal, peer)| Step::RemoveAddress(ifindex, portal, peer)),
        );
    Plan {
        additions: additions.collect(),
        removals: removals.collect(),
    }
}

/// Whether one of these is of the portal's address on the device, with whatever peer.
fn has_address(addresses: &BTreeSet<Pair>, ifindex: u32, portal: IpAddr) -> bool {
    let lowest = Pair {
        ifindex,
        portal,
        peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let next = addresses.range(lowest..).next();
    next.is_some_and(|p| (p.ifindex, p.portal) == (ifindex, portal))
}

/// The addresses that carry these pairs: all of IPv4's; of IPv6, one for each of the portal's, with the peer that it
/// has, if that stays.
fn addresses_for(present: &Present, wanted: &BTreeSet<Pair>) -> BTreeSet<Pair> {
    let mut once: BTreeMap<(u32, IpAddr), IpAddr> = BTreeMap::new();
    let mut addresses = BTreeSet::new();
    for pair in wanted {
        let Pair {
            ifindex,
            portal,
            peer,
        } = *pair;
        if portal.is_ipv4() {
            addresses.insert(*pair);
        } else if present.addresses.contains(&(ifindex, portal, Some(peer))) {
            once.insert((ifindex, portal), peer);
        } else {
            once.entry((ifindex, portal)).or_insert(peer);
        }
    }
    addresses.extend(once.into_iter().map(|((ifindex, portal), peer)| Pair {
        ifindex,
        portal,
        peer,
    }));
    addresses
}

/// Reads what is on these devices.
///
/// # Errors
/// Of the dumps.
pub(super) fn read(netlink: &mut Netlink, devices: [u32; 2]) -> io::Result<Present> {
    let mut present = Present::default();
    let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    for answer in netlink.dump(&addresses)? {
        if let RouteNetlinkMessage::NewAddress(address) = answer
            && devices.contains(&address.header.index)
            // Link-local ones are the kernel's own.
            && address.header.scope != AddressScope::Link
        {
            present.addresses.extend(read_address(&address));
        }
    }
    let mut routes = RouteMessage::default();
    routes.header.address_family = AddressFamily::Inet6;
    // Filtered by the kernel: its table may be the Internet's.
    routes.header.protocol = RouteProtocol::from(OURS);
    for answer in netlink.dump(&RouteNetlinkMessage::GetRoute(routes))? {
        if let RouteNetlinkMessage::NewRoute(route) = answer
            // Kernels before 4.20 do not filter.
            && route.header.protocol == RouteProtocol::from(OURS)
        {
            let ours = read_route(&route).filter(|pair| devices.contains(&pair.ifindex));
            present.routes.extend(ours);
        }
    }
    Ok(present)
}

/// `IFA_LOCAL` is the address and `IFA_ADDRESS` the peer's; without a peer both are the address, or there is only the
/// latter (linux/if_addr.h).
fn read_address(message: &AddressMessage) -> Option<(u32, IpAddr, Option<IpAddr>)> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(a) => local = Some(*a),
            AddressAttribute::Address(a) => address = Some(*a),
            _ => {}
        }
    }
    let own = local.or(address)?;
    Some((
        message.header.index,
        own,
        address.filter(|peer| *peer != own),
    ))
}

fn read_route(message: &RouteMessage) -> Option<Pair> {
    let (mut ifindex, mut portal, mut peer) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::PrefSource(RouteAddress::Inet6(a)) => portal = Some(IpAddr::from(*a)),
            RouteAttribute::Destination(RouteAddress::Inet6(a)) => peer = Some(IpAddr::from(*a)),
            _ => {}
        }
    }
    Some(Pair {
        ifindex: ifindex?,
        portal: portal?,
        peer: peer?,
    })
}

/// Takes these steps; what is done already is no failure.
///
/// # Errors
/// The first step that the kernel refused, with why; those behind it are taken too.
pub(super) fn take(
    netlink: &mut Netlink,
    steps: &[Step],
) -> io::Result<Result<(), (Step, io::Error)>> {
    let requests: Vec<Request> = steps.iter().map(|step| request(*step)).collect();
    let refused = netlink.request_all(&requests)?;
    let first = refused
        .into_iter()
        .find(|(index, error)| match steps[*index] {
            Step::AddAddress(_) | Step::AddRoute(_) => true,
            Step::RemoveAddress(..) => error.raw_os_error() != Some(ADDRESS_GONE),
            Step::RemoveRoute(_) => error.raw_os_error() != Some(ROUTE_GONE),
        });
    Ok(first.map_or(Ok(()), |(index, error)| Err((steps[index], error))))
}

const ADDRESS_GONE: i32 = rustix::io::Errno::ADDRNOTAVAIL.raw_os_error();
const ROUTE_GONE: i32 = rustix::io::Errno::SRCH.raw_os_error();

fn request(step: Step) -> Request {
    use RouteNetlinkMessage as M;
    let add = NLM_F_CREATE | NLM_F_REPLACE;
    match step {
        Step::AddAddress(p) => (
            M::NewAddress(address(p.ifindex, p.portal, Some(p.peer))),
            add,
        ),
        Step::RemoveAddress(ifindex, portal, peer) => {
            (M::DelAddress(address(ifindex, portal, peer)), 0)
        }
        Step::AddRoute(pair) => (M::NewRoute(route(pair)), add),
        Step::RemoveRoute(pair) => (M::DelRoute(route(pair)), 0),
    }
}

fn address(ifindex: u32, portal: IpAddr, peer: Option<IpAddr>) -> AddressMessage {
    let mut message = AddressMessage::default();
    let (family, length) = family(portal);
    message.header.family = family;
    message.header.prefix_len = length;
    message.header.index = ifindex;
    message.attributes = vec![
        AddressAttribute::Local(portal),
        AddressAttribute::Address(peer.unwrap_or(portal)),
    ];
    if portal.is_ipv6() {
        // No link could answer a probe for a duplicate, and the address would be of no use until then.
        message
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

fn route(
    Pair {
        ifindex,
        portal,
        peer,
    }: Pair,
) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (family, length) = family(peer);
    message.header.address_family = family;
    message.header.destination_prefix_length = length;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::from(OURS);
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Destination(route_address(peer)),
        RouteAttribute::PrefSource(route_address(portal)),
        RouteAttribute::Oif(ifindex),
        RouteAttribute::Priority(METRIC),
    ];
    message
}

fn family(address: IpAddr) -> (AddressFamily, u8) {
    match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    }
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(a) => RouteAddress::Inet(a),
        IpAddr::V6(a) => RouteAddress::Inet6(a),
    }
}
