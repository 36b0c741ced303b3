//! Traffic of real programs and sockets between namespaces of a laboratory, and what became of it.
//!
//! Everything is bounded: each flow has a deadline after which it is an error, not a hang.

mod ping;
mod tcp;
mod udp;

pub use ping::{Ping, PingReport};
pub use tcp::{TcpReport, TcpRunning, TcpTransfer};
pub use udp::{UdpFlow, UdpReport, UdpRunning};

use std::io;
use std::time::Duration;

use crate::lab::LabError;

/// Why traffic could not be sent or did not get through in time.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// A socket failed.
    #[error("{what}: {source}")]
    Os {
        /// What was being done.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The deadline came first.
    #[error("{what} not done after {limit:?}: {done} of {wanted} bytes received")]
    Timeout {
        /// What was being done.
        what: &'static str,
        /// How long it was given.
        limit: Duration,
        /// Bytes that arrived.
        done: u64,
        /// Bytes that should have arrived.
        wanted: u64,
    },
    /// It ended early.
    #[error("{what} ended early: {done} of {wanted} bytes received")]
    Incomplete {
        /// What was being done.
        what: &'static str,
        /// Bytes that arrived.
        done: u64,
        /// Bytes that should have arrived.
        wanted: u64,
    },
    /// A program said something else than expected.
    #[error("{program} said: {output}")]
    Output {
        /// The program.
        program: &'static str,
        /// Its output.
        output: String,
    },
    /// A namespace could not be entered.
    #[error(transparent)]
    Lab(#[from] LabError),
}

impl TrafficError {
    /// Names what was being done when a socket failed.
    fn os(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Os { what, source }
    }
}
