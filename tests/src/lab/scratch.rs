//! A directory that goes with its value, mounts inside it included.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, umount2};

use super::LabError;

/// A directory for configurations, sockets, logs and bpffs mounts of one laboratory.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn create(name: &str) -> Result<Self, LabError> {
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)
            .map_err(|source| LabError::os(format!("make {}", path.display()), source))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    /// Mounts go first: what a daemon pinned in a bpffs would otherwise stay in the kernel.
    fn drop(&mut self) {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for mount in mounts_below(&table, &self.path) {
            if let Err(error) = umount2(&mount, MntFlags::MNT_DETACH) {
                eprintln!("laboratory: {} stays mounted: {error}", mount.display());
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("laboratory: {} stays: {error}", self.path.display());
        }
    }
}

/// Mount points at or below a directory, the innermost first (proc_pid_mountinfo(5), field 5). The directory's
/// own name holds none of the characters that the kernel escapes.
fn mounts_below(table: &str, directory: &Path) -> Vec<PathBuf> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<PathBuf> = points
        .map(PathBuf::from)
        .filter(|point| point.starts_with(directory))
        .collect();
    below.reverse();
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_directory_come_innermost_first() {
        let table = "22 1 0:5 / / rw - ext4 /dev/a rw\n\
                     30 22 0:9 / /tmp/lab/bpf rw - bpf bpf rw\n\
                     31 30 0:9 / /tmp/lab/bpf/deep rw - tmpfs t rw\n\
                     32 22 0:9 / /tmp/laboratory rw - tmpfs t rw\n";
        let found = mounts_below(table, Path::new("/tmp/lab"));
        assert_eq!(
            found,
            [Path::new("/tmp/lab/bpf/deep"), Path::new("/tmp/lab/bpf")]
        );
    }
}
