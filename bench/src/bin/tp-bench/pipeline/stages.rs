//! The pipeline alone, stage by stage.

use std::time::Instant;

use tp_pipeline::abi::Meta;
use tp_pipeline::{
    Context, DropReason, Meters, Nanos, Packet, Pipeline, Probe, Stage, Verdict, WorkerCounters,
};
use tp_xsk::PACKET_START;

use super::case::{Case, Memory};
use super::load::{Exchange, Load};
use super::{Broken, SAMPLE};
use crate::ticks::{Samples, Ticks};

const CHUNK: usize = 2048;
/// Chunks in 16 MiB.
const COLD_CHUNKS: usize = (16 << 20) / CHUNK;
const WARM_UP: usize = 16;

/// Ticks a packet.
#[derive(Debug, Default)]
pub(crate) struct StageSamples {
    /// By [`Stage::ALL`].
    pub(crate) each: [Samples; Stage::ALL.len()],
    /// Their sum, sample by sample.
    pub(crate) all: Samples,
}

/// Ticks between marks, summed over the bursts of a sample.
struct Stopwatch<'a> {
    ticks: &'a Ticks,
    last: u64,
    sums: [f64; Stage::ALL.len()],
}

impl Stopwatch<'_> {
    fn begin(&mut self) {
        self.last = self.ticks.now();
    }
}

impl Probe for Stopwatch<'_> {
    #[inline]
    fn mark(&mut self, stage: Stage) {
        self.sums[stage as usize] += self.ticks.since(self.last);
        self.last = self.ticks.now();
    }
}

/// Samples of 64 packets each, in bursts of the case's size.
pub(crate) fn measure(
    case: &Case,
    load: &Load,
    samples: usize,
    ticks: &Ticks,
) -> Result<StageSamples, Broken> {
    let chunks = match case.memory {
        Memory::Hot => SAMPLE,
        Memory::Cold => COLD_CHUNKS,
    };
    let mut memory = vec![0; chunks * CHUNK];
    let mut bench = Bench {
        case,
        load,
        meters: load.meters(),
        counters: load.counters(),
        pipeline: Pipeline::new(),
        started: Instant::now(),
    };
    for (n, burst) in load.exchanges.chunks(case.burst).enumerate() {
        bench.check(n * case.burst, burst, &mut memory)?;
    }
    let mut result = StageSamples::default();
    let mut exchanges = load.exchanges.chunks_exact(SAMPLE).cycle();
    // All chunks are written, then processed: what is read was used a whole round ago.
    let rounds = (WARM_UP + samples).div_ceil(chunks / SAMPLE);
    let mut taken = 0;
    for _ in 0..rounds {
        let round: Vec<&[Exchange]> = exchanges.by_ref().take(chunks / SAMPLE).collect();
        for (chunks, exchanges) in memory.chunks_mut(SAMPLE * CHUNK).zip(&round) {
            write(chunks, exchanges);
        }
        for (chunks, exchanges) in memory.chunks_mut(SAMPLE * CHUNK).zip(&round) {
            let mut watch = Stopwatch {
                ticks,
                last: 0,
                sums: [0.0; Stage::ALL.len()],
            };
            bench.sample(chunks, exchanges, &mut watch)?;
            taken += 1;
            if taken > WARM_UP {
                result.add(&watch.sums);
            }
        }
    }
    Ok(result)
}

impl StageSamples {
    fn add(&mut self, sums: &[f64]) {
        for (samples, sum) in self.each.iter_mut().zip(sums) {
            samples.push(*sum / SAMPLE as f64);
        }
        self.all.push(sums.iter().sum::<f64>() / SAMPLE as f64);
    }
}

struct Bench<'a> {
    case: &'a Case,
    load: &'a Load,
    meters: Meters,
    counters: WorkerCounters,
    pipeline: Pipeline,
    started: Instant,
}

impl Bench<'_> {
    fn sample(
        &mut self,
        chunks: &mut [u8],
        exchanges: &[Exchange],
        watch: &mut Stopwatch<'_>,
    ) -> Result<(), Broken> {
        let burst = self.case.burst;
        for (chunks, exchanges) in chunks
            .chunks_mut(burst * CHUNK)
            .zip(exchanges.chunks(burst))
        {
            let now = self.now();
            let mut packets = packets(chunks, exchanges);
            watch.begin();
            self.process(0, now, &mut packets, watch)?;
            let bytes: usize = packets.iter().map(Packet::len).sum();
            let expected_bytes: usize = exchanges.iter().map(|e| e.sent.len()).sum();
            if bytes != expected_bytes {
                let (left, expected) = (packets.len(), exchanges.len());
                let case = self.case.to_string();
                return Err(Broken::Count {
                    case,
                    left,
                    expected,
                    bytes,
                    expected_bytes,
                });
            }
        }
        Ok(())
    }

    /// Processes a burst and compares what would leave byte by byte.
    fn check(&mut self, first: usize, burst: &[Exchange], chunks: &mut [u8]) -> Result<(), Broken> {
        write(chunks, burst);
        let mut packets = packets(chunks, burst);
        self.process(first, self.now(), &mut packets, &mut ())?;
        for (n, (packet, exchange)) in packets.iter().zip(burst).enumerate() {
            if packet.bytes() != exchange.sent {
                return Err(Broken::Bytes {
                    case: self.case.to_string(),
                    index: first + n,
                    found: packet.bytes().to_vec(),
                    expected: exchange.sent.clone(),
                });
            }
        }
        Ok(())
    }

    /// Fails on any verdict but the way out. `first` is the number of the first packet.
    #[inline]
    fn process<P: Probe>(
        &mut self,
        first: usize,
        now: Nanos,
        packets: &mut [Packet<'_>],
        probe: &mut P,
    ) -> Result<(), Broken> {
        let mut verdicts = [Verdict::Drop(DropReason::BadMetadata); Pipeline::BURST];
        let ctx = Context {
            snapshot: &self.load.snapshot,
            meters: &self.meters,
            counters: &self.counters,
            port: self.load.ingress,
            now,
        };
        self.pipeline
            .process_probed(&ctx, packets, &mut verdicts, probe);
        let way = Verdict::Transmit(self.load.egress);
        match verdicts[..packets.len()].iter().position(|v| *v != way) {
            None => Ok(()),
            Some(n) => Err(Broken::Verdict {
                case: self.case.to_string(),
                index: first + n,
                found: verdicts[n],
            }),
        }
    }

    fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Puts received packets with their metadata into chunks, as kernel and steering do.
fn write(chunks: &mut [u8], exchanges: &[Exchange]) {
    for (chunk, exchange) in chunks.chunks_mut(CHUNK).zip(exchanges) {
        let end = PACKET_START + exchange.received.len();
        chunk[PACKET_START - Meta::SIZE..PACKET_START].copy_from_slice(&exchange.meta);
        chunk[PACKET_START..end].copy_from_slice(&exchange.received);
    }
}

fn packets<'c>(chunks: &'c mut [u8], exchanges: &[Exchange]) -> Vec<Packet<'c>> {
    chunks
        .chunks_mut(CHUNK)
        .zip(exchanges)
        .filter_map(|(chunk, e)| Packet::new(chunk, PACKET_START, e.received.len()))
        .collect()
}
