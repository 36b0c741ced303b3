//! The model, the compiler of forwarding state, the kernel mirror, and the daemon `tpd`.
#![forbid(unsafe_code)]

mod bpffs;
pub mod compile;
pub mod config;
pub mod daemon;
pub mod kernel;
pub mod model;
pub mod portal;
pub mod slow;

#[cfg(test)]
#[path = "../tests/netns/mod.rs"]
mod netns;
