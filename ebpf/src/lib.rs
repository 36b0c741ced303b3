//! The steering XDP program, its loader and its map writers.
//!
//! `docs/steering.md` is the program's contract, `src/bpf/abi.h` its interface. At start:
//! [`Steering::load`], [`Steering::apply`], [`Steering::set_socket`] for each queue.

mod apply;
mod bytes;
mod counters;
mod maps;
mod plan;
mod run;
mod skel;
mod state;
mod steering;
mod sys;

pub use apply::{Applied, ApplyError};
pub use counters::{NO_PORT_ROW, PortCounters};
pub use plan::{Entry, Key, MapName};
pub use run::{Action, RunError, RunOutcome};
pub use state::SteeringState;
pub use steering::{LoadError, SocketError, Steering};
