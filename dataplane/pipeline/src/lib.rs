//! The packet's straight line, and the snapshot of forwarding state that it reads.
//!
//! `docs/forwarding.md` says what is checked, in which order, and what a packet looks like that
//! leaves. Each stage is a file that answers one question; it takes the previous stage's type, which only
//! that stage can make, so that none can be skipped or come out of order:
//!
//! | file | question | takes | gives |
//! |---|---|---|---|
//! | `parse` | is it what steering says, and whole? | packet | `Parsed` |
//! | `classify` | whose is it, and in which tables? | `Parsed` | `Classified` |
//! | `decapsulate` | which packet does it carry? | `Classified` | `Inner` |
//! | `verify` | is it for the portal itself? | `Inner` | `Onward` |
//! | `verify` | may it have this source? | `Onward` | `Verified` |
//! | `route` | which way does it leave? | `Verified` | `Routed` |
//! | `fit` | can it leave that way? | `Routed` | `Fitted` |
//! | `police` | is it within the rates? | `Fitted` | `Admitted` |
//! | `write` | what goes on the wire? | `Admitted` | [`Verdict`] |
//!
//! `punt` answers for what leaves the line towards the kernel, `originate` for what comes from there.
//!
//! Nothing here does I/O, logs, allocates in a packet's way or asks the time.
#![forbid(unsafe_code)]
#![allow(
    clippy::needless_pass_by_value,
    reason = "a stage consumes the previous stage's type: a packet goes down the line once"
)]

pub mod abi;
mod classify;
mod context;
mod counters;
mod decapsulate;
mod family;
mod fit;
mod flow;
mod hold;
mod link;
mod lookup;
mod meter;
mod originate;
mod packet;
mod parse;
mod police;
mod probe;
mod process;
mod punt;
mod route;
mod tables;
mod tunnel;
mod verdict;
mod verify;
mod write;

pub use context::{Context, Nanos};
pub use counters::{LinkCounts, WorkerCounters};
pub use hold::Held;
pub use link::{EthernetLink, Link, LinkAddresses, LinkHeader, Local};
pub use meter::{MeterSpec, Meters};
pub use originate::originate;
pub use packet::Packet;
pub use probe::{Probe, Stage};
pub use process::Pipeline;
pub use tables::*;
pub use tunnel::{Encap, Ends, EthernetAddresses};
pub use verdict::{DropReason, HoldId, PuntTo, Verdict};
pub use verify::is_martian;
