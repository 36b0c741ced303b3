//! Bursts through the pipeline, without sockets: chunks with metadata in, outcomes and counters out.

use std::collections::BTreeMap;

use tp_pipeline::abi::Meta;
use tp_pipeline::{
    Context, DropReason, LinkCounts, Meters, Nanos, Packet, Pipeline, PortId, PuntTo, Snapshot,
    TunnelSlot, UpstreamSlot, Verdict, WorkerCounters,
};
use tp_tests::reference::forwarding::{Link, Links, Outcome};

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 2048;
/// Slots that the counters and the meters are made for: more than any test uses.
const SLOTS: usize = 64;

/// A frame with what steering wrote in front of it.
#[derive(Clone)]
pub(crate) struct Received {
    /// The metadata.
    pub(crate) meta: Meta,
    /// The frame.
    pub(crate) frame: Vec<u8>,
    /// Bytes of the chunk in front of the frame.
    pub(crate) headroom: usize,
}

impl Received {
    /// The metadata, if there is room for it in front of the frame.
    pub(crate) fn meta_in_chunk(&self) -> Option<Meta> {
        (self.headroom >= Meta::SIZE).then_some(self.meta)
    }

    fn chunk(&self) -> Vec<u8> {
        let mut chunk = vec![0x5a; CHUNK];
        if let Some(meta) = self.meta_in_chunk() {
            chunk[self.headroom - Meta::SIZE..self.headroom].copy_from_slice(&meta.to_bytes());
        }
        chunk[self.headroom..self.headroom + self.frame.len()].copy_from_slice(&self.frame);
        chunk
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} headroom {} frame ", self.meta, self.headroom)?;
        self.frame
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the counters of a worker say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Drops by reason, those that are not 0.
    pub(crate) dropped: BTreeMap<DropReason, u64>,
    /// Links that counted anything.
    pub(crate) links: BTreeMap<Link, LinkCounts>,
}

impl Counts {
    /// Counts a packet as the text says.
    pub(crate) fn add(&mut self, outcome: &Outcome, links: &Links) {
        if let Outcome::Drop(reason) = outcome {
            *self.dropped.entry(*reason).or_default() += 1;
        }
        if let Some(from) = links.from {
            let counts = self.links.entry(from).or_default();
            counts.rx_packets += 1;
            counts.rx_bytes += links.bytes;
            counts.dropped_packets += u64::from(matches!(outcome, Outcome::Drop(_)));
        }
        if let Some(to) = links.to {
            let counts = self.links.entry(to).or_default();
            counts.tx_packets += 1;
            counts.tx_bytes += links.bytes;
        }
    }

    fn of(counters: &WorkerCounters) -> Self {
        let dropped = DropReason::ALL.iter().map(|r| (*r, counters.dropped(*r)));
        let slots = 0..u32::try_from(SLOTS).unwrap();
        let links = slots.flat_map(|slot| {
            [
                (Link::Upstream(slot), counters.upstream(UpstreamSlot(slot))),
                (Link::Tunnel(slot), counters.tunnel(TunnelSlot(slot))),
            ]
        });
        Self {
            dropped: dropped.filter(|(_, n)| *n != 0).collect(),
            links: links
                .filter(|(_, counts)| *counts != LinkCounts::default())
                .collect(),
        }
    }
}

/// Sends a burst through a fresh pipeline with full meters.
pub(crate) fn process(
    snapshot: &Snapshot,
    port: PortId,
    now: u64,
    burst: &[Received],
) -> (Vec<Outcome>, Counts) {
    let (meters, counters) = (
        Meters::new(SLOTS, SLOTS, SLOTS),
        WorkerCounters::new(SLOTS, SLOTS),
    );
    let context = Context {
        snapshot,
        meters: &meters,
        counters: &counters,
        port,
        now: Nanos(now),
    };
    let mut chunks: Vec<Vec<u8>> = burst.iter().map(Received::chunk).collect();
    let mut packets: Vec<Packet<'_>> = chunks
        .iter_mut()
        .zip(burst)
        .map(|(chunk, r)| Packet::new(chunk, r.headroom, r.frame.len()).unwrap())
        .collect();
    let mut verdicts = vec![Verdict::Drop(DropReason::BadMetadata); packets.len()];
    let mut pipeline = Pipeline::new();
    pipeline.process(&context, &mut packets, &mut verdicts);
    for verdict in &mut verdicts {
        // Here nobody waits for a neighbour.
        if let Verdict::Hold(id) = verdict {
            Pipeline::give_up(&counters, &pipeline.held(*id).unwrap());
            *verdict = Verdict::Drop(DropReason::NeighbourUnresolved);
        }
    }
    let outcomes = packets
        .iter()
        .zip(&verdicts)
        .map(|(packet, verdict)| outcome(packet, *verdict));
    (outcomes.collect(), Counts::of(&counters))
}

pub(crate) fn outcome(packet: &Packet<'_>, verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Transmit(port) => {
            Outcome::Transmit(u16::try_from(port.0).unwrap(), packet.bytes().to_vec())
        }
        Verdict::Drop(reason) => Outcome::Drop(reason),
        Verdict::Hold(_) => unreachable!("nobody waits"),
        Verdict::Punt(PuntTo::Tun) => Outcome::Tun(packet.bytes().to_vec()),
        Verdict::Punt(PuntTo::Tap) => Outcome::Tap(packet.bytes().to_vec()),
    }
}
