//! Tunnel kinds: how a packet is wrapped for a client, and what a client's wrapping contains.
//!
//! A kind is one file with its encapsulation, decapsulation, overhead and tests, and one arm in
//! each `match` here.

mod gre;
mod ipip;
mod outer;

use std::net::Ipv4Addr;

use tp_wire::{Ecn, Protocol};

use crate::verdict::DropReason;
use gre::Gre;
use ipip::Ipip;

/// The outer headers of a tunnel, prebuilt; only length, ECN and checksum are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encap(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Ipip(Ipip),
    Gre(Gre),
}

impl Encap {
    /// IP in IP (RFC 2003). `local` is the portal's address, `remote` the client's; `dscp` is 0-63
    /// (higher bits are ignored).
    #[must_use]
    pub fn ipip(local: Ipv4Addr, remote: Ipv4Addr, ttl: u8, dscp: u8) -> Self {
        Self(Kind::Ipip(Ipip::new(local, remote, ttl, dscp)))
    }

    /// GRE (RFC 2784), with a key (RFC 2890) or without: no key is not key 0.
    #[must_use]
    pub fn gre(local: Ipv4Addr, remote: Ipv4Addr, key: Option<u32>, ttl: u8, dscp: u8) -> Self {
        Self(Kind::Gre(Gre::new(local, remote, key, ttl, dscp)))
    }

    /// Bytes between link header and inner packet.
    #[inline]
    #[must_use]
    pub fn overhead(&self) -> usize {
        match &self.0 {
            Kind::Ipip(_) => Ipip::OVERHEAD,
            Kind::Gre(gre) => gre.overhead(),
        }
    }

    /// Writes the headers of an outer packet of `total_len` bytes, whose inner packet has this ECN
    /// field, into `out`, which is [`Self::overhead`] long.
    #[inline]
    pub(crate) fn write(&self, total_len: u16, ecn: Ecn, out: &mut [u8]) {
        match &self.0 {
            Kind::Ipip(ipip) => ipip.write(total_len, ecn, out),
            Kind::Gre(gre) => gre.write(total_len, ecn, out),
        }
    }
}

/// Checks the tunnel header that `payload`, the payload of an outer packet with this protocol,
/// begins with. Steering says that it is `header_len` long; an IPv4 packet must follow it.
///
/// # Errors
/// Why there is no such header, or no IPv4 behind it.
#[inline]
pub(crate) fn open(
    protocol: Protocol,
    payload: &[u8],
    header_len: usize,
) -> Result<(), DropReason> {
    match protocol {
        Protocol::IPIP => ipip::open(header_len),
        Protocol::GRE => gre::open(payload, header_len),
        _ => Err(DropReason::InnerUnsupported),
    }
}
