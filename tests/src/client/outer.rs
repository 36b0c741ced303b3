//! Outer packets: written for each inner packet, read strictly.
//!
//! Pure functions over bytes. Reads: the tunnels. Refuses: what [`Refusal`] lists.

use std::net::IpAddr;
use std::ops::Range;

use super::refusal::Refusal;
use super::spec::{Carrier, Kind, TunnelSpec, Udp};
use super::{frame, gre, ip, udp};

/// IP protocols of IP in IP: of an IPv4 packet (RFC 2003 section 3.1), of an IPv6 packet (RFC 4213 section 3.1).
pub(super) const PROTOCOL_IPV4: u8 = 4;
pub(super) const PROTOCOL_IPV6: u8 = 41;
/// Protocol types of GRE (RFC 2784 section 2.4, RFC 7676 section 3).
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// What an outer packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// Which of the tunnels.
    pub(super) tunnel: usize,
    /// Where the inner packet is.
    pub(super) inner: Range<usize>,
    /// TTL of the outer header.
    pub(super) ttl: u8,
    /// DSCP and ECN of the outer header.
    pub(super) tos: u8,
    /// There is a checksum of GRE or UDP, and it is right.
    pub(super) checksummed: bool,
}

/// The tunnels between two addresses, which a packet may belong to.
struct Pair<'a> {
    tunnels: &'a [TunnelSpec],
    local: IpAddr,
    remote: IpAddr,
}

/// What the headers between the outer IP header and the inner packet say.
struct Inside {
    tunnel: usize,
    /// Their length.
    header: usize,
    /// What must follow them; nothing is said by variant 1 of GUE and by FOU.
    payload: Option<Payload>,
    checksummed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Payload {
    Ip(u8),
    Ethernet,
}

/// Finds the tunnel that an outer packet belongs to and the inner packet in it; `None` for packets that have nothing
/// to do with tunnels.
pub(super) fn open(packet: &[u8], tunnels: &[TunnelSpec]) -> Result<Option<Accepted>, Refusal> {
    let outer = ip::read(packet)?;
    let pair = Pair {
        tunnels,
        local: outer.destination,
        remote: outer.source,
    };
    let payload = &packet[outer.payload.clone()];
    if !pair.is_for_a_tunnel(outer.protocol, payload) {
        return Ok(None);
    }
    if let Some(fault) = outer.fault {
        return Err(fault);
    }
    if !pair.any(|_| true) {
        return Err(Refusal::UnknownPair);
    }
    let inside = match outer.protocol {
        gre::PROTOCOL => pair.gre(payload)?,
        udp::PROTOCOL => pair.udp(payload)?,
        protocol => pair.ipip(protocol)?,
    };
    let inner = outer.payload.start + inside.header..packet.len();
    check_inner(&packet[inner.clone()], inside.payload)?;
    Ok(Some(Accepted {
        tunnel: inside.tunnel,
        inner,
        ttl: outer.ttl,
        tos: outer.tos,
        checksummed: inside.checksummed,
    }))
}

fn check_inner(inner: &[u8], payload: Option<Payload>) -> Result<(), Refusal> {
    match payload {
        Some(Payload::Ethernet) => frame::check_inner(inner),
        Some(Payload::Ip(version)) if ip::check_inner(inner)? != version => {
            Err(Refusal::InnerHeader)
        }
        Some(Payload::Ip(_)) => Ok(()),
        None => ip::check_inner(inner).map(drop),
    }
}

impl<'a> Pair<'a> {
    /// Whether a packet of this protocol to the local address is any tunnel's business: UDP is by its port alone.
    fn is_for_a_tunnel(&self, protocol: u8, payload: &[u8]) -> bool {
        self.tunnels.iter().any(|tunnel| match tunnel.carrier {
            Carrier::Carried { kind, local, .. } if local == self.local => match kind {
                Kind::Ipip { .. } => matches!(protocol, PROTOCOL_IPV4 | PROTOCOL_IPV6),
                Kind::Gre(_) | Kind::Egre(_) => protocol == gre::PROTOCOL,
                Kind::Fou(udp) | Kind::Gue(udp, _) => {
                    protocol == udp::PROTOCOL && udp::destination(payload) == Some(udp.port)
                }
            },
            _ => false,
        })
    }

    /// Kinds of the tunnels between the two addresses, with their numbers.
    fn kinds(&self) -> impl Iterator<Item = (usize, Kind)> + use<'_, 'a> {
        let tunnels = self.tunnels.iter().enumerate();
        tunnels.filter_map(|(number, tunnel)| match tunnel.carrier {
            Carrier::Carried {
                kind,
                local,
                remote,
            } if local == self.local && remote == self.remote => Some((number, kind)),
            _ => None,
        })
    }

    fn any(&self, wanted: impl Fn(Kind) -> bool) -> bool {
        self.kinds().any(|(_, kind)| wanted(kind))
    }

    fn find(&self, wanted: impl Fn(Kind) -> bool) -> Option<usize> {
        self.kinds()
            .find(|(_, kind)| wanted(*kind))
            .map(|(number, _)| number)
    }

    fn ipip(&self, protocol: u8) -> Result<Inside, Refusal> {
        let found = self.find(|kind| matches!(kind, Kind::Ipip { .. }));
        let version = if protocol == PROTOCOL_IPV4 { 4 } else { 6 };
        Ok(Inside {
            tunnel: found.ok_or(Refusal::UnknownPair)?,
            header: 0,
            payload: Some(Payload::Ip(version)),
            checksummed: false,
        })
    }

    fn gre(&self, payload: &[u8]) -> Result<Inside, Refusal> {
        let header = gre::read(payload)?;
        let payload = match header.protocol {
            gre::ETHERNET => Payload::Ethernet,
            ETHERTYPE_IPV4 => Payload::Ip(4),
            ETHERTYPE_IPV6 => Payload::Ip(6),
            _ => return Err(Refusal::GreProtocol),
        };
        // Tunnels that carry the same kind of payload are told apart by their keys.
        let key = |kind| match (kind, payload) {
            (Kind::Egre(gre), Payload::Ethernet) | (Kind::Gre(gre), Payload::Ip(_)) => {
                Some(gre.key)
            }
            _ => None,
        };
        let tunnel = self.find(|kind| key(kind) == Some(header.key));
        let tunnel = tunnel.ok_or_else(|| {
            if !self.any(|kind| key(kind).is_some()) {
                return Refusal::UnknownPair;
            }
            match header.key {
                None => Refusal::KeyMissing,
                Some(_) if self.any(|kind| matches!(key(kind), Some(Some(_)))) => Refusal::KeyWrong,
                Some(_) => Refusal::KeyUnexpected,
            }
        })?;
        Ok(Inside {
            tunnel,
            header: header.len,
            payload: Some(payload),
            checksummed: header.checksummed,
        })
    }

    fn udp(&self, datagram: &[u8]) -> Result<Inside, Refusal> {
        let header = udp::read(self.remote, self.local, datagram)?;
        let of_port = |udp: Udp| udp.port == header.destination;
        let fou = self.find(|kind| matches!(kind, Kind::Fou(udp) if of_port(udp)));
        let gue = self.find(|kind| matches!(kind, Kind::Gue(udp, _) if of_port(udp)));
        let mut inside = Inside {
            tunnel: fou.or(gue).ok_or(Refusal::UnknownPair)?,
            header: etherparse::UdpHeader::LEN,
            payload: None,
            checksummed: header.checksummed,
        };
        if fou.is_none() {
            let (length, protocol) = udp::read_gue(&datagram[inside.header..])?;
            inside.header += length;
            inside.payload = match protocol {
                None => None,
                Some(PROTOCOL_IPV4) => Some(Payload::Ip(4)),
                Some(PROTOCOL_IPV6) => Some(Payload::Ip(6)),
                Some(_) => return Err(Refusal::GueHeader),
            };
        }
        Ok(inside)
    }
}

/// An outer packet around an inner one, which is an IP packet or (EGRE) an Ethernet frame; `None` for what is neither.
pub(super) fn seal(
    kind: Kind,
    ends: (IpAddr, IpAddr),
    number: u32,
    inner: &[u8],
) -> Option<Vec<u8>> {
    let (protocol, ethertype) = match inner.first()? >> 4 {
        _ if matches!(kind, Kind::Egre(_)) => (0, gre::ETHERNET),
        4 => (PROTOCOL_IPV4, ETHERTYPE_IPV4),
        6 => (PROTOCOL_IPV6, ETHERTYPE_IPV6),
        _ => return None,
    };
    let (protocol, limit, header) = match kind {
        Kind::Ipip { limit } => (protocol, limit, Vec::new()),
        Kind::Gre(fields) | Kind::Egre(fields) => (
            gre::PROTOCOL,
            false,
            gre::write(fields, ethertype, number, inner),
        ),
        Kind::Fou(udp) | Kind::Gue(udp, _) => (
            udp::PROTOCOL,
            false,
            udp::write(kind, udp, ends, protocol, inner),
        ),
    };
    let mut packet = ip::write(ends, protocol, limit, header.len() + inner.len());
    packet.extend(header);
    packet.extend(inner);
    Some(packet)
}

#[cfg(test)]
mod tests;
