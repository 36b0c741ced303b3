//! Tunnel kinds: how a packet is wrapped for a client, and what a client's wrapping contains.
//!
//! A kind is one file with its encapsulation, decapsulation, overhead and tests, and one arm in
//! each `match` here.

mod gre;
mod ipip;
mod outer;
mod outer4;
mod outer6;

use tp_wire::{EtherType, Protocol};

use crate::verdict::DropReason;
use gre::Gre;
use ipip::Ipip;
pub use outer::Ends;
pub(crate) use outer::Payload;

/// What stands between link header and inner packet, prebuilt; only what depends on the packet is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encap(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Bare,
    Ipip(Ipip),
    Gre(Gre),
}

impl Encap {
    /// Nothing: the inner packet follows the link header.
    #[must_use]
    pub const fn bare() -> Self {
        Self(Kind::Bare)
    }

    /// IP in IP (RFC 2003, RFC 4213, RFC 2473).
    #[must_use]
    pub fn ipip(ends: Ends) -> Self {
        Self(Kind::Ipip(Ipip::new(&ends)))
    }

    /// GRE (RFC 2784), with a key (RFC 2890) or without: no key is not key 0.
    #[must_use]
    pub fn gre(ends: Ends, key: Option<u32>) -> Self {
        Self(Kind::Gre(Gre::new(&ends, key)))
    }

    /// Bytes between link header and inner packet.
    #[inline]
    #[must_use]
    pub fn overhead(&self) -> usize {
        match &self.0 {
            Kind::Bare => 0,
            Kind::Ipip(ipip) => ipip.overhead(),
            Kind::Gre(gre) => gre.overhead(),
        }
    }

    /// The type of what follows the link header, where this payload is behind.
    #[inline]
    pub(crate) fn ethertype(&self, payload: &Payload<'_>) -> EtherType {
        match &self.0 {
            Kind::Bare => payload.ethertype,
            Kind::Ipip(ipip) => ipip.outer.ethertype(),
            Kind::Gre(gre) => gre.outer.ethertype(),
        }
    }

    /// Writes the headers of this payload into `out`, which is [`Self::overhead`] long.
    #[inline]
    pub(crate) fn write(&self, payload: &Payload<'_>, out: &mut [u8]) {
        match &self.0 {
            Kind::Bare => {}
            Kind::Ipip(ipip) => ipip.write(payload, out),
            Kind::Gre(gre) => gre.write(payload, out),
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
