//! Offloads that change frames before the program sees them.
//!
//! A VLAN tag that the device has taken off would let a frame match the upstream of another
//! VLAN; packets merged by LRO fit no port and must not be forwarded (RFC 1812 section 5.2.1).
#![allow(unsafe_code, reason = "an ethtool ioctl, which rustix does not have")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

use crate::attach::Device;

/// include/uapi/linux/ethtool.h.
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_SFLAGS: u32 = 0x26;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
const ETH_FLAG_LRO: u32 = 1 << 15;
const HARMFUL: u32 = ETH_FLAG_RXVLAN | ETH_FLAG_LRO;

/// Why a device's offloads are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum OffloadError {
    /// The kernel does not answer or obey.
    #[error("device {device}: cannot read or set its offloads")]
    Kernel {
        /// Name of the device.
        device: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The driver keeps them on.
    #[error("device {device}: {} cannot be switched off; use another device", names(*flags))]
    Stuck {
        /// Name of the device.
        device: String,
        /// What stays on, as in `ETHTOOL_GFLAGS`.
        flags: u32,
    },
}

/// What was on before it was switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offload {
    device: Device,
    before: u32,
}

impl Offload {
    /// Whether something was on.
    #[must_use]
    pub fn was_on(&self) -> bool {
        self.before & HARMFUL != 0
    }

    /// Switches on again what was on.
    ///
    /// # Errors
    /// [`OffloadError::Kernel`], also where the device is gone.
    pub fn restore(&self) -> Result<(), OffloadError> {
        if !self.was_on() {
            return Ok(());
        }
        let kernel = |source| OffloadError::Kernel {
            device: self.device.name.clone(),
            source,
        };
        let control = Control::new(&self.device).map_err(kernel)?;
        let flags = control.flags().map_err(kernel)?;
        control
            .set_flags(flags | (self.before & HARMFUL))
            .map_err(kernel)
    }
}

/// Switches off VLAN stripping and LRO of a device, and looks whether they are off.
///
/// # Errors
/// See [`OffloadError`].
pub fn disable_offloads(device: &Device) -> Result<Offload, OffloadError> {
    let name = || device.name.clone();
    let kernel = |source| OffloadError::Kernel {
        device: name(),
        source,
    };
    let control = Control::new(device).map_err(kernel)?;
    let before = control.flags().map_err(kernel)?;
    if before & HARMFUL != 0 {
        // A driver that keeps a flag on refuses; what counts is what is on afterwards.
        match control.set_flags(before & !HARMFUL) {
            Err(e) if !refuses(&e) => return Err(kernel(e)),
            _ => {}
        }
        let flags = control.flags().map_err(kernel)? & HARMFUL;
        if flags != 0 {
            return Err(OffloadError::Stuck {
                device: name(),
                flags,
            });
        }
    }
    Ok(Offload {
        device: device.clone(),
        before,
    })
}

fn refuses(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::OPNOTSUPP | Errno::INVAL)
    )
}

fn names(flags: u32) -> &'static str {
    match (flags & ETH_FLAG_RXVLAN != 0, flags & ETH_FLAG_LRO != 0) {
        (true, true) => "VLAN stripping and LRO",
        (true, false) => "VLAN stripping",
        _ => "LRO",
    }
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// The ethtool ioctl of one device.
struct Control {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Control {
    fn new(device: &Device) -> io::Result<Self> {
        let mut name = [0; libc::IFNAMSIZ];
        if device.name.len() >= name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in name.iter_mut().zip(device.name.bytes()) {
            *to = from.cast_signed();
        }
        Ok(Self {
            socket: socket(AddressFamily::INET, SocketType::DGRAM, None)?,
            name,
        })
    }

    fn flags(&self) -> io::Result<u32> {
        let mut value = Value {
            command: ETHTOOL_GFLAGS,
            data: 0,
        };
        self.call(&mut value)?;
        Ok(value.data)
    }

    fn set_flags(&self, flags: u32) -> io::Result<()> {
        self.call(&mut Value {
            command: ETHTOOL_SFLAGS,
            data: flags,
        })
    }

    fn call(&self, value: &mut Value) -> io::Result<()> {
        let mut request = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                ifru_data: ptr::from_mut(value).cast(),
            },
        };
        // SAFETY: SIOCETHTOOL takes an ifreq whose data is the struct of its command: both
        // commands here have an ethtool_value, which lives until the call returns.
        let ret = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &mut request) };
        if ret < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}
