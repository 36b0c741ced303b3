//! Outer IP headers of either family.

use std::net::IpAddr;

use tp_wire::{Ecn, EtherType, Protocol, is_ipv6};

use super::outer4::{self, Outer4};
use super::outer6::{self, Outer6};
use crate::flow;
use crate::verdict::DropReason;

/// The ends of a tunnel, of one family, and what its outer headers say besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    local: IpAddr,
    remote: IpAddr,
    ttl: u8,
    dscp: u8,
}

impl Ends {
    /// `local` is the portal's address, `remote` the far end's; `ttl` is the hop limit of IPv6 too;
    /// `dscp` is 0-63 (higher bits are ignored). `None` if the addresses are of two families.
    #[must_use]
    pub fn new(local: IpAddr, remote: IpAddr, ttl: u8, dscp: u8) -> Option<Self> {
        (local.is_ipv4() == remote.is_ipv4()).then_some(Self {
            local,
            remote,
            ttl,
            dscp,
        })
    }
}

/// What a packet that is to be carried says of its outer headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'p> {
    pub(crate) ethertype: EtherType,
    pub(crate) ecn: Ecn,
    pub(crate) packet: &'p [u8],
}

impl Payload<'_> {
    /// The hash of the flow that it is of.
    #[inline]
    pub(crate) fn flow_hash(&self) -> u32 {
        flow::hash(self.ethertype, self.packet)
    }
}

/// An outer header as it came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened<'p> {
    pub(crate) ecn: Ecn,
    /// What its payload is.
    pub(crate) protocol: Protocol,
    /// Options and extension headers included.
    pub(crate) header_len: usize,
    /// Both, as pseudo-headers have them.
    pub(crate) addresses: &'p [u8],
    /// What follows all headers, to the packet's end.
    pub(crate) payload: &'p [u8],
}

/// Reads an outer header of either family and judges it.
#[inline]
pub(crate) fn open(bytes: &[u8]) -> Result<Opened<'_>, DropReason> {
    if is_ipv6(bytes) {
        outer6::open(bytes)
    } else {
        outer4::open(bytes)
    }
}

/// A prebuilt outer header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outer {
    V4(Outer4),
    V6(Outer6),
}

impl Outer {
    pub(super) fn new(ends: &Ends) -> Self {
        match (ends.local, ends.remote) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                Self::V4(Outer4::new(local, remote, ends.ttl, ends.dscp))
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) => {
                Self::V6(Outer6::new(local, remote, ends.ttl, ends.dscp))
            }
            _ => unreachable!("ends are of one family"),
        }
    }

    /// Length in bytes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::V4(_) => outer4::LEN,
            Self::V6(_) => outer6::LEN,
        }
    }

    /// The EtherType in front of it.
    #[inline]
    pub(super) fn ethertype(&self) -> EtherType {
        match self {
            Self::V4(_) => EtherType::IPV4,
            Self::V6(_) => EtherType::IPV6,
        }
    }

    /// Ones' complement sum of the addresses, for a pseudo-header.
    #[inline]
    pub(super) fn address_sum(&self) -> u16 {
        match self {
            Self::V4(outer) => outer.address_sum(),
            Self::V6(outer) => outer.address_sum(),
        }
    }

    /// Writes the header into the front of `out`, to be followed by the rest of `out` and then by
    /// the payload; returns the rest.
    #[inline]
    pub(super) fn write<'o>(
        &self,
        protocol: Protocol,
        payload: &Payload<'_>,
        out: &'o mut [u8],
    ) -> &'o mut [u8] {
        match self {
            Self::V4(outer) => {
                let Some((header, rest)) = out.split_first_chunk_mut() else {
                    return &mut [];
                };
                let total_len = narrow(outer4::LEN + rest.len() + payload.packet.len());
                outer.write(protocol, total_len, payload.ecn, header);
                rest
            }
            Self::V6(outer) => {
                let Some((header, rest)) = out.split_first_chunk_mut() else {
                    return &mut [];
                };
                let payload_len = narrow(rest.len() + payload.packet.len());
                let hash = payload.flow_hash();
                outer.write(protocol, payload_len, payload.ecn, hash, header);
                rest
            }
        }
    }
}

/// A length as headers hold it.
#[inline]
#[allow(
    clippy::cast_possible_truncation,
    reason = "at most a port's MTU: `fit` and `originate` drop what is longer"
)]
pub(super) const fn narrow(len: usize) -> u16 {
    len as u16
}
