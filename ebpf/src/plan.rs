//! What has to be written so that the maps hold another state. Pure.

use std::fmt;
use std::net::IpAddr;

use tp_pipeline::abi::{
    self, AddrKey, LinkKey, MacKey, PortEntry, SlotRef, TUNNEL_KEY_PRESENT, TunnelKey,
};
use tp_wire::MacAddr;

use crate::state::SteeringState;

/// A steering map that holds configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MapName {
    /// `ports`.
    Ports,
    /// `local_macs`.
    LocalMacs,
    /// `local_addrs`.
    LocalAddrs,
    /// `tunnels`.
    Tunnels,
    /// `links`.
    Links,
}

impl MapName {
    /// Most entries that it holds.
    #[must_use]
    pub const fn capacity(self) -> usize {
        match self {
            Self::Ports => abi::MAX_PORTS,
            Self::LocalMacs => abi::MAX_LOCAL_MACS,
            Self::LocalAddrs => abi::MAX_LOCAL_ADDRS,
            Self::Tunnels => abi::MAX_TUNNELS,
            Self::Links => abi::MAX_LINKS,
        }
    }
}

impl fmt::Display for MapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ports => "ports",
            Self::LocalMacs => "local_macs",
            Self::LocalAddrs => "local_addrs",
            Self::Tunnels => "tunnels",
            Self::Links => "links",
        })
    }
}

/// A key of a steering map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Of `ports`: an ifindex.
    Port(u32),
    /// Of `local_macs`.
    LocalMac(MacKey),
    /// Of `local_addrs`.
    LocalAddr(AddrKey),
    /// Of `tunnels`.
    Tunnel(TunnelKey),
    /// Of `links`.
    Link(LinkKey),
}

impl Key {
    /// The map that it is a key of.
    #[must_use]
    pub const fn map(&self) -> MapName {
        match self {
            Self::Port(_) => MapName::Ports,
            Self::LocalMac(_) => MapName::LocalMacs,
            Self::LocalAddr(_) => MapName::LocalAddrs,
            Self::Tunnel(_) => MapName::Tunnels,
            Self::Link(_) => MapName::Links,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(ifindex) => write!(f, "ifindex {ifindex}"),
            Self::LocalMac(k) => write!(f, "{} on port {}", MacAddr::new(k.mac), k.port),
            Self::LocalAddr(k) => address(k.addr).fmt(f),
            Self::Tunnel(k) => {
                let (remote, local) = (address(k.remote), address(k.local));
                write!(f, "kind {} from {remote} to {local}", k.kind)?;
                if k.flags & TUNNEL_KEY_PRESENT != 0 {
                    write!(f, " key {}", u32::from_be(k.key_be))?;
                }
                Ok(())
            }
            Self::Link(k) => {
                write!(f, "{} on port {}", MacAddr::new(k.mac), k.port)?;
                k.vlan
                    .iter()
                    .filter(|v| **v != 0)
                    .try_for_each(|v| write!(f, " vlan {v:#x}"))
            }
        }
    }
}

fn address(bytes: [u8; 16]) -> IpAddr {
    abi::addr_from_bytes(bytes)
}

/// An entry of a steering map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Of `ports`.
    Port(u32, PortEntry),
    /// Of `local_macs`.
    LocalMac(MacKey),
    /// Of `local_addrs`.
    LocalAddr(AddrKey),
    /// Of `tunnels`.
    Tunnel(TunnelKey, SlotRef),
    /// Of `links`.
    Link(LinkKey, SlotRef),
}

impl Entry {
    /// Its key.
    #[must_use]
    pub const fn key(&self) -> Key {
        match *self {
            Self::Port(key, _) => Key::Port(key),
            Self::LocalMac(key) => Key::LocalMac(key),
            Self::LocalAddr(key) => Key::LocalAddr(key),
            Self::Tunnel(key, _) => Key::Tunnel(key),
            Self::Link(key, _) => Key::Link(key),
        }
    }
}

/// The writes that lead from one state to another, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) adds: Vec<Entry>,
    pub(crate) changes: Vec<Entry>,
    pub(crate) removals: Vec<Key>,
}

impl Plan {
    /// A key that leads to others comes last when added and first when removed: an address of
    /// the portal after its tunnels, a port after all else. So no frame is judged by half of
    /// what concerns it.
    pub(crate) fn new(have: &SteeringState, want: &SteeringState) -> Self {
        let mut plan = Self::default();
        for (key, value) in &want.tunnels {
            plan.write(
                Entry::Tunnel(*key, *value),
                have.tunnels.get(key).map(|v| v == value),
            );
        }
        for (key, value) in &want.links {
            plan.write(
                Entry::Link(*key, *value),
                have.links.get(key).map(|v| v == value),
            );
        }
        for key in want.local_macs.difference(&have.local_macs) {
            plan.adds.push(Entry::LocalMac(*key));
        }
        for key in want.local_addrs.difference(&have.local_addrs) {
            plan.adds.push(Entry::LocalAddr(*key));
        }
        for (key, value) in &want.ports {
            plan.write(
                Entry::Port(*key, *value),
                have.ports.get(key).map(|v| v == value),
            );
        }

        let gone = have.ports.keys().filter(|k| !want.ports.contains_key(k));
        plan.removals.extend(gone.map(|k| Key::Port(*k)));
        let gone = have.local_addrs.difference(&want.local_addrs);
        plan.removals.extend(gone.map(|k| Key::LocalAddr(*k)));
        let gone = have.local_macs.difference(&want.local_macs);
        plan.removals.extend(gone.map(|k| Key::LocalMac(*k)));
        let gone = have.links.keys().filter(|k| !want.links.contains_key(k));
        plan.removals.extend(gone.map(|k| Key::Link(*k)));
        let gone = have
            .tunnels
            .keys()
            .filter(|k| !want.tunnels.contains_key(k));
        plan.removals.extend(gone.map(|k| Key::Tunnel(*k)));
        plan
    }

    /// `same` says whether the map holds the entry's key with this value, if at all.
    fn write(&mut self, entry: Entry, same: Option<bool>) {
        match same {
            None => self.adds.push(entry),
            Some(false) => self.changes.push(entry),
            Some(true) => {}
        }
    }

    /// Entries of `map` when all is added and nothing removed yet.
    pub(crate) fn peak(&self, map: MapName, have: &SteeringState) -> usize {
        let added = self.adds.iter().filter(|e| e.key().map() == map).count();
        let held = match map {
            MapName::Ports => have.ports.len(),
            MapName::LocalMacs => have.local_macs.len(),
            MapName::LocalAddrs => have.local_addrs.len(),
            MapName::Tunnels => have.tunnels.len(),
            MapName::Links => have.links.len(),
        };
        held + added
    }
}

impl SteeringState {
    /// Takes note of an entry that was written.
    pub(crate) fn insert(&mut self, entry: Entry) {
        match entry {
            Entry::Port(key, value) => drop(self.ports.insert(key, value)),
            Entry::LocalMac(key) => drop(self.local_macs.insert(key)),
            Entry::LocalAddr(key) => drop(self.local_addrs.insert(key)),
            Entry::Tunnel(key, value) => drop(self.tunnels.insert(key, value)),
            Entry::Link(key, value) => drop(self.links.insert(key, value)),
        }
    }

    /// Takes note of a key that was removed.
    pub(crate) fn remove(&mut self, key: &Key) {
        match key {
            Key::Port(key) => drop(self.ports.remove(key)),
            Key::LocalMac(key) => drop(self.local_macs.remove(key)),
            Key::LocalAddr(key) => drop(self.local_addrs.remove(key)),
            Key::Tunnel(key) => drop(self.tunnels.remove(key)),
            Key::Link(key) => drop(self.links.remove(key)),
        }
    }
}
