//! The running portal: workers, steering program and ports, kept as the model and the kernel say.
//!
//! Everything here blocks and runs on one thread; the daemon calls it from there.

mod change;
mod count;
mod offloads;
mod port_totals;
mod ports;
mod show;
mod slow;
mod stop;
mod totals;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tp_ebpf::{Pins, Steering};
use tp_pipeline::{Meters, Snapshot, WorkerCounters};
use tp_worker::{Fleet, FleetConfig, FleetError};
use tp_xsk::{ChunkSize, Magazine, Pages, Region, RegionConfig, RegionError};

use crate::compile::{self, CompileError, Compiled, compile};
use crate::model::{HugePages, KernelView, Model, Name};
use crate::slow::{SlowPath, SlowPathError};
use offloads::OffloadRecord;
pub use offloads::RecordError;
use port_totals::PortTotals;
pub use ports::BindError;
use ports::{Bound, Retry};
use totals::Totals;

/// Why the portal could not start or change.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// A capacity does not suffice.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The memory of the frames could not be had.
    #[error("memory for the frames")]
    Region(#[from] RegionError),
    /// Workers could not be made, or did not answer.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The steering program could not be loaded.
    #[error("the steering program")]
    Load(#[from] tp_ebpf::LoadError),
    /// A steering map refused an update; what was in force still is.
    #[error("the steering maps")]
    Steering(#[from] tp_ebpf::ApplyError),
    /// The kernel does not say when programs have left the old maps.
    #[error("waiting until no CPU runs the steering program with what it read from the old maps")]
    Barrier(#[source] std::io::Error),
    /// The steering counters could not be read.
    #[error("reading the steering counters")]
    Counters(#[source] std::io::Error),
    /// The bpffs, or what is pinned in it.
    #[error(transparent)]
    Pins(#[from] tp_ebpf::PinError),
    /// What a predecessor switched off is not known.
    #[error(transparent)]
    Offloads(#[from] RecordError),
    /// The kernel's way to the links.
    #[error(transparent)]
    SlowPath(#[from] SlowPathError),
    /// A port could not be taken into service.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A setting that only a restart can change.
    #[error("{what} cannot change while tpd runs; restart it with the new configuration")]
    NeedsRestart {
        /// Which.
        what: Cow<'static, str>,
    },
}

/// The running portal.
#[derive(Debug)]
pub struct Portal {
    model: Model,
    view: KernelView,
    compiled: Compiled,
    steering: Steering,
    pins: Pins,
    /// Before the fleet, so that its thread ends first.
    slow: SlowPath,
    /// It is not as the model says.
    slow_is_behind: bool,
    fleet: Fleet,
    region: Region,
    /// For sockets that are opened here and handed to workers.
    magazine: Magazine,
    meters: Arc<Meters>,
    counters: Vec<Arc<WorkerCounters>>,
    bound: BTreeMap<Name, Bound>,
    /// What was switched off, by port and ifindex.
    offloads: OffloadRecord,
    /// Ports that are not in service, with the reason.
    faults: BTreeMap<Name, BindError>,
    /// When those are tried again, unless their device changes before.
    retries: BTreeMap<Name, Retry>,
    totals: Totals,
    port_totals: PortTotals,
    started: Instant,
}

impl Portal {
    /// Starts the portal as the model and the kernel say: fresh program and maps, filled; workers; sockets;
    /// then the program goes onto the ports. The devices of the slow path are in the view already.
    ///
    /// # Errors
    /// [`PortalError`]; ports that had no program before have none then.
    pub fn start(model: Model, view: KernelView, mut slow: SlowPath) -> Result<Self, PortalError> {
        slow.add(&model)?;
        let compiled = compile(None, &model, &view, fastrand::u32(..))?;
        let region = Region::new(&region_config(&model))?;
        let meters = Arc::new(Meters::new(
            compile::MAX_CLIENTS,
            tp_pipeline::abi::MAX_TUNNELS,
            compile::MAX_UPSTREAMS,
        ));
        let counters: Vec<_> = model.portal.workers.iter().map(|_| counters()).collect();
        let fleet = Fleet::start(FleetConfig {
            cpus: model.portal.workers.clone(),
            busy_poll: model.portal.busy_poll,
            region: region.clone(),
            meters: Arc::clone(&meters),
            counters: counters.clone(),
            snapshot: Snapshot {
                current: Arc::clone(&compiled.tables),
                retiring: None,
            },
        })?;
        let pins = Pins::open(&model.portal.bpffs)?;
        let mut steering = Steering::load()?;
        steering.apply(&compiled.steering)?;
        let mut totals = Totals::default();
        totals.advance(&counters, None, &compiled.names);
        let mut portal = Self {
            magazine: region.depot().magazine(),
            bound: BTreeMap::new(),
            offloads: OffloadRecord::open(&model.portal.bpffs)?,
            faults: BTreeMap::new(),
            retries: BTreeMap::new(),
            started: Instant::now(),
            model,
            view,
            compiled,
            steering,
            pins,
            slow,
            slow_is_behind: false,
            fleet,
            region,
            meters,
            counters,
            totals,
            port_totals: PortTotals::default(),
        };
        portal.bind_all_or_none()?;
        let workers = portal.slow_workers();
        portal.slow.run(workers)?;
        portal.settle_slow_path();
        portal.release_strays();
        Ok(portal)
    }

    /// Takes all ports into service. If one cannot be, what a predecessor held stays held, and what was free before
    /// is free again.
    fn bind_all_or_none(&mut self) -> Result<(), PortalError> {
        let held: Vec<_> = self.pins.list()?.into_iter().map(|p| p.device).collect();
        let bound = self.bind_all();
        if bound.is_err() {
            let was_free = |name: &&Name| !held.contains(*name);
            let taken: Vec<Name> = self.bound.keys().filter(was_free).cloned().collect();
            for name in taken {
                self.unbind(&name);
            }
        }
        bound
    }

    /// Puts another model into force; `view` is the kernel's state with what the new model needs.
    ///
    /// # Errors
    /// [`PortalError`]; what was in force still is.
    pub fn reconfigure(&mut self, model: Model, view: KernelView) -> Result<(), PortalError> {
        check_restart(&self.model, &model)?;
        let before = (self.model.clone(), self.view.clone());
        let switched = self
            .add_ports(&model, &view)
            .and_then(|()| self.switch(model, view))
            .and_then(|()| self.bind_all());
        let Err(refused) = switched else {
            return Ok(());
        };
        if self.model != before.0 {
            // Half of it is in force: the old model comes back as a whole.
            self.switch(before.0, before.1)?;
            self.bind_present();
        }
        Err(refused)
    }

    /// Takes the ports that only `next` has into service, before anything is sent there: what goes out by
    /// them then may be what goes elsewhere until then.
    fn add_ports(&mut self, next: &Model, view: &KernelView) -> Result<(), PortalError> {
        let mut with_new = self.model.clone();
        for (name, port) in &next.ports {
            with_new.ports.entry(name.clone()).or_insert(*port);
        }
        if with_new.ports.len() == self.model.ports.len() {
            return Ok(());
        }
        self.switch(with_new, view.clone())?;
        self.bind_all()
    }

    fn switch(&mut self, model: Model, view: KernelView) -> Result<(), PortalError> {
        let next = compile(Some(&self.compiled), &model, &view, 0)?;
        self.widen_slow_path(&model)?;
        if let Err(refused) = self.change(next) {
            self.settle_slow_path();
            return Err(refused);
        }
        self.model = model;
        self.view = view;
        self.settle_slow_path();
        self.unbind_missing();
        // A port whose sockets are closed and that is none any more.
        self.release_strays();
        Ok(())
    }

    /// Follows the kernel: neighbours, routes, addresses, and ports that vanish or return.
    ///
    /// # Errors
    /// [`PortalError`] where the change itself fails; a port that cannot be bound is a fault of that
    /// port ([`Self::faults`]), since the others go on.
    pub fn follow(&mut self, view: KernelView) -> Result<(), PortalError> {
        if view == self.view {
            return Ok(());
        }
        let next = compile(Some(&self.compiled), &self.model, &view, 0)?;
        let before = std::mem::replace(&mut self.view, view);
        self.unbind_missing();
        if let Err(refused) = self.change(next) {
            // Not in force, so not what the portal follows: the next call tries again.
            self.view = before;
            return Err(refused);
        }
        self.settle_slow_path();
        let links = &self.view.links;
        self.retries
            .retain(|name, _| before.links.get(name) == links.get(name));
        self.bind_present();
        Ok(())
    }

    /// Tries again to take ports into service that are not; those that fail again and again less and less often,
    /// since an attempt may block for seconds.
    pub fn retry_faults(&mut self) {
        if !self.faults.is_empty() {
            self.bind_present();
        }
    }

    /// The model in force.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Ports that are not in service, with the reason.
    #[must_use]
    pub fn faults(&self) -> &BTreeMap<Name, BindError> {
        &self.faults
    }

    /// The workers, with the generation that they forward by.
    #[must_use]
    pub fn worker_states(&self) -> Vec<tp_api::Worker> {
        let generation = self.fleet.published().current.generation;
        let cpus = self.model.portal.workers.iter().enumerate();
        cpus.map(|(worker, &cpu)| tp_api::Worker {
            worker,
            cpu,
            generation,
        })
        .collect()
    }

    /// Whether every worker runs.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.fleet.healthy()
    }
}

/// Takes the programs off all ports that a portal with this bpffs left, and answers which they were.
///
/// # Errors
/// What could not be removed.
pub fn release(bpffs: &std::path::Path) -> Result<Vec<Name>, PortalError> {
    Pins::find(bpffs).map_or(Ok(Vec::new()), |pins| Ok(pins.release_all()?))
}

/// Switches on what a portal with this bpffs switched off on its ports.
///
/// # Errors
/// What stays off.
pub fn restore_offloads(bpffs: &std::path::Path) -> Result<(), RecordError> {
    Ok(OffloadRecord::open(bpffs)?.give_back_all()?)
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // A transparent error repeats its cause's words.
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// A worker's counters, with room for all that a model may have.
fn counters() -> Arc<WorkerCounters> {
    let (upstreams, tunnels) = (compile::MAX_UPSTREAMS, tp_pipeline::abi::MAX_TUNNELS);
    Arc::new(WorkerCounters::new(upstreams, tunnels))
}

fn region_config(model: &Model) -> RegionConfig {
    let memory = model.portal.memory;
    RegionConfig {
        chunks: memory.frames,
        chunk_size: if memory.chunk == 4096 {
            ChunkSize::B4096
        } else {
            ChunkSize::B2048
        },
        pages: match memory.huge_pages {
            HugePages::Try => Pages::Try,
            HugePages::Require => Pages::Require,
            HugePages::Never => Pages::Never,
        },
    }
}

/// Threads, memory and paths are made once; a port's sockets and its program keep their modes for life.
fn check_restart(old: &Model, new: &Model) -> Result<(), PortalError> {
    let (a, b) = (&old.portal, &new.portal);
    let fixed = [
        ("the list of workers", a.workers != b.workers),
        ("busy_poll", a.busy_poll != b.busy_poll),
        ("memory", a.memory != b.memory),
        ("the path of the API socket", a.api != b.api),
        ("the path of the bpffs", a.bpffs != b.bpffs),
        ("the state directory", a.state != b.state),
        ("the TUN device", a.slow_path.tun != b.slow_path.tun),
        ("the TAP device", a.slow_path.tap != b.slow_path.tap),
    ];
    match fixed.into_iter().find(|(_, changed)| *changed) {
        Some((what, _)) => Err(PortalError::NeedsRestart { what: what.into() }),
        None => check_restart_of_ports(old, new),
    }
}

fn check_restart_of_ports(old: &Model, new: &Model) -> Result<(), PortalError> {
    for (name, before) in &old.ports {
        let Some(after) = new.ports.get(name) else {
            continue;
        };
        let fixed = [
            ("mode", before.mode != after.mode),
            ("xdp", before.xdp != after.xdp),
        ];
        if let Some((setting, _)) = fixed.into_iter().find(|(_, changed)| *changed) {
            let what = format!("{setting} of port {name}").into();
            return Err(PortalError::NeedsRestart { what });
        }
    }
    Ok(())
}
