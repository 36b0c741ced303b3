//! One daemon for one state directory.

use std::fs::File;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use rustix::fs::{FlockOperation, flock};

/// Why this daemon may not run.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(super) enum InstanceError {
    /// Another one has the directory.
    #[error("another tpd runs with the state directory {}", path.display())]
    #[diagnostic(help("stop it, or give this one a `state` of its own"))]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be had.
    #[error("the state directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
}

/// Holds the directory's lock until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Instance {
    _lock: File,
}

impl Instance {
    pub(super) fn only(state: &Path) -> Result<Self, InstanceError> {
        let failed = |error| InstanceError::Directory {
            path: state.to_owned(),
            error,
        };
        std::fs::create_dir_all(state).map_err(failed)?;
        let lock = File::create(state.join("tpd.lock")).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(InstanceError::Taken {
                path: state.to_owned(),
            }),
            Err(error) => Err(failed(error.into())),
        }
    }
}
