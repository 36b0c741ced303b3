//! Is it what steering says, and whole?

use tp_pipeline::DropReason::{
    BadMetadata, GreChecksum, InnerChecksum, InnerMalformed, InnerUnsupported, OuterChecksum,
    OuterFragment, OuterIcmp, OuterMalformed,
};
use tp_pipeline::PortId;
use tp_pipeline::abi::{IngressKind, Meta};

use crate::bed::{Bed, C0, C1, CLIENT_PORT, UPSTREAM_PORT, WORLD};
use crate::packets::{Arrival, Inner, checksum, outer};

const KEYED: [u8; 8] = [0x20, 0, 0x08, 0, 0, 0, 0, 7];

fn to_client() -> Arrival {
    Arrival::from_upstream(0, &Inner::new(WORLD, C0).bytes())
}

/// Outer header at 14, GRE at 34, inner packet at 42.
fn gre() -> Arrival {
    Arrival::gre(0, &KEYED, &Inner::new(C0, WORLD).bytes())
}

/// Outer header at 14, inner packet at 34.
fn ipip() -> Arrival {
    Arrival::ipip(1, &Inner::new(C1, WORLD).bytes())
}

#[test]
fn packets_that_are_whole_pass() {
    let mut bed = Bed::new();
    bed.send(&to_client()).leaves_by(CLIENT_PORT);
    bed.send(&gre()).leaves_by(UPSTREAM_PORT);
    bed.send(&ipip()).leaves_by(UPSTREAM_PORT);
}

#[test]
fn missing_metadata_is_bad() {
    let arrival = Arrival {
        meta: None,
        ..to_client()
    };
    Bed::new().drops_as(BadMetadata, &arrival);
}

#[test]
fn metadata_of_another_layout_or_port_is_bad() {
    let mut bed = Bed::new();
    let changes: [fn(&mut Meta); 5] = [
        |m| m.magic = 0x5451,
        |m| m.port = 5,
        |m| m.ingress = 0,
        |m| m.ingress = 8,
        |m| m.ingress = 255,
    ];
    for change in changes {
        bed.drops_as(BadMetadata, &to_client().with_meta(change));
        bed.drops_as(BadMetadata, &gre().with_meta(change));
    }
    let elsewhere = Arrival {
        port: PortId(0),
        ..to_client()
    };
    bed.drops_as(BadMetadata, &elsewhere);
}

#[test]
fn offsets_out_of_order_or_beyond_the_packet_are_bad() {
    let mut bed = Bed::new();
    let end = u16::try_from(gre().frame.len()).unwrap();
    for (l3, l4, inner) in [
        (35, 34, 42),
        (43, 43, 42),
        (14, end + 1, 42),
        (14, 34, end + 1),
    ] {
        let set = |m: &mut Meta| (m.l3_off, m.l4_off, m.inner_off) = (l3, l4, inner);
        bed.drops_as(BadMetadata, &gre().with_meta(set));
    }
    bed.drops_as(BadMetadata, &gre().with_meta(|m| m.l4_off = u16::MAX));
    bed.drops_as(BadMetadata, &gre().with_meta(|m| m.inner_off = u16::MAX));
}

#[test]
fn an_inner_offset_that_contradicts_the_headers_is_bad() {
    let mut bed = Bed::new();
    for inner_off in [14, 33, 34, 38, 41, 43, 46] {
        bed.drops_as(BadMetadata, &gre().with_meta(|m| m.inner_off = inner_off));
    }
    for inner_off in [14, 33, 35, 38] {
        bed.drops_as(BadMetadata, &ipip().with_meta(|m| m.inner_off = inner_off));
    }
    bed.drops_as(BadMetadata, &to_client().with_meta(|m| m.inner_off = 34));
}

#[test]
fn vlan_count_and_reserved_field_are_not_looked_at() {
    let mut bed = Bed::new();
    let set = |m: &mut Meta| (m.vlans, m.reserved) = (99, 0xdead_beef);
    bed.send(&gre().with_meta(set)).leaves_by(UPSTREAM_PORT);
}

#[test]
fn kinds_without_a_way_have_their_reasons() {
    let mut bed = Bed::new();
    for (kind, reason) in [
        (IngressKind::OuterFragment, OuterFragment),
        (IngressKind::OuterIcmp, OuterIcmp),
        (IngressKind::OuterIcmpUpstream, OuterIcmp),
    ] {
        // Whatever the slot: these are not classified.
        let set = |m: &mut Meta| (m.ingress, m.slot) = (kind as u8, u32::MAX);
        bed.drops_as(reason, &gre().with_meta(set));
    }
}

#[test]
fn an_outer_header_with_impossible_lengths_is_malformed() {
    let mut bed = Bed::new();
    for arrival in [gre(), ipip()] {
        // Version 5, version 0, IHL 4, IHL beyond the total length.
        for first in [0x55, 0x05, 0x44] {
            bed.drops_as(OuterMalformed, &arrival.clone().with_byte(14, first));
        }
        // Total length below the header's, and one above what is there.
        let total = arrival.frame[17];
        bed.drops_as(OuterMalformed, &arrival.clone().with_byte(17, 19));
        bed.drops_as(OuterMalformed, &arrival.clone().with_byte(17, total + 1));
        let len = arrival.frame.len();
        bed.drops_as(OuterMalformed, &arrival.cut(len - 1));
    }
    let nothing = gre()
        .cut(14)
        .with_meta(|m| (m.l4_off, m.inner_off) = (14, 14));
    bed.drops_as(OuterMalformed, &nothing);
}

#[test]
fn a_gre_header_beyond_the_outer_total_length_is_malformed() {
    let mut bed = Bed::new();
    for total in 20..28 {
        let arrival = gre().with_byte(17, total).with_checksum_at(14);
        bed.drops_as(OuterMalformed, &arrival);
    }
}

#[test]
fn a_wrong_outer_checksum_is_named() {
    let mut bed = Bed::new();
    for arrival in [gre(), ipip()] {
        let ttl = arrival.frame[22];
        bed.drops_as(OuterChecksum, &arrival.with_byte(22, ttl ^ 1));
    }
}

#[test]
fn an_outer_fragment_is_dropped_whatever_steering_says() {
    let mut bed = Bed::new();
    for (at, byte) in [(20, 0x20), (20, 0x01), (21, 0x01)] {
        bed.drops_as(
            OuterFragment,
            &gre().with_byte(at, byte).with_checksum_at(14),
        );
    }
    // Reserved bit and DF make no fragment.
    bed.send(&gre().with_byte(20, 0xc0).with_checksum_at(14))
        .leaves_by(UPSTREAM_PORT);
}

#[test]
fn a_gre_checksum_is_verified_over_header_and_payload() {
    let mut bed = Bed::new();
    let inner = Inner {
        len: 61,
        ..Inner::new(C0, WORLD)
    }
    .bytes();
    let mut header = [0xa0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    let whole = [&header[..], &inner].concat();
    header[4..6].copy_from_slice(&checksum(&whole).to_be_bytes());
    let arrival = Arrival::gre(0, &header, &inner);
    // The odd last byte and padding that is not summed.
    bed.send(&arrival.clone().padded(3))
        .leaves_by(UPSTREAM_PORT);
    for at in [37, 38, 45, 46, 46 + 60] {
        let byte = arrival.frame[at] ^ 0x10;
        bed.drops_as(GreChecksum, &arrival.clone().with_byte(at, byte));
    }
}

#[test]
fn a_gre_sequence_number_is_ignored() {
    let inner = Inner::new(C0, WORLD).bytes();
    let header = [0x30, 0, 0x08, 0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff];
    Bed::new()
        .send(&Arrival::gre(0, &header, &inner))
        .leaves_by(UPSTREAM_PORT);
}

#[test]
fn a_wrapping_or_content_that_is_not_known_is_unsupported() {
    let mut bed = Bed::new();
    // GRE: routing, strict route, recursion, versions.
    for (at, byte) in [(34, 0x60), (34, 0x28), (34, 0x24), (35, 0x01), (35, 0x04)] {
        bed.drops_as(InnerUnsupported, &gre().with_byte(at, byte));
    }
    // GRE: ARP, MPLS.
    for [high, low] in [[0x08, 0x06], [0x88, 0x47]] {
        bed.drops_as(
            InnerUnsupported,
            &gre().with_byte(36, high).with_byte(37, low),
        );
    }
    for protocol in [1, 50, 132] {
        let arrival = ipip().with_byte(23, protocol).with_checksum_at(14);
        bed.drops_as(InnerUnsupported, &arrival);
    }
}

#[test]
fn a_bare_frame_of_another_type_cannot_come_from_steering() {
    let mut bed = Bed::new();
    for (at, byte) in [(12, 0x81), (12, 0x88), (13, 0x01)] {
        bed.drops_as(BadMetadata, &to_client().with_byte(at, byte));
    }
    // Nor one whose network header leaves no room for an Ethernet header.
    let early = |m: &mut Meta| (m.l3_off, m.inner_off) = (13, 13);
    bed.drops_as(BadMetadata, &to_client().with_meta(early));
}

#[test]
fn an_inner_header_with_impossible_lengths_is_malformed() {
    let mut bed = Bed::new();
    for (arrival, at) in [(gre(), 42), (ipip(), 34), (to_client(), 14)] {
        for first in [0x55, 0x44, 0x40] {
            bed.drops_as(InnerMalformed, &arrival.clone().with_byte(at, first));
        }
        let total = arrival.frame[at + 3];
        for length in [0, 19, total + 1] {
            bed.drops_as(InnerMalformed, &arrival.clone().with_byte(at + 3, length));
        }
    }
    // Their carrier said IPv4.
    bed.drops_as(InnerMalformed, &gre().with_byte(42, 0x65));
    bed.drops_as(InnerMalformed, &ipip().with_byte(34, 0x65));
}

#[test]
fn an_inner_packet_ends_with_its_carrier() {
    let mut bed = Bed::new();
    // The inner total length reaches into the link padding.
    let total = ipip().frame[17];
    bed.drops_as(
        InnerMalformed,
        &ipip().with_byte(17, total - 1).with_checksum_at(14),
    );
    for len in 14..33 {
        let arrival = to_client().cut(len).with_meta(|m| m.l4_off = m.l3_off);
        bed.drops_as(InnerMalformed, &arrival);
    }
}

#[test]
fn a_wrong_inner_checksum_is_named() {
    let mut bed = Bed::new();
    for (arrival, at) in [(gre(), 42), (ipip(), 34), (to_client(), 14)] {
        let byte = arrival.frame[at + 9] ^ 0x40;
        bed.drops_as(InnerChecksum, &arrival.with_byte(at + 9, byte));
    }
}

#[test]
fn padding_behind_either_total_length_is_cut() {
    let mut bed = Bed::new();
    for arrival in [gre(), ipip(), to_client()] {
        let plain = bed.send(&arrival);
        assert_eq!(bed.send(&arrival.padded(7)), plain);
    }
    let inner = Inner::new(C0, WORLD).bytes();
    let with_tail = [&inner[..], &[0xcc; 5]].concat();
    let plain = bed.send(&gre());
    assert_eq!(bed.send(&Arrival::gre(0, &KEYED, &with_tail)), plain);
}

#[test]
fn options_of_either_header_pass() {
    let mut bed = Bed::new();
    let mut inner = Inner::new(C0, WORLD).header();
    inner.options = [0x94, 4, 0, 0].into();
    inner.set_payload_len(40).unwrap();
    inner.header_checksum = inner.calc_header_checksum();
    let inner = [&inner.to_bytes()[..], &[7; 40]].concat();
    let mut header = outer([198, 51, 100, 8], [192, 0, 2, 1], 47, 8 + inner.len());
    header.options = [1; 8].into();
    header.set_payload_len(8 + inner.len()).unwrap();
    let seen = bed.send(&Arrival::from_tunnel(0, header, &KEYED, &inner));
    let bytes = seen.leaves_by(UPSTREAM_PORT);
    assert_eq!(bytes.len(), 14 + inner.len());
    assert_eq!(bytes[14 + 20..], inner[20..]);
}
