//! Links: what packets come from and leave by, be it an upstream or a client's tunnel.

use std::net::IpAddr;

use tp_wire::MacAddr;

use crate::meter::MeterSpec;
use crate::tables::{PortId, VfibId};
use crate::tunnel::Encap;

/// What upstreams and tunnels have in common: how packets get in and out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// How frames start; `None` while a neighbour (of the underlay, or the peer) is unresolved.
    pub egress: Option<LinkHeader>,
    /// What stands between link header and inner packet, prebuilt; it names the kind.
    pub encap: Encap,
    /// Of Ethernet links that judge destination MACs: all but bare upstreams, whose steering does.
    pub ethernet: Option<EthernetLink>,
    /// The slow path; `None`: a link without link addresses.
    pub local: Option<Box<Local>>,
}

/// Which destination MACs a link's peer may send to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EthernetLink {
    /// The link's own: for the vFIB of its upstream, and for the portal itself.
    pub own: MacAddr,
    /// Those that it shows for upstreams, each with the upstream's vFIB; sorted by MAC.
    pub shown: Box<[(MacAddr, VfibId)]>,
}

/// A link's slow path: what is for the portal itself, and how it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Who may talk.
    pub pairs: Vec<LinkAddresses>,
    /// How frames of the slow path start: on a bare link its port and VLAN tags (the addresses are
    /// replaced by those of the kernel's frame), else the header towards the underlay's neighbour,
    /// and `None` while that is unresolved.
    pub egress: Option<LinkHeader>,
    /// What the link may send to the kernel.
    pub rate: MeterSpec,
}

/// Addresses of one family by which the portal and the other end of a link talk to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddresses {
    /// The portal's.
    pub portal: IpAddr,
    /// The other end's.
    pub peer: IpAddr,
}

/// Ethernet header with up to two VLAN tags, and the port to send it from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkHeader {
    /// Where to send.
    pub port: PortId,
    len: u8,
    bytes: [u8; Self::MAX],
}

impl LinkHeader {
    /// Two addresses, two tags, the type.
    pub const MAX: usize = 22;

    /// A header of these bytes, all but the EtherType of the payload; `None` if they are
    /// not 12, 16 or 20 (addresses and up to two tags).
    #[must_use]
    pub fn new(port: PortId, addresses_and_tags: &[u8]) -> Option<Self> {
        let n = addresses_and_tags.len();
        if !matches!(n, 12 | 16 | 20) {
            return None;
        }
        let mut bytes = [0; Self::MAX];
        bytes[..n].copy_from_slice(addresses_and_tags);
        #[allow(clippy::cast_possible_truncation, reason = "at most 22")]
        let len = (n + 2) as u8;
        Some(Self { port, len, bytes })
    }

    /// Length in bytes, the EtherType included: 14, 18 or 22.
    #[inline]
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Writes the header with this EtherType into `out`, which is [`Self::len`] long.
    #[inline]
    pub fn write(&self, ethertype: u16, out: &mut [u8]) {
        let n = self.len();
        out.copy_from_slice(&self.bytes[..n]);
        out[n - 2..].copy_from_slice(&ethertype.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_header_is_its_addresses_its_tags_and_the_type() {
        for tags in [0, 1, 2] {
            let bytes: Vec<u8> = (1..).take(12 + 4 * tags).collect();
            let header = LinkHeader::new(PortId(3), &bytes).unwrap();
            let mut out = vec![0xff; header.len()];
            header.write(0x86dd, &mut out);
            assert_eq!(out, [&bytes[..], &[0x86, 0xdd]].concat());
        }
    }

    #[test]
    fn a_link_header_of_other_lengths_is_refused() {
        for len in (0..=64).filter(|len| !matches!(len, 12 | 16 | 20)) {
            assert_eq!(
                LinkHeader::new(PortId(0), &vec![0; len]),
                None,
                "{len} bytes"
            );
        }
    }
}
