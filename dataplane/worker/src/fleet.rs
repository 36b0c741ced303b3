//! All workers of a portal, as the control side sees them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::io::Errno;
use tp_pipeline::{Meters, PortId, Snapshot, WorkerCounters};
use tp_xsk::{Magazine, Region, Socket};

use crate::bell::Bell;
use crate::inlet::Inlet;
use crate::link::Detached;
use crate::mailbox::{Epoch, Mailbox};
use crate::punt::Punts;
use crate::report::{SocketReport, WorkerReport};
use crate::slow::SlowEnds;
use crate::worker::{Clock, Command, Shared, Worker, WorkerConfig};

/// How the workers are made.
#[derive(Debug)]
pub struct FleetConfig {
    /// CPUs, one worker each.
    pub cpus: Vec<usize>,
    /// Spin instead of sleeping.
    pub busy_poll: bool,
    /// The memory of all frames.
    pub region: Region,
    /// Token buckets.
    pub meters: Arc<Meters>,
    /// One a worker, in the order of `cpus`.
    pub counters: Vec<Arc<WorkerCounters>>,
    /// What they start with.
    pub snapshot: Snapshot,
}

/// Why the fleet could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The kernel refused a thread, an eventfd or an epoll set.
    #[error("worker {worker} could not be made")]
    Make {
        /// Which.
        worker: usize,
        /// Why.
        source: std::io::Error,
    },
    /// The kernel refused the bell of the slow path.
    #[error("the bell of the slow path could not be made")]
    Bell(#[source] std::io::Error),
    /// The thread could not be pinned.
    #[error(
        "worker {worker} could not be pinned to CPU {cpu}: is the CPU online and in this process's set?"
    )]
    Pin {
        /// Which.
        worker: usize,
        /// Where it should run.
        cpu: usize,
    },
    /// The worker did not answer in time: it is dead or does not get its CPU.
    #[error("worker {worker} did not answer within {waited:?}")]
    Silent {
        /// Which.
        worker: usize,
        /// For how long it was waited for.
        waited: Duration,
    },
}

/// The workers, on threads of their own.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    punt_bell: Arc<Bell>,
    root: Arc<ArcSwap<Snapshot>>,
    epoch: AtomicU64,
    /// Snapshots that workers may still hold, with the epoch after which none does: freed
    /// here, on the control side, never by a worker.
    retained: Mutex<Vec<(Epoch, Arc<Snapshot>)>>,
}

#[derive(Debug)]
struct Member {
    mailbox: Arc<Mailbox>,
    commands: Sender<Command>,
    punts: Arc<Punts>,
    inlet: Inlet,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    /// Starts one pinned thread a CPU; they have no sockets yet.
    ///
    /// # Errors
    /// [`FleetError::Make`] and [`FleetError::Pin`]; threads already started are stopped.
    pub fn start(config: FleetConfig) -> Result<Self, FleetError> {
        let root = Arc::new(ArcSwap::from_pointee(config.snapshot));
        let shared = Shared {
            region: config.region,
            meters: config.meters,
            root: Arc::clone(&root),
            clock: Clock::start(),
            punt_bell: Arc::new(Bell::new().map_err(|e| FleetError::Bell(e.into()))?),
        };
        let mut fleet = Self {
            members: Vec::with_capacity(config.cpus.len()),
            punt_bell: Arc::clone(&shared.punt_bell),
            root,
            epoch: AtomicU64::new(0),
            retained: Mutex::new(Vec::new()),
        };
        for (index, (cpu, counters)) in config.cpus.into_iter().zip(config.counters).enumerate() {
            let worker = WorkerConfig {
                shared: shared.clone(),
                counters,
                busy_poll: config.busy_poll,
            };
            fleet.members.push(Member::start(index, cpu, worker)?);
        }
        Ok(fleet)
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.members.len()
    }

    /// Whether all threads still run.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.members
            .iter()
            .all(|m| m.thread.as_ref().is_some_and(|t| !t.is_finished()))
    }

    /// Where the workers put packets for the kernel, and where they take finished frames from.
    #[must_use]
    pub fn slow_ends(&self) -> SlowEnds {
        let ends = |member: &Member| (Arc::clone(&member.punts), member.inlet.clone());
        SlowEnds {
            bell: Arc::clone(&self.punt_bell),
            root: Arc::clone(&self.root),
            workers: self.members.iter().map(ends).collect(),
        }
    }

    /// Makes this the snapshot of every burst that starts from now on.
    pub fn publish(&self, snapshot: Snapshot) -> Epoch {
        let old = self.root.swap(Arc::new(snapshot));
        let epoch = self.raise();
        self.retained
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((epoch, old));
        epoch
    }

    /// What is published.
    #[must_use]
    pub fn published(&self) -> Arc<Snapshot> {
        self.root.load_full()
    }

    /// A point after which [`Self::wait_drained`] can be asked for.
    pub fn mark(&self) -> Epoch {
        self.raise()
    }

    /// Waits until no worker uses anything from before `epoch`, then frees it.
    ///
    /// # Errors
    /// [`FleetError::Silent`].
    pub fn wait_seen(&self, epoch: Epoch, at_most: Duration) -> Result<(), FleetError> {
        self.wait(at_most, |mailbox| mailbox.seen() >= epoch)?;
        let mut retained = self.retained.lock().unwrap_or_else(PoisonError::into_inner);
        retained.retain(|(until, _)| *until > epoch);
        Ok(())
    }

    /// Waits until every worker has taken out of its RX rings all that was there at `epoch`, and carried it to
    /// its verdict. What comes meanwhile is not waited for: under full load a ring is never empty.
    ///
    /// # Errors
    /// [`FleetError::Silent`].
    pub fn wait_drained(&self, epoch: Epoch, at_most: Duration) -> Result<(), FleetError> {
        self.wait(at_most, |mailbox| mailbox.drained() >= epoch)
    }

    /// Hands a socket to a worker and waits until it serves it.
    ///
    /// # Errors
    /// [`FleetError::Silent`].
    pub fn attach(&self, worker: usize, port: PortId, socket: Socket) -> Result<(), FleetError> {
        self.tell(worker, Command::Attach(port, Box::new(socket)))?;
        self.wait_seen(self.raise(), ANSWER)
    }

    /// Takes a port's sockets from every worker and closes them, on the calling thread: a driver may take its time
    /// to let go of a queue, and workers do not wait for it. Answers how they stood.
    ///
    /// # Errors
    /// [`FleetError::Silent`].
    pub fn detach(
        &self,
        port: PortId,
        magazine: &mut Magazine,
    ) -> Result<Vec<SocketReport>, FleetError> {
        let detached = self.ask(|answer| Command::Detach(port, answer))?;
        let close = |Detached { report, socket }| {
            socket.close(magazine);
            report
        };
        Ok(detached.into_iter().flatten().map(close).collect())
    }

    /// How every worker stands.
    ///
    /// # Errors
    /// [`FleetError::Silent`].
    pub fn report(&self) -> Result<Vec<WorkerReport>, FleetError> {
        self.ask(Command::Report)
    }

    fn raise(&self) -> Epoch {
        let epoch = Epoch(self.epoch.fetch_add(1, Ordering::AcqRel) + 1);
        for member in &self.members {
            member.mailbox.raise(epoch);
        }
        epoch
    }

    fn tell(&self, worker: usize, command: Command) -> Result<(), FleetError> {
        self.members[worker]
            .commands
            .send(command)
            .map_err(|_| FleetError::Silent {
                worker,
                waited: Duration::ZERO,
            })
    }

    /// Asks every worker and gathers the answers in their order.
    fn ask<T>(&self, command: impl Fn(Sender<T>) -> Command) -> Result<Vec<T>, FleetError> {
        let mut answers = Vec::with_capacity(self.members.len());
        for worker in 0..self.members.len() {
            let (sender, receiver) = mpsc::channel();
            self.tell(worker, command(sender))?;
            answers.push(receiver);
        }
        self.raise();
        let silent = |worker| {
            move |_| FleetError::Silent {
                worker,
                waited: ANSWER,
            }
        };
        answers
            .into_iter()
            .enumerate()
            .map(|(worker, answer)| answer.recv_timeout(ANSWER).map_err(silent(worker)))
            .collect()
    }

    fn wait(&self, at_most: Duration, done: impl Fn(&Mailbox) -> bool) -> Result<(), FleetError> {
        let start = Instant::now();
        for (worker, member) in self.members.iter().enumerate() {
            while !done(&member.mailbox) {
                if start.elapsed() > at_most {
                    return Err(FleetError::Silent {
                        worker,
                        waited: at_most,
                    });
                }
                std::thread::sleep(POLL);
            }
        }
        Ok(())
    }
}

/// How long a worker may take to answer. A turn takes microseconds; a starved CPU takes longer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often the control side looks.
const POLL: Duration = Duration::from_micros(50);

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in 0..self.members.len() {
            // A worker that is gone needs no telling.
            let _ = self.tell(worker, Command::Stop);
        }
        self.raise();
        for member in &mut self.members {
            if let Some(thread) = member.thread.take() {
                // A worker that panicked has said so; its frames went with it.
                let _ = thread.join();
            }
        }
    }
}

impl Member {
    fn start(index: usize, cpu: usize, config: WorkerConfig) -> Result<Self, FleetError> {
        let make = |source: Errno| FleetError::Make {
            worker: index,
            source: source.into(),
        };
        let mailbox = Arc::new(Mailbox::new().map_err(make)?);
        let (commands, inbox) = mpsc::channel();
        let mut worker = Worker::new(config, Arc::clone(&mailbox), inbox).map_err(make)?;
        let (punts, inlet) = (worker.punts(), worker.inlet());
        let (pinned, is_pinned) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("tp-worker-{index}"))
            .spawn(move || {
                let ok = core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
                // The starter waits for this answer.
                let _ = pinned.send(ok);
                if ok {
                    worker.run();
                }
            })
            .map_err(|source| FleetError::Make {
                worker: index,
                source,
            })?;
        let member = Self {
            mailbox,
            commands,
            punts,
            inlet,
            thread: Some(thread),
        };
        match is_pinned.recv() {
            Ok(true) => Ok(member),
            Ok(false) | Err(_) => Err(FleetError::Pin { worker: index, cpu }),
        }
    }
}
