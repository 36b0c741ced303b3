//! BGP speakers of a laboratory: Debian's BIRD 2, a process with a configuration and a control socket of its own for
//! each. Nothing of it knows what carries its packets.

mod bird;
mod speaker;

pub use bird::Bird;
pub use speaker::{Session, Speaker};

use std::time::Duration;

/// After this long without a message from its peer a session is lost.
pub const HOLD_TIME: Duration = Duration::from_secs(speaker::HOLD_TIME as u64);
