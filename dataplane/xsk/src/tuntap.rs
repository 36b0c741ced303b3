//! TUN and TAP devices (Documentation/networking/tuntap.rst): a file whose other end is the kernel's network.
#![allow(unsafe_code, reason = "two ioctls that rustix does not have")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt as _;

/// A device's file: each read takes one packet that the kernel sends, each write has it receive one. Neither blocks.
#[derive(Debug)]
pub struct TunTap {
    file: File,
}

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carries {
    /// IP packets: a TUN device.
    Packets,
    /// Ethernet frames: a TAP device.
    Frames,
}

impl TunTap {
    /// Attaches to the device of this name, which is made if there is none, in the network namespace of the calling
    /// thread. A new one goes with the file, unless it is made to [persist](Self::persist).
    ///
    /// Packets come without a header of the driver's, and so whole: with their checksums, and cut to the MTU.
    ///
    /// # Errors
    /// `EBUSY`: it is attached to already. `EINVAL`: there is another kind of device of this name.
    pub fn open(name: &str, carries: Carries) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        // SAFETY: an all-zero ifreq is a valid one.
        let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
        // The last byte stays 0.
        if name.len() >= request.ifr_name.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed() as libc::c_char;
        }
        let flags = libc::IFF_NO_PI
            | match carries {
                Carries::Packets => libc::IFF_TUN,
                Carries::Frames => libc::IFF_TAP,
            };
        #[allow(clippy::cast_possible_truncation, reason = "flags of 16 bits")]
        {
            request.ifr_ifru.ifru_flags = flags as libc::c_short;
        }
        // SAFETY: TUNSETIFF reads and writes one ifreq, which lives across the call.
        let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        answered(answer)?;
        Ok(Self { file })
    }

    /// Lets the device stay when the file is closed: its addresses, routes and the kernel's sessions stay with it.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn persist(&self) -> io::Result<()> {
        const YES: libc::c_ulong = 1;
        // SAFETY: TUNSETPERSIST takes a number and touches no memory of ours.
        let answer = unsafe { libc::ioctl(self.file.as_raw_fd(), libc::TUNSETPERSIST, YES) };
        answered(answer)
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

fn answered(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
