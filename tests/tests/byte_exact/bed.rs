//! The portal of `portal.toml` on a machine where everything is there.

use std::net::IpAddr;

use tp_control::compile::{Compiled, compile};
use tp_control::config::{Cpus, parse};
use tp_control::model::{KernelView, Link, Model, UnderlayRoute};
use tp_pipeline::abi::Meta;
use tp_pipeline::{
    Context, DropReason, Meters, Nanos, Packet, Pipeline, PortId, PuntTo, Snapshot, Verdict,
    WorkerCounters, originate,
};
use tp_tests::reference::forwarding::{Arrival, Generations, Outcome, Police, forward};
use tp_tests::reference::steering::{Ingress, Steered, steer};
use tp_tests::reference::{End, Numbers, Portal};
use tp_wire::MacAddr;

use crate::At;

/// Bytes of a chunk, and of it in front of what arrives.
const CHUNK: usize = 2048;
const HEADROOM: usize = 256;
const SLOTS: usize = 128;
/// Between two packets: every bucket is full again.
const PAUSE: u64 = 1_000_000_000;

/// The portal, its kernel and a worker.
pub(crate) struct Bed {
    model: Model,
    kernel: KernelView,
    compiled: Compiled,
    numbers: Numbers,
    meters: Meters,
    counters: WorkerCounters,
    now: u64,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let cpus: Cpus = [0].into_iter().collect();
        let text = include_str!("portal.toml");
        let (model, _) = parse("portal.toml", text, &cpus).unwrap();
        let kernel = kernel(&model);
        let compiled = compile(None, &model, &kernel, 1).unwrap();
        let numbers = Numbers::of(&compiled);
        Self {
            model,
            kernel,
            compiled,
            numbers,
            meters: Meters::new(SLOTS, SLOTS, SLOTS),
            counters: WorkerCounters::new(SLOTS, SLOTS),
            now: 0,
        }
    }

    fn portal(&self) -> Portal<'_> {
        Portal {
            model: &self.model,
            kernel: &self.kernel,
            numbers: &self.numbers,
        }
    }

    /// Where and as what it leaves.
    pub(crate) fn run(&mut self, place: &str, bytes: &[u8]) -> Result<At, String> {
        let (verdict, bytes) = if self.model.ports.contains_key(place) {
            match self.steered(place, bytes) {
                Steered::Redirect(meta) => self.process(meta, bytes),
                other => return Err(format!("steered: {other:?}")),
            }
        } else {
            let mut chunk = chunk(bytes);
            let mut packet = Packet::new(&mut chunk, HEADROOM, bytes.len()).unwrap();
            let verdict = originate(self.link(place), &self.compiled.tables, &mut packet);
            (verdict, packet.bytes().to_vec())
        };
        let place = match verdict {
            Verdict::Transmit(port) => self.compiled.names.ports.name_of(port).unwrap().clone(),
            Verdict::Punt(PuntTo::Tun) => "tun".to_owned(),
            Verdict::Punt(PuntTo::Tap) => "tap".to_owned(),
            Verdict::Hold(_) => return Err("waits for a neighbour".to_owned()),
            Verdict::Drop(reason) => return Err(format!("dropped: {reason:?}")),
        };
        Ok(At { place, bytes })
    }

    /// What a frame becomes that arrives at a port, where steering hands it to a worker: by the text and by the
    /// pipeline.
    pub(crate) fn both(&mut self, port: &str, frame: &[u8]) -> Option<[Outcome; 2]> {
        let Steered::Redirect(meta) = self.steered(port, frame) else {
            return None;
        };
        let (verdict, bytes) = self.process(meta, frame);
        let got = match verdict {
            Verdict::Transmit(port) => Outcome::Transmit(u16::try_from(port.0).unwrap(), bytes),
            Verdict::Punt(PuntTo::Tun) => Outcome::Tun(bytes),
            Verdict::Punt(PuntTo::Tap) => Outcome::Tap(bytes),
            Verdict::Hold(_) => unreachable!("all neighbours are known"),
            Verdict::Drop(reason) => Outcome::Drop(reason),
        };
        let generations = Generations {
            current: self.portal(),
            retiring: None,
        };
        let arrival = Arrival {
            meta: Some(meta),
            frame,
            port: meta.port,
            headroom: HEADROOM,
            now: self.now,
        };
        let (expected, _) = forward(&generations, &mut Police::default(), &arrival);
        Some([expected, got])
    }

    /// By the text: the program is compared with it elsewhere.
    fn steered(&self, port: &str, frame: &[u8]) -> Steered {
        let ingress = Ingress {
            ifindex: self.kernel.links[port].ifindex,
            queue: 0,
            socket: true,
        };
        steer(&self.portal(), &ingress, frame)
    }

    fn process(&mut self, meta: Meta, frame: &[u8]) -> (Verdict, Vec<u8>) {
        self.now += PAUSE;
        let mut chunk = chunk(frame);
        chunk[HEADROOM - Meta::SIZE..HEADROOM].copy_from_slice(&meta.to_bytes());
        let snapshot = Snapshot {
            current: self.compiled.tables.clone(),
            retiring: None,
        };
        let context = Context {
            snapshot: &snapshot,
            meters: &self.meters,
            counters: &self.counters,
            port: PortId(meta.port.into()),
            now: Nanos(self.now),
        };
        let mut packets = [Packet::new(&mut chunk, HEADROOM, frame.len()).unwrap()];
        let mut verdicts = [Verdict::Drop(DropReason::BadMetadata)];
        Pipeline::new().process(&context, &mut packets, &mut verdicts);
        (verdicts[0], packets[0].bytes().to_vec())
    }

    /// `upstream:NAME` or `tunnel:NAME`.
    fn link(&self, place: &str) -> &tp_pipeline::Link {
        let Compiled { tables, names, .. } = &self.compiled;
        let link = match place.split_once(':') {
            Some(("upstream", name)) => {
                let slot = names.upstreams.get(name).unwrap().id.slot;
                tables.upstreams[slot.index()].as_ref().map(|u| &u.link)
            }
            Some(("tunnel", name)) => {
                let slot = names.tunnels.get(name).unwrap().id.slot;
                tables.tunnels[slot.index()].as_ref().map(|t| &t.link)
            }
            _ => panic!("no place: {place}"),
        };
        link.unwrap()
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0x5a; CHUNK];
    chunk[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
    chunk
}

/// Devices as `packets.py` numbers their MACs, and one router between the second port and all far ends.
fn kernel(model: &Model) -> KernelView {
    let mut kernel = KernelView::default();
    let ports = model.ports.keys().cloned();
    let devices = ports.zip(0..).chain([("tp-tap".to_owned(), 0x10)]);
    for (name, number) in devices {
        let link = Link {
            ifindex: 10 + u32::from(number),
            mac: MacAddr::new([2, 0, 0, 0, 0, number]),
            mtu: 1500,
            rx_queues: 1,
            tx_queues: 1,
            up: true,
            kind: None,
        };
        kernel.links.insert(name, link);
    }
    kernel.addresses = ["192.0.2.1", "2001:db8::1"]
        .map(|address| address.parse().unwrap())
        .into();
    let (ifindex, gateway): (u32, IpAddr) = (11, "192.0.2.254".parse().unwrap());
    let router = MacAddr::new([2, 0xbb, 0, 0, 0, 1]);
    kernel.neighbours.insert((ifindex, gateway), router);
    let numbers = Numbers::default();
    let portal = Portal {
        model,
        kernel: &KernelView::default(),
        numbers: &numbers,
    };
    for carried in portal.ends().filter_map(End::carried) {
        let route = UnderlayRoute {
            ifindex,
            gateway: Some(gateway),
        };
        kernel.underlay.insert(carried.remote, route);
    }
    kernel
}
