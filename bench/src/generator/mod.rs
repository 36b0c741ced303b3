//! Sends frames with sequence numbers over AF_XDP, at a rate or as fast as the device takes them.

mod config;
mod pacer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tp_xsk::{
    BindMode, Burst, ChunkSize, Magazine, PACKET_START, Pages, Region, RegionConfig, RingSizes,
    Socket, SocketConfig,
};

pub use config::{GeneratorConfig, GeneratorError, Sent};
use pacer::Pacer;
pub use pacer::Rate;

use crate::device;
use crate::template::Template;

/// Chunks of a generator: what its rings hold and a link keeps in flight.
const CHUNKS: u32 = 4096;
const RINGS: RingSizes = RingSizes {
    rx: 64,
    tx: 1024,
    fill: 64,
    completion: 1024,
};
/// Least time to the next packet that is worth a sleep: the kernel adds about 50 us to one.
const WORTH_A_SLEEP: Duration = Duration::from_micros(200);
/// How long the end of a run waits for frames that the kernel has not taken yet.
const DRAIN: Duration = Duration::from_millis(200);

/// Sends the frames of its templates on one device.
#[derive(Debug)]
pub struct Generator {
    /// With the index of its flow.
    templates: Vec<(Template, usize)>,
    /// Index of the template whose turn it is.
    turn: usize,
    flows: Vec<Flow>,
    /// Frames written that found no room in the TX ring.
    burst: Burst,
    packets: Option<u64>,
    duration: Option<Duration>,
    pacer: Pacer,
    started: Instant,
    sent: Sent,
    region: Region,
    magazine: Magazine,
    socket: Socket,
}

/// All templates of one number.
#[derive(Debug)]
struct Flow {
    id: u32,
    /// Next sequence number; goes on from run to run.
    sequence: u64,
    /// The sequence number that this run began with.
    began: u64,
}

impl Generator {
    /// Binds the device's queue.
    ///
    /// # Errors
    /// When there is no such device or queue, a template does not fit, or rights are missing.
    pub fn open(config: &GeneratorConfig) -> Result<Self, GeneratorError> {
        let region = Region::new(&RegionConfig {
            chunks: CHUNKS,
            chunk_size: ChunkSize::B2048,
            pages: Pages::Try,
        })?;
        if config.templates.is_empty() {
            return Err(GeneratorError::NoTemplate);
        }
        if let Some(long) = config
            .templates
            .iter()
            .find(|t| t.len() > region.max_packet())
        {
            return Err(GeneratorError::TooLong(long.id()));
        }
        let mut magazine = region.depot().magazine();
        let socket = SocketConfig {
            ifindex: device::index(&config.device)?,
            queue: config.queue,
            rings: RINGS,
            mode: BindMode::Auto,
            need_wakeup: true,
            generic_xdp: false,
        };
        let socket = Socket::open(&region, &socket, &mut magazine).map_err(|source| {
            GeneratorError::Socket {
                device: config.device.clone(),
                source,
            }
        })?;
        let now = Instant::now();
        let most = config.burst.clamp(1, 64);
        let (templates, flows) = flows(&config.templates);
        Ok(Self {
            templates,
            turn: 0,
            flows,
            burst: Burst::new(),
            packets: config.packets,
            duration: config.duration,
            pacer: Pacer::new(config.rate, most, now),
            started: now,
            sent: Sent::default(),
            region,
            magazine,
            socket,
        })
    }

    /// Sends until the count or the time of the configuration is reached, or `stop` says so.
    pub fn run(&mut self, stop: &AtomicBool) -> Sent {
        let [sent] = run_in_turn([self], stop);
        sent
    }

    /// Begins a run.
    fn start(&mut self, now: Instant) {
        self.started = now;
        self.sent = Sent::default();
        self.pacer.restart(now);
        for flow in &mut self.flows {
            flow.began = flow.sequence;
        }
    }

    /// Sends what is due, at most a burst.
    fn step(&mut self, now: Instant) {
        if self.burst.is_empty() {
            let due = u64::from(self.pacer.due(now)).min(self.left());
            for _ in 0..due {
                if !self.write_one() {
                    break;
                }
            }
        }
        let before = self.burst.len();
        self.socket.send(&mut self.burst);
        let taken = u32::try_from(before - self.burst.len()).unwrap_or(u32::MAX);
        self.pacer.spend(taken);
        self.flush();
    }

    /// Writes the next frame into the burst; `false` without a free chunk.
    fn write_one(&mut self) -> bool {
        let Some(mut frame) = self.magazine.alloc() else {
            return false;
        };
        let (template, flow) = &self.templates[self.turn];
        let flow = &mut self.flows[*flow];
        let room = &mut self.region.chunk_mut(&mut frame)[PACKET_START..];
        let Some(len) = template.write(flow.sequence, room) else {
            unreachable!("template {} was checked against the chunk", template.id());
        };
        frame.set_extent(PACKET_START, len);
        flow.sequence += 1;
        self.sent.packets += 1;
        self.sent.bytes += len as u64;
        self.turn = (self.turn + 1) % self.templates.len();
        if let Err(frame) = self.burst.push(frame) {
            unreachable!("a burst of at most 64 frames has no room for {frame:?}");
        }
        true
    }

    fn flush(&mut self) {
        let flushed = self.socket.flush();
        self.sent.dropped += u64::from(flushed.busy);
        self.socket.reclaim(&mut self.magazine);
    }

    /// Packets that may still be written in this run.
    fn left(&self) -> u64 {
        self.packets
            .map_or(u64::MAX, |limit| limit - self.sent.packets)
    }

    fn finished(&self, now: Instant) -> bool {
        let over = self
            .duration
            .is_some_and(|d| now.saturating_duration_since(self.started) >= d);
        over || self.left() == 0
    }

    /// Lets the kernel take what was written; returns the run's counts.
    fn finish(&mut self) -> Sent {
        self.sent.elapsed = self.started.elapsed();
        let deadline = Instant::now() + DRAIN;
        while (!self.burst.is_empty() || self.socket.pending() > 0) && Instant::now() < deadline {
            self.socket.send(&mut self.burst);
            self.flush();
        }
        self.sent.stuck = self.burst.len() as u64 + u64::from(self.socket.pending());
        self.sent.by_template = self
            .flows
            .iter()
            .map(|f| (f.id, f.sequence - f.began))
            .collect();
        std::mem::take(&mut self.sent)
    }
}

/// The templates with the indices of their flows, and the flows.
fn flows(templates: &[Template]) -> (Vec<(Template, usize)>, Vec<Flow>) {
    let mut flows: Vec<Flow> = Vec::new();
    let mut index = BTreeMap::new();
    let with_flow = templates.iter().map(|template| {
        let flow = *index.entry(template.id()).or_insert_with(|| {
            flows.push(Flow {
                id: template.id(),
                sequence: 0,
                began: 0,
            });
            flows.len() - 1
        });
        (template.clone(), flow)
    });
    (with_flow.collect(), flows)
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.burst.clear_into(&mut self.magazine);
    }
}

/// Runs generators in one thread, a burst of each in turn, until each has reached its count or time
/// or `stop` says so. With two cores, both directions' senders share what the forwarder leaves.
pub fn run_in_turn<const N: usize>(
    mut generators: [&mut Generator; N],
    stop: &AtomicBool,
) -> [Sent; N] {
    let mut now = Instant::now();
    for generator in &mut generators {
        generator.start(now);
    }
    loop {
        let mut wait = None::<Duration>;
        for generator in generators.iter_mut().filter(|g| !g.finished(now)) {
            generator.step(now);
            let its = generator.pacer.wait();
            wait = Some(wait.map_or(its, |w| w.min(its)));
        }
        let Some(wait) = wait else { break };
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if wait > WORTH_A_SLEEP {
            thread::sleep(wait - WORTH_A_SLEEP / 2);
        }
        now = Instant::now();
    }
    generators.map(Generator::finish)
}
