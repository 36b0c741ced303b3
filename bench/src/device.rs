//! Network devices by name, in the calling thread's network namespace.

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// Why a device could not be found.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No device of this name.
    #[error("device {name}: {source}")]
    Lookup {
        /// As given.
        name: String,
        /// What the kernel said.
        source: rustix::io::Errno,
    },
}

/// Index of the device of this name.
pub(crate) fn index(name: &str) -> Result<u32, DeviceError> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    );
    socket
        .and_then(|s| netdevice::name_to_index(&s, name))
        .map_err(|source| DeviceError::Lookup {
            name: name.to_owned(),
            source,
        })
}
