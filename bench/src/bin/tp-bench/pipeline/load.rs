//! The portal of a case: its tables, the packets that it receives, and what must become of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tp_bench::LINK_LEN;
use tp_fib::{Change, Fib4, Fib6, NextHopId, Prefix4, Prefix6};
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};
use tp_pipeline::{
    Client, ClientSlot, Encap, EthernetAddresses, EthernetLink, Link, LinkHeader, MeterSpec,
    Meters, NextHop, Owners, Port, PortId, Rates, Snapshot, Tables, Tag, Tunnel, TunnelSlot,
    Upstream, UpstreamSlot, Vfib, VfibId, WorkerCounters,
};
use tp_wire::MacAddr;

use super::case::{Case, Direction, Kind, Mix};
use super::frames::{Ends, OUTER_TTL, UDP_PORT, ether_type, ethernet, inner, wrap};

pub(crate) const UPSTREAM_PORT: PortId = PortId(0);
pub(crate) const CLIENT_PORT: PortId = PortId(1);

const TAG: Tag = Tag(7);
const PORTAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(203, 0, 0, 1);
const PORTAL6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
const REMOTE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 3, 0, 0, 0, 0, 1);
const NET6: Ipv6Addr = Ipv6Addr::new(0x2a00, 0, 0, 0, 0, 0, 0, 0);
const INNER_TTL: u8 = 64;
/// Different packets of a case; more than its routes, so that each is used.
const PACKETS: usize = 4096;

const PORTAL_UPSTREAM: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
const PORTAL_CLIENT: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);
const ROUTER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 3]);
const GATEWAY: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 4]);
/// Ends of links that carry Ethernet.
const OWN: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 5]);
const PEER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 6]);

/// A packet as steering hands it over, and the frame that must leave.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) meta: [u8; Meta::SIZE],
    pub(crate) received: Vec<u8>,
    pub(crate) sent: Vec<u8>,
}

/// All that a case needs.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) snapshot: Snapshot,
    tunnels: usize,
    pub(crate) ingress: PortId,
    pub(crate) egress: PortId,
    pub(crate) exchanges: Vec<Exchange>,
}

impl Load {
    pub(crate) fn new(case: &Case) -> Self {
        let (ingress, egress) = match case.direction {
            Direction::ToClient => (UPSTREAM_PORT, CLIENT_PORT),
            Direction::FromClient => (CLIENT_PORT, UPSTREAM_PORT),
        };
        let mut random = Random(1);
        let exchanges = (0..PACKETS)
            .map(|i| {
                let route = random.below(case.routes);
                exchange(case, route, inner_len(case.mix, i))
            })
            .collect();
        Self {
            snapshot: Snapshot {
                current: Arc::new(tables(case)),
                retiring: None,
            },
            tunnels: case.tunnels as usize,
            ingress,
            egress,
            exchanges,
        }
    }

    /// Full meters. Each clock needs its own: they remember the time at which they were charged.
    pub(crate) fn meters(&self) -> Meters {
        Meters::new(self.tunnels, self.tunnels, 1)
    }

    /// Counters at 0.
    pub(crate) fn counters(&self) -> WorkerCounters {
        WorkerCounters::new(1, self.tunnels)
    }
}

fn inner_len(mix: Mix, i: usize) -> usize {
    let frame = match (mix, i % 12) {
        (Mix::Small, _) | (Mix::Imix, 0 | 2 | 4 | 5 | 7 | 9 | 11) => 64,
        (Mix::Imix, 10) => 1414,
        (Mix::Imix, _) => 594,
    };
    frame - LINK_LEN
}

/// Prefix of a route: a /24 each.
fn prefix(route: u32) -> Prefix4 {
    let first = Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + (route << 8));
    Prefix4::new(first, 24).unwrap_or_else(|| unreachable!("{first} has no host bits"))
}

/// The same in IPv6: a /48 each.
fn prefix6(route: u32) -> Prefix6 {
    let first = Ipv6Addr::from_bits(NET6.to_bits() + (u128::from(route) << 80));
    Prefix6::new(first, 48).unwrap_or_else(|| unreachable!("{first} has no host bits"))
}

/// A client's host of this route.
fn host(case: &Case, route: u32) -> IpAddr {
    if case.encapsulation.inner_v6 {
        Ipv6Addr::from_bits(prefix6(route).addr().to_bits() + 1).into()
    } else {
        Ipv4Addr::from_bits(prefix(route).addr().to_bits() + 1).into()
    }
}

/// The tunnel that a route leads into; its client owns the prefix.
fn tunnel_of(case: &Case, route: u32) -> u32 {
    route % case.tunnels
}

/// The outer addresses of a tunnel, as the portal sends.
fn outer(case: &Case, tunnel: u32) -> Ends<IpAddr> {
    if case.encapsulation.outer_v6 {
        Ends {
            from: PORTAL6.into(),
            to: Ipv6Addr::from_bits(REMOTE6.to_bits() + u128::from(tunnel)).into(),
        }
    } else {
        Ends {
            from: PORTAL.into(),
            to: Ipv4Addr::from_bits(REMOTE.to_bits() + tunnel).into(),
        }
    }
}

fn tables(case: &Case) -> Tables {
    // Above what any machine forwards: the meters are charged and never refuse.
    let rate = MeterSpec::new(MeterSpec::MAX_BITS_PER_SECOND, 1 << 30);
    let rates = Rates {
        from_client: rate,
        to_client: rate,
    };
    let tunnel = |t: u32| Tunnel {
        tag: TAG,
        client: ClientSlot(t),
        vfib: Some(VfibId(0)),
        link: Link {
            egress: header(CLIENT_PORT, GATEWAY, PORTAL_CLIENT),
            encap: encap(case, t),
            ethernet: (case.encapsulation.kind == Kind::Egre).then(|| EthernetLink {
                own: OWN,
                shown: Box::default(),
            }),
            local: None,
        },
        rates: Rates::default(),
    };
    let mut next_hops = vec![NextHop::Upstream(UpstreamSlot(0))];
    next_hops.extend((0..case.tunnels).map(|t| NextHop::Tunnel(TunnelSlot(t))));
    let (vfib, owners) = routes(case);
    Tables {
        generation: 1,
        ports: vec![Some(Port { mtu: 1500 }); 2],
        upstreams: vec![Some(Upstream {
            tag: TAG,
            vfib: VfibId(0),
            link: Link {
                egress: header(UPSTREAM_PORT, ROUTER, PORTAL_UPSTREAM),
                encap: Encap::bare(),
                ethernet: None,
                local: None,
            },
        })],
        tunnels: (0..case.tunnels).map(|t| Some(tunnel(t))).collect(),
        clients: vec![Some(Client { rates }); case.tunnels as usize],
        vfibs: vec![vfib],
        next_hops,
        owners,
    }
}

/// Routes of both families, whichever the case uses.
fn routes(case: &Case) -> (Vfib, Owners) {
    let to = |route: u32| NextHopId(1 + tunnel_of(case, route));
    let owner = |route: u32| NextHopId(tunnel_of(case, route));
    let all = || 0..case.routes;
    let mut v4 = vec![Change::Set(Prefix4::DEFAULT, NextHopId(0))];
    v4.extend(all().map(|r| Change::Set(prefix(r), to(r))));
    let mut v6 = vec![Change::Set(Prefix6::DEFAULT, NextHopId(0))];
    v6.extend(all().map(|r| Change::Set(prefix6(r), to(r))));
    let vfib = Vfib {
        v4: Fib4::default().with(&v4),
        v6: Fib6::default().with(&v6),
        ..Vfib::default()
    };
    let v4: Vec<_> = all().map(|r| Change::Set(prefix(r), owner(r))).collect();
    let v6: Vec<_> = all().map(|r| Change::Set(prefix6(r), owner(r))).collect();
    let owners = Owners {
        v4: Fib4::default().with(&v4),
        v6: Fib6::default().with(&v6),
    };
    (vfib, owners)
}

fn encap(case: &Case, tunnel: u32) -> Encap {
    let Ends { from, to } = outer(case, tunnel);
    let ends = tp_pipeline::Ends::new(from, to, OUTER_TTL, 0)
        .unwrap_or_else(|| unreachable!("both ends are of one family"));
    match case.encapsulation.kind {
        Kind::Ipip => Encap::ipip(ends),
        Kind::Gre => Encap::gre(ends, None),
        Kind::Egre => {
            let addresses = EthernetAddresses {
                own: OWN,
                peer: PEER,
            };
            Encap::egre(ends, None, addresses)
        }
        Kind::Fou => Encap::fou(ends, UDP_PORT, false),
        Kind::Gue => Encap::gue(ends, UDP_PORT, false),
    }
}

fn header(port: PortId, destination: MacAddr, source: MacAddr) -> Option<LinkHeader> {
    LinkHeader::new(port, &[destination.octets(), source.octets()].concat())
}

fn exchange(case: &Case, route: u32, inner_len: usize) -> Exchange {
    let tunnel = tunnel_of(case, route);
    let world: IpAddr = match case.encapsulation.inner_v6 {
        true => HOST6.into(),
        false => HOST.into(),
    };
    let client = host(case, route);
    let (hosts, macs, ends) = match case.direction {
        Direction::ToClient => ((world, client), (OWN, PEER), outer(case, tunnel)),
        Direction::FromClient => {
            let Ends { from, to } = outer(case, tunnel);
            let back = Ends { from: to, to: from };
            ((client, world), (PEER, OWN), back)
        }
    };
    let hosts = Ends {
        from: hosts.0,
        to: hosts.1,
    };
    let macs = Ends {
        from: macs.0,
        to: macs.1,
    };
    let [arrives, leaves] = [INNER_TTL, INNER_TTL - 1].map(|ttl| inner(hosts, ttl, inner_len));
    let wrapped = |packet: &[u8]| wrap(case.encapsulation, ends, macs, packet);
    match case.direction {
        Direction::ToClient => Exchange {
            meta: meta(case, tunnel, arrives.len().min(40), 0).to_bytes(),
            received: framed(ROUTER, PORTAL_UPSTREAM, &arrives),
            sent: framed(PORTAL_CLIENT, GATEWAY, &wrapped(&leaves).bytes),
        },
        Direction::FromClient => {
            let outer = wrapped(&arrives);
            Exchange {
                meta: meta(case, tunnel, outer.l3_len, outer.headers).to_bytes(),
                received: framed(GATEWAY, PORTAL_CLIENT, &outer.bytes),
                sent: framed(PORTAL_UPSTREAM, ROUTER, &leaves),
            }
        }
    }
}

/// A frame without padding.
fn framed(from: MacAddr, to: MacAddr, packet: &[u8]) -> Vec<u8> {
    [
        ethernet(Ends { from, to }, ether_type(packet)),
        packet.to_vec(),
    ]
    .concat()
}

/// What steering writes for a frame with these lengths of its IP header and of all outer headers.
fn meta(case: &Case, tunnel: u32, l3_len: usize, headers: usize) -> Meta {
    let (ingress, slot, port) = match case.direction {
        Direction::ToClient => (IngressKind::Upstream, 0, UPSTREAM_PORT),
        Direction::FromClient => (IngressKind::Tunnel, tunnel, CLIENT_PORT),
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "offsets of headers are below 100, ports two"
    )]
    Meta {
        slot,
        tag: TAG.0,
        magic: META_MAGIC,
        port: port.0 as u16,
        ingress: ingress as u8,
        vlans: 0,
        l3_off: LINK_LEN as u16,
        l4_off: (LINK_LEN + l3_len) as u16,
        inner_off: (LINK_LEN + headers) as u16,
        reserved: 0,
    }
}

/// xorshift64 (Marsaglia 2003): the same packets in each run, in an order that no prefetcher guesses.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The remainder is below n.
        u32::try_from(self.0 % u64::from(n)).unwrap_or(0)
    }
}
