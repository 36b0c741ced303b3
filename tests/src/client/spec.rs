//! What a client's tunnel is like.

use std::net::IpAddr;

use ipnet::IpNet;

/// IPv4 header without options (RFC 791 section 3.1).
const IPV4_HEADER: u16 = 20;
/// IPv6 header (RFC 8200 section 3).
const IPV6_HEADER: u16 = 40;
/// Destination Options header with a Tunnel Encapsulation Limit (RFC 2473 section 4.1.1).
const LIMIT_HEADER: u16 = 8;
/// GRE header without optional fields (RFC 2784 section 2.1), and each of those.
const GRE_WORD: u16 = 4;
/// UDP header (RFC 768).
const UDP_HEADER: u16 = 8;
/// GUE header of variant 0 without fields (draft-ietf-intarea-gue-09 section 3.1).
const GUE_HEADER: u16 = 4;
/// Ethernet header.
const ETHERNET_HEADER: u16 = 14;
/// MTU of the outer network unless said otherwise.
const DEFAULT_MTU: u16 = 1500;

/// One tunnel of a client.
///
/// As text: `DEVICE,kind=ipip|gre|egre|fou|gue,local=A,remote=B` or `DEVICE,kind=vlan,trunk=ETH,vlan=VID`, and of
/// `key=K`, `sequence`, `checksum`, `limit`, `port=P`, `remote_port=P`, `variant=0|1`, `vlan=VID` (802.1ad: `sVID`),
/// `mac=M`, `address=CIDR`, `mtu=N` what the kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelSpec {
    /// Name of the TUN or TAP device, which is made.
    pub device: String,
    /// What the device's packets are put into.
    pub carrier: Carrier,
    /// MAC address of a TAP device; the kernel chooses one otherwise.
    pub mac: Option<[u8; 6]>,
    /// Inner addresses of the device.
    pub addresses: Vec<IpNet>,
    /// MTU of the outer network in bytes; the device's is smaller by the outer headers.
    pub outer_mtu: u16,
}

/// What a device's packets are put into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Outer IP packets.
    Carried {
        /// How they are encapsulated.
        kind: Kind,
        /// Outer address of the client.
        local: IpAddr,
        /// Outer address of the portal, of the same family.
        remote: IpAddr,
    },
    /// Tagged frames of an Ethernet device, which is bridged for it: addresses of its own are out of use.
    Tagged {
        /// The Ethernet device.
        trunk: String,
        /// Outermost first; one or two.
        tags: Vec<Tag>,
    },
}

/// How a tunnel encapsulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IP in IP (RFC 2003, RFC 4213, RFC 2473).
    Ipip {
        /// Sent with a Tunnel Encapsulation Limit, as Linux does over IPv6 unless told otherwise.
        limit: bool,
    },
    /// GRE.
    Gre(Gre),
    /// Ethernet over GRE; the device is a TAP.
    Egre(Gre),
    /// IP directly in UDP (Linux's "foo over UDP").
    Fou(Udp),
    /// Generic UDP encapsulation.
    Gue(Udp, GueVariant),
}

/// A GRE header's optional fields (RFC 2784, RFC 2890).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gre {
    /// No key is not key 0.
    pub key: Option<u32>,
    /// Sent with sequence numbers.
    pub sequence: bool,
    /// Sent with a checksum.
    pub checksum: bool,
}

/// Of UDP tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The client's port, to which the portal sends; also the source port of what is sent.
    pub port: u16,
    /// The portal's port.
    pub remote_port: u16,
    /// Sent with a checksum; 0 otherwise, over IPv6 too (RFC 6935 section 5).
    pub checksum: bool,
}

/// The two forms of GUE (draft-ietf-intarea-gue-09 sections 3 and 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GueVariant {
    /// With a GUE header.
    Header,
    /// The IP packet right behind the UDP header.
    Direct,
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// VLAN identifier, 1 to 4094.
    pub vid: u16,
    /// A service tag (802.1ad, TPID 0x88a8) instead of a customer's (802.1Q, 0x8100).
    pub service: bool,
}

impl Kind {
    /// IP in IP.
    pub const IPIP: Self = Self::Ipip { limit: false };

    /// GRE with or without a key.
    #[must_use]
    pub const fn gre(key: Option<u32>) -> Self {
        Self::Gre(Gre::keyed(key))
    }

    /// Ethernet over GRE with or without a key.
    #[must_use]
    pub const fn egre(key: Option<u32>) -> Self {
        Self::Egre(Gre::keyed(key))
    }
}

impl Gre {
    /// With or without a key, and no other field.
    #[must_use]
    pub const fn keyed(key: Option<u32>) -> Self {
        Self {
            key,
            sequence: false,
            checksum: false,
        }
    }

    fn len(self) -> u16 {
        let fields = [self.checksum, self.key.is_some(), self.sequence];
        GRE_WORD
            + fields
                .map(|field| u16::from(field) * GRE_WORD)
                .iter()
                .sum::<u16>()
    }
}

impl Udp {
    /// One port at both ends, no checksums.
    #[must_use]
    pub fn port(port: u16) -> Self {
        Self {
            port,
            remote_port: port,
            checksum: false,
        }
    }
}

impl Tag {
    /// A customer's tag.
    #[must_use]
    pub fn customer(vid: u16) -> Self {
        Self {
            vid,
            service: false,
        }
    }

    /// A service tag.
    #[must_use]
    pub fn service(vid: u16) -> Self {
        Self { vid, service: true }
    }
}

impl TunnelSpec {
    /// A carried tunnel without inner addresses over a network with an MTU of 1500.
    pub fn new(
        device: &str,
        kind: Kind,
        local: impl Into<IpAddr>,
        remote: impl Into<IpAddr>,
    ) -> Self {
        let (local, remote) = (local.into(), remote.into());
        Self::over(
            device,
            Carrier::Carried {
                kind,
                local,
                remote,
            },
        )
    }

    /// A VLAN of an Ethernet device.
    pub fn tagged(device: &str, trunk: &str, tags: &[Tag]) -> Self {
        let (trunk, tags) = (trunk.to_owned(), tags.to_vec());
        Self::over(device, Carrier::Tagged { trunk, tags })
    }

    fn over(device: &str, carrier: Carrier) -> Self {
        Self {
            device: device.to_owned(),
            carrier,
            mac: None,
            addresses: Vec::new(),
            outer_mtu: DEFAULT_MTU,
        }
    }

    /// With this inner address too.
    #[must_use]
    pub fn address(mut self, address: impl Into<IpNet>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// With this MAC address of the TAP device.
    #[must_use]
    pub fn mac(mut self, mac: [u8; 6]) -> Self {
        self.mac = Some(mac);
        self
    }

    /// The device carries Ethernet frames: a TAP.
    #[must_use]
    pub fn is_ethernet(&self) -> bool {
        match self.carrier {
            Carrier::Carried { kind, .. } => matches!(kind, Kind::Egre(_)),
            Carrier::Tagged { .. } => true,
        }
    }

    /// Most bytes of outer headers, in either direction.
    #[must_use]
    pub fn overhead(&self) -> u16 {
        let Carrier::Carried { kind, local, .. } = &self.carrier else {
            return 0;
        };
        let outer = if local.is_ipv4() {
            IPV4_HEADER
        } else {
            IPV6_HEADER
        };
        outer
            + match kind {
                Kind::Ipip { limit } => u16::from(*limit) * LIMIT_HEADER,
                Kind::Gre(gre) => gre.len(),
                Kind::Egre(gre) => gre.len() + ETHERNET_HEADER,
                Kind::Fou(_) => UDP_HEADER,
                // What comes may be of the variant with a header.
                Kind::Gue(..) => UDP_HEADER + GUE_HEADER,
            }
    }

    /// MTU of the device: the largest inner packet that needs no outer fragments.
    #[must_use]
    pub fn inner_mtu(&self) -> u16 {
        self.outer_mtu.saturating_sub(self.overhead())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn inner_mtu_leaves_room_for_the_outer_headers() {
        let v4 = |kind| TunnelSpec::new("t", kind, Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        let v6 = |kind| TunnelSpec::new("t", kind, Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let mtu = |kind| (v4(kind).inner_mtu(), v6(kind).inner_mtu());
        assert_eq!(mtu(Kind::IPIP), (1480, 1460));
        assert_eq!(mtu(Kind::Ipip { limit: true }).1, 1452);
        assert_eq!(mtu(Kind::gre(None)), (1476, 1456));
        assert_eq!(mtu(Kind::gre(Some(7))), (1472, 1452));
        assert_eq!(mtu(Kind::egre(Some(7))), (1458, 1438));
        assert_eq!(mtu(Kind::Fou(Udp::port(5))), (1472, 1452));
        let gue = Kind::Gue(Udp::port(5), GueVariant::Direct);
        assert_eq!(mtu(gue), (1468, 1448));
        let tagged = TunnelSpec::tagged("t", "eth0", &[Tag::customer(10)]);
        assert_eq!(tagged.inner_mtu(), 1500);
    }
}
