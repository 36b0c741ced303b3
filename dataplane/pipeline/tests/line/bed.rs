//! A small portal: two upstreams, two clients, four tunnels.
//!
//! | tunnel | client | upstream | kind |
//! |---|---|---|---|
//! | 0 | 0 (10.1.0.0/16) | 0 | GRE, key 7 |
//! | 1 | 1 (10.2.0.0/16) | 0 | IPIP |
//! | 2 | 0 (10.1.0.0/16) | 1 | GRE, no key |
//! | 3 | 0 (10.1.0.0/16) | 0 | GRE, key 8; no route leads to it |

use std::net::Ipv4Addr;
use std::sync::Arc;

use tp_fib::{Change, Fib4, Fib6, NextHopId, Prefix4, Prefix6};
use tp_pipeline::{
    Client, ClientSlot, Context, DropReason, Encap, Ends, Held, HoldId, Link, LinkCounts,
    LinkHeader, Meters, Nanos, NextHop, Owners, Packet, Pipeline, Port, PortId, Rates, Snapshot,
    Tables, Tag, Tunnel, TunnelSlot, Upstream, UpstreamSlot, Verdict, Vfib, VfibId, WorkerCounters,
    abi::Meta,
};

use tp_wire::MacAddr;

use crate::packets::Arrival;

pub(crate) const CLIENT_PORT: PortId = PortId(0);
pub(crate) const UPSTREAM_PORT: PortId = PortId(1);

pub(crate) const LOCAL: [u8; 4] = [192, 0, 2, 1];
pub(crate) const REMOTES: [[u8; 4]; 4] = [
    [198, 51, 100, 8],
    [198, 51, 100, 9],
    [198, 51, 100, 10],
    [198, 51, 100, 11],
];
/// Outer TTL and DSCP of all tunnels.
pub(crate) const OUTER_TTL: u8 = 61;
pub(crate) const OUTER_DSCP: u8 = 46;

/// Addresses: of each client, and of the Internet.
pub(crate) const C0: [u8; 4] = [10, 1, 0, 5];
pub(crate) const C1: [u8; 4] = [10, 2, 0, 5];
pub(crate) const WORLD: [u8; 4] = [203, 0, 113, 77];
/// The same in IPv6.
pub(crate) const C0_V6: [u8; 16] = v6(1, 5);
pub(crate) const C1_V6: [u8; 16] = v6(2, 5);
pub(crate) const WORLD_V6: [u8; 16] = v6(0x77, 1);
/// In client 0's prefix, with a route to the kernel.
pub(crate) const PUNT_V6: [u8; 16] = [0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];

/// 2001:db8:net::host.
pub(crate) const fn v6(net: u8, host: u8) -> [u8; 16] {
    [
        0x20, 0x01, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host,
    ]
}

/// In client 0's prefix, with a route to nowhere, one to the kernel, one to no tunnel,
/// and one to upstream 0.
pub(crate) const BLACKHOLE: [u8; 4] = [10, 1, 200, 1];
pub(crate) const PUNT: [u8; 4] = [10, 1, 201, 1];
pub(crate) const NO_TUNNEL: [u8; 4] = [10, 1, 202, 1];
pub(crate) const BACK_OUT: [u8; 4] = [10, 1, 203, 1];

/// The tag of all slots of this number, upstreams and tunnels alike.
pub(crate) fn tag(slot: u32) -> u32 {
    1000 + slot
}

/// Addresses and tags of the frames to each upstream and into each tunnel.
pub(crate) fn upstream_link(slot: u32) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 1, 0, slot_octet(slot), 2, 0, 0, 0, 0, 1];
    if slot == 1 {
        // 802.1ad VID 5, 802.1Q VID 300.
        bytes.extend([0x88, 0xa8, 0x00, 0x05, 0x81, 0x00, 0x01, 0x2c]);
    }
    bytes
}

fn slot_octet(slot: u32) -> u8 {
    u8::try_from(slot).unwrap()
}

pub(crate) fn tunnel_link(slot: u32) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 2, 0, slot_octet(slot), 2, 0, 0, 0, 0, 0];
    if slot == 1 {
        bytes.extend([0x81, 0x00, 0x00, 0x64]);
    }
    bytes
}

pub(crate) struct Bed {
    pub(crate) current: Tables,
    pub(crate) retiring: Option<Tables>,
    pub(crate) meters: Meters,
    pub(crate) counters: WorkerCounters,
    pub(crate) now: Nanos,
    /// Bytes in front of an arriving frame.
    pub(crate) headroom: usize,
    pipeline: Pipeline,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) verdict: Verdict,
    pub(crate) bytes: Vec<u8>,
}

impl Seen {
    /// The bytes of a packet that leaves by this port.
    #[track_caller]
    pub(crate) fn leaves_by(&self, port: PortId) -> &[u8] {
        assert_eq!(self.verdict, Verdict::Transmit(port));
        &self.bytes
    }
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self {
            current: tables(),
            retiring: None,
            meters: Meters::new(2, 4, 2),
            counters: WorkerCounters::new(2, 4),
            now: Nanos(1_000_000_000),
            headroom: 256,
            pipeline: Pipeline::new(),
        }
    }

    pub(crate) fn tunnel(&mut self, slot: usize) -> &mut Tunnel {
        self.current.tunnels[slot].as_mut().unwrap()
    }

    pub(crate) fn upstream(&mut self, slot: usize) -> &mut Upstream {
        self.current.upstreams[slot].as_mut().unwrap()
    }

    pub(crate) fn client(&mut self, slot: usize) -> &mut Client {
        self.current.clients[slot].as_mut().unwrap()
    }

    /// Sends one packet through, and checks that it is counted as what became of it, once.
    pub(crate) fn send(&mut self, arrival: &Arrival) -> Seen {
        let before = self.drops();
        let seen = self.burst(std::slice::from_ref(arrival)).remove(0);
        for ((reason, before), after) in DropReason::ALL.iter().zip(before).zip(self.drops()) {
            let expected = u64::from(seen.verdict == Verdict::Drop(*reason));
            assert_eq!(
                after - before,
                expected,
                "{} for {:?}",
                reason.name(),
                seen.verdict
            );
        }
        seen
    }

    /// Sends a packet that is to be dropped for this reason.
    #[track_caller]
    pub(crate) fn drops_as(&mut self, reason: DropReason, arrival: &Arrival) {
        assert_eq!(
            self.send(arrival).verdict,
            Verdict::Drop(reason),
            "{arrival:?}"
        );
    }

    /// What is to be kept with a packet of the last burst that is to wait.
    pub(crate) fn held(&self, id: HoldId) -> Held {
        self.pipeline.held(id).unwrap()
    }

    /// Goes on with a packet that waited, in a chunk with room for any header.
    pub(crate) fn resume(&mut self, held: &Held, packet: &[u8]) -> Option<Seen> {
        let mut chunk = [&[0xaa; 200][..], packet].concat();
        let mut packet = Packet::new(&mut chunk, 200, packet.len()).unwrap();
        let snapshot = Snapshot {
            current: Arc::new(self.current.clone()),
            retiring: None,
        };
        let ctx = Context {
            snapshot: &snapshot,
            meters: &self.meters,
            counters: &self.counters,
            port: CLIENT_PORT,
            now: self.now,
        };
        let verdict = Pipeline::resume(&ctx, held, &mut packet)?;
        Some(Seen {
            verdict,
            bytes: packet.bytes().to_vec(),
        })
    }

    /// Gives up a packet that waited.
    pub(crate) fn give_up(&mut self, held: &Held) {
        Pipeline::give_up(&self.counters, held);
    }

    /// Sends packets of one port through in one burst.
    pub(crate) fn burst(&mut self, arrivals: &[Arrival]) -> Vec<Seen> {
        let headroom = self.headroom;
        let mut chunks: Vec<_> = arrivals.iter().map(|a| chunk(a, headroom)).collect();
        let mut packets: Vec<_> = chunks
            .iter_mut()
            .zip(arrivals)
            .map(|((chunk, start), a)| Packet::new(chunk, *start, a.frame.len()).unwrap())
            .collect();
        let mut verdicts = vec![Verdict::Drop(DropReason::BadMetadata); packets.len()];
        let snapshot = Snapshot {
            current: Arc::new(self.current.clone()),
            retiring: self.retiring.clone().map(Arc::new),
        };
        let ctx = Context {
            snapshot: &snapshot,
            meters: &self.meters,
            counters: &self.counters,
            port: arrivals.first().map_or(CLIENT_PORT, |a| a.port),
            now: self.now,
        };
        self.pipeline.process(&ctx, &mut packets, &mut verdicts);
        let seen = |(packet, verdict): (Packet<'_>, Verdict)| Seen {
            verdict,
            bytes: packet.bytes().to_vec(),
        };
        packets.into_iter().zip(verdicts).map(seen).collect()
    }

    pub(crate) fn tunnel_counts(&self, slot: u32) -> LinkCounts {
        self.counters.tunnel(TunnelSlot(slot))
    }

    pub(crate) fn upstream_counts(&self, slot: u32) -> LinkCounts {
        self.counters.upstream(UpstreamSlot(slot))
    }

    fn drops(&self) -> Vec<u64> {
        DropReason::ALL
            .iter()
            .map(|reason| self.counters.dropped(*reason))
            .collect()
    }
}

/// A chunk that holds the frame behind its metadata, and where the frame starts.
fn chunk(arrival: &Arrival, headroom: usize) -> (Vec<u8>, usize) {
    let start = if arrival.meta.is_some() {
        headroom
    } else {
        Meta::SIZE - 1
    };
    let mut chunk = vec![0xaa; start];
    if let Some(meta) = &arrival.meta {
        chunk[start - Meta::SIZE..].copy_from_slice(&meta.to_bytes());
    }
    chunk.extend_from_slice(&arrival.frame);
    chunk.resize(chunk.len() + 16, 0xbb);
    (chunk, start)
}

pub(crate) fn prefix(addr: [u8; 4], len: u8) -> Prefix4 {
    Prefix4::new(Ipv4Addr::from(addr), len).unwrap()
}

pub(crate) fn tables() -> Tables {
    use NextHop::{Drop, Punt, Tunnel, Upstream};
    let next_hops = vec![
        Upstream(UpstreamSlot(0)),
        Upstream(UpstreamSlot(1)),
        Tunnel(TunnelSlot(0)),
        Tunnel(TunnelSlot(1)),
        Tunnel(TunnelSlot(2)),
        Drop,
        Punt,
        Tunnel(TunnelSlot(77)),
    ];
    let set = |addr, len, value| Change::Set(prefix(addr, len), NextHopId(value));
    let first = Fib4::default().with(&[
        set([0, 0, 0, 0], 0, 0),
        set([10, 1, 0, 0], 16, 2),
        set([10, 2, 0, 0], 16, 3),
        set([10, 1, 200, 0], 24, 5),
        set([10, 1, 201, 0], 24, 6),
        set([10, 1, 202, 0], 24, 7),
        set([10, 1, 203, 0], 24, 0),
    ]);
    let set6 = |addr: [u8; 16], len, value| {
        let host = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
        let bits = u128::from_be_bytes(addr) & !host;
        Change::Set(Prefix6::new(bits.into(), len).unwrap(), NextHopId(value))
    };
    let first6 = Fib6::default().with(&[
        set6([0; 16], 0, 0),
        set6(C0_V6, 48, 2),
        set6(C1_V6, 48, 3),
        set6(PUNT_V6, 64, 6),
    ]);
    // No default route.
    let second = Fib4::default().with(&[set([10, 1, 0, 0], 16, 4), set([203, 0, 113, 0], 24, 1)]);
    Tables {
        generation: 1,
        ports: vec![Some(Port { mtu: 1500 }), Some(Port { mtu: 1500 })],
        upstreams: vec![Some(upstream(0)), Some(upstream(1))],
        tunnels: vec![
            Some(tunnel(0, 0, 0, gre(0, Some(7)))),
            Some(tunnel(1, 1, 0, ipip(1))),
            Some(tunnel(2, 0, 1, gre(2, None))),
            Some(tunnel(3, 0, 0, gre(3, Some(8)))),
        ],
        clients: vec![
            Some(Client {
                rates: Rates::default()
            });
            2
        ],
        vfibs: vec![vfib(0, first, first6), vfib(1, second, Fib6::default())],
        next_hops,
        owners: Owners {
            v4: Fib4::default().with(&[set([10, 1, 0, 0], 16, 0), set([10, 2, 0, 0], 16, 1)]),
            v6: Fib6::default().with(&[set6(C0_V6, 48, 0), set6(C1_V6, 48, 1)]),
        },
    }
}

fn vfib(id: u8, v4: Fib4, v6: Fib6) -> Vfib {
    Vfib {
        v4,
        v6,
        mac: shown_mac(id),
    }
}

/// The MAC by which links that show several upstreams show this one.
pub(crate) fn shown_mac(vfib: u8) -> MacAddr {
    MacAddr::new([2, 0x54, 0x50, 0, 0, vfib])
}

fn link(egress: Option<LinkHeader>, encap: Encap) -> Link {
    Link {
        egress,
        encap,
        ethernet: None,
        local: None,
    }
}

fn upstream(slot: u32) -> Upstream {
    Upstream {
        tag: Tag(tag(slot)),
        vfib: VfibId(slot),
        link: link(
            LinkHeader::new(UPSTREAM_PORT, &upstream_link(slot)),
            Encap::bare(),
        ),
    }
}

fn tunnel(slot: u32, client: u32, vfib: u32, encap: Encap) -> Tunnel {
    Tunnel {
        tag: Tag(tag(slot)),
        client: ClientSlot(client),
        vfib: Some(VfibId(vfib)),
        link: link(LinkHeader::new(CLIENT_PORT, &tunnel_link(slot)), encap),
        rates: Rates::default(),
    }
}

fn gre(slot: usize, key: Option<u32>) -> Encap {
    Encap::gre(ends(REMOTES[slot]), key)
}

fn ipip(slot: usize) -> Encap {
    Encap::ipip(ends(REMOTES[slot]))
}

pub(crate) fn ends(remote: [u8; 4]) -> Ends {
    Ends::new(LOCAL.into(), remote.into(), OUTER_TTL, OUTER_DSCP).unwrap()
}
