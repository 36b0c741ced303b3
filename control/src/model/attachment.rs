//! How links are attached: bare on a port and VLAN stack, or carried in outer headers.

use std::net::IpAddr;

use super::Name;

/// What stands between the portal and a link's other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// Ethernet frames of a port.
    Bare(Bare),
    /// Outer headers.
    Carried(Carried),
}

impl Attachment {
    /// Port and VLANs of a bare link.
    #[must_use]
    pub fn bare(&self) -> Option<&Bare> {
        match self {
            Self::Bare(bare) => Some(bare),
            Self::Carried(_) => None,
        }
    }

    /// The outer headers of a carried link.
    #[must_use]
    pub fn carried(&self) -> Option<&Carried> {
        match self {
            Self::Bare(_) => None,
            Self::Carried(carried) => Some(carried),
        }
    }

    /// Whether what arrives has an Ethernet header behind the carrier (`docs/forwarding.md`: an Ethernet link).
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        match self {
            Self::Bare(_) => true,
            Self::Carried(carried) => matches!(carried.kind, TunnelKind::Egre { .. }),
        }
    }
}

/// A port and a VLAN stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bare {
    /// The device.
    pub port: Name,
    /// Outermost first; at most two.
    pub vlans: Vec<Vlan>,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vlan {
    /// VLAN identifier, 1-4094.
    pub vid: u16,
    /// TPID 0x88a8 instead of 0x8100.
    pub service: bool,
}

/// Outer headers. Both addresses are of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Outer address of the portal.
    pub local: IpAddr,
    /// Outer address of the far end.
    pub remote: IpAddr,
    /// How it encapsulates.
    pub kind: TunnelKind,
    /// TTL or hop limit of the outer header.
    pub ttl: u8,
    /// DSCP of the outer header, 0-63.
    pub dscp: u8,
}

/// How a carrier encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TunnelKind {
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213).
    Ipip,
    /// GRE (RFC 2784), with a key (RFC 2890) or without.
    Gre {
        /// No key is not key 0.
        key: Option<u32>,
    },
    /// Ethernet over GRE (protocol type 0x6558).
    Egre {
        /// No key is not key 0.
        key: Option<u32>,
    },
    /// IP in UDP, as Linux FOU.
    Fou(Udp),
    /// Generic UDP Encapsulation (draft-ietf-intarea-gue).
    Gue(Udp),
}

/// The ports of a UDP carrier, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Udp {
    /// The port that the portal receives at.
    pub port: u16,
    /// The port that the portal sends to.
    pub remote_port: u16,
    /// Whether the portal sends UDP checksums; 0 stands for none, over IPv6 too (RFC 6935).
    pub checksum: bool,
}

/// A pair of addresses of a link, by which its two ends talk: inside, next to the client's packets.
///
/// A peer's address belongs to one link of the portal; a portal's address may serve several links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkAddresses {
    /// The portal's; the kernel has it on the TUN or TAP device.
    pub portal: IpAddr,
    /// The other end's; of the same family.
    pub peer: IpAddr,
}
