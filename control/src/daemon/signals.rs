//! The signals that the daemon serves instead of dying of them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that came since this was made, until they are asked for; one of a kind stands for several.
pub(super) struct Signals {
    pub(super) hangup: Signal,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
}

impl Signals {
    /// From now on none of them ends the process.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}
