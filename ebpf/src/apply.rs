//! Bringing the steering maps to another state while the program runs.

use tp_pipeline::abi::{MAX_PORTS, MAX_QUEUES, PortEntry};

use crate::plan::{Entry, Key, MapName, Plan};
use crate::state::SteeringState;
use crate::steering::Steering;

/// What an apply wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Keys that were not there.
    pub added: usize,
    /// Keys whose value was another.
    pub changed: usize,
    /// Keys that are no longer there.
    pub removed: usize,
}

/// Why the maps do not hold what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A port's numbers do not fit the maps; nothing was written.
    #[error(
        "device {ifindex}: port {} with {} queues does not fit a portal of {MAX_PORTS} ports with {MAX_QUEUES} queues each",
        entry.port, entry.queues
    )]
    PortOutOfRange {
        /// The device.
        ifindex: u32,
        /// What was asked for.
        entry: PortEntry,
    },
    /// A map is too small, with what is added beside what goes; nothing was written.
    #[error("map {map} holds at most {} entries; this change needs {needed} at once", map.capacity())]
    Full {
        /// The map.
        map: MapName,
        /// Entries that it would have to hold.
        needed: usize,
    },
    /// The kernel refused an entry. What came before it is written.
    #[error("map {}: cannot write {key}", key.map())]
    Write {
        /// Whose entry.
        key: Key,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
    /// The kernel did not remove a key. What came before it is done.
    #[error("map {}: cannot remove {key}", key.map())]
    Remove {
        /// Which key.
        key: Key,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
    /// The kernel cannot say when the program has left what it was reading.
    #[error("cannot wait for the CPUs that run the steering program")]
    Wait(#[source] std::io::Error),
}

impl Steering {
    /// Writes what differs from `target`, one update a key: additions, then changes, then
    /// removals.
    ///
    /// # Errors
    /// Names the key where it stopped. [`Steering::state`] is then what the maps hold, and
    /// applying again, the same or another target, goes on from there.
    pub fn apply(&mut self, target: &SteeringState) -> Result<Applied, ApplyError> {
        let plan = Plan::new(&self.state, target);
        check(&plan, &self.state)?;

        let mut applied = Applied::default();
        for entry in &plan.adds {
            self.write(entry)?;
            applied.added += 1;
        }
        for entry in &plan.changes {
            self.write(entry)?;
            self.freed = true;
            applied.changed += 1;
        }
        for key in &plan.removals {
            self.maps
                .remove(key)
                .map_err(|source| ApplyError::Remove { key: *key, source })?;
            self.state.remove(key);
            self.freed = true;
            applied.removed += 1;
        }
        Ok(applied)
    }

    /// The kernel's hash maps give the memory of a removed or replaced entry to the next one
    /// that is written, at once, while the program on another CPU may still be reading it: it
    /// would take the new entry's slot for a frame of the old entry's key. So no entry is
    /// written before all CPUs have left what was freed.
    fn write(&mut self, entry: &Entry) -> Result<(), ApplyError> {
        if self.freed && self.attached {
            self.wait_for_cpus().map_err(ApplyError::Wait)?;
        }
        let key = entry.key();
        self.maps
            .write(entry)
            .map_err(|source| ApplyError::Write { key, source })?;
        self.state.insert(*entry);
        Ok(())
    }
}

/// What the kernel would refuse, or worse take, is refused before anything is written.
fn check(plan: &Plan, have: &SteeringState) -> Result<(), ApplyError> {
    for entry in plan.adds.iter().chain(&plan.changes) {
        if let Entry::Port(ifindex, entry) = *entry
            && (usize::from(entry.port) >= MAX_PORTS || usize::from(entry.queues) > MAX_QUEUES)
        {
            return Err(ApplyError::PortOutOfRange { ifindex, entry });
        }
    }
    for map in MapName::ALL {
        let needed = plan.peak(map, have);
        if needed > map.capacity() {
            return Err(ApplyError::Full { map, needed });
        }
    }
    Ok(())
}
