//! Outer packets against bytes that Scapy 2.5 built, and one written from the RFCs by hand.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::spec::{Gre, GueVariant};
use super::*;

const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
const REMOTE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// GRE with key 0xcafe0001 around an IPv4 header with two bytes of payload, by hand.
const KEYED: [u8; 50] = [
    0x45, 0x00, 0x00, 0x32, 0x00, 0x00, 0x40, 0x00, 0x40, 0x2f, 0x4e, 0x61, 192, 0, 2, 1, 198, 51,
    100, 7, // outer
    0x20, 0x00, 0x08, 0x00, 0xca, 0xfe, 0x00, 0x01, // GRE
    0x45, 0x00, 0x00, 0x16, 0x00, 0x01, 0x00, 0x00, 0x40, 0xfd, 0x65, 0xe8, 10, 0, 0, 1, 10, 0, 0,
    2, // inner
    0xab, 0xcd,
];
const KEY: Option<u32> = Some(0xcafe_0001);

/// Inner packets of [`VECTORS`].
const V4: &str = "450000160001000040fd65e80a0000010a000002abcd";
const V6: &str =
    "600000000002fd4020010db800010000000000000000000120010db8000100000000000000000002abcd";
const FRAME: &str = "0200000000020200000000010800450000160001000040fd65e80a0000010a000002abcd";

const GRE: Kind = Kind::Gre(Gre {
    key: KEY,
    sequence: true,
    checksum: true,
});
/// The portal's side of UDP tunnels.
const SUMMED: Udp = Udp {
    port: 5555,
    remote_port: 6666,
    checksum: true,
};
const PLAIN: Udp = Udp {
    checksum: false,
    ..SUMMED
};
/// Sequence number of the vectors that have one.
const SEQUENCE: u32 = 9;

#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

/// From REMOTE to LOCAL: how it is sent, over what, what is inside, and the headers in front of it.
const VECTORS: [(Kind, Family, &str, &str); 16] = [
    (
        Kind::IPIP,
        Family::V4,
        V4,
        "4500002a0000400040044e94c0000201c6336407",
    ),
    (
        Kind::IPIP,
        Family::V4,
        V6,
        "4500003e0000400040294e5bc0000201c6336407",
    ),
    (
        GRE,
        Family::V4,
        V6,
        "4500004e00004000402f4e45c0000201c6336407b00086dd99900000cafe000100000009",
    ),
    (
        Kind::egre(None),
        Family::V4,
        FRAME,
        "4500003c00004000402f4e57c0000201c633640700006558",
    ),
    (
        Kind::Fou(SUMMED),
        Family::V4,
        V4,
        "450000320000400040114e7fc0000201c633640715b31a0a001e37eb",
    ),
    (
        Kind::Fou(PLAIN),
        Family::V4,
        V6,
        "450000460000400040114e6bc0000201c633640715b31a0a00320000",
    ),
    (
        Kind::Gue(SUMMED, GueVariant::Header),
        Family::V4,
        V6,
        "4500004a0000400040114e67c0000201c633640715b31a0a00367ed700290000",
    ),
    (
        Kind::Gue(PLAIN, GueVariant::Direct),
        Family::V4,
        V4,
        "450000320000400040114e7fc0000201c633640715b31a0a001e0000",
    ),
    (
        Kind::IPIP,
        Family::V6,
        V4,
        "600000000016044020010db800000000000000000000000120010db8000000000000000000000007",
    ),
    (
        Kind::IPIP,
        Family::V6,
        V6,
        "60000000002a294020010db800000000000000000000000120010db8000000000000000000000007",
    ),
    (
        GRE,
        Family::V6,
        V6,
        "60000000003a2f4020010db800000000000000000000000120010db8000000000000000000000007b00086dd99900000cafe000100000009",
    ),
    (
        Kind::egre(None),
        Family::V6,
        FRAME,
        "6000000000282f4020010db800000000000000000000000120010db800000000000000000000000700006558",
    ),
    (
        Kind::Fou(SUMMED),
        Family::V6,
        V4,
        "60000000001e114020010db800000000000000000000000120010db800000000000000000000000715b31a0a001ec8ad",
    ),
    (
        Kind::Fou(PLAIN),
        Family::V6,
        V6,
        "600000000032114020010db800000000000000000000000120010db800000000000000000000000715b31a0a00320000",
    ),
    (
        Kind::Gue(SUMMED, GueVariant::Header),
        Family::V6,
        V6,
        "600000000036114020010db800000000000000000000000120010db800000000000000000000000715b31a0a00360f9a00290000",
    ),
    (
        Kind::Gue(PLAIN, GueVariant::Direct),
        Family::V6,
        V4,
        "60000000001e114020010db800000000000000000000000120010db800000000000000000000000715b31a0a001e0000",
    ),
];

fn tunnel(kind: Kind) -> TunnelSpec {
    TunnelSpec::new("t", kind, LOCAL, REMOTE)
}

fn open(packet: &[u8], tunnels: &[TunnelSpec]) -> Result<Accepted, Refusal> {
    super::open(packet, tunnels).map(|accepted| accepted.expect("it is a tunnel's"))
}

fn open_keyed(packet: &[u8]) -> Result<Accepted, Refusal> {
    open(packet, &[tunnel(Kind::gre(KEY))])
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let pairs = pairs.map(|pair| str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// The client's end of a tunnel whose portal side is of this kind.
fn mirror(kind: Kind, family: Family) -> TunnelSpec {
    let swap = |udp: Udp| Udp {
        port: udp.remote_port,
        remote_port: udp.port,
        ..udp
    };
    let kind = match kind {
        Kind::Fou(udp) => Kind::Fou(swap(udp)),
        Kind::Gue(udp, variant) => Kind::Gue(swap(udp), variant),
        other => other,
    };
    match family {
        Family::V4 => TunnelSpec::new("t", kind, LOCAL, REMOTE),
        Family::V6 => TunnelSpec::new("t", kind, LOCAL_V6, REMOTE_V6),
    }
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
fn what_scapy_builds_is_opened() {
    for (kind, family, inner, headers) in VECTORS {
        let packet = bytes(&[headers, inner].concat());
        let decoys = [Family::V4, Family::V6].map(|family| mirror(Kind::gre(Some(1)), family));
        let tunnels = [decoys.as_slice(), &[mirror(kind, family)]].concat();
        let accepted = open(&packet, &tunnels).unwrap();
        let summed = match kind {
            Kind::Gre(gre) => gre.checksum,
            Kind::Fou(udp) | Kind::Gue(udp, _) => udp.checksum,
            Kind::Ipip { .. } | Kind::Egre(_) => false,
        };
        let expected = Accepted {
            tunnel: 2,
            inner: headers.len() / 2..packet.len(),
            ttl: 64,
            tos: 0,
            checksummed: summed,
        };
        assert_eq!(accepted, expected, "{kind:?}");
        for length in 0..packet.len() {
            let opened = super::open(&packet[..length], &tunnels);
            assert!(!matches!(opened, Ok(Some(_))), "{kind:?}: {length} bytes");
        }
    }
}

#[test]
fn what_is_sent_is_what_scapy_builds() {
    for (kind, family, inner, headers) in VECTORS {
        let ends = match family {
            Family::V4 => (REMOTE.into(), LOCAL.into()),
            Family::V6 => (REMOTE_V6.into(), LOCAL_V6.into()),
        };
        let packet = seal(kind, ends, SEQUENCE, &bytes(inner));
        assert_eq!(
            packet.unwrap(),
            bytes(&[headers, inner].concat()),
            "{kind:?}"
        );
    }
}

#[test]
fn an_encapsulation_limit_is_an_option_of_the_outer_header() {
    let ends = (REMOTE_V6.into(), LOCAL_V6.into());
    let packet = seal(Kind::Ipip { limit: true }, ends, 0, &bytes(V4)).unwrap();
    // RFC 8200 section 4.6 and RFC 2473 section 4.1.1: option 4 of length 1 with the limit, and a PadN of length 1.
    assert_eq!(packet[4..8], [0, 30, 60, 64]);
    assert_eq!(packet[40..48], [4, 0, 4, 1, 4, 1, 1, 0]);
    assert_eq!(packet[48..], bytes(V4));
    let accepted = open(&packet, &[mirror(Kind::IPIP, Family::V6)]).unwrap();
    assert_eq!(accepted.inner, 48..70);
}

#[test]
fn what_is_no_tunnels_is_the_kernels() {
    let tunnels = [tunnel(Kind::gre(KEY)), tunnel(Kind::Fou(Udp::port(5555)))];
    let kernels = [
        with(9, &[4]),
        with(9, &[6]),
        // To another address; UDP to another port.
        with(19, &[9]),
        bytes(&[VECTORS[4].3, VECTORS[4].2].concat()),
    ];
    for packet in kernels {
        assert_eq!(super::open(&packet, &tunnels), Ok(None), "{packet:02x?}");
    }
    assert_eq!(
        seal(Kind::IPIP, (LOCAL.into(), REMOTE.into()), 0, &[0x50]),
        None
    );
}

#[test]
fn keys_are_told_apart() {
    let open_with = |key| open(&KEYED, &[tunnel(Kind::gre(key))]);
    assert_eq!(open_with(Some(0xcafe_0002)), Err(Refusal::KeyWrong));
    assert_eq!(open_with(None), Err(Refusal::KeyUnexpected));
    let mut bare = with(2, &[0, 46]);
    bare.drain(24..28);
    bare[20] = 0;
    mend(&mut bare, 0..20, 10);
    assert_eq!(open_keyed(&bare), Err(Refusal::KeyMissing));
    let accepted = open(&bare, &[tunnel(Kind::egre(None)), tunnel(Kind::gre(None))]);
    assert_eq!(
        accepted.map(|accepted| (accepted.tunnel, accepted.inner)),
        Ok((1, 24..46))
    );
    assert_eq!(
        open(&bare, &[tunnel(Kind::egre(None))]),
        Err(Refusal::UnknownPair)
    );
}

#[test]
fn each_broken_rule_of_ip_and_gre_has_its_name() {
    let cases: [(Vec<u8>, Refusal); 13] = [
        (vec![], Refusal::OuterHeader),
        (
            [&KEYED[..8], &[63], &KEYED[9..]].concat(),
            Refusal::OuterChecksum,
        ),
        (with(2, &[0, 49]), Refusal::OuterLength),
        (KEYED[..49].to_vec(), Refusal::OuterLength),
        (with(6, &[0x20]), Refusal::OuterFragment),
        (with(15, &[9]), Refusal::UnknownPair),
        (with(21, &[0x01]), Refusal::GreVersion),
        (with(20, &[0x60]), Refusal::GreFlags),
        (with(20, &[0xa0]), Refusal::GreChecksum),
        (with(22, &[0x88, 0x47]), Refusal::GreProtocol),
        (with(22, &[0x86, 0xdd]), Refusal::InnerHeader),
        (with(28, &[0x65]), Refusal::InnerHeader),
        (with(36, &[0x3f]), Refusal::InnerChecksum),
    ];
    for (packet, refusal) in cases {
        assert_eq!(open_keyed(&packet), Err(refusal), "{packet:02x?}");
    }
}

#[test]
fn each_broken_rule_of_udp_and_gue_has_its_name() {
    let (kind, family, inner, headers) = VECTORS[6];
    let gue = bytes(&[headers, inner].concat());
    let mirror = [mirror(kind, family)];
    assert!(open(&gue, &mirror).is_ok());
    let with = |at: usize, value: u8, summed: bool| {
        let mut packet = gue.clone();
        packet[at] = value;
        if !summed {
            packet[26..28].fill(0);
        }
        packet
    };
    for (packet, refusal) in [
        (with(25, 0x35, true), Refusal::UdpLength),
        (with(73, 0xce, true), Refusal::UdpChecksum),
        // Control message, a word of fields, variant 2, a flag, IPv4 said and IPv6 there, no IP said.
        (with(28, 0x20, false), Refusal::GueHeader),
        (with(28, 0x01, false), Refusal::GueHeader),
        (with(28, 0x80, false), Refusal::GueHeader),
        (with(30, 0x80, false), Refusal::GueHeader),
        (with(29, 4, false), Refusal::InnerHeader),
        (with(29, 47, false), Refusal::GueHeader),
        (with(37, 3, false), Refusal::InnerLength),
    ] {
        assert_eq!(open(&packet, &mirror), Err(refusal), "{packet:02x?}");
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
fn cut_off_anywhere_with_its_length_mended_a_packet_is_refused() {
    for length in 20..KEYED.len() {
        let mut short = with(2, &[0, u8::try_from(length).unwrap()]);
        short.truncate(length);
        assert!(open_keyed(&short).is_err(), "{length} bytes");
    }
}
