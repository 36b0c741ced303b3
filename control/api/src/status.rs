//! How the daemon is.

use serde::{Deserialize, Serialize};

use crate::Place;

/// Answer of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the daemon.
    pub version: String,
    /// Of the daemon.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Of the forwarding state in force; grows by one with each change.
    pub generation: u64,
    /// The configuration file.
    pub configuration: String,
    /// Pinned threads.
    pub workers: Vec<Worker>,
    /// The feed of routes, neighbours and links.
    pub kernel: KernelFeed,
    /// What does not work until the kernel's state changes.
    pub warnings: Vec<Place>,
}

/// A pinned thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its number.
    pub worker: usize,
    /// Where it is pinned.
    pub cpu: usize,
    /// Generation that it forwards by.
    pub generation: u64,
}

/// The feed of routes, neighbours and links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFeed {
    /// Times that the kernel had more news than the socket held.
    pub overruns: u64,
    /// Times that everything was dumped and compared, the first included.
    pub resyncs: u64,
    /// Requests that the kernel refused.
    pub refusals: u64,
}

/// Answer of `POST /v1/reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// Of the forwarding state in force.
    pub generation: u64,
    /// Whether the file asked for anything else than what was in force.
    pub changed: bool,
    /// Microseconds until every worker forwarded by it.
    pub took_us: u64,
    /// What does not work until the kernel's state changes.
    pub warnings: Vec<Place>,
}
