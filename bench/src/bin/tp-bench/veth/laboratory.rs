//! Two hosts, two links, and what arrives at their ends.

use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use tp_bench::{Counts, End, Generator, GeneratorConfig, Namespace, Sent, Sink, run_in_turn};
use tp_wire::MacAddr;

use super::contender::{Contender, FORWARDER_CPU, Running, Traffic};
use super::{Broken, system};

/// The contender's ports.
pub(super) const PORT_A: &str = "fa";
pub(super) const PORT_B: &str = "fb";
pub(super) const PORT_A_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 1, 1]);
pub(super) const PORT_B_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 1, 2]);
/// The hosts'.
pub(super) const A_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 2, 1]);
pub(super) const B_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 2, 2]);

const HOST_A: &str = "a0";
const HOST_B: &str = "b0";
const SENDER_CPU: usize = FORWARDER_CPU + 1;
/// Before each round: caches, rings and frequency settle.
const WARM_UP: Duration = Duration::from_millis(500);
/// After it: what is still in rings arrives.
const DRAIN: Duration = Duration::from_millis(100);

/// What one round carried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Frames that left the generators.
    pub(crate) offered: u64,
    /// Frames that arrived, as they should be.
    pub(crate) arrived: u64,
    /// How long the generators sent.
    pub(crate) elapsed: Duration,
    /// CPU time of the contender meanwhile.
    pub(crate) cpu: Duration,
}

/// The namespaces, with a sink on each host's end.
#[derive(Debug)]
pub(crate) struct Laboratory {
    portal: Namespace,
    a: Host,
    b: Host,
}

#[derive(Debug)]
struct Host {
    name: &'static str,
    device: &'static str,
    namespace: Namespace,
    sink: Sink,
}

impl Laboratory {
    pub(crate) fn new() -> Result<Self, Broken> {
        let portal = Namespace::new("portal")?;
        let a = Host::new(
            "a",
            End {
                namespace: &portal,
                device: PORT_A,
                mac: PORT_A_MAC,
            },
            HOST_A,
            A_MAC,
        )?;
        let b = Host::new(
            "b",
            End {
                namespace: &portal,
                device: PORT_B,
                mac: PORT_B_MAC,
            },
            HOST_B,
            B_MAC,
        )?;
        Ok(Self { portal, a, b })
    }

    /// Starts the contender, warms it up, loads it, and stops it.
    pub(crate) fn round(&self, contender: &Contender, length: Duration) -> Result<Round, Broken> {
        let running = contender.start(&self.portal)?;
        let [at_a, at_b] = &contender.traffic;
        self.load(at_a, at_b, WARM_UP, &running)?;
        let (sent, cpu) = self.load(at_a, at_b, length, &running)?;
        let arrived_a = self.a.arrived(contender.peer, at_a)?;
        let arrived_b = self.b.arrived(contender.peer, at_b)?;
        let elapsed = sent.iter().map(|s| s.elapsed).max().unwrap_or_default();
        let offered = sent.iter().map(Sent::delivered).sum();
        Ok(Round {
            offered,
            arrived: arrived_a + arrived_b,
            elapsed,
            cpu,
        })
    }

    /// Sends from both hosts for this long, counted from 0.
    fn load(
        &self,
        at_a: &Traffic,
        at_b: &Traffic,
        length: Duration,
        running: &Running,
    ) -> Result<([Sent; 2], Duration), Broken> {
        let mut from_a = self.a.generator(at_a, length)?;
        let mut from_b = self.b.generator(at_b, length)?;
        self.a.sink.reset()?;
        self.b.sink.reset()?;
        let before = running.cpu_time()?;
        let sent = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                pin(SENDER_CPU)?;
                let stop = AtomicBool::new(false);
                Ok::<_, Broken>(run_in_turn([&mut from_a, &mut from_b], &stop))
            });
            sender
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let cpu = running.cpu_time()?.saturating_sub(before);
        thread::sleep(DRAIN);
        Ok((sent, cpu))
    }
}

impl Host {
    fn new(
        name: &'static str,
        port: End<'_>,
        device: &'static str,
        mac: MacAddr,
    ) -> Result<Self, Broken> {
        let namespace = Namespace::new(name)?;
        Namespace::join(
            port,
            End {
                namespace: &namespace,
                device,
                mac,
            },
        )?;
        let sink = namespace
            .enter(|| Sink::attach(device))
            .map_err(system("enter a namespace"))??;
        Ok(Self {
            name,
            device,
            namespace,
            sink,
        })
    }

    fn generator(&self, traffic: &Traffic, length: Duration) -> Result<Generator, Broken> {
        let config = GeneratorConfig {
            duration: Some(length),
            ..GeneratorConfig::new(self.device, traffic.sent.clone())
        };
        let generator = self.namespace.enter(|| Generator::open(&config));
        Ok(generator.map_err(system("enter a namespace"))??)
    }

    /// Frames that arrived here since the sink was reset, if all are what should arrive.
    fn arrived(&self, peer: &'static str, traffic: &Traffic) -> Result<u64, Broken> {
        let counts = self.sink.read()?;
        let total = counts.total();
        if let Some((packets, what)) = wrong(&counts, traffic) {
            return Err(Broken::Wrong {
                peer,
                side: self.name,
                packets,
                what,
            });
        }
        if total.packets == 0 {
            return Err(Broken::Silent {
                peer,
                side: self.name,
            });
        }
        Ok(total.packets)
    }
}

/// The first thing that is wrong with what arrived, and on how many frames.
fn wrong(counts: &Counts, traffic: &Traffic) -> Option<(u64, String)> {
    let total = counts.total();
    let bad = total.bad_inner_checksum + total.bad_outer_checksum;
    if bad > 0 {
        return Some((bad, "header checksum".to_owned()));
    }
    if counts.overflow > 0 {
        return Some((
            counts.overflow,
            "more signatures than the sink can tell apart".to_owned(),
        ));
    }
    let (signature, tally) = counts
        .signatures
        .iter()
        .find(|(s, _)| !traffic.arrives.contains(*s))?;
    Some((tally.packets, format!("{signature:?}")))
}

fn pin(cpu: usize) -> Result<(), Broken> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).map_err(|e| system("pin the generator to a CPU")(e.into()))
}
