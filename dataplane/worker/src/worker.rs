//! The loop's body: what one worker does in one turn.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use arrayvec::ArrayVec;
use crossbeam_queue::ArrayQueue;
use rustix::io::Errno;
use tp_pipeline::abi::MAX_PORTS;
use tp_pipeline::{
    Context, DropReason, Meters, Nanos, Packet, Pipeline, PortId, Snapshot, Verdict, WorkerCounters,
};
use tp_xsk::{Burst, Frame, Region, Socket};

use crate::bell::Bell;
use crate::inlet::{Inlet, Submissions};
use crate::link::{Detached, Link};
use crate::mailbox::{Epoch, Mailbox};
use crate::outlets::Outlets;
use crate::punt::Punts;
use crate::report::{SocketReport, WorkerReport};
use crate::sleep::Bed;
use crate::waiting::Waiting;

/// Entries of a worker's queues of punts and submissions.
const QUEUE: usize = 1024;
/// Turns without work before a worker sleeps: about as long as a wake-up costs.
const IDLE_TURNS: u32 = 16;
/// Sleep while the kernel still has to take or complete something, which rings no bell.
const SHORT_SLEEP: Duration = Duration::from_millis(1);
/// Sleep while packets wait for a neighbour: no bell rings when their time is over.
const WAITING_SLEEP: Duration = Duration::from_millis(50);
/// Sleep while nothing is under way.
const LONG_SLEEP: Duration = Duration::from_millis(500);

/// Time of the police: nanoseconds since the fleet's start, the same for all workers.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts at zero.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time; read once a burst.
    #[inline]
    fn now(self) -> Nanos {
        // 2^64 ns are 584 years.
        Nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// What all workers of a portal share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The memory of all frames.
    pub region: Region,
    /// Token buckets.
    pub meters: Arc<Meters>,
    /// The one published root.
    pub root: Arc<ArcSwap<Snapshot>>,
    /// Time of the police.
    pub clock: Clock,
    /// Rung when a worker has put something into its queue of punts.
    pub punt_bell: Arc<Bell>,
}

/// How a worker is made.
#[derive(Debug)]
pub struct WorkerConfig {
    /// What it shares with the others.
    pub shared: Shared,
    /// Its counters.
    pub counters: Arc<WorkerCounters>,
    /// Spin instead of sleeping.
    pub busy_poll: bool,
}

/// What the control side may ask of a worker.
#[derive(Debug)]
pub(crate) enum Command {
    Attach(PortId, Box<Socket>),
    Detach(PortId, Sender<Vec<Detached>>),
    Report(Sender<WorkerReport>),
    Stop,
}

/// Whether a turn found something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Packets moved.
    Busy,
    /// Nothing moved.
    Idle,
    /// Asked to stop; sockets are closed.
    Stopped,
}

/// A worker: sockets in, verdicts, sockets out.
#[derive(Debug)]
pub struct Worker {
    // Read or written each burst.
    outlets: Outlets,
    snapshot: Arc<Snapshot>,
    pipeline: Pipeline,
    burst: Burst,
    shared: Shared,
    epoch: Epoch,
    mailbox: Arc<Mailbox>,
    punts: Arc<Punts>,
    submissions: Arc<Submissions>,
    // Read or written when idle or asked.
    waiting: Waiting,
    drain_pending: bool,
    idle_turns: u32,
    busy_poll: bool,
    bed: Bed,
    commands: Receiver<Command>,
    closed: Vec<SocketReport>,
}

impl Worker {
    pub(crate) fn new(
        config: WorkerConfig,
        mailbox: Arc<Mailbox>,
        commands: Receiver<Command>,
    ) -> Result<Self, Errno> {
        let punts = Arc::new(ArrayQueue::new(QUEUE));
        let Shared {
            region, punt_bell, ..
        } = config.shared.clone();
        Ok(Self {
            outlets: Outlets::new(region, config.counters, Arc::clone(&punts), punt_bell),
            snapshot: config.shared.root.load_full(),
            pipeline: Pipeline::new(),
            burst: Burst::new(),
            shared: config.shared,
            epoch: Epoch::default(),
            bed: Bed::new(mailbox.bell().as_fd())?,
            mailbox,
            punts,
            submissions: Arc::new(ArrayQueue::new(QUEUE)),
            waiting: Waiting::new(),
            drain_pending: false,
            idle_turns: 0,
            busy_poll: config.busy_poll,
            commands,
            closed: Vec::new(),
        })
    }

    /// A worker that nobody reaches by a fleet, with these sockets: for benches, which call
    /// [`Self::turn`] themselves.
    ///
    /// # Errors
    /// Of eventfd and epoll.
    pub fn detached(
        config: WorkerConfig,
        sockets: impl IntoIterator<Item = (PortId, Socket)>,
    ) -> Result<Self, Errno> {
        let (_, commands) = std::sync::mpsc::channel();
        let mut worker = Self::new(config, Arc::new(Mailbox::new()?), commands)?;
        for (port, socket) in sockets {
            worker.attach(port, socket);
        }
        Ok(worker)
    }

    /// Where this worker puts packets for the kernel.
    #[must_use]
    pub fn punts(&self) -> Arc<Punts> {
        Arc::clone(&self.punts)
    }

    /// The way in for frames that no port received.
    #[must_use]
    pub fn inlet(&self) -> Inlet {
        Inlet::new(Arc::clone(&self.submissions), Arc::clone(&self.mailbox))
    }

    /// One look at the mailbox, every socket and the inputs.
    pub fn turn(&mut self) -> Activity {
        if self.mailbox.asked() != self.epoch && self.take_orders() == Activity::Stopped {
            return Activity::Stopped;
        }
        let mut moved = 0;
        for index in 0..self.outlets.links.len() {
            moved += self.receive(index);
        }
        moved += self.take_submissions();
        if !self.waiting.is_empty() {
            let now = self.shared.clock.now();
            self.waiting.expire(now, &mut self.outlets);
        }
        moved += self.outlets.flush();
        if self.drain_pending {
            self.acknowledge_drained();
        }
        if moved > 0 {
            Activity::Busy
        } else {
            Activity::Idle
        }
    }

    /// Turns until asked to stop, sleeping when idle.
    pub(crate) fn run(&mut self) {
        loop {
            match self.turn() {
                Activity::Busy => self.idle_turns = 0,
                Activity::Idle if self.busy_poll => std::hint::spin_loop(),
                Activity::Idle => self.rest(),
                Activity::Stopped => return,
            }
        }
    }

    /// Receives one burst from a link and carries its packets to their verdicts.
    fn receive(&mut self, index: usize) -> usize {
        let link = &mut self.outlets.links[index];
        let received = link.socket.receive(&mut self.burst);
        if received == 0 {
            return 0;
        }
        let port = link.port;
        self.outlets.counters.add_rx(received as u64);
        let context = Context {
            snapshot: &self.snapshot,
            meters: &self.shared.meters,
            counters: &self.outlets.counters,
            port,
            now: self.shared.clock.now(),
        };
        // Every packet's verdict is written over this one.
        let mut verdicts = [Verdict::Drop(DropReason::BadMetadata); Pipeline::BURST];
        let starts: ArrayVec<usize, { Pipeline::BURST }> =
            self.burst.as_mut_slice().iter().map(Frame::start).collect();
        judge(
            &mut self.pipeline,
            &context,
            &self.shared.region,
            &mut self.burst,
            &mut verdicts,
        );
        let now = context.now;
        for ((frame, start), verdict) in self.burst.drain().zip(starts).zip(verdicts) {
            match verdict {
                Verdict::Hold(id) => match self.pipeline.held(id) {
                    Some(held) => self.waiting.keep(frame, held, now, &mut self.outlets),
                    None => {
                        unreachable!("the pipeline remembers what it held until its next burst")
                    }
                },
                verdict => self.outlets.carry_out(frame, start, verdict),
            }
        }
        received
    }

    fn take_submissions(&mut self) -> usize {
        let mut taken = 0;
        while taken < Pipeline::BURST {
            let Some((port, frame)) = self.submissions.pop() else {
                break;
            };
            self.outlets.counters.add_originated(1);
            self.outlets.send(port, frame);
            taken += 1;
        }
        taken
    }

    /// Takes over what the control side published or asked for since the last turn.
    #[cold]
    fn take_orders(&mut self) -> Activity {
        let epoch = self.mailbox.asked();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Attach(port, socket) => self.attach(port, *socket),
                // The asker may have given up waiting.
                Command::Detach(port, answer) => drop(answer.send(self.detach(port))),
                Command::Report(answer) => drop(answer.send(self.report())),
                Command::Stop => {
                    self.waiting.clear(&mut self.outlets);
                    for port in 0..MAX_PORTS {
                        self.detach(PortId(u32::try_from(port).unwrap_or(u32::MAX)));
                    }
                    self.mailbox.acknowledge(epoch);
                    return Activity::Stopped;
                }
            }
        }
        self.snapshot = self.shared.root.load_full();
        self.retry();
        self.epoch = epoch;
        self.drain_pending = true;
        for link in &mut self.outlets.links {
            link.drain_to = link.socket.rx_mark();
        }
        self.mailbox.acknowledge(epoch);
        Activity::Busy
    }

    /// Lets packets go on whose neighbour the new snapshot knows.
    fn retry(&mut self) {
        let counters = Arc::clone(&self.outlets.counters);
        let context = Context {
            snapshot: &self.snapshot,
            meters: &self.shared.meters,
            counters: &counters,
            // They are past the stage that asks for it.
            port: PortId(0),
            now: self.shared.clock.now(),
        };
        self.waiting
            .retry(&context, &self.shared.region, &mut self.outlets);
    }

    fn acknowledge_drained(&mut self) {
        let mut links = self.outlets.links.iter();
        if links.all(|link| link.socket.rx_passed(link.drain_to)) {
            self.drain_pending = false;
            self.mailbox.acknowledge_drained(self.epoch);
        }
    }

    fn attach(&mut self, port: PortId, socket: Socket) {
        if let Some(fd) = self.outlets.attach(port, socket) {
            // Without it the worker still wakes at the end of each sleep, late but never stuck.
            let _ = self.bed.add(fd);
        }
    }

    fn detach(&mut self, port: PortId) -> Vec<Detached> {
        let detached = self.outlets.detach(port);
        for Detached { report, .. } in &detached {
            let same = |r: &&mut SocketReport| (r.port, r.queue) == (report.port, report.queue);
            match self.closed.iter_mut().find(same) {
                Some(sum) => sum.absorb(report),
                None => self.closed.push(*report),
            }
        }
        detached
    }

    fn report(&mut self) -> WorkerReport {
        WorkerReport {
            open: self.outlets.links.iter_mut().map(Link::report).collect(),
            closed: self.closed.clone(),
            held: self.outlets.links.iter().map(Link::held).sum::<u64>()
                + self.waiting.len() as u64,
        }
    }

    /// Sleeps, once enough turns found nothing.
    fn rest(&mut self) {
        self.idle_turns += 1;
        if self.idle_turns < IDLE_TURNS {
            return;
        }
        let mut links = self.outlets.links.iter();
        let at_most = if links.any(|link| link.socket.pending() > 0) {
            SHORT_SLEEP
        } else if !self.waiting.is_empty() {
            WAITING_SLEEP
        } else {
            LONG_SLEEP
        };
        self.mailbox.bell().arm();
        // What came before the bell was armed rang for nobody.
        if self.mailbox.asked() == self.epoch && self.submissions.is_empty() {
            self.bed.sleep(at_most);
        }
        self.mailbox.bell().disarm();
        self.idle_turns = 0;
    }
}

/// Runs the pipeline over a burst in place: frames keep their order and get their new extent.
#[inline]
fn judge(
    pipeline: &mut Pipeline,
    context: &Context<'_>,
    region: &Region,
    burst: &mut Burst,
    verdicts: &mut [Verdict; Pipeline::BURST],
) {
    let mut packets: ArrayVec<Packet<'_>, { Pipeline::BURST }> = ArrayVec::new();
    for frame in burst.as_mut_slice() {
        let (start, len) = (frame.start(), frame.len());
        let packet = Packet::new(region.chunk_mut(frame), start, len);
        packets.push(packet.unwrap_or_else(|| unreachable!("a frame's extent is in its chunk")));
    }
    let count = packets.len();
    pipeline.process(context, &mut packets, &mut verdicts[..count]);
    let extents: ArrayVec<(usize, usize), { Pipeline::BURST }> =
        packets.iter().map(|p| (p.start(), p.len())).collect();
    drop(packets);
    for (frame, (start, len)) in burst.as_mut_slice().iter_mut().zip(extents) {
        frame.set_extent(start, len);
    }
}
