//! The steering maps: one write a key.

use std::os::fd::{AsRawFd, BorrowedFd};

use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle};
use tp_pipeline::abi::MAX_QUEUES;

use crate::bytes::Plain;
use crate::plan::{Entry, Key, MapName};
use crate::skel::SteerMaps;

/// Values of the maps that are sets: abi.h keeps them for flags.
const NO_FLAGS: u32 = 0;

/// The maps of one loaded program.
#[derive(Debug)]
pub(crate) struct Maps {
    ports: MapHandle,
    local_macs: MapHandle,
    local_addrs: MapHandle,
    tunnels: MapHandle,
    udp_ports: MapHandle,
    links: MapHandle,
    xsks: MapHandle,
    pub(crate) counters: MapHandle,
}

impl Maps {
    /// Handles of their own, that outlive the skeleton.
    pub(crate) fn new(maps: &SteerMaps<'_>) -> libbpf_rs::Result<Self> {
        Ok(Self {
            ports: MapHandle::try_from(&maps.ports)?,
            local_macs: MapHandle::try_from(&maps.local_macs)?,
            local_addrs: MapHandle::try_from(&maps.local_addrs)?,
            tunnels: MapHandle::try_from(&maps.tunnels)?,
            udp_ports: MapHandle::try_from(&maps.udp_ports)?,
            links: MapHandle::try_from(&maps.links)?,
            xsks: MapHandle::try_from(&maps.xsks)?,
            counters: MapHandle::try_from(&maps.counters)?,
        })
    }

    fn of(&self, name: MapName) -> &MapHandle {
        match name {
            MapName::Ports => &self.ports,
            MapName::LocalMacs => &self.local_macs,
            MapName::LocalAddrs => &self.local_addrs,
            MapName::Tunnels => &self.tunnels,
            MapName::UdpPorts => &self.udp_ports,
            MapName::Links => &self.links,
        }
    }

    /// Writes an entry, over an older one of the same key.
    pub(crate) fn write(&self, entry: &Entry) -> libbpf_rs::Result<()> {
        let key = entry.key();
        let kind;
        let value = match entry {
            Entry::Port(_, value) => value.as_bytes(),
            Entry::LocalMac(_) | Entry::LocalAddr(_) => NO_FLAGS.as_bytes(),
            Entry::UdpPort(_, value) => {
                kind = *value as u32;
                kind.as_bytes()
            }
            Entry::Tunnel(_, value) | Entry::Link(_, value) => value.as_bytes(),
        };
        self.of(key.map())
            .update(key_bytes(&key), value, MapFlags::ANY)
    }

    /// Removes a key, if it is there.
    pub(crate) fn remove(&self, key: &Key) -> libbpf_rs::Result<()> {
        absent(self.of(key.map()).delete(key_bytes(key)))
    }

    /// Gives the frames of a queue to a socket.
    pub(crate) fn set_socket(
        &self,
        port: u16,
        queue: u16,
        socket: BorrowedFd<'_>,
    ) -> libbpf_rs::Result<()> {
        let fd = socket.as_raw_fd().cast_unsigned();
        self.xsks.update(
            xsk_index(port, queue).as_bytes(),
            fd.as_bytes(),
            MapFlags::ANY,
        )
    }

    /// Takes the frames of a queue from its socket. A closed socket has left the map by itself.
    pub(crate) fn clear_socket(&self, port: u16, queue: u16) -> libbpf_rs::Result<()> {
        absent(self.xsks.delete(xsk_index(port, queue).as_bytes()))
    }
}

/// That a key was not there is no failure of removing it.
fn absent(deleted: libbpf_rs::Result<()>) -> libbpf_rs::Result<()> {
    match deleted {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn key_bytes(key: &Key) -> &[u8] {
    match key {
        Key::Port(k) => k.as_bytes(),
        Key::LocalMac(k) => k.as_bytes(),
        Key::LocalAddr(k) => k.as_bytes(),
        Key::Tunnel(k) => k.as_bytes(),
        Key::UdpPort(k) => k.as_bytes(),
        Key::Link(k) => k.as_bytes(),
    }
}

fn xsk_index(port: u16, queue: u16) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "64")]
    const QUEUES: u32 = MAX_QUEUES as u32;
    u32::from(port) * QUEUES + u32::from(queue)
}
