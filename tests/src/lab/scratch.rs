//! What a laboratory puts into the file system: a directory and names of namespaces. Each goes with its value.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{LabError, Ns};

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

/// Where iproute2 looks for named namespaces.
const NAMES: &str = "/run/netns";

/// A name of a namespace for `ip netns`: a bind mount of its nsfs file.
#[derive(Debug)]
pub(crate) struct PublicName {
    path: PathBuf,
}

impl PublicName {
    pub(crate) fn give(ns: &Ns, name: &str) -> Result<Self, LabError> {
        let path = Path::new(NAMES).join(name);
        let failed = |error: io::Error| LabError::os(format!("make {}", path.display()), error);
        fs::create_dir_all(NAMES).map_err(failed)?;
        File::create_new(&path).map_err(failed)?;
        // From here on dropping it removes what was made.
        let made = Self { path: path.clone() };
        let none = None::<&Path>;
        mount(Some(&ns.path()), &path, none, MsFlags::MS_BIND, none)
            .map_err(|error| LabError::os(format!("mount {}", path.display()), error))?;
        Ok(made)
    }
}

impl Drop for PublicName {
    fn drop(&mut self) {
        // EINVAL when the mount itself was what failed.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        if let Err(error) = fs::remove_file(&self.path) {
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
