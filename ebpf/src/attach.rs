//! The program on a device, by a link that is pinned.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use libbpf_rs::Link;
use rustix::io::Errno;
use rustix::net::netdevice::index_to_name_inlined;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::pins::{PinError, Pins, attachment, open_link};
use crate::steering::Steering;
use crate::sys;

/// A device of the calling thread's network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the generic hook: any device, and slow.
    Generic,
}

/// How the program came onto a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOn {
    /// By a link of its own.
    New,
    /// By the link of a predecessor, from one frame to the next.
    TakenOver,
}

/// Why the program is not on a device.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The driver has no XDP.
    #[error(
        "device {device}: its driver has no native XDP; set the port's xdp to \"generic\", which is slow"
    )]
    NoNativeXdp {
        /// Name of the device.
        device: String,
    },
    /// A frame may be larger than a page.
    #[error(
        "device {device}: its MTU, or that of a veth's other end, is too large for XDP; lower it (ip link set dev {device} mtu 3498)"
    )]
    MtuTooLarge {
        /// Name of the device.
        device: String,
    },
    /// A veth whose other end may send on more queues than it receives on.
    #[error(
        "device {device}: the veth's other end has more transmit queues than it has receive queues; make them equal (ethtool -L {device} rx N)"
    )]
    TooFewQueues {
        /// Name of the device.
        device: String,
    },
    /// Something else is attached.
    #[error(
        "device {device}: another XDP program is attached; remove it (ip link set dev {device} xdp off, or tpd --release for one that a portal left)"
    )]
    Occupied {
        /// Name of the device.
        device: String,
    },
    /// A predecessor's program runs in the other mode, which a link keeps for life.
    #[error(
        "device {device}: the program that a portal left there does not run in {wanted:?} mode; remove it first (tpd --release)"
    )]
    OtherMode {
        /// Name of the device.
        device: String,
        /// The mode that was asked for.
        wanted: Mode,
    },
    /// The pin is of a portal elsewhere.
    #[error(
        "device {device}: the pinned link of this name is on a device of another network namespace; give each portal a bpffs of its own"
    )]
    OtherNamespace {
        /// Name of the device.
        device: String,
    },
    /// There is no such device.
    #[error("there is no device {device} with index {ifindex}")]
    NoDevice {
        /// Its name.
        device: String,
        /// Its index.
        ifindex: u32,
    },
    /// The process may not attach programs.
    #[error("device {device}: attaching a program needs root, or CAP_NET_ADMIN and CAP_BPF")]
    Denied {
        /// Name of the device.
        device: String,
    },
    /// The kernel refused for another reason.
    #[error("device {device}: the kernel does not attach the steering program")]
    Kernel {
        /// Name of the device.
        device: String,
        /// What it said.
        source: io::Error,
    },
    /// The pins cannot be used.
    #[error("device {device}")]
    Pin {
        /// Name of the device.
        device: String,
        /// Why.
        source: PinError,
    },
}

impl Steering {
    /// Puts the program on a device and pins its link, so that it stays when the process is
    /// gone. If a predecessor has left its link in `pins`, that link gets this program: no frame
    /// in between meets none. A pin whose device is gone, or has another name now, is removed.
    ///
    /// The maps should be filled and the sockets be there: frames come in at once.
    ///
    /// # Errors
    /// See [`AttachError`]; the device is then as it was.
    pub fn put_on(
        &mut self,
        pins: &Pins,
        device: &Device,
        mode: Mode,
    ) -> Result<PutOn, AttachError> {
        let path = pins.path(&device.name);
        if let Some(link) = predecessor(&path, device, mode)? {
            sys::link_update(link.as_fd(), self.as_fd()).map_err(|e| refused(device, e))?;
            self.attached = true;
            return Ok(PutOn::TakenOver);
        }
        let flags = match mode {
            Mode::Native => sys::XDP_FLAGS_DRV_MODE,
            Mode::Generic => sys::XDP_FLAGS_SKB_MODE,
        };
        let link = sys::link_create(self.as_fd(), device.ifindex, flags)
            .map_err(|e| refused(device, e))?;
        // From here on the pin alone holds the link: one owner, whether we live or not. Where
        // pinning fails, closing the descriptor takes the program off again.
        sys::pin(link.as_fd(), &path).map_err(|source| {
            let source = PinError::Directory { path, source };
            AttachError::Pin {
                device: device.name.clone(),
                source,
            }
        })?;
        self.attached = true;
        Ok(PutOn::New)
    }
}

/// The link that a predecessor has left on this device, if any.
fn predecessor(path: &Path, device: &Device, mode: Mode) -> Result<Option<Link>, AttachError> {
    if !path.exists() {
        return Ok(None);
    }
    let name = || device.name.clone();
    let pin = |source| AttachError::Pin {
        device: name(),
        source,
    };
    let link = open_link(path).map_err(pin)?;
    let found = attachment(&link, path).map_err(pin)?;
    if found.ifindex == device.ifindex {
        // Indices repeat from namespace to namespace; identifiers of programs do not.
        let on_device = sys::xdp_programs(device.ifindex).map_err(|e| refused(device, e))?;
        let (same, other) = match mode {
            Mode::Native => (on_device.drv_prog_id, on_device.skb_prog_id),
            Mode::Generic => (on_device.skb_prog_id, on_device.drv_prog_id),
        };
        return match found.program {
            program if program == same => Ok(Some(link)),
            program if program == other => Err(AttachError::OtherMode {
                device: name(),
                wanted: mode,
            }),
            _ => Err(AttachError::OtherNamespace { device: name() }),
        };
    }
    let here = found.ifindex == 0
        || sys::xdp_programs(found.ifindex)
            .is_ok_and(|p| [p.drv_prog_id, p.skb_prog_id].contains(&found.program));
    if !here {
        return Err(AttachError::OtherNamespace { device: name() });
    }
    fs::remove_file(path).map_err(|source| {
        pin(PinError::Remove {
            path: path.to_owned(),
            source,
        })
    })?;
    Ok(None)
}

/// What the kernel means (net/core/dev.c, dev_xdp_attach; drivers/net/veth.c, veth_xdp_set).
fn refused(device: &Device, source: io::Error) -> AttachError {
    let name = device.name.clone();
    match Errno::from_io_error(&source) {
        Some(Errno::OPNOTSUPP) => AttachError::NoNativeXdp { device: name },
        Some(Errno::RANGE) => AttachError::MtuTooLarge { device: name },
        Some(Errno::NOSPC) => AttachError::TooFewQueues { device: name },
        // EEXIST: in the other mode.
        Some(Errno::BUSY | Errno::EXIST) => AttachError::Occupied { device: name },
        Some(Errno::NODEV | Errno::NOLINK) => AttachError::NoDevice {
            device: name,
            ifindex: device.ifindex,
        },
        Some(Errno::PERM | Errno::ACCESS) => AttachError::Denied { device: name },
        // Creating a link says EINVAL where there is no device.
        Some(Errno::INVAL) if !exists(device.ifindex) => AttachError::NoDevice {
            device: name,
            ifindex: device.ifindex,
        },
        _ => AttachError::Kernel {
            device: name,
            source,
        },
    }
}

fn exists(ifindex: u32) -> bool {
    socket(AddressFamily::INET, SocketType::DGRAM, None)
        .is_ok_and(|socket| index_to_name_inlined(socket, ifindex).is_ok())
}
