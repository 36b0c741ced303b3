//! Tunnel kinds: how a packet is wrapped for a link, and what a link's wrapping contains.
//!
//! A kind is one file with its encapsulation, decapsulation, overhead and tests, and one arm in
//! each `match` here. Kinds share outer headers: `outer` (of both families) and `udp`.

mod egre;
mod fou;
mod gre;
mod gue;
mod ipip;
mod outer;
mod outer4;
mod outer6;
mod udp;

use tp_wire::{EtherType, MacAddr, Protocol};

use crate::family::Family;
use crate::verdict::DropReason;
use egre::Egre;
pub use egre::EthernetAddresses;
use fou::Fou;
use gre::Gre;
use gue::Gue;
use ipip::Ipip;
pub use outer::Ends;
use outer::Outer;
pub(crate) use outer::{Opened, Payload};

/// What stands between link header and inner packet, prebuilt; only what depends on the packet is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encap(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Bare,
    Ipip(Ipip),
    Gre(Gre),
    Egre(Egre),
    Fou(Fou),
    Gue(Gue),
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

    /// Ethernet over GRE, with a key or without.
    #[must_use]
    pub fn egre(ends: Ends, key: Option<u32>, addresses: EthernetAddresses) -> Self {
        Self(Kind::Egre(Egre::new(&ends, key, addresses)))
    }

    /// IP in UDP to the far end's port, as Linux FOU; with a checksum or without (RFC 6935).
    #[must_use]
    pub fn fou(ends: Ends, remote_port: u16, checksum: bool) -> Self {
        Self(Kind::Fou(Fou::new(&ends, remote_port, checksum)))
    }

    /// Generic UDP Encapsulation to the far end's port; with a checksum or without (RFC 6935).
    #[must_use]
    pub fn gue(ends: Ends, remote_port: u16, checksum: bool) -> Self {
        Self(Kind::Gue(Gue::new(&ends, remote_port, checksum)))
    }

    /// Whether an Ethernet header is directly in front of the inner packet.
    #[inline]
    #[must_use]
    pub const fn is_ethernet(&self) -> bool {
        matches!(self.0, Kind::Bare | Kind::Egre(_))
    }

    /// Whether nothing is between link header and inner packet.
    #[inline]
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        matches!(self.0, Kind::Bare)
    }

    /// Bytes between link header and inner packet.
    #[inline]
    #[must_use]
    pub fn overhead(&self) -> usize {
        match &self.0 {
            Kind::Bare => 0,
            Kind::Ipip(ipip) => ipip.overhead(),
            Kind::Gre(gre) => gre.overhead(),
            Kind::Egre(egre) => egre.overhead(),
            Kind::Fou(fou) => fou.overhead(),
            Kind::Gue(gue) => gue.overhead(),
        }
    }

    /// The type of what follows the link header, where this payload is behind.
    #[inline]
    pub(crate) fn ethertype(&self, payload: &Payload<'_>) -> EtherType {
        self.outer().map_or(payload.ethertype, Outer::ethertype)
    }

    /// Writes the headers of this payload into `out`, which is [`Self::overhead`] long; `source`
    /// takes the place of the link's own MAC.
    #[inline]
    pub(crate) fn write(&self, payload: &Payload<'_>, source: Option<MacAddr>, out: &mut [u8]) {
        match &self.0 {
            Kind::Bare => {}
            Kind::Ipip(ipip) => ipip.write(payload, out),
            Kind::Gre(gre) => gre.write(payload, out),
            Kind::Egre(egre) => egre.write(payload, source, out),
            Kind::Fou(fou) => fou.write(payload, out),
            Kind::Gue(gue) => gue.write(payload, out),
        }
    }

    /// As [`Self::write`] for a payload that has an Ethernet header, if the kind carries one: that
    /// header is at the end of `out` and stays.
    pub(crate) fn write_around(&self, payload: &Payload<'_>, out: &mut [u8]) {
        match &self.0 {
            Kind::Egre(egre) => {
                egre.write_carrier(payload, out);
            }
            _ => self.write(payload, None, out),
        }
    }

    #[inline]
    fn outer(&self) -> Option<&Outer> {
        match &self.0 {
            Kind::Bare => None,
            Kind::Ipip(ipip) => Some(&ipip.outer),
            Kind::Gre(gre) => Some(&gre.outer),
            Kind::Egre(egre) => Some(&egre.outer),
            Kind::Fou(fou) => Some(&fou.udp.outer),
            Kind::Gue(gue) => Some(&gue.udp.outer),
        }
    }
}

/// What a tunnel header says that it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    Ip(Family),
    Ethernet,
}

/// Reads the outer header that `bytes` begin with and the tunnel header behind it, which steering says
/// to end `end` bytes behind the outer header's start.
///
/// # Errors
/// Why there are no such headers, or nothing that is forwarded behind them.
#[inline]
pub(crate) fn open(bytes: &[u8], end: usize) -> Result<(Opened<'_>, Carries), DropReason> {
    let outer = outer::open(bytes)?;
    // Negative where steering contradicts the outer header.
    let end = end.cast_signed() - outer.header_len.cast_signed();
    let carries = match outer.protocol {
        Protocol::IPIP => ipip::open(Family::V4, end),
        Protocol::IPV6 => ipip::open(Family::V6, end),
        Protocol::GRE => gre::open(outer.payload, end),
        Protocol::UDP => udp::open(&outer, end),
        _ => Err(DropReason::InnerUnsupported),
    }?;
    Ok((outer, carries))
}
