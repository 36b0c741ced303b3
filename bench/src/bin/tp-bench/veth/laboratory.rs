//! Two hosts, two links, and what arrives at their ends.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use tp_bench::{Counts, End, Generator, GeneratorConfig, Namespace, Sent, Sink, run_in_turn};
use tp_wire::MacAddr;

use super::books::Books;
use super::contender::{Contender, FORWARDER_CPU, Traffic};
use super::cpu::CpuTime;
use super::process::Process;
use super::{Broken, system};

/// The contender's ports.
pub(super) const PORT_A: &str = "fa";
pub(super) const PORT_B: &str = "fb";
pub(super) const PORT_A_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 1, 1]);
pub(super) const PORT_B_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 1, 2]);
/// The hosts'.
pub(super) const A_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 2, 1]);
pub(super) const B_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 2, 2]);
/// Addresses on the links, each with 24 bits of prefix: a contender that resolves its neighbours is
/// answered by the hosts' kernels.
pub(super) const PORT_A_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub(super) const PORT_B_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(super) const A_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const B_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

const HOST_A: &str = "a0";
const HOST_B: &str = "b0";
const SENDER_CPU: usize = FORWARDER_CPU + 1;
/// Before each round: caches, rings and frequency settle.
const WARM_UP: Duration = Duration::from_millis(500);
/// After a load: what is still in rings arrives. It is over when nothing has arrived for a pause.
const DRAIN_PAUSE: Duration = Duration::from_millis(100);
const DRAIN: Duration = Duration::from_secs(3);

/// One round of a contender.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// What it carried.
    pub(crate) load: Load,
    /// Where frames were counted, from the contender's start to its end, warm-up included.
    pub(crate) books: Books,
}

/// What a contender carried from generators to sinks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Frames that left the generators.
    pub(crate) offered: u64,
    /// Frames that arrived.
    pub(crate) arrived: u64,
    /// How long the generators sent.
    pub(crate) elapsed: Duration,
    /// CPU time of the contender meanwhile.
    pub(crate) forwarder: CpuTime,
    /// CPU time of the sending thread meanwhile.
    pub(crate) generator: CpuTime,
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
            (&portal, PORT_A, PORT_A_MAC, PORT_A_ADDRESS),
            (HOST_A, A_MAC, A_ADDRESS),
        )?;
        let b = Host::new(
            "b",
            (&portal, PORT_B, PORT_B_MAC, PORT_B_ADDRESS),
            (HOST_B, B_MAC, B_ADDRESS),
        )?;
        Ok(Self { portal, a, b })
    }

    /// Starts the contender, warms it up, loads it, and stops it.
    pub(crate) fn round(&self, contender: &Contender, length: Duration) -> Result<Round, Broken> {
        self.a.sink.reset()?;
        self.b.sink.reset()?;
        let process = contender.start(&self.portal)?;
        let warm_up = self.load(contender, WARM_UP, &process)?;
        let load = self.load(contender, length, &process)?;
        let mut books = Books::default();
        books.add("offered", warm_up.offered + load.offered);
        books.merge(&contender.stop(process)?);
        books.add("arrived", warm_up.arrived + load.arrived);
        for (host, traffic) in self.hosts().into_iter().zip(&contender.traffic) {
            host.check(contender.peer, traffic, &books)?;
        }
        Ok(Round { load, books })
    }

    fn hosts(&self) -> [&Host; 2] {
        [&self.a, &self.b]
    }

    /// Frames that have arrived since the sinks were reset.
    fn arrived(&self) -> Result<u64, Broken> {
        let mut sum = 0;
        for host in self.hosts() {
            sum += host.sink.read()?.total().packets;
        }
        Ok(sum)
    }

    /// Sends from both hosts for this long, and waits until all has arrived.
    fn load(
        &self,
        contender: &Contender,
        length: Duration,
        process: &Process,
    ) -> Result<Load, Broken> {
        let [at_a, at_b] = &contender.traffic;
        let mut from_a = self.a.generator(at_a, length)?;
        let mut from_b = self.b.generator(at_b, length)?;
        let (arrived, used) = (self.arrived()?, process.cpu_time()?);
        let (sent, generator) = thread::scope(|scope| {
            let sender = scope.spawn(|| send([&mut from_a, &mut from_b]));
            sender
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let forwarder = process.cpu_time()? - used;
        Ok(Load {
            offered: sent.iter().map(Sent::delivered).sum(),
            arrived: self.drain()? - arrived,
            elapsed: sent.iter().map(|s| s.elapsed).max().unwrap_or_default(),
            forwarder,
            generator,
        })
    }

    /// Waits until nothing more arrives; returns what has arrived.
    fn drain(&self) -> Result<u64, Broken> {
        let until = Instant::now() + DRAIN;
        let mut arrived = self.arrived()?;
        loop {
            thread::sleep(DRAIN_PAUSE);
            let before = std::mem::replace(&mut arrived, self.arrived()?);
            if arrived == before || Instant::now() > until {
                return Ok(arrived);
            }
        }
    }
}

/// Runs the generators on a CPU of their own; returns what they sent, and the CPU time that it took.
fn send<const N: usize>(generators: [&mut Generator; N]) -> Result<([Sent; N], CpuTime), Broken> {
    pin(SENDER_CPU)?;
    let cpu_time = || CpuTime::of_this_thread().map_err(system("read the generator's CPU time"));
    let before = cpu_time()?;
    let sent = run_in_turn(generators, &AtomicBool::new(false));
    Ok((sent, cpu_time()? - before))
}

impl Host {
    fn new(
        name: &'static str,
        (portal, port, port_mac, port_address): (&Namespace, &'static str, MacAddr, Ipv4Addr),
        (device, mac, address): (&'static str, MacAddr, Ipv4Addr),
    ) -> Result<Self, Broken> {
        let namespace = Namespace::new(name)?;
        let ends = [
            (portal, port, port_mac, port_address),
            (&namespace, device, mac, address),
        ];
        let [a, b] = ends.map(|(namespace, device, mac, _)| End {
            namespace,
            device,
            mac,
        });
        Namespace::join(a, b)?;
        for (namespace, device, _, address) in ends {
            namespace.ip(&["address", "add", &format!("{address}/24"), "dev", device])?;
        }
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

    /// Whether frames arrived here, and all are what should arrive.
    fn check(&self, peer: &'static str, traffic: &Traffic, books: &Books) -> Result<(), Broken> {
        let counts = self.sink.read()?;
        if let Some((packets, what)) = wrong(&counts, traffic) {
            return Err(Broken::Wrong {
                peer,
                side: self.name,
                packets,
                what,
            });
        }
        if counts.total().packets == 0 {
            return Err(Broken::Silent {
                peer,
                side: self.name,
                books: books.to_string(),
            });
        }
        Ok(())
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
