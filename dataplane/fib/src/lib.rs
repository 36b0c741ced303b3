//! Longest-prefix match for many virtual tables.
//!
//! There is one table for both families, [`Fib`], generic over the [`Address`]; [`Fib4`] and [`Fib6`]
//! are its names. A table is persistent: [`Fib::with`] gives the table after some changes and shares with its
//! predecessor all that they did not touch, so that a change costs the depth of the
//! trie and readers of the predecessor see nothing of it.
#![forbid(unsafe_code)]

mod address;
mod node;
mod prefix;
mod table;

pub use address::Address;
pub use prefix::{Prefix, Prefix4, Prefix6};
pub use table::{Change, Fib, Fib4, Fib6, NextHopId};
