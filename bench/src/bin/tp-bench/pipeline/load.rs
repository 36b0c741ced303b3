//! The portal of a case: its tables, the packets that it receives, and what must become of each.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tp_bench::{FrameSpec, LINK_LEN, Outer, Template, TemplateError, TunnelKind};
use tp_fib::{Change, Fib4, NextHopId, Prefix4};
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};
use tp_pipeline::{
    Client, ClientSlot, Encap, Ends, Link, LinkHeader, MeterSpec, Meters, NextHop, Owners, Port,
    PortId, Rates, Snapshot, Tables, Tag, Tunnel, TunnelSlot, Upstream, UpstreamSlot, Vfib, VfibId,
    WorkerCounters,
};
use tp_wire::MacAddr;

use super::case::{Case, Direction, Encapsulation, Mix};

pub(crate) const UPSTREAM_PORT: PortId = PortId(0);
pub(crate) const CLIENT_PORT: PortId = PortId(1);

const TAG: Tag = Tag(7);
const PORTAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const OUTER_TTL: u8 = 64;
const INNER_TTL: u8 = 64;
/// Different packets of a case; more than its routes, so that each is used.
const PACKETS: usize = 4096;

const PORTAL_UPSTREAM: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
const PORTAL_CLIENT: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);
const ROUTER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 3]);
const GATEWAY: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 4]);

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
    pub(crate) fn new(case: &Case) -> Result<Self, TemplateError> {
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
            .collect::<Result<_, _>>()?;
        Ok(Self {
            snapshot: Snapshot {
                current: Arc::new(tables(case)),
                retiring: None,
            },
            tunnels: case.tunnels as usize,
            ingress,
            egress,
            exchanges,
        })
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

/// The tunnel that a route leads into; its client owns the prefix.
fn tunnel_of(case: &Case, route: u32) -> u32 {
    route % case.tunnels
}

fn remote(tunnel: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(203, 0, 0, 1).to_bits() + tunnel)
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
            encap: match case.encapsulation {
                Encapsulation::Gre4 => Encap::gre(ends(t), None),
                Encapsulation::Ipip4 => Encap::ipip(ends(t)),
            },
            ethernet: None,
            local: None,
        },
        rates: Rates::default(),
    };
    let to = |route: u32| NextHopId(1 + tunnel_of(case, route));
    let mut vfib = vec![Change::Set(Prefix4::DEFAULT, NextHopId(0))];
    vfib.extend((0..case.routes).map(|r| Change::Set(prefix(r), to(r))));
    let owners = (0..case.routes).map(|r| Change::Set(prefix(r), NextHopId(tunnel_of(case, r))));
    let owners: Vec<Change> = owners.collect();
    let mut next_hops = vec![NextHop::Upstream(UpstreamSlot(0))];
    next_hops.extend((0..case.tunnels).map(|t| NextHop::Tunnel(TunnelSlot(t))));
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
        vfibs: vec![Vfib {
            v4: Fib4::default().with(&vfib),
            ..Vfib::default()
        }],
        next_hops,
        owners: Owners {
            v4: Fib4::default().with(&owners),
            ..Owners::default()
        },
    }
}

fn ends(tunnel: u32) -> Ends {
    Ends::new(PORTAL.into(), remote(tunnel).into(), OUTER_TTL, 0)
        .unwrap_or_else(|| unreachable!("both ends are IPv4"))
}

fn header(port: PortId, destination: MacAddr, source: MacAddr) -> Option<LinkHeader> {
    LinkHeader::new(port, &[destination.octets(), source.octets()].concat())
}

fn exchange(case: &Case, route: u32, inner_len: usize) -> Result<Exchange, TemplateError> {
    let tunnel = tunnel_of(case, route);
    let host = Ipv4Addr::from_bits(prefix(route).addr().to_bits() + 1);
    let kind = match case.encapsulation {
        Encapsulation::Gre4 => TunnelKind::Gre { key: None },
        Encapsulation::Ipip4 => TunnelKind::Ipip,
    };
    let outer = |source, destination| {
        Some(Outer {
            kind,
            source,
            destination,
            ttl: OUTER_TTL,
        })
    };
    let (received, sent) = match case.direction {
        Direction::ToClient => (
            FrameSpec {
                inner_len,
                ..FrameSpec::new(ROUTER, PORTAL_UPSTREAM, HOST, host)
            },
            FrameSpec {
                inner_len,
                outer: outer(PORTAL, remote(tunnel)),
                ..FrameSpec::new(PORTAL_CLIENT, GATEWAY, HOST, host)
            },
        ),
        Direction::FromClient => (
            FrameSpec {
                inner_len,
                outer: outer(remote(tunnel), PORTAL),
                ..FrameSpec::new(GATEWAY, PORTAL_CLIENT, host, HOST)
            },
            FrameSpec {
                inner_len,
                ..FrameSpec::new(PORTAL_UPSTREAM, ROUTER, host, HOST)
            },
        ),
    };
    let received = Template::new(
        0,
        &FrameSpec {
            ttl: INNER_TTL,
            ..received
        },
    )?;
    let sent = Template::new(
        0,
        &FrameSpec {
            ttl: INNER_TTL - 1,
            ..sent
        },
    )?;
    Ok(Exchange {
        meta: meta(case, tunnel, &received).to_bytes(),
        received: frame(&received),
        sent: frame(&sent),
    })
}

/// What steering writes for the frame.
fn meta(case: &Case, tunnel: u32, received: &Template) -> Meta {
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
        l4_off: LINK_LEN as u16 + 20,
        inner_off: received.inner_offset() as u16,
        reserved: 0,
    }
}

fn frame(template: &Template) -> Vec<u8> {
    let mut bytes = vec![0; template.len()];
    // The buffer has the template's length.
    template
        .write(0, &mut bytes)
        .unwrap_or_else(|| unreachable!("a frame of its own length"));
    bytes
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
