//! Every kind of link, with either family outside and inside, both ways and to the kernel and back: through the
//! configuration, the compiler and the pipeline, the bytes that leave are those that Scapy built.
//!
//! `packets.py` wrote `portal.toml` and `packets.txt`; each packet there stands below its Scapy expression.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]

use std::net::IpAddr;

use tp_control::compile::{Compiled, compile};
use tp_control::config::{Cpus, parse};
use tp_control::model::{KernelView, Link, Model, UnderlayRoute};
use tp_pipeline::abi::Meta;
use tp_pipeline::{
    Context, DropReason, Meters, Nanos, Packet, Pipeline, PortId, PuntTo, Snapshot, Verdict,
    WorkerCounters, originate,
};
use tp_tests::reference::steering::{Ingress, Steered, steer};
use tp_tests::reference::{End, Numbers, Portal};
use tp_wire::MacAddr;

/// Bytes of a chunk, and of it in front of what arrives.
const CHUNK: usize = 2048;
const HEADROOM: usize = 256;
const SLOTS: usize = 128;

#[test]
fn what_leaves_is_what_scapy_built() {
    let bed = Bed::new();
    let rows = rows(include_str!("packets.txt"));
    let mut wrong = Vec::new();
    for (case, [arrives, leaves]) in &rows {
        let outcome = bed.run(&arrives.place, &arrives.bytes);
        if outcome.as_ref() != Ok(leaves) {
            wrong.push(format!(
                "{case}: {arrives:02x?}\nexpected {leaves:02x?}\ngot {outcome:02x?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n\n")
    );
    assert!(rows.len() > 300, "{} rows", rows.len());
}

/// Bytes at a place: a port, `tun`, `tap`, or a link that the kernel sends to.
#[derive(Debug, PartialEq, Eq)]
struct At {
    place: String,
    bytes: Vec<u8>,
}

/// What arrives and what must leave, with the heading that they stand under.
fn rows(text: &str) -> Vec<(String, [At; 2])> {
    let mut rows = Vec::new();
    let mut heading = String::new();
    let mut arrived = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut heading);
        } else if !line.is_empty() && !line.starts_with('#') {
            let fields: Vec<&str> = line.split(' ').collect();
            let [place, way, bytes] = fields[..] else {
                panic!("{line}")
            };
            let at = At {
                place: place.to_owned(),
                bytes: unhex(bytes),
            };
            match (way, arrived.take()) {
                ("in", None) => arrived = Some(at),
                ("out", Some(before)) => rows.push((heading.clone(), [before, at])),
                _ => panic!("out of order: {line}"),
            }
        }
    }
    rows
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The portal of `portal.toml` on a machine where everything is there.
struct Bed {
    model: Model,
    kernel: KernelView,
    compiled: Compiled,
    numbers: Numbers,
}

impl Bed {
    fn new() -> Self {
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
    fn run(&self, place: &str, bytes: &[u8]) -> Result<At, String> {
        let mut chunk = vec![0x5a; CHUNK];
        chunk[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let (verdict, bytes) = if self.model.ports.contains_key(place) {
            self.forward(place, bytes, &mut chunk)?
        } else {
            let mut packet = Packet::new(&mut chunk, HEADROOM, bytes.len()).unwrap();
            let verdict = originate(self.link(place), &self.compiled.tables, &mut packet);
            (verdict, packet.bytes().to_vec())
        };
        let place = match verdict {
            Verdict::Transmit(port) => self.compiled.names.ports.name_of(port).unwrap().clone(),
            Verdict::Punt(PuntTo::Tun) => "tun".to_owned(),
            Verdict::Punt(PuntTo::Tap) => "tap".to_owned(),
            Verdict::Hold(_) => "hold".to_owned(),
            Verdict::Drop(reason) => return Err(format!("dropped: {reason:?}")),
        };
        Ok(At { place, bytes })
    }

    /// Through steering, as the reference has it, and the pipeline.
    fn forward(
        &self,
        port: &str,
        frame: &[u8],
        chunk: &mut [u8],
    ) -> Result<(Verdict, Vec<u8>), String> {
        let ingress = Ingress {
            ifindex: self.kernel.links[port].ifindex,
            queue: 0,
            socket: true,
        };
        let meta = match steer(&self.portal(), &ingress, frame) {
            Steered::Redirect(meta) => meta,
            other => return Err(format!("steered: {other:?}")),
        };
        chunk[HEADROOM - Meta::SIZE..HEADROOM].copy_from_slice(&meta.to_bytes());
        let snapshot = Snapshot {
            current: self.compiled.tables.clone(),
            retiring: None,
        };
        let (meters, counters) = (
            Meters::new(SLOTS, SLOTS, SLOTS),
            WorkerCounters::new(SLOTS, SLOTS),
        );
        let context = Context {
            snapshot: &snapshot,
            meters: &meters,
            counters: &counters,
            port: PortId(meta.port.into()),
            now: Nanos(1),
        };
        let mut packets = [Packet::new(chunk, HEADROOM, frame.len()).unwrap()];
        let mut verdicts = [Verdict::Drop(DropReason::BadMetadata)];
        Pipeline::new().process(&context, &mut packets, &mut verdicts);
        Ok((verdicts[0], packets[0].bytes().to_vec()))
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
