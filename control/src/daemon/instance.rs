//! One daemon for one state directory and one bpffs, and none while what it left is released.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use rustix::fs::{FlockOperation, flock};

use crate::bpffs;

/// Why this daemon may not run, or nothing be released.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(super) enum InstanceError {
    /// Another one has the directory.
    #[error("another tpd runs with the state directory {}{}", path.display(), Process(*pid))]
    #[diagnostic(help("stop it, or give this one a `state` of its own"))]
    State {
        /// The directory.
        path: PathBuf,
        /// Who.
        pid: Option<u32>,
    },
    /// Another one has the bpffs.
    #[error("another tpd runs with the bpffs {}{}", path.display(), Process(*pid))]
    #[diagnostic(help("stop it, or give this one a `bpffs` of its own"))]
    Bpffs {
        /// Where it is.
        path: PathBuf,
        /// Who.
        pid: Option<u32>,
    },
    /// A daemon lives, whose programs would go.
    #[error("nothing is released: a tpd runs with the bpffs {}{}", path.display(), Process(*pid))]
    #[diagnostic(help(
        "stop that tpd first (its service, or SIGTERM to its process): a running tpd needs what would be released"
    ))]
    Alive {
        /// Where the bpffs is.
        path: PathBuf,
        /// Who.
        pid: Option<u32>,
    },
    /// A lock cannot be had.
    #[error("the lock {}", path.display())]
    Lock {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// Holds both locks until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Instance {
    _state: File,
    _bpffs: File,
}

impl Instance {
    /// This daemon is the only one with this state directory, and the only one with this bpffs.
    pub(super) fn only(state: &Path, bpffs: &Path) -> Result<Self, InstanceError> {
        Ok(Self {
            _state: lock(&state.join("tpd.lock"), |pid| InstanceError::State {
                path: state.to_owned(),
                pid,
            })?,
            _bpffs: lock(&beside(bpffs)?, |pid| InstanceError::Bpffs {
                path: bpffs.to_owned(),
                pid,
            })?,
        })
    }
}

/// Keeps daemons from starting while what one of them left is released.
#[derive(Debug)]
pub(super) struct Releasing {
    _bpffs: File,
}

impl Releasing {
    /// No daemon runs with this bpffs. What its configuration was is not known here, so its state directory is not
    /// either: the lock beside the bpffs tells.
    pub(super) fn of(bpffs: &Path) -> Result<Self, InstanceError> {
        let taken = |pid| InstanceError::Alive {
            path: bpffs.to_owned(),
            pid,
        };
        Ok(Self {
            _bpffs: lock(&beside(bpffs)?, taken)?,
        })
    }
}

/// The lock's file of a bpffs.
fn beside(bpffs: &Path) -> Result<PathBuf, InstanceError> {
    bpffs::beside(bpffs, ".lock").map_err(|error| InstanceError::Lock {
        path: bpffs.to_owned(),
        error,
    })
}

/// Takes this lock, or says that it is taken, and by whom. The file stays: whoever removed it could remove the one
/// that another process has just locked.
fn lock(path: &Path, taken: impl Fn(Option<u32>) -> InstanceError) -> Result<File, InstanceError> {
    let failed = |error| InstanceError::Lock {
        path: path.to_owned(),
        error,
    };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    // Whoever can open the file can lock it.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            // The number is for the message only.
            let _ = file.read_to_string(&mut pid);
            return Err(taken(pid.trim().parse().ok()));
        }
        Err(error) => return Err(failed(error.into())),
    }
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

/// A process in a message, where it is known.
struct Process(Option<u32>);

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, " (process {pid})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bpffs_has_one_lock_beside_it() {
        let directory = std::env::temp_dir().join(format!("tpd-instance-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("bpf")).unwrap();
        let bpffs = directory.join("bpf");
        let first = Instance::only(&directory.join("one"), &bpffs).unwrap();
        assert!(directory.join("bpf.lock").is_file());
        let pid = Some(std::process::id());
        for spelled in [directory.join("bpf/"), directory.join("bpf/../bpf/.")] {
            let other = Instance::only(&directory.join("two"), &spelled);
            assert!(
                matches!(other, Err(InstanceError::Bpffs { pid: p, .. }) if p == pid),
                "{other:?}"
            );
            let release = Releasing::of(&spelled);
            assert!(
                matches!(release, Err(InstanceError::Alive { pid: p, .. }) if p == pid),
                "{release:?}"
            );
        }
        drop(first);
        let release = Releasing::of(&bpffs).unwrap();
        assert!(Instance::only(&directory.join("two"), &bpffs).is_err());
        drop(release);
        Instance::only(&directory.join("two"), &bpffs).unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
