//! The pinned worker loop, and the publication of snapshots to it.
//!
//! A [`Worker`] owns sockets and turns bursts into verdicts; a [`Fleet`] runs workers on
//! threads of their own and is the control side's only way to them: it publishes snapshots, hands
//! sockets over, and waits until all workers have moved on.
#![forbid(unsafe_code)]

mod bell;
mod fleet;
mod inlet;
mod link;
mod mailbox;
mod outlets;
mod punt;
mod report;
mod sleep;
mod slow;
mod waiting;
mod worker;

pub use bell::Bell;
pub use fleet::{Fleet, FleetConfig, FleetError};
pub use inlet::Inlet;
pub use mailbox::Epoch;
pub use punt::{Punted, Punts};
pub use report::{SocketReport, WorkerReport};
pub use slow::SlowEnds;
pub use worker::{Activity, Clock, Shared, Worker, WorkerConfig};
