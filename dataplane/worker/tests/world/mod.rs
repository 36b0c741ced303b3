//! One upstream, one client with a GRE tunnel, and the kernel's side of both ports.

#![allow(clippy::unwrap_used, reason = "a test helper: a failure is the test's")]

use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tp_fib::{Change, Fib4, NextHopId, Prefix4};
use tp_pipeline::abi::{IngressKind, META_MAGIC, Meta};
use tp_pipeline::{
    Client, ClientSlot, DropReason, Encap, Ends, Link, LinkHeader, Meters, NextHop, Owners, Port,
    PortId, Rates, Snapshot, Tables, Tag, Tunnel, TunnelSlot, Upstream, Vfib, VfibId,
    WorkerCounters,
};
use tp_worker::{Bell, Clock, Shared, Worker, WorkerConfig};
use tp_xsk::{ChunkSize, KernelSide, Pages, Region, RegionConfig, RingSizes, Socket};

pub(crate) const UPSTREAM_PORT: PortId = PortId(0);
pub(crate) const CLIENT_PORT: PortId = PortId(1);
pub(crate) const PORTAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const FAR_END: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const RING: u32 = 256;
const DESTINATION: [u8; 4] = [198, 51, 100, 1];

/// A worker and what surrounds it.
pub(crate) struct World {
    pub(crate) region: Region,
    pub(crate) worker: Worker,
    pub(crate) counters: Arc<WorkerCounters>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) punt_bell: Arc<Bell>,
    pub(crate) tables: Arc<Tables>,
    root: Arc<ArcSwap<Snapshot>>,
    upstream: KernelSide,
    client: KernelSide,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = RegionConfig {
            chunks: 8192,
            chunk_size: ChunkSize::B2048,
            pages: Pages::Never,
        };
        let region = Region::new(&config).unwrap();
        let tables = Arc::new(tables(NextHop::Tunnel(TunnelSlot(0))));
        let root = Arc::new(ArcSwap::from_pointee(Snapshot {
            current: Arc::clone(&tables),
            retiring: None,
        }));
        let meters = Arc::new(Meters::new(1, 1, 1));
        let counters = Arc::new(WorkerCounters::new(1, 1));
        let (inside, upstream) = socket(&region);
        let (outside, client) = socket(&region);
        let punt_bell = Arc::new(Bell::new().unwrap());
        let shared = Shared {
            region: region.clone(),
            meters: Arc::clone(&meters),
            root: Arc::clone(&root),
            clock: Clock::start(),
            punt_bell: Arc::clone(&punt_bell),
        };
        let config = WorkerConfig {
            shared,
            counters: Arc::clone(&counters),
            busy_poll: true,
        };
        let sockets = [(UPSTREAM_PORT, inside), (CLIENT_PORT, outside)];
        let worker = Worker::detached(config, sockets).unwrap();
        Self {
            region,
            worker,
            counters,
            meters,
            punt_bell,
            tables,
            root,
            upstream,
            client,
        }
    }

    /// Another socket on the region.
    pub(crate) fn socket(&mut self) -> (Socket, KernelSide) {
        socket(&self.region)
    }

    /// A packet for the client arrives from the upstream, steered under this tag.
    pub(crate) fn deliver_from_upstream(&mut self, tag: u32) -> bool {
        self.upstream.deliver(&meta(tag).to_bytes(), &inner_frame())
    }

    /// What the worker sent to the client since the last look; the kernel completes it.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        self.client.transmit(|packet| sent.push(packet.to_vec()));
        self.client.complete();
        sent
    }

    /// From the worker's next look at its mailbox on, the client's prefix leads to the kernel.
    pub(crate) fn route_to_kernel(&mut self) {
        let current = Arc::new(tables(NextHop::Punt));
        self.root.store(Arc::new(Snapshot {
            current,
            retiring: None,
        }));
        let shared = Shared {
            region: self.region.clone(),
            meters: Arc::clone(&self.meters),
            root: Arc::clone(&self.root),
            clock: Clock::start(),
            punt_bell: Arc::clone(&self.punt_bell),
        };
        let (inside, upstream) = socket(&self.region);
        let config = WorkerConfig {
            shared,
            counters: Arc::clone(&self.counters),
            busy_poll: true,
        };
        self.upstream = upstream;
        self.worker = Worker::detached(config, [(UPSTREAM_PORT, inside)]).unwrap();
    }

    /// The worker's equation holds, and the ledger counts every chunk once.
    pub(crate) fn assert_closed(&self, received: u64) {
        let c = &self.counters;
        let dropped: u64 = DropReason::ALL.iter().map(|r| c.dropped(*r)).sum();
        assert_eq!(c.rx(), received);
        assert_eq!(c.rx() + c.originated(), c.tx() + c.punted() + dropped);
        assert_eq!(self.region.ledger().total(), self.region.chunks());
    }
}

fn socket(region: &Region) -> (Socket, KernelSide) {
    let rings = RingSizes {
        rx: RING,
        tx: RING,
        fill: RING,
        completion: RING,
    };
    Socket::in_memory(region, rings, &mut region.depot().magazine())
}

/// What the steering program writes in front of a packet of the upstream.
pub(crate) fn meta(tag: u32) -> Meta {
    Meta {
        slot: 0,
        tag,
        magic: META_MAGIC,
        port: 0,
        ingress: IngressKind::Upstream as u8,
        vlans: 0,
        l3_off: 14,
        l4_off: 34,
        inner_off: 14,
        reserved: 0,
    }
}

/// A UDP packet for the client, as the upstream's router sends it.
pub(crate) fn inner_frame() -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([203, 0, 113, 1], DESTINATION, 64)
        .udp(1000, 2000);
    let mut frame = Vec::new();
    builder.write(&mut frame, b"payload of a packet").unwrap();
    frame
}

fn tables(client_route: NextHop) -> Tables {
    let link = |port, far: u8| LinkHeader::new(port, &[2, 0, 0, 0, 0, far, 2, 0, 0, 0, 0, 1]);
    let host = Prefix4::new(Ipv4Addr::from(DESTINATION), 32).unwrap();
    let to_host = Fib4::default().with(&[Change::Set(host, NextHopId(0))]);
    let ends = Ends::new(PORTAL.into(), FAR_END.into(), 64, 0).unwrap();
    Tables {
        generation: 1,
        ports: vec![Some(Port { mtu: 1500 }), Some(Port { mtu: 1500 })],
        upstreams: vec![Some(Upstream {
            tag: Tag(1),
            vfib: VfibId(0),
            link: Link {
                egress: link(UPSTREAM_PORT, 9),
                encap: Encap::bare(),
                ethernet: None,
                local: None,
            },
        })],
        tunnels: vec![Some(Tunnel {
            tag: Tag(1),
            client: ClientSlot(0),
            vfib: Some(VfibId(0)),
            link: Link {
                egress: link(CLIENT_PORT, 8),
                encap: Encap::gre(ends, Some(1)),
                ethernet: None,
                local: None,
            },
            rates: Rates::default(),
        })],
        clients: vec![Some(Client {
            rates: Rates::default(),
        })],
        vfibs: vec![Vfib {
            v4: to_host.clone(),
            ..Vfib::default()
        }],
        next_hops: vec![client_route],
        owners: Owners {
            v4: to_host,
            ..Owners::default()
        },
    }
}
