//! A directory for what contenders keep in the file system: configurations, sockets, a bpffs, logs.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use super::{Broken, system};

/// Name of the directory below, where a contender may mount a bpffs.
const BPFFS: &str = "bpf";

/// A directory, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(super) fn new() -> Result<Self, Broken> {
        let path = std::env::temp_dir().join(format!("tp-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(system("make a directory for the contenders"))?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bpffs(&self) -> PathBuf {
        self.path.join(BPFFS)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A contender that was killed leaves its bpffs, and with it the program on the ports.
        // Most often nothing is mounted, and the answer is EINVAL.
        let _ = unmount(self.bpffs(), UnmountFlags::DETACH);
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("tp-bench: {} stays: {error}", self.path.display());
        }
    }
}
