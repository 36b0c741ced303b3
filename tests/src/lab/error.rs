//! What can go wrong when a laboratory is built.

use std::io;

/// Why the laboratory could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The process may not make network namespaces.
    #[error(
        "needs root: the laboratory makes network namespaces, devices and raw sockets (run it with sudo)"
    )]
    NeedsRoot,
    /// A system call failed.
    #[error("{what}: {source}")]
    Os {
        /// What was being done.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// An rtnetlink exchange failed otherwise than by the kernel's refusal.
    #[error("{what}: {source}")]
    Netlink {
        /// What was being done.
        what: String,
        /// How.
        source: rtnetlink::Error,
    },
    /// A program that the laboratory needs is missing or failed.
    #[error("{program} ({package}): {reason}")]
    Program {
        /// The program.
        program: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
        /// What it said.
        reason: String,
    },
    /// A link that is up does not carry packets: its other end is down or gone.
    #[error("link {link} of namespace {namespace} has no carrier")]
    NoCarrier {
        /// The link.
        link: String,
        /// The namespace's name.
        namespace: String,
    },
    /// An argument is not what it should be.
    #[error("{value:?} is not {expected}")]
    Argument {
        /// What was given.
        value: String,
        /// What would have been right.
        expected: &'static str,
    },
}

impl LabError {
    /// Names what was being done when the kernel refused.
    pub(crate) fn os(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Os {
            what: what.into(),
            source: source.into(),
        }
    }
}
