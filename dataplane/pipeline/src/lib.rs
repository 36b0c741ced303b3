//! The packet's straight line, and the snapshot of forwarding state that it reads.
#![forbid(unsafe_code)]

pub mod abi;
mod packet;
mod tables;
mod verdict;

pub use packet::Packet;
pub use tables::*;
pub use verdict::{DropReason, Verdict};
