//! Longest-prefix match for many virtual tables.
//!
//! A table is persistent: [`Fib4::with`] gives the table after some changes and shares with its
//! predecessor all that they did not touch, so that a change costs the depth of the
//! trie and readers of the predecessor see nothing of it.
#![forbid(unsafe_code)]

mod node;
mod prefix;
mod table;

pub use prefix::Prefix4;
pub use table::{Change, Fib4, NextHopId};
