//! The Rust mirror of `ebpf/src/bpf/abi.h`: what the steering program, the map
//! writers and the workers agree on.
//!
//! `ebpf/tests/abi.rs` compares every size, offset and value with the C side.
//! Fields are in host order unless their name ends in `_be`; addresses are 16 bytes,
//! IPv4 as IPv4-mapped (RFC 4291 section 2.5.5.2).

use core::net::{IpAddr, Ipv6Addr};

use tp_wire::MacAddr;

/// Marks metadata of this layout (`TP_META_MAGIC`).
pub const META_MAGIC: u16 = 0x5450;
/// The slot of an ingress that has none (`TP_NO_SLOT`).
pub const NO_SLOT: u32 = u32::MAX;
/// Most ports of a portal (`TP_MAX_PORTS`).
pub const MAX_PORTS: usize = 64;
/// Most receive queues of a port (`TP_MAX_QUEUES`).
pub const MAX_QUEUES: usize = 64;
/// Capacity of the map of our MAC addresses (`TP_MAX_LOCAL_MACS`).
pub const MAX_LOCAL_MACS: usize = 4096;
/// Capacity of the map of the portal's addresses (`TP_MAX_LOCAL_ADDRS`).
pub const MAX_LOCAL_ADDRS: usize = 16384;
/// Capacity of the tunnel map (`TP_MAX_TUNNELS`).
pub const MAX_TUNNELS: usize = 65536;
/// Capacity of the link map (`TP_MAX_LINKS`).
pub const MAX_LINKS: usize = 16384;

/// Capacity of the map of UDP tunnels' ports (`TP_MAX_UDP_PORTS`).
pub const MAX_UDP_PORTS: usize = 256;

/// What a redirected frame is (`enum tp_ingress`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum IngressKind {
    /// From an upstream's router, without an outer header; the slot is the upstream's.
    Upstream = 1,
    /// From a tunnel's far end; the slot is the tunnel's.
    Tunnel = 2,
    /// From a layer-two client; the slot is its tunnel's.
    L2Client = 3,
    /// A fragment of a tunnel's outer packet; no slot.
    OuterFragment = 4,
    /// An ICMP error that quotes a tunnel's outer header; the slot is the tunnel's.
    OuterIcmp = 5,
    /// From an upstream behind a tunnel; the slot is the upstream's.
    UpstreamTunnel = 6,
    /// An ICMP error that quotes the outer header of an upstream's tunnel; the slot is the upstream's.
    OuterIcmpUpstream = 7,
}

impl IngressKind {
    /// The kind of this number, if there is one.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Upstream,
            2 => Self::Tunnel,
            3 => Self::L2Client,
            4 => Self::OuterFragment,
            5 => Self::OuterIcmp,
            6 => Self::UpstreamTunnel,
            7 => Self::OuterIcmpUpstream,
            _ => return None,
        })
    }
}

/// The kind of a tunnel in a steering key (`enum tp_tunnel_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// IP protocols 4 and 41.
    Ipip = 1,
    /// GRE with protocol type 0x0800 or 0x86dd.
    Gre = 2,
    /// GRE with protocol type 0x6558.
    Egre = 3,
    /// IP in UDP, as Linux FOU.
    Fou = 4,
    /// Generic UDP Encapsulation (draft-ietf-intarea-gue).
    Gue = 5,
}

/// Metadata in front of a redirected packet (`struct tp_meta`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Meta {
    /// Slot of the ingress, in the space that `ingress` names.
    pub slot: u32,
    /// Tag of that slot's allocation.
    pub tag: u32,
    /// [`META_MAGIC`].
    pub magic: u16,
    /// Index of the ingress port.
    pub port: u16,
    /// [`IngressKind`] as a number.
    pub ingress: u8,
    /// VLAN headers in the frame, VID 0 included.
    pub vlans: u8,
    /// Offset of the outermost network header, in bytes from the packet's start.
    pub l3_off: u16,
    /// Offset of what follows it.
    pub l4_off: u16,
    /// Offset of what the tunnel carries; `l3_off` where there is no tunnel.
    pub inner_off: u16,
    /// 0.
    pub reserved: u32,
}

impl Meta {
    /// Size in bytes; the metadata ends where the packet starts.
    pub const SIZE: usize = 24;

    /// Reads metadata as the steering program wrote it.
    #[must_use]
    pub fn from_bytes(b: &[u8; Self::SIZE]) -> Self {
        let u32_at = |i: usize| u32::from_ne_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
        let u16_at = |i: usize| u16::from_ne_bytes([b[i], b[i + 1]]);
        Self {
            slot: u32_at(0),
            tag: u32_at(4),
            magic: u16_at(8),
            port: u16_at(10),
            ingress: b[12],
            vlans: b[13],
            l3_off: u16_at(14),
            l4_off: u16_at(16),
            inner_off: u16_at(18),
            reserved: u32_at(20),
        }
    }

    /// The bytes that the steering program would write.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut b = [0; Self::SIZE];
        b[0..4].copy_from_slice(&self.slot.to_ne_bytes());
        b[4..8].copy_from_slice(&self.tag.to_ne_bytes());
        b[8..10].copy_from_slice(&self.magic.to_ne_bytes());
        b[10..12].copy_from_slice(&self.port.to_ne_bytes());
        b[12] = self.ingress;
        b[13] = self.vlans;
        b[14..16].copy_from_slice(&self.l3_off.to_ne_bytes());
        b[16..18].copy_from_slice(&self.l4_off.to_ne_bytes());
        b[18..20].copy_from_slice(&self.inner_off.to_ne_bytes());
        b[20..24].copy_from_slice(&self.reserved.to_ne_bytes());
        b
    }
}

/// A port in the map `ports` (`struct tp_port`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct PortEntry {
    /// Index, below [`MAX_PORTS`].
    pub port: u16,
    /// Receive queues that have a socket.
    pub queues: u16,
    /// 0.
    pub reserved: u32,
}

/// A destination MAC that is ours (`struct tp_mac_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct MacKey {
    /// Index of the port.
    pub port: u16,
    /// The address.
    pub mac: [u8; 6],
}

/// An address of the portal (`struct tp_addr_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct AddrKey {
    /// The address; IPv4 is IPv4-mapped.
    pub addr: [u8; 16],
}

/// How a tunnel's packets are known (`struct tp_tunnel_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct TunnelKey {
    /// Outer source as received.
    pub remote: [u8; 16],
    /// Outer destination as received.
    pub local: [u8; 16],
    /// GRE key in network order, 0 where absent.
    pub key_be: u32,
    /// UDP destination port in network order, 0 elsewhere.
    pub dport_be: u16,
    /// [`KeyKind`] as a number.
    pub kind: u8,
    /// [`TUNNEL_KEY_PRESENT`] or 0.
    pub flags: u8,
}

/// The tunnel has a GRE key: no key is not key 0 (`TP_TUNNEL_KEY_PRESENT`).
pub const TUNNEL_KEY_PRESENT: u8 = 1;

impl TunnelKey {
    /// The key of an IPIP tunnel between these outer addresses.
    #[must_use]
    pub fn ipip(remote: IpAddr, local: IpAddr) -> Self {
        Self {
            remote: addr_bytes(remote),
            local: addr_bytes(local),
            key_be: 0,
            dport_be: 0,
            kind: KeyKind::Ipip as u8,
            flags: 0,
        }
    }

    /// The key of a GRE tunnel; `key` is in host order.
    #[must_use]
    pub fn gre(remote: IpAddr, local: IpAddr, key: Option<u32>) -> Self {
        Self {
            key_be: key.unwrap_or(0).to_be(),
            kind: KeyKind::Gre as u8,
            flags: if key.is_some() { TUNNEL_KEY_PRESENT } else { 0 },
            ..Self::ipip(remote, local)
        }
    }

    /// The key of an Ethernet-over-GRE tunnel; `key` is in host order.
    #[must_use]
    pub fn egre(remote: IpAddr, local: IpAddr, key: Option<u32>) -> Self {
        Self {
            kind: KeyKind::Egre as u8,
            ..Self::gre(remote, local, key)
        }
    }

    /// The key of a FOU or GUE tunnel that the portal receives at this UDP port.
    #[must_use]
    pub fn udp(kind: KeyKind, remote: IpAddr, local: IpAddr, port: u16) -> Self {
        Self {
            dport_be: port.to_be(),
            kind: kind as u8,
            ..Self::ipip(remote, local)
        }
    }
}

/// The destination port of UDP tunnels (`struct tp_udp_port_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct UdpPortKey {
    /// In network order.
    pub port_be: u16,
}

/// The VLAN's TPID is 0x88a8 (`TP_VLAN_8021AD`).
pub const VLAN_8021AD: u16 = 0x1000;

/// How a link's frames are known (`struct tp_link_key`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct LinkKey {
    /// Index of the port.
    pub port: u16,
    /// VID, with [`VLAN_8021AD`] where the TPID is 0x88a8, outermost first; 0 is none.
    pub vlan: [u16; 2],
    /// Source MAC; zero for a layer-two client, which may send from any.
    pub mac: [u8; 6],
}

/// What a steering key leads to (`struct tp_slot_ref`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct SlotRef {
    /// Slot, in the space that `ingress` names.
    pub slot: u32,
    /// Tag of the slot's allocation.
    pub tag: u32,
    /// [`IngressKind`] as a number.
    pub ingress: u16,
    /// [`REF_LOCAL`] or 0.
    pub flags: u16,
}

/// ARP and ND from this link are for the portal's slow path (`TP_REF_LOCAL`).
pub const REF_LOCAL: u16 = 1;

/// Counters of the steering program (`enum tp_counter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Counter {
    /// Frames that the program saw.
    Seen = 0,
    /// Handed to the kernel.
    Passed,
    /// Redirected to a socket.
    Redirected,
    /// Dropped: the device is no port.
    NoPort,
    /// Dropped: ends inside a header that steering reads.
    Truncated,
    /// Dropped: IP version, IHL or extension header chain.
    Malformed,
    /// Dropped: unicast destination MAC that is not ours.
    NotForUs,
    /// Dropped: group destination MAC, not a link protocol.
    Group,
    /// Dropped: neither IP nor a link protocol, or too many VLAN headers.
    Ethertype,
    /// Dropped: tunnel protocol to the portal, but no such tunnel.
    UnknownTunnel,
    /// Dropped: GRE version, routing or RFC 1701 bits.
    GreUnsupported,
    /// Dropped: GUE variant, or a control message.
    GueUnsupported,
    /// Dropped: no upstream or client for (port, VLANs, source MAC).
    UnknownSource,
    /// Dropped: no AF_XDP socket on the queue.
    NoSocket,
    /// Dropped: no room for metadata.
    MetaRoom,
}

impl Counter {
    /// How many there are (`TP_COUNTERS`).
    pub const COUNT: usize = 15;
    /// All, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Seen,
        Self::Passed,
        Self::Redirected,
        Self::NoPort,
        Self::Truncated,
        Self::Malformed,
        Self::NotForUs,
        Self::Group,
        Self::Ethertype,
        Self::UnknownTunnel,
        Self::GreUnsupported,
        Self::GueUnsupported,
        Self::UnknownSource,
        Self::NoSocket,
        Self::MetaRoom,
    ];

    /// Name in the API and in `tpctl show drops`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Passed => "passed",
            Self::Redirected => "redirected",
            Self::NoPort => "no-port",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::NotForUs => "not-for-us",
            Self::Group => "group-address",
            Self::Ethertype => "ethertype",
            Self::UnknownTunnel => "unknown-tunnel",
            Self::GreUnsupported => "gre-unsupported",
            Self::GueUnsupported => "gue-unsupported",
            Self::UnknownSource => "unknown-source",
            Self::NoSocket => "no-socket",
            Self::MetaRoom => "no-metadata-room",
        }
    }

    /// Whether it counts frames that were dropped.
    #[must_use]
    pub const fn is_drop(self) -> bool {
        !matches!(self, Self::Seen | Self::Passed | Self::Redirected)
    }
}

/// An address as 16 bytes; IPv4 is IPv4-mapped.
#[must_use]
pub fn addr_bytes(addr: IpAddr) -> [u8; 16] {
    match addr {
        IpAddr::V4(a) => a.to_ipv6_mapped().octets(),
        IpAddr::V6(a) => a.octets(),
    }
}

/// The address of 16 bytes; an IPv4-mapped one is IPv4.
#[must_use]
pub fn addr_from_bytes(bytes: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(bytes).to_canonical()
}

impl MacKey {
    /// The key of `mac` on `port`.
    #[must_use]
    pub fn new(port: u16, mac: MacAddr) -> Self {
        Self {
            port,
            mac: mac.octets(),
        }
    }
}
