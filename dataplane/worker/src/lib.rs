//! The pinned worker loop, and the publication of snapshots to it.
//!
//! A [`Worker`] owns sockets and turns bursts into verdicts; a [`Fleet`] runs workers on
//! threads of their own and is the control side's only way to them: it publishes snapshots, hands
//! sockets over, and waits until all workers have moved on.
#![forbid(unsafe_code)]

mod fleet;
mod link;
mod mailbox;
mod outlets;
mod report;
mod sleep;
mod worker;

pub use fleet::{Fleet, FleetConfig, FleetError};
pub use mailbox::Epoch;
pub use report::{SocketReport, WorkerReport};
pub use worker::{Activity, Clock, Punts, Shared, Submissions, Worker, WorkerConfig};
