//! The steering XDP program, its loader and its map writers.
//!
//! `docs/steering.md` is the program's contract, `src/bpf/abi.h` its interface. At start:
//! [`Steering::load`], [`Steering::apply`], [`Steering::set_socket`] for each queue, and last
//! [`Steering::put_on`] for each device: a device never runs a program whose maps are empty.

mod apply;
mod attach;
mod barrier;
mod bytes;
mod counters;
mod maps;
mod pins;
mod plan;
mod run;
mod skel;
mod state;
mod steering;
mod sys;

pub use apply::{Applied, ApplyError};
pub use attach::{AttachError, Device, Mode, PutOn};
pub use counters::{NO_PORT_ROW, PortCounters};
pub use pins::{Pin, PinError, Pins};
pub use plan::{Entry, Key, MapName};
pub use run::{Action, RunError, RunOutcome};
pub use state::{SteeringState, UdpKind};
pub use steering::{LoadError, SocketError, Steering};
