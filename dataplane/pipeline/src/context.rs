//! What a burst is processed with.

use crate::counters::WorkerCounters;
use crate::meter::Meters;
use crate::tables::{PortId, Snapshot};

/// A point in time, in nanoseconds of a monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

/// What a burst is processed with: one snapshot, one reading of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// All forwarding state.
    pub snapshot: &'a Snapshot,
    /// Fill levels of the meters, shared by all workers.
    pub meters: &'a Meters,
    /// This worker's counters.
    pub counters: &'a WorkerCounters,
    /// The port that the burst came from.
    pub port: PortId,
    /// When.
    pub now: Nanos,
}
