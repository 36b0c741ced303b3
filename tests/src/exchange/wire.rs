//! Raw frames on a device: hand-built ones out, and what comes in as it is.
//!
//! On a bridge's port towards the portal, frames reach the portal without the bridge learning their
//! addresses, and what the portal sends is seen before the bridge does anything with it.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use socket2::{Socket, Type};

use crate::lab::{self, LabError, Ns};

/// All Ethernet types (linux/if_ether.h, `ETH_P_ALL`).
const EVERYTHING: u16 = 0x0003;
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
        let socket = ns.run(|| lab::packet_socket(device, Type::RAW, EVERYTHING, BUFFER))??;
        Ok(Self { socket })
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
