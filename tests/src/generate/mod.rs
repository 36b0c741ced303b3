//! Random portals and random frames for them, from a seed.
//!
//! Configurations are valid and small, of every kind of link and both families, with the legal
//! overlaps on purpose: upstreams on one port told apart by MAC (or not), nested routes of two
//! tunnels, addresses next to another client's.
//! Frames are biased towards the configuration: mostly traffic that it knows, with one fault
//! or a few, so that every check is reached and its neighbours are too.

mod attach;
mod change;
mod client;
mod config;
mod fault;
mod frame;
mod hostile;
mod ipv6;
mod link;
mod pick;
mod traffic;
mod wrap;

pub use change::change;
pub use config::{Config, Devices, config};
pub use frame::{Arriving, frame};

/// Where randomness comes from.
pub use fastrand::Rng;

/// The seed of this run: `TP_SEED` if it is set (as it was printed), else a new one.
///
/// # Panics
/// If `TP_SEED` is set to something that is no number.
#[must_use]
pub fn seed() -> u64 {
    match std::env::var("TP_SEED") {
        Ok(text) => text.parse().expect("TP_SEED is a decimal number"),
        Err(_) => fastrand::u64(..),
    }
}
