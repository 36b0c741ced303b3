//! The packet's line, by its public interface: each stage's decisions as sentences, and the bytes
//! that leave against packets built by etherparse.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod bed;
mod classify;
mod decapsulate;
mod ethernet;
mod fit;
mod hold;
mod kinds;
mod originate;
mod packets;
mod parse;
mod police;
mod random;
mod route;
mod slow_path;
mod verify;
mod write;
