//! The laboratory as a whole.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::process::{self, Shared, Spawner};
use super::scratch::{PublicName, Scratch};
use super::{Bridge, End, LabError, Ns, Process, link};

/// Number of the next laboratory of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Namespaces, links and processes that end with this value, when a test panics too.
#[derive(Debug)]
pub struct Lab {
    name: String,
    namespaces: Mutex<Vec<Ns>>,
    processes: Mutex<Vec<Arc<Shared>>>,
    names: Mutex<Vec<PublicName>>,
    spawner: Spawner,
    // Declared last, dropped last: logs and mounts outlive the processes that use them.
    scratch: Scratch,
}

impl Lab {
    /// An empty laboratory. Its full name carries the process id and a counter, so that any number of them,
    /// of one process or many, can be there at once.
    pub fn new(name: &str) -> Result<Self, LabError> {
        require_root()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tp-{name}-{}-{number}", std::process::id());
        Ok(Self {
            scratch: Scratch::create(&name)?,
            name,
            namespaces: Mutex::default(),
            processes: Mutex::default(),
            names: Mutex::default(),
            spawner: Spawner::start(),
        })
    }

    /// Its unique name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A directory for configurations, sockets, logs and bpffs mounts; it goes with the laboratory, whatever
    /// is mounted below it too.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// A new namespace.
    pub fn namespace(&self, name: &str) -> Result<Ns, LabError> {
        let ns = Ns::create(name)?;
        lock(&self.namespaces).push(ns.clone());
        Ok(ns)
    }

    /// A new veth pair, both ends up.
    pub fn veth(&self, left: impl Into<End>, right: impl Into<End>) -> Result<(), LabError> {
        link::add_veth(&left.into(), &right.into())
    }

    /// A new bridge in a namespace of its own.
    pub fn bridge(&self, name: &str) -> Result<Bridge, LabError> {
        Bridge::create(self.namespace(name)?)
    }

    /// Starts a process, usually of [`Ns::command`], with its output in files of the directory. The name tells
    /// it from others in messages and names the files.
    ///
    /// Of the command count program, arguments, environment and directory. The process dies with this one.
    pub fn spawn(&self, name: &str, command: &Command) -> Result<Process, LabError> {
        let process = Process::start(&self.spawner, self.directory(), name, command)?;
        lock(&self.processes).push(process.shared());
        Ok(process)
    }

    /// Gives the namespaces that are there names for people: `LAB-NAMESPACE` in `/run/netns`, where `ip netns`
    /// and `nsenter --net=/run/netns/...` find them until the laboratory ends.
    pub fn publish(&self) -> Result<(), LabError> {
        for ns in lock(&self.namespaces).iter() {
            let name = PublicName::give(ns, &format!("{}-{}", self.name, ns.name()))?;
            lock(&self.names).push(name);
        }
        Ok(())
    }

    /// Ids of the processes that are in its namespaces, whoever started them.
    pub fn processes(&self) -> Result<Vec<u32>, LabError> {
        Ok(process::processes_in(&self.identities()?))
    }

    fn identities(&self) -> Result<Vec<(u64, u64)>, LabError> {
        lock(&self.namespaces).iter().map(Ns::identity).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for process in lock(&self.processes).drain(..) {
            process.end();
        }
        match self.identities() {
            Ok(identities) => process::kill_processes_in(&identities),
            Err(error) => eprintln!("laboratory {}: {error}", self.name),
        }
    }
}

/// Answers what is missing when the process is not root: tests fail on it, they do not skip.
pub fn require_root() -> Result<(), LabError> {
    if nix::unistd::geteuid().is_root() {
        Ok(())
    } else {
        Err(LabError::NeedsRoot)
    }
}

/// The lists stay whole when a thread that holds the lock panics: each change is one push or drain.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}
