//! What is built without faults is what etherparse accepts, and a fault is the only thing wrong.

use etherparse::{
    EtherType, IpNumber, LinkExtSlice, NetSlice, SlicedPacket, TransportSlice, UdpHeader,
};

use super::*;

fn udp(payload: usize) -> Ipv4 {
    Ipv4::new(
        [10, 0, 0, 1].into(),
        [8, 8, 8, 8].into(),
        Udp::new(1, 2, vec![7; payload]),
    )
}

fn udp6(payload: usize) -> Ipv6 {
    Ipv6::new(
        "2001:db8::1".parse().unwrap(),
        "2001:db8:8::8".parse().unwrap(),
        Udp::new(1, 2, vec![7; payload]),
    )
}

fn frame(packet: impl Into<Network>) -> Frame {
    Frame::new([2, 0, 0, 0, 0, 1].into(), [2, 0, 0, 0, 0, 2].into(), packet)
}

#[test]
fn etherparse_accepts_what_is_built_without_faults() {
    let mut packet = udp(31);
    packet.options = vec![1, 1, 1];
    let bytes = frame(packet).tag(Tag::s(20)).tag(Tag::c(10)).build();
    let parsed = SlicedPacket::from_ethernet(&bytes).unwrap();
    assert!(matches!(
        parsed.link_exts[..],
        [LinkExtSlice::Vlan(_), LinkExtSlice::Vlan(_)]
    ));
    let Some(NetSlice::Ipv4(ip)) = parsed.net else {
        panic!("no IPv4")
    };
    let header = ip.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    assert_eq!(header.options.len(), 4);
    let Some(TransportSlice::Udp(udp)) = parsed.transport else {
        panic!("no UDP")
    };
    let sum = udp
        .to_header()
        .calc_checksum_ipv4(&header, udp.payload())
        .unwrap();
    assert_eq!(udp.checksum(), sum);
}

#[test]
fn etherparse_finds_the_payload_behind_extension_headers() {
    let mut packet = udp6(31);
    packet.traffic_class = 0xb9;
    packet.flow_label = 0xa_bcde;
    packet.extensions = vec![
        Extension::HopByHop(0),
        Extension::Destination(2),
        Extension::Routing(1),
        Extension::Fragment(0, false),
    ];
    let bytes = frame(packet.clone()).build();
    let parsed = SlicedPacket::from_ethernet(&bytes).unwrap();
    let Some(NetSlice::Ipv6(ip)) = parsed.net else {
        panic!("no IPv6")
    };
    let header = ip.header().to_header();
    assert_eq!(header.traffic_class, 0xb9);
    assert_eq!(header.flow_label.value(), 0xa_bcde);
    assert_eq!(
        usize::from(header.payload_length),
        bytes.len() - 14 - 40,
        "{packet:?}"
    );
    assert_eq!(packet.header_len(), 40 + 8 + 24 + 16 + 8);
    let Some(TransportSlice::Udp(udp)) = parsed.transport else {
        panic!("no UDP")
    };
    let sum = udp
        .to_header()
        .calc_checksum_ipv6(&header, udp.payload())
        .unwrap();
    assert_eq!(udp.checksum(), sum);
}

#[test]
fn icmpv6_has_the_checksum_that_etherparse_computes() {
    let target = "fd00::2".parse().unwrap();
    let (from, to) = (
        "fd00::1".parse().unwrap(),
        "ff02::1:ff00:2".parse().unwrap(),
    );
    let message = Icmp6::solicitation(target, [2, 0, 0, 0, 0, 9].into());
    let mut packet = Ipv6::new(from, to, message);
    packet.hop_limit = 255;
    let bytes = frame(packet).build();
    let parsed = SlicedPacket::from_ethernet(&bytes).unwrap();
    let Some(TransportSlice::Icmpv6(icmp)) = parsed.transport else {
        panic!("no ICMPv6")
    };
    assert!(icmp.is_checksum_valid(from.octets(), to.octets()));
    assert_eq!((icmp.type_u8(), bytes.len()), (135, 14 + 40 + 32));
}

#[test]
fn etherparse_reads_an_arp_request() {
    let message = Arp::request(
        [2, 0, 0, 0, 0, 7].into(),
        [10, 0, 0, 1].into(),
        [10, 0, 0, 2].into(),
    );
    let bytes = frame(message).build();
    let Some(NetSlice::Arp(arp)) = SlicedPacket::from_ethernet(&bytes).unwrap().net else {
        panic!("no ARP")
    };
    assert_eq!(arp.proto_addr_type(), EtherType::IPV4);
    assert_eq!(arp.sender_hw_addr(), [2, 0, 0, 0, 0, 7]);
    assert_eq!(arp.sender_protocol_addr(), [10, 0, 0, 1]);
    assert_eq!(arp.target_protocol_addr(), [10, 0, 0, 2]);
}

#[test]
fn gre_fields_stand_in_the_order_of_rfc_2890() {
    let mut gre = Gre::new(Some(7), udp(0));
    gre.checksum = Some(Checksum::Right);
    gre.sequence = Some(9);
    let bytes = gre.build();
    assert_eq!(bytes[..4], [0xb0, 0, 0x08, 0]);
    assert_eq!(bytes[6..16], [0, 0, 0, 0, 0, 7, 0, 0, 0, 9]);
    assert_eq!(internet_checksum(&bytes), 0);
    gre.checksum = Some(Checksum::Wrong);
    assert_ne!(internet_checksum(&gre.build()), 0);
    let carries = |gre: Gre| gre.build()[2..4].to_vec();
    assert_eq!(carries(Gre::new(None, udp6(0))), [0x86, 0xdd]);
    assert_eq!(carries(Gre::new(None, frame(udp(0)))), [0x65, 0x58]);
}

#[test]
fn udp_tunnels_nest_their_packets() {
    let outer = |payload: UdpPayload| {
        Ipv4::new(
            [192, 0, 2, 1].into(),
            [192, 0, 2, 2].into(),
            Udp::new(6080, 6080, payload),
        )
        .build()
    };
    let fou = outer(udp6(3).into());
    assert_eq!(fou[28..], udp6(3).build());
    let gue = outer(Gue::new(udp6(3)).into());
    assert_eq!(gue[28..32], [0, IpNumber::IPV6.0, 0, 0]);
    assert_eq!(gue[32..], udp6(3).build());
    let mut odd = Gue::new(udp(0));
    odd.variant = 2;
    odd.control = true;
    odd.fields = vec![0xee; 8];
    odd.flags = 0x8001;
    assert_eq!(odd.build()[..6], [0xa2, 4, 0x80, 1, 0xee, 0xee]);
}

#[test]
fn a_udp_checksum_is_right_or_wrong_or_not_there() {
    let sum = |udp: &Udp| {
        let bytes = udp.build([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        u16::from_be_bytes([bytes[6], bytes[7]])
    };
    for port in 0..=u16::MAX {
        let mut udp = Udp::new(port, 2, vec![1, 2, 3]);
        let right = UdpHeader::with_ipv4_checksum(
            port,
            2,
            &etherparse::Ipv4Header::new(11, 64, IpNumber::UDP, [192, 0, 2, 1], [192, 0, 2, 2])
                .unwrap(),
            &[1, 2, 3],
        )
        .unwrap()
        .checksum;
        assert_eq!(sum(&udp), right);
        udp.checksum = Some(Checksum::Wrong);
        assert!(sum(&udp) != 0 && sum(&udp) != right);
        assert_eq!(sum(&udp.without_checksum()), 0);
    }
}

#[test]
fn a_fault_is_the_only_thing_wrong() {
    let right = udp(8).build();
    let mut packet = udp(8);
    packet.total_length = Field::Is(19);
    let wrong = packet.build();
    assert_eq!(wrong[2..4], [0, 19]);
    assert_eq!(internet_checksum(&wrong[..20]), 0);
    assert_eq!(wrong[12..], right[12..]);

    let right = udp6(8).build();
    let mut packet = udp6(8);
    packet.payload_length = Field::Is(1);
    let wrong = packet.build();
    assert_eq!(wrong[4..6], [0, 1]);
    assert_eq!((&wrong[..4], &wrong[6..]), (&right[..4], &right[6..]));
}
