//! Links that outlive the process: pinned in a bpffs, one for each device.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use libbpf_rs::Link;
use libbpf_rs::query::LinkTypeInfo;
use rustix::fs::statfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// `BPF_FS_MAGIC` in include/uapi/linux/magic.h.
const BPF_FS_MAGIC: u32 = 0xcafe_4a11;
/// The source of the mounts that are ours to remove.
const MOUNT_SOURCE: &str = "transit-portal";
const LINKS: &str = "links";

/// Why pins cannot be kept, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// No bpffs can be mounted.
    #[error("cannot mount a bpffs on {}; it needs CAP_SYS_ADMIN and a kernel with bpffs", path.display())]
    Mount {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A directory cannot be made or read.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A pin is not a link, or cannot be opened.
    #[error("{} is not the link of an XDP program that we can open", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// What the kernel said, where it said something.
        source: Option<libbpf_rs::Error>,
    },
    /// The program does not leave its device.
    #[error("cannot detach the link {}", path.display())]
    Detach {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
    /// Some pins are left; the others are gone.
    #[error("released: {}; not released: {}", names(released), causes(left))]
    Left {
        /// Devices that were released.
        released: Vec<String>,
        /// Why others were not: one reason for each pin.
        left: Vec<PinError>,
    },
    /// A pin, directory or mount cannot be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A pinned link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Name of the device that it was made for.
    pub device: String,
    /// The device that it is on, in the network namespace where it was made; `None`: the device
    /// is gone.
    pub ifindex: Option<u32>,
}

/// The directory of the pinned links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    bpffs: PathBuf,
}

impl Pins {
    /// Opens the pins in the bpffs at `bpffs`, which is made and mounted if need be.
    ///
    /// A mount that is made under `ip netns exec` is gone with that command: enter a network
    /// namespace by setns(2) or `nsenter --net=`.
    ///
    /// # Errors
    /// [`PinError::Mount`] and [`PinError::Directory`].
    pub fn open(bpffs: &Path) -> Result<Self, PinError> {
        make_directory(bpffs)?;
        if !is_bpffs(bpffs) {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount(MOUNT_SOURCE, bpffs, "bpf", flags, Some(c"mode=0700")).map_err(|e| {
                PinError::Mount {
                    path: bpffs.to_owned(),
                    source: e.into(),
                }
            })?;
        }
        let pins = Self {
            bpffs: bpffs.to_owned(),
        };
        make_directory(&pins.links())?;
        Ok(pins)
    }

    /// The pins in the bpffs at `bpffs`, if there is one with pins; makes nothing.
    #[must_use]
    pub fn find(bpffs: &Path) -> Option<Self> {
        let pins = Self {
            bpffs: bpffs.to_owned(),
        };
        (is_bpffs(bpffs) && pins.links().is_dir()).then_some(pins)
    }

    /// All pins, by name of their device.
    ///
    /// # Errors
    /// [`PinError::Directory`] and [`PinError::Open`].
    pub fn list(&self) -> Result<Vec<Pin>, PinError> {
        let mut pins = Vec::new();
        for path in self.paths()? {
            let ifindex = attachment(&open_link(&path)?, &path)?.ifindex;
            pins.push(Pin {
                device: device_of(&path),
                ifindex: Some(ifindex).filter(|i| *i != 0),
            });
        }
        pins.sort_by(|a, b| a.device.cmp(&b.device));
        Ok(pins)
    }

    /// Takes the program off a device, whoever else holds its link; whether there was one.
    ///
    /// # Errors
    /// [`PinError::Open`], [`PinError::Detach`] and [`PinError::Remove`].
    pub fn release(&self, device: &str) -> Result<bool, PinError> {
        let path = self.path(device);
        if !path.exists() {
            return Ok(false);
        }
        let link = open_link(&path)?;
        link.detach().map_err(|source| PinError::Detach {
            path: path.clone(),
            source,
        })?;
        fs::remove_file(&path).map_err(|source| PinError::Remove { path, source })?;
        Ok(true)
    }

    /// Takes the program off every device and leaves nothing: the directory goes, and the mount
    /// if [`Pins::open`] made it and nothing else is pinned there. Returns the devices.
    ///
    /// # Errors
    /// [`PinError::Left`] if there is a pin that cannot be released, once all the others are;
    /// [`PinError::Directory`] and [`PinError::Remove`].
    pub fn release_all(self) -> Result<Vec<String>, PinError> {
        let (mut released, mut left) = (Vec::new(), Vec::new());
        for path in self.paths()? {
            let device = device_of(&path);
            // What is no link of an XDP program is not ours to remove.
            let gone = open_link(&path)
                .and_then(|link| attachment(&link, &path))
                .and_then(|_| self.release(&device));
            match gone {
                Ok(_) => released.push(device),
                Err(error) => left.push(error),
            }
        }
        if !left.is_empty() {
            return Err(PinError::Left { released, left });
        }
        Self::close_unused(&self.bpffs)?;
        Ok(released)
    }

    /// Removes what [`Pins::open`] made at `bpffs`, unless something is pinned there.
    ///
    /// # Errors
    /// [`PinError::Remove`].
    pub fn close_unused(bpffs: &Path) -> Result<(), PinError> {
        if !is_bpffs(bpffs) {
            return Ok(());
        }
        let links = bpffs.join(LINKS);
        match fs::remove_dir(&links) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(()),
            Err(source) => {
                return Err(PinError::Remove {
                    path: links,
                    source,
                });
            }
        }
        if is_empty(bpffs) && is_our_mount(bpffs) {
            unmount(bpffs, UnmountFlags::empty()).map_err(|error| PinError::Remove {
                path: bpffs.to_owned(),
                source: error.into(),
            })?;
        }
        Ok(())
    }

    fn paths(&self) -> Result<Vec<PathBuf>, PinError> {
        let entries = fs::read_dir(self.links()).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()
        });
        let mut paths = entries.map_err(|source| PinError::Directory {
            path: self.links(),
            source,
        })?;
        paths.sort();
        Ok(paths)
    }

    /// Where the link of a device is pinned. Names of devices may have dots, which bpffs reserves
    /// (kernel/bpf/inode.c, bpf_lookup), and no percent sign.
    pub(crate) fn path(&self, device: &str) -> PathBuf {
        self.links().join(device.replace('.', "%2e"))
    }

    fn links(&self) -> PathBuf {
        self.bpffs.join(LINKS)
    }
}

/// What a link connects.
pub(crate) struct Attachment {
    /// 0 once the device is gone.
    pub(crate) ifindex: u32,
    pub(crate) program: u32,
}

pub(crate) fn open_link(path: &Path) -> Result<Link, PinError> {
    Link::open(path).map_err(|e| PinError::Open {
        path: path.to_owned(),
        source: Some(e),
    })
}

pub(crate) fn attachment(link: &Link, path: &Path) -> Result<Attachment, PinError> {
    let error = |source| PinError::Open {
        path: path.to_owned(),
        source,
    };
    let info = link.info().map_err(|e| error(Some(e)))?;
    let LinkTypeInfo::Xdp(xdp) = info.info else {
        return Err(error(None));
    };
    Ok(Attachment {
        ifindex: xdp.ifindex,
        program: info.prog_id,
    })
}

fn names(devices: &[String]) -> String {
    match devices {
        [] => "nothing".to_owned(),
        devices => devices.join(", "),
    }
}

/// Errors with what the kernel said, in one line.
fn causes(errors: &[PinError]) -> String {
    let one = |error: &PinError| {
        let cause = std::error::Error::source(error);
        cause.map_or_else(|| error.to_string(), |cause| format!("{error} ({cause})"))
    };
    errors.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn device_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.replace("%2e", ".")
}

fn make_directory(path: &Path) -> Result<(), PinError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| PinError::Directory {
            path: path.to_owned(),
            source,
        })
}

fn is_bpffs(path: &Path) -> bool {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a u32 in every width"
    )]
    statfs(path).is_ok_and(|fs| fs.f_type as u32 == BPF_FS_MAGIC)
}

/// Whether nobody has pinned anything in this bpffs. Names with dots are the kernel's own
/// (`maps.debug`, `progs.debug`: kernel/bpf/preload).
fn is_empty(bpffs: &Path) -> bool {
    fs::read_dir(bpffs).is_ok_and(|entries| {
        entries
            .flatten()
            .all(|entry| entry.file_name().to_string_lossy().contains('.'))
    })
}

/// Whether the mount at `path` is one that [`Pins::open`] made (proc_pid_mountinfo(5)).
fn is_our_mount(path: &Path) -> bool {
    let (Ok(table), Ok(path)) = (
        fs::read_to_string("/proc/thread-self/mountinfo"),
        path.canonicalize(),
    ) else {
        return false;
    };
    table.lines().any(|line| {
        let at_path = line
            .split(' ')
            .nth(4)
            .is_some_and(|at| Path::new(at) == path);
        let source = line
            .split(" - ")
            .nth(1)
            .and_then(|rest| rest.split(' ').nth(1));
        at_path && source == Some(MOUNT_SOURCE)
    })
}
