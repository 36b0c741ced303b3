//! Outer headers: built once for each tunnel, read strictly from each packet.
//!
//! Pure functions over bytes. Reads: the tunnels. Refuses: what [`Refusal`] lists.

use std::ops::Range;

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv4HeaderSlice};

use super::refusal::Refusal;
use super::spec::{Kind, TunnelSpec};

/// IP protocol of IP in IP (RFC 2003 section 3.1).
pub(super) const PROTOCOL_IPIP: u8 = 4;
/// IP protocol of GRE (RFC 2784 section 3).
pub(super) const PROTOCOL_GRE: u8 = 47;

/// Checksum present (RFC 2784 section 2.2).
const GRE_CHECKSUM: u16 = 0x8000;
/// Key present (RFC 2890 section 2).
const GRE_KEY: u16 = 0x2000;
/// Version number field (RFC 2784 section 2.3).
const GRE_VERSION: u16 = 0x0007;
/// Protocol type of IPv4 (RFC 2784 section 2.4).
const GRE_IPV4: u16 = 0x0800;
/// TTL of outer packets: what Linux uses for its own.
const OUTER_TTL: u8 = 64;

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
}

/// The bytes in front of each inner packet. Total length, identification and checksum are zero: the kernel
/// writes them on a socket with `IP_HDRINCL` (raw(7)).
pub(super) fn template(spec: &TunnelSpec) -> Vec<u8> {
    let ip = Ipv4Header {
        time_to_live: OUTER_TTL,
        dont_fragment: true,
        fragment_offset: IpFragOffset::ZERO,
        protocol: IpNumber(protocol(spec.kind)),
        source: spec.local.octets(),
        destination: spec.remote.octets(),
        ..Ipv4Header::default()
    };
    let mut bytes = ip.to_bytes().to_vec();
    if let Kind::Gre { key } = spec.kind {
        let flags = if key.is_some() { GRE_KEY } else { 0 };
        bytes.extend(flags.to_be_bytes());
        bytes.extend(GRE_IPV4.to_be_bytes());
        bytes.extend(key.map(u32::to_be_bytes).into_iter().flatten());
    }
    bytes
}

/// IP protocol of a kind of tunnel.
pub(super) fn protocol(kind: Kind) -> u8 {
    match kind {
        Kind::Ipip => PROTOCOL_IPIP,
        Kind::Gre { .. } => PROTOCOL_GRE,
    }
}

/// Finds the tunnel that an outer packet belongs to and the inner packet in it.
pub(super) fn open(packet: &[u8], tunnels: &[TunnelSpec]) -> Result<Accepted, Refusal> {
    let ip = Ipv4HeaderSlice::from_slice(packet).map_err(|_| Refusal::OuterHeader)?;
    if ip.ihl() != 5 {
        return Err(Refusal::OuterHeader);
    }
    if ip.header_checksum() != ip.to_header().calc_header_checksum() {
        return Err(Refusal::OuterChecksum);
    }
    if usize::from(ip.total_len()) != packet.len() {
        return Err(Refusal::OuterLength);
    }
    let payload = ip.slice().len();
    let mine = |tunnel: &TunnelSpec| {
        protocol(tunnel.kind) == ip.protocol().0
            && tunnel.local == ip.destination_addr()
            && tunnel.remote == ip.source_addr()
    };
    if !tunnels.iter().any(mine) {
        return Err(Refusal::UnknownPair);
    }
    let (kind, header) = match ip.protocol().0 {
        PROTOCOL_GRE => read_gre(&packet[payload..])?,
        _ => (Kind::Ipip, 0),
    };
    let tunnel = tunnels
        .iter()
        .position(|tunnel| mine(tunnel) && tunnel.kind == kind)
        .ok_or_else(|| wrong_key(kind, tunnels.iter().filter(|tunnel| mine(tunnel))))?;
    let inner = payload + header..packet.len();
    check_inner(&packet[inner.clone()])?;
    Ok(Accepted {
        tunnel,
        inner,
        ttl: ip.ttl(),
        tos: packet[1],
    })
}

/// Kind and length of a GRE header, the optional fields included.
fn read_gre(gre: &[u8]) -> Result<(Kind, usize), Refusal> {
    let word = |at: usize| -> Result<u16, Refusal> {
        let bytes = gre.get(at..at + 2).ok_or(Refusal::GreTruncated)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let (flags, protocol) = (word(0)?, word(2)?);
    if flags & GRE_VERSION != 0 {
        return Err(Refusal::GreVersion);
    }
    if flags & !(GRE_CHECKSUM | GRE_KEY) != 0 {
        return Err(Refusal::GreFlags);
    }
    if protocol != GRE_IPV4 {
        return Err(Refusal::GreProtocol);
    }
    let mut length = 4;
    if flags & GRE_CHECKSUM != 0 {
        // RFC 2784 section 2.5: the sum of header and payload, the field itself taken as it is, is all ones.
        word(length + 2)?;
        if etherparse::checksum::Sum16BitWords::new()
            .add_slice(gre)
            .ones_complement()
            != 0
        {
            return Err(Refusal::GreChecksum);
        }
        length += 4;
    }
    let key = if flags & GRE_KEY == 0 {
        None
    } else {
        let key = u32::from(word(length)?) << 16 | u32::from(word(length + 2)?);
        length += 4;
        Some(key)
    };
    Ok((Kind::Gre { key }, length))
}

/// Why no tunnel of the outer pair has this key.
fn wrong_key<'a>(kind: Kind, mut pair: impl Iterator<Item = &'a TunnelSpec>) -> Refusal {
    match kind {
        Kind::Gre { key: Some(_) } => {
            if pair.any(|tunnel| matches!(tunnel.kind, Kind::Gre { key: Some(_) })) {
                Refusal::KeyWrong
            } else {
                Refusal::KeyUnexpected
            }
        }
        Kind::Gre { key: None } | Kind::Ipip => Refusal::KeyMissing,
    }
}

/// The inner packet must be IPv4 as a host would send it: the portal has no business to damage it.
fn check_inner(inner: &[u8]) -> Result<(), Refusal> {
    let ip = Ipv4HeaderSlice::from_slice(inner).map_err(|_| Refusal::InnerHeader)?;
    if ip.header_checksum() != ip.to_header().calc_header_checksum() {
        return Err(Refusal::InnerChecksum);
    }
    if usize::from(ip.total_len()) != inner.len() {
        return Err(Refusal::InnerLength);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
    const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    /// GRE with key 0xcafe0001 around an IPv4 header with two bytes of payload, written from the RFCs by hand.
    const KEYED: [u8; 50] = [
        0x45, 0x00, 0x00, 0x32, 0x00, 0x00, 0x40, 0x00, 0x40, 0x2f, 0x4e, 0x61, 192, 0, 2, 1, 198,
        51, 100, 7, // outer
        0x20, 0x00, 0x08, 0x00, 0xca, 0xfe, 0x00, 0x01, // GRE
        0x45, 0x00, 0x00, 0x16, 0x00, 0x01, 0x00, 0x00, 0x40, 0xfd, 0x65, 0xe8, 10, 0, 0, 1, 10, 0,
        0, 2, // inner
        0xab, 0xcd,
    ];
    const KEY: Option<u32> = Some(0xcafe_0001);

    fn tunnel(kind: Kind) -> TunnelSpec {
        TunnelSpec::new("t", kind, LOCAL, REMOTE)
    }

    fn open_keyed(packet: &[u8]) -> Result<Accepted, Refusal> {
        open(packet, &[tunnel(Kind::Gre { key: KEY })])
    }

    /// The packet with other bytes at a place; the outer checksum is mended when the outer header changed.
    fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut packet = KEYED.to_vec();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        mend(&mut packet, 0..20, 10);
        packet
    }

    /// Puts the checksum of a range (RFC 1071) into its place.
    fn mend(packet: &mut [u8], range: Range<usize>, place: usize) {
        packet[place..place + 2].fill(0);
        let words = packet[range].chunks(2);
        let mut sum: u32 = words
            .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
            .sum();
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        packet[place..place + 2].copy_from_slice(&(!sum).to_be_bytes()[2..]);
    }

    #[test]
    fn a_keyed_packet_goes_to_the_tunnel_with_its_pair_and_key() {
        let other = Kind::Gre { key: Some(1) };
        let tunnels = [
            tunnel(Kind::Ipip),
            tunnel(other),
            tunnel(Kind::Gre { key: KEY }),
        ];
        let accepted = open(&KEYED, &tunnels).unwrap();
        assert_eq!(
            accepted,
            Accepted {
                tunnel: 2,
                inner: 28..50,
                ttl: 64,
                tos: 0
            }
        );
    }

    #[test]
    fn keys_are_told_apart() {
        let open = |key| open(&KEYED, &[tunnel(Kind::Gre { key })]);
        assert_eq!(open(Some(0xcafe_0002)), Err(Refusal::KeyWrong));
        assert_eq!(open(None), Err(Refusal::KeyUnexpected));
        let mut bare = with(2, &[0, 46]);
        bare.drain(24..28);
        bare[20] = 0;
        assert_eq!(open_keyed(&bare), Err(Refusal::KeyMissing));
        assert_eq!(
            super::open(&bare, &[tunnel(Kind::Gre { key: None })]).map(|accepted| accepted.inner),
            Ok(24..46)
        );
    }

    #[test]
    fn each_broken_rule_has_its_name() {
        let cases: [(Vec<u8>, Refusal); 14] = [
            (vec![], Refusal::OuterHeader),
            (with(0, &[0x46]), Refusal::OuterHeader),
            (
                [&KEYED[..8], &[63], &KEYED[9..]].concat(),
                Refusal::OuterChecksum,
            ),
            (with(2, &[0, 49]), Refusal::OuterLength),
            (KEYED[..49].to_vec(), Refusal::OuterLength),
            (with(15, &[9]), Refusal::UnknownPair),
            (with(19, &[9]), Refusal::UnknownPair),
            (with(9, &[4]), Refusal::UnknownPair),
            (with(21, &[0x01]), Refusal::GreVersion),
            (with(20, &[0x30]), Refusal::GreFlags),
            (with(20, &[0xa0]), Refusal::GreChecksum),
            (with(22, &[0x86, 0xdd]), Refusal::GreProtocol),
            (with(28, &[0x65]), Refusal::InnerHeader),
            (with(36, &[0x3f]), Refusal::InnerChecksum),
        ];
        for (packet, refusal) in cases {
            assert_eq!(open_keyed(&packet), Err(refusal), "{packet:02x?}");
        }
    }

    #[test]
    fn a_gre_checksum_that_is_right_is_accepted() {
        let mut packet = with(2, &[0, 54]);
        packet[20] = 0xa0;
        packet.splice(24..24, [0, 0, 0, 0]);
        mend(&mut packet, 20..54, 24);
        assert_eq!(
            open_keyed(&packet).map(|accepted| accepted.inner),
            Ok(32..54)
        );
    }

    #[test]
    fn cut_off_anywhere_a_packet_is_refused() {
        for length in 0..KEYED.len() {
            assert!(open_keyed(&KEYED[..length]).is_err(), "{length} bytes");
            let mut short = with(2, &[0, u8::try_from(length).unwrap()]);
            short.truncate(length);
            assert!(
                open_keyed(&short).is_err(),
                "{length} bytes, total length mended"
            );
        }
    }

    #[test]
    fn a_template_is_what_the_other_end_opens() {
        let mirror = |kind| TunnelSpec::new("t", kind, REMOTE, LOCAL);
        for kind in [Kind::Ipip, Kind::Gre { key: None }, Kind::Gre { key: KEY }] {
            let mut packet = template(&tunnel(kind));
            let header = packet.len();
            assert_eq!(header, usize::from(tunnel(kind).overhead()));
            packet.extend(&KEYED[28..]);
            // What the kernel does on IP_HDRINCL: total length and checksum.
            let total = u16::try_from(packet.len()).unwrap();
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            mend(&mut packet, 0..20, 10);
            let accepted = open(&packet, &[mirror(kind)]).unwrap();
            assert_eq!(accepted.inner, header..packet.len());
        }
    }
}
