//! A worker's whole turn, on sockets in memory.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tp_worker::{Bell, Clock, Shared, Worker, WorkerConfig};
use tp_xsk::{ChunkSize, KernelSide, Pages, Region, RegionConfig, RingSizes, Socket};

use super::case::{Case, Memory};
use super::load::{Exchange, Load};
use super::{Broken, SAMPLE};
use crate::ticks::{Samples, Ticks};

/// Entries of rings that hold one burst, and with 2 KiB a chunk 16 MiB.
const SMALL: u32 = 64;
const LARGE: u32 = 8192;
/// Chunks that are neither lent for receiving nor being sent.
const SPARE: u32 = 256;
const WARM_UP: usize = 16;

/// Ticks a packet; a sample is 64 packets, in bursts of the case's size.
pub(crate) fn measure(
    case: &Case,
    load: &Load,
    samples: usize,
    ticks: &Ticks,
) -> Result<Samples, Broken> {
    let mut bench = Bench::new(case, load)?;
    for (n, exchanges) in load.exchanges.chunks(SAMPLE).enumerate() {
        bench.check(n * SAMPLE, exchanges)?;
    }
    let mut result = Samples::default();
    let mut exchanges = load.exchanges.chunks_exact(SAMPLE).cycle();
    // The RX ring is filled, then emptied: what is read was written a whole ring ago.
    let depth = bench.rings.rx as usize / SAMPLE;
    let mut taken = 0;
    for _ in 0..(WARM_UP + samples).div_ceil(depth) {
        let round: Vec<&[Exchange]> = exchanges.by_ref().take(depth).collect();
        if case.memory == Memory::Cold {
            round.iter().try_for_each(|burst| bench.deliver(burst))?;
        }
        for sample in round {
            let mut spent = 0.0;
            for burst in sample.chunks(case.burst) {
                if case.memory == Memory::Hot {
                    bench.deliver(burst)?;
                }
                spent += ticks.time(|| bench.turn());
                bench.take(burst)?;
            }
            taken += 1;
            if taken > WARM_UP {
                result.push(spent / SAMPLE as f64);
            }
        }
    }
    Ok(result)
}

struct Bench<'a> {
    case: &'a Case,
    worker: Worker,
    rings: RingSizes,
    /// Where packets come from, and where they leave.
    ingress: KernelSide,
    egress: KernelSide,
}

impl<'a> Bench<'a> {
    fn new(case: &'a Case, load: &Load) -> Result<Self, Broken> {
        let rx = match case.memory {
            Memory::Hot => SMALL,
            Memory::Cold => LARGE,
        };
        let rings = RingSizes {
            rx,
            tx: SMALL,
            fill: rx,
            completion: SMALL,
        };
        let quiet = RingSizes {
            rx: SMALL,
            fill: SMALL,
            ..rings
        };
        let region = Region::new(&RegionConfig {
            chunks: rx + SMALL + SPARE,
            chunk_size: ChunkSize::B2048,
            pages: Pages::Try,
        })?;
        let mut magazine = region.depot().magazine();
        let (ingress_socket, ingress) = Socket::in_memory(&region, rings, &mut magazine);
        let (egress_socket, egress) = Socket::in_memory(&region, quiet, &mut magazine);
        let mut sockets = [(load.ingress, ingress_socket), (load.egress, egress_socket)];
        sockets.sort_by_key(|(port, _)| *port);
        let config = WorkerConfig {
            shared: Shared {
                region,
                meters: Arc::new(load.meters()),
                root: Arc::new(ArcSwap::from_pointee(load.snapshot.clone())),
                clock: Clock::start(),
                punt_bell: Arc::new(Bell::new()?),
            },
            counters: Arc::new(load.counters()),
            busy_poll: true,
        };
        Ok(Self {
            case,
            worker: Worker::detached(config, sockets)?,
            rings,
            ingress,
            egress,
        })
    }

    fn deliver(&mut self, exchanges: &[Exchange]) -> Result<(), Broken> {
        let taken = exchanges
            .iter()
            .take_while(|e| self.ingress.deliver(&e.meta, &e.received));
        let taken = taken.count();
        if taken == exchanges.len() {
            return Ok(());
        }
        Err(Broken::Starved {
            case: self.case.to_string(),
            offered: exchanges.len(),
            taken,
        })
    }

    #[inline]
    fn turn(&mut self) {
        // Whether it found something shows in what leaves.
        let _ = self.worker.turn();
    }

    /// Plays the kernel that sends: these packets must have left, no more and no fewer.
    fn take(&mut self, exchanges: &[Exchange]) -> Result<(), Broken> {
        let mut bytes = 0;
        let left = self.egress.transmit(|packet| bytes += packet.len());
        self.egress.complete();
        let expected_bytes = exchanges.iter().map(|e| e.sent.len()).sum();
        if left == exchanges.len() && bytes == expected_bytes {
            return Ok(());
        }
        let (case, expected) = (self.case.to_string(), exchanges.len());
        Err(Broken::Count {
            case,
            left,
            expected,
            bytes,
            expected_bytes,
        })
    }

    /// As deliver, turn, take, with every byte compared.
    fn check(&mut self, first: usize, exchanges: &[Exchange]) -> Result<(), Broken> {
        self.deliver(exchanges)?;
        self.turn();
        let mut found = Vec::new();
        self.egress.transmit(|packet| found.push(packet.to_vec()));
        self.egress.complete();
        for (n, (exchange, found)) in exchanges.iter().zip(&found).enumerate() {
            if *found != exchange.sent {
                return Err(Broken::Bytes {
                    case: self.case.to_string(),
                    index: first + n,
                    found: found.clone(),
                    expected: exchange.sent.clone(),
                });
            }
        }
        if found.len() == exchanges.len() {
            return Ok(());
        }
        Err(Broken::Count {
            case: self.case.to_string(),
            left: found.len(),
            expected: exchanges.len(),
            bytes: found.iter().map(Vec::len).sum(),
            expected_bytes: exchanges.iter().map(|e| e.sent.len()).sum(),
        })
    }
}
