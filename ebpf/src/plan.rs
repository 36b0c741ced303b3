//! What has to be written so that the maps hold another state. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use tp_pipeline::abi::{
    self, AddrKey, LinkKey, MacKey, PortEntry, SlotRef, TUNNEL_KEY_PRESENT, TunnelKey, UdpPortKey,
};
use tp_wire::MacAddr;

use crate::state::{SteeringState, UdpKind};

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
    /// `udp_ports`.
    UdpPorts,
    /// `links`.
    Links,
}

impl MapName {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::Ports,
        Self::LocalMacs,
        Self::LocalAddrs,
        Self::Tunnels,
        Self::UdpPorts,
        Self::Links,
    ];

    /// Most entries that it holds.
    #[must_use]
    pub const fn capacity(self) -> usize {
        match self {
            Self::Ports => abi::MAX_PORTS,
            Self::LocalMacs => abi::MAX_LOCAL_MACS,
            Self::LocalAddrs => abi::MAX_LOCAL_ADDRS,
            Self::Tunnels => abi::MAX_TUNNELS,
            Self::UdpPorts => abi::MAX_UDP_PORTS,
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
            Self::UdpPorts => "udp_ports",
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
    /// Of `udp_ports`.
    UdpPort(UdpPortKey),
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
            Self::UdpPort(_) => MapName::UdpPorts,
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
                if k.dport_be != 0 {
                    write!(f, " udp port {}", u16::from_be(k.dport_be))?;
                }
                Ok(())
            }
            Self::UdpPort(k) => write!(f, "udp port {}", u16::from_be(k.port_be)),
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
    /// Of `udp_ports`.
    UdpPort(UdpPortKey, UdpKind),
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
            Self::UdpPort(key, _) => Key::UdpPort(key),
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
    /// A key that leads to others comes last when added and first when removed: a UDP port and an
    /// address of the portal after their tunnels, a port after all else. So no frame is judged by
    /// half of what concerns it.
    pub(crate) fn new(have: &SteeringState, want: &SteeringState) -> Self {
        let mut plan = Self::default();
        plan.write(&have.tunnels, &want.tunnels, Entry::Tunnel);
        plan.write(&have.links, &want.links, Entry::Link);
        plan.write(&have.udp_ports, &want.udp_ports, Entry::UdpPort);
        for key in want.local_macs.difference(&have.local_macs) {
            plan.adds.push(Entry::LocalMac(*key));
        }
        for key in want.local_addrs.difference(&have.local_addrs) {
            plan.adds.push(Entry::LocalAddr(*key));
        }
        plan.write(&have.ports, &want.ports, Entry::Port);

        plan.remove(&have.ports, &want.ports, Key::Port);
        let gone = have.local_addrs.difference(&want.local_addrs);
        plan.removals.extend(gone.map(|k| Key::LocalAddr(*k)));
        let gone = have.local_macs.difference(&want.local_macs);
        plan.removals.extend(gone.map(|k| Key::LocalMac(*k)));
        plan.remove(&have.udp_ports, &want.udp_ports, Key::UdpPort);
        plan.remove(&have.links, &want.links, Key::Link);
        plan.remove(&have.tunnels, &want.tunnels, Key::Tunnel);
        plan
    }

    /// What has to be added to a map, or changed there.
    fn write<K: Ord + Copy, V: Eq + Copy>(
        &mut self,
        have: &BTreeMap<K, V>,
        want: &BTreeMap<K, V>,
        entry: fn(K, V) -> Entry,
    ) {
        for (key, value) in want {
            match have.get(key) {
                None => self.adds.push(entry(*key, *value)),
                Some(old) if old != value => self.changes.push(entry(*key, *value)),
                Some(_) => {}
            }
        }
    }

    /// What has to go from a map.
    fn remove<K: Ord + Copy, V>(
        &mut self,
        have: &BTreeMap<K, V>,
        want: &BTreeMap<K, V>,
        key: fn(K) -> Key,
    ) {
        let gone = have.keys().filter(|k| !want.contains_key(k));
        self.removals.extend(gone.map(|k| key(*k)));
    }

    /// Entries of `map` when all is added and nothing removed yet.
    pub(crate) fn peak(&self, map: MapName, have: &SteeringState) -> usize {
        let added = self.adds.iter().filter(|e| e.key().map() == map).count();
        let held = match map {
            MapName::Ports => have.ports.len(),
            MapName::LocalMacs => have.local_macs.len(),
            MapName::LocalAddrs => have.local_addrs.len(),
            MapName::Tunnels => have.tunnels.len(),
            MapName::UdpPorts => have.udp_ports.len(),
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
            Entry::UdpPort(key, value) => drop(self.udp_ports.insert(key, value)),
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
            Key::UdpPort(key) => drop(self.udp_ports.remove(key)),
            Key::Link(key) => drop(self.links.remove(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tp_pipeline::abi::{IngressKind, KeyKind, addr_bytes};

    use super::*;

    const SLOT: SlotRef = SlotRef {
        slot: 1,
        tag: 2,
        ingress: IngressKind::Tunnel as u16,
        flags: 0,
    };
    const UDP_PORT: UdpPortKey = UdpPortKey {
        port_be: 5555_u16.to_be(),
    };

    /// A portal with one entry in each map, and a UDP tunnel of this kind.
    fn state(kind: UdpKind) -> SteeringState {
        let local = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let remote = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
        let tunnel = TunnelKey::udp(KeyKind::from(kind), remote, local, 5555);
        let port = PortEntry {
            port: 0,
            queues: 1,
            reserved: 0,
        };
        let link = LinkKey {
            port: 0,
            vlan: [0; 2],
            mac: [0; 6],
        };
        SteeringState {
            ports: [(1, port)].into(),
            local_macs: [MacKey::new(0, MacAddr::new([2, 0, 0, 0, 0, 1]))].into(),
            local_addrs: [AddrKey {
                addr: addr_bytes(local),
            }]
            .into(),
            tunnels: [(tunnel, SLOT)].into(),
            udp_ports: [(UDP_PORT, kind)].into(),
            links: [(link, SLOT)].into(),
        }
    }

    #[test]
    fn what_leads_to_others_comes_after_them_and_goes_before() {
        use MapName::{Links, LocalAddrs, LocalMacs, Ports, Tunnels, UdpPorts};
        let order = [Tunnels, Links, UdpPorts, LocalMacs, LocalAddrs, Ports];

        let coming = Plan::new(&SteeringState::default(), &state(UdpKind::Fou));
        let adds: Vec<_> = coming.adds.iter().map(|e| e.key().map()).collect();
        assert_eq!(adds, order);

        let going = Plan::new(&state(UdpKind::Fou), &SteeringState::default());
        let backwards: Vec<_> = going.removals.iter().rev().map(Key::map).collect();
        assert_eq!(backwards, order);
    }

    #[test]
    fn a_udp_port_changes_between_the_tunnels_of_both_kinds() {
        let (fou, gue) = (state(UdpKind::Fou), state(UdpKind::Gue));
        let plan = Plan::new(&fou, &gue);
        let key = |state: &SteeringState| *state.tunnels.keys().next().expect("a tunnel");
        assert_eq!(plan.adds, [Entry::Tunnel(key(&gue), SLOT)]);
        assert_eq!(plan.changes, [Entry::UdpPort(UDP_PORT, UdpKind::Gue)]);
        assert_eq!(plan.removals, [Key::Tunnel(key(&fou))]);
    }
}
