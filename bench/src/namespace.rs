//! Network namespaces and the links between them, for measuring and for this crate's own tests.
//!
//! The laboratory in `tests/` does more, but stands on this crate.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Why a namespace or a link could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// `ip` could not be run.
    #[error("ip (of iproute2): {0}")]
    Run(#[source] io::Error),
    /// `ip` refused.
    #[error("ip {arguments}: {message}")]
    Refused {
        /// What it was asked.
        arguments: String,
        /// What it said.
        message: String,
    },
}

/// A network namespace, removed when this is dropped, with all devices in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Where it is.
    pub namespace: &'a Namespace,
    /// Its name.
    pub device: &'a str,
    /// Its address.
    pub mac: tp_wire::MacAddr,
}

impl Namespace {
    /// A new one, whose name nobody else uses.
    ///
    /// # Errors
    /// When `ip` is missing or refuses (rights).
    pub fn new(role: &str) -> Result<Self, NamespaceError> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tp-bench-{}-{number}-{role}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    /// Its name for `ip netns`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `call` on a thread of its own inside the namespace. What it opens stays there.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn enter<T: Send>(&self, call: impl FnOnce() -> T + Send) -> io::Result<T> {
        let file = File::open(format!("/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(call())
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Joins two namespaces by a veth pair of one queue, both ends up.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn join(a: End<'_>, b: End<'_>) -> Result<(), NamespaceError> {
        let (mac_a, mac_b) = (a.mac.to_string(), b.mac.to_string());
        let (name_a, name_b) = (a.namespace.name(), b.namespace.name());
        let queues = ["numtxqueues", "1", "numrxqueues", "1"];
        let mut arguments = vec!["link", "add", a.device, "address", &mac_a, "netns", name_a];
        arguments.extend(queues);
        arguments.extend([
            "type", "veth", "peer", b.device, "address", &mac_b, "netns", name_b,
        ]);
        arguments.extend(queues);
        ip(&arguments)?;
        for end in [a, b] {
            // Router solicitations and duplicate address detection would be frames that nobody sent.
            end.namespace
                .ip(&["link", "set", end.device, "addrgenmode", "none"])?;
            end.namespace.ip(&["link", "set", end.device, "up"])?;
        }
        Ok(())
    }

    /// `ip` with these arguments, inside.
    ///
    /// # Errors
    /// When it refuses.
    pub fn ip(&self, arguments: &[&str]) -> Result<(), NamespaceError> {
        ip(&[&["-n", &self.name], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody can be told; a namespace that is left over shows in `ip netns`.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<(), NamespaceError> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(NamespaceError::Run)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NamespaceError::Refused {
        arguments: arguments.join(" "),
        message,
    })
}
