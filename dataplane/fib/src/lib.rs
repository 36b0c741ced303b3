//! Longest-prefix match for many virtual tables.
//!
//! There is one table for both families, [`Fib`], generic over the [`Address`]; [`Fib4`] and [`Fib6`]
//! are its names. A table is persistent: [`Fib::with`] gives the table after some changes and shares
//! with its predecessor all that they did not touch, so that readers of the predecessor see nothing of it.
//! A table of few routes takes little beyond them; one of many is divided into regions, of which a
//! change builds again those that it touches. docs/fib.md has the structures and their figures.
//!
//! What is unsafe is in `vector.rs`: calling look-ups compiled for what the processor was found to
//! have, and two instructions that have no safe form.
#![deny(unsafe_code)]

mod address;
mod coarse;
mod index;
mod leaf;
mod lines;
mod many;
mod memory;
mod packed;
mod prefix;
mod regions;
mod routes;
mod slots;
mod small;
mod sweep;
mod table;
mod vector;
mod windows;

pub use address::Address;
pub use memory::Memory;
pub use prefix::{Prefix, Prefix4, Prefix6};
pub use table::{Change, Fib, Fib4, Fib6, NextHopId};
