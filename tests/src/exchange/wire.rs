//! Raw frames on a device: hand-built ones out, and what comes in as it is.
//!
//! On a bridge's port towards the portal, frames reach the portal without the bridge learning their
//! addresses, and what the portal sends is seen before the bridge does anything with it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, SockaddrLike, bind};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{LabError, Ns};

/// All Ethernet types, in network byte order (linux/if_ether.h, `ETH_P_ALL`).
const EVERYTHING: u16 = 0x0003_u16.to_be();
/// Frames that arrive while a test looks elsewhere must find room, in bytes.
const BUFFER: usize = 8 << 20;
/// The largest frame of a laboratory's links, with room for VLAN tags.
const LARGEST: usize = 1 << 16;
/// How often a waiting function looks again.
const POLL: Duration = Duration::from_millis(2);

/// A packet socket on one device.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
}

impl Wire {
    /// Opens the device of this namespace; what arrives from here on is kept until it is read.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn open(ns: &Ns, device: &str) -> Result<Self, LabError> {
        let failed =
            |source: std::io::Error| LabError::os(format!("packet socket on {device}"), source);
        let protocol = Some(Protocol::from(i32::from(EVERYTHING)));
        let (socket, address) = ns.run(|| {
            let socket = Socket::new(Domain::PACKET, Type::RAW, protocol).map_err(failed)?;
            let address =
                link_address(device)?.ok_or_else(|| failed(ErrorKind::NotFound.into()))?;
            Ok::<_, LabError>((socket, address))
        })??;
        // A protocol of 0 in the address leaves the socket's as it is (net/packet/af_packet.c, packet_do_bind).
        bind(socket.as_raw_fd(), &address).map_err(|error| failed(error.into()))?;
        socket.set_recv_buffer_size(BUFFER).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let wire = Self { socket };
        // Before it was bound the socket heard every device of the namespace.
        wire.frames()?;
        Ok(wire)
    }

    /// Sends a frame, as it is.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn send(&self, frame: &[u8]) -> Result<(), LabError> {
        let sent = (&self.socket).write(frame);
        sent.map(drop)
            .map_err(|source| LabError::os("send a frame", source))
    }

    /// All frames since the last look; those that others send on the device are among them.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn frames(&self) -> Result<Vec<Vec<u8>>, LabError> {
        let mut frames = Vec::new();
        let mut buffer = vec![0; LARGEST];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(length) => frames.push(buffer[..length].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(frames),
                Err(source) => return Err(LabError::os("receive a frame", source)),
            }
        }
    }

    /// The first frame that `pick` takes; `None` when the time is over.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn wait_for(
        &self,
        pick: impl Fn(&[u8]) -> bool,
        timeout: Duration,
    ) -> Result<Option<Vec<u8>>, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(frame) = self.frames()?.into_iter().find(|frame| pick(frame)) {
                return Ok(Some(frame));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }
}

/// The packet-socket address of a device in the thread's namespace.
fn link_address(device: &str) -> Result<Option<LinkAddr>, LabError> {
    let mut addresses = getifaddrs().map_err(|source| LabError::os("list the devices", source))?;
    Ok(addresses.find_map(|entry| {
        let address = entry.address?;
        let is_link =
            entry.interface_name == device && address.family() == Some(AddressFamily::Packet);
        is_link.then(|| address.as_link_addr().copied()).flatten()
    }))
}
