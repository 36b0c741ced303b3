//! Frames are Scapy's: `bytes(Ether()/ARP())`, `bytes(Ether()/IPv6()/ICMPv6ND_NS()/...)`.

use super::*;
use crate::slow::demux::{self, To};

/// The portal's MAC address on the link, and the one that it shows for an upstream.
const PORTAL: MacAddr = MacAddr::new([0x02, 0x54, 0x50, 0, 0, 1]);
const UPSTREAM: MacAddr = MacAddr::new([0x02, 0x54, 0x50, 0, 0, 2]);

/// From 02:00:00:00:00:0c, 100.65.0.9: who has 100.65.0.1?
const ARP_REQUEST: &str = "ffffffffffff02000000000c08060001080006040001\
                           02000000000c6441000900000000000064410001";
/// 100.65.0.1 is at 02:54:50:00:00:02.
const ARP_REPLY: &str = "02000000000c025450000002080600010800060400\
                         0202545000000264410001\
                         02000000000c64410009";
/// From fd00::9, 02:00:00:00:00:0c: who has fd00::2?
const NS: &str = "3333ff00000202000000000c86dd6000000000203afffd000000000000000000\
                  000000000009ff0200000000000000000001ff00000287007d8400000000fd00\
                  0000000000000000000000000002010102000000000c";
/// fd00::2 is at 02:54:50:00:00:02: a router's, solicited, to override.
const NA: &str = "02000000000c02545000000286dd6000000000203afffd000000000000000000\
                  000000000002fd00000000000000000000000000000988004c3de0000000fd00\
                  00000000000000000000000000020201025450000002";
/// From nobody: does anybody have fd00::2?
const PROBE: &str = "3333ff00000202000000000c86dd6000000000183aff00000000000000000000\
                     000000000000ff0200000000000000000001ff00000287007da300000000fd00\
                     0000000000000000000000000002";
/// To all nodes: fd00::2 is at 02:54:50:00:00:02; a router's, not solicited, to override.
const PROBE_NA: &str = "33330000000102545000000286dd6000000000203afffd000000000000000000\
                        000000000002ff02000000000000000000000000000188008a43a0000000fd00\
                        00000000000000000000000000020201025450000002";
/// As a probe, but with a link-layer address, which a probe must not have.
const PROBE_WITH_ADDRESS: &str = "3333ff00000202000000000c86dd6000000000203aff00000000000000000000\
                                  000000000000ff0200000000000000000001ff00000287007a8e00000000fd00\
                                  0000000000000000000000000002010102000000000c";
/// From fe80::c, to us alone and without a link-layer address: is fd00::2 still there?
const NS_UNICAST: &str = "02545000000202000000000c86dd6000000000183afffe800000000000000000\
                          00000000000cfd0000000000000000000000000000028700801a00000000fd00\
                          0000000000000000000000000002";
/// Its answer.
const NA_UNICAST: &str = "02000000000c02545000000286dd6000000000203afffd000000000000000000\
                          000000000002fe80000000000000000000000000000c88004abae0000000fd00\
                          00000000000000000000000000020201025450000002";
/// From the peer: fd00::9 is at 02:00:00:00:00:0c.
const PEERS_NA: &str = "02545000000102000000000c86dd6000000000203afffd000000000000000000\
                        000000000009fd00000000000000000000000000000188009c81e0000000fd00\
                        0000000000000000000000000009020102000000000c";
/// From the peer: fd00::8, which is somebody else's, is at 02:00:00:00:00:0c.
const LIE: &str = "02545000000102000000000c86dd6000000000203afffd000000000000000000\
                   000000000009fd00000000000000000000000000000188009c82e0000000fd00\
                   0000000000000000000000000008020102000000000c";
/// A router advertisement from fe80::c.
const RA: &str = "33330000000102000000000c86dd6000000000103afffe800000000000000000\
                  00000000000cff02000000000000000000000000000186007514000807080000\
                  000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn shown() -> Shown {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let mut answers = vec![
        (ip("169.254.1.1"), PORTAL),
        (ip("fd00::1"), PORTAL),
        (ip("100.65.0.1"), UPSTREAM),
        (ip("fd00::2"), UPSTREAM),
    ];
    answers.sort_unstable();
    Shown {
        answers,
        peers: vec![ip("100.65.0.9"), ip("fd00::9")],
    }
}

fn judged(frame: &[u8]) -> (Outcome, Vec<u8>) {
    assert!(is_neighbour_protocol(frame) || frame.len() < 55);
    let mut answer = [0xee; nd::FRAME];
    let outcome = judge(frame, &shown(), &mut answer);
    let length = match outcome {
        Outcome::Answered(length) => length,
        _ => 0,
    };
    (outcome, answer[..length].to_vec())
}

fn assert_answer(question: &str, expected: &str) {
    let (outcome, answer) = judged(&bytes(question));
    assert_eq!(outcome, Outcome::Answered(bytes(expected).len()));
    assert_eq!(answer, bytes(expected));
}

/// A request with some of its bytes changed.
fn arp_with(changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut frame = bytes(ARP_REQUEST);
    for (at, change) in changes {
        frame[*at..*at + change.len()].copy_from_slice(change);
    }
    frame
}

#[test]
fn a_request_for_a_shown_address_is_answered_with_its_mac() {
    assert_answer(ARP_REQUEST, ARP_REPLY);
    let (_, own) = judged(&arp_with(&[(38, &[169, 254, 1, 1])]));
    assert_eq!(own[6..12], PORTAL.octets());
    assert_eq!(own[22..28], PORTAL.octets());
    assert_eq!(own[28..32], [169, 254, 1, 1]);
}

#[test]
fn an_arp_probe_is_answered_too() {
    // RFC 5227: from 0.0.0.0; the reply says that the address is taken.
    let (outcome, answer) = judged(&arp_with(&[(28, &[0, 0, 0, 0])]));
    assert_eq!(outcome, Outcome::Answered(arp::FRAME));
    assert_eq!(answer[38..42], [0, 0, 0, 0]);
    assert_eq!(answer[..6], [2, 0, 0, 0, 0, 0x0c]);
}

#[test]
fn no_other_address_is_answered_for() {
    for other in [[100, 65, 0, 2], [100, 65, 0, 9], [8, 8, 8, 8], [0, 0, 0, 0]] {
        let frame = arp_with(&[(38, &other), (28, &[100, 65, 0, 7])]);
        assert_eq!(judged(&frame).0, Outcome::NotForUs, "{other:?}");
    }
    let mut solicitation = bytes(NS);
    // Another target, and the checksum for it.
    solicitation[77] = 3;
    solicitation[57] = 0x83;
    assert!(nd::parse(&solicitation).is_some());
    assert_eq!(judged(&solicitation).0, Outcome::NotForUs);
}

#[test]
fn nothing_is_answered_to_a_group() {
    for asker in [[0xff; 6], [0x33, 0x33, 0, 0, 0, 1], [0; 6]] {
        let frame = arp_with(&[(22, &asker)]);
        assert_eq!(judged(&frame).0, Outcome::NotForUs, "{asker:?}");
    }
}

#[test]
fn the_kernel_hears_of_the_peer_alone() {
    let own = [100, 65, 0, 9];
    let announcement = arp_with(&[(38, &own)]);
    assert_eq!(judged(&announcement).0, Outcome::Kernel);
    assert_eq!(
        judged(&arp_with(&[(21, &[2])])).0,
        Outcome::Kernel,
        "a reply"
    );
    for other in [[100, 65, 0, 8], [100, 65, 0, 1], [0, 0, 0, 0]] {
        let announcement = arp_with(&[(28, &other), (38, &[9, 9, 9, 9])]);
        assert_eq!(judged(&announcement).0, Outcome::NotForUs);
        let reply = arp_with(&[(21, &[2]), (28, &other)]);
        assert_eq!(judged(&reply).0, Outcome::NotForUs);
    }
    assert_eq!(judged(&bytes(PEERS_NA)).0, Outcome::Kernel);
    assert_eq!(judged(&bytes(LIE)).0, Outcome::NotForUs);
    assert_eq!(judged(&bytes(RA)).0, Outcome::NotForUs);
}

#[test]
fn a_solicitation_is_answered_with_an_advertisement() {
    assert_answer(NS, NA);
    assert_answer(NS_UNICAST, NA_UNICAST);
}

#[test]
fn a_probe_for_duplicates_is_answered_to_all() {
    assert_answer(PROBE, PROBE_NA);
    assert_eq!(judged(&bytes(PROBE_WITH_ADDRESS)).0, Outcome::NotForUs);
}

#[test]
fn what_is_not_valid_is_not_answered() {
    let frame = bytes(NS);
    // Hop limit, checksum, code, target a group, an option without length, an option beyond the end.
    for (at, value) in [(21, 254), (57, 0x85), (55, 1), (62, 0xff), (79, 0), (79, 2)] {
        let mut broken = frame.clone();
        broken[at] = value;
        assert_eq!(nd::parse(&broken), None, "byte {at}");
    }
    for frame in [bytes(NS), bytes(ARP_REQUEST)] {
        for length in 0..frame.len() {
            assert_eq!(judged(&frame[..length]).0, Outcome::NotForUs, "{length}");
        }
    }
    for at in 14..22 {
        let mut broken = bytes(ARP_REQUEST);
        broken[at] ^= 0x40;
        assert_eq!(arp::parse(&broken), None, "byte {at}");
    }
}

#[test]
fn what_the_kernel_sends_is_for_the_peer_that_it_names() {
    let to = |text: &str| To::Peer(text.parse().unwrap());
    let frame = |hex: &str| demux::of_frame(&bytes(hex));
    assert_eq!(frame(ARP_REQUEST), to("100.65.0.1"));
    assert_eq!(frame(NS), to("fd00::2"));
    assert_eq!(frame(NS_UNICAST), to("fd00::2"));
    assert_eq!(frame(NA), to("fd00::9"));
    assert_eq!(frame(PROBE_NA), To::Group);
    assert_eq!(frame(RA), To::Group);
    assert_eq!(frame(ARP_REPLY), To::Unknown);
    // Without the Ethernet header, from the TUN device.
    assert_eq!(demux::of_packet(&bytes(NA)[14..]), to("fd00::9"));
    let mut ipv4 = vec![0x45; 20];
    ipv4[16..].copy_from_slice(&[169, 254, 7, 2]);
    assert_eq!(demux::of_packet(&ipv4), to("169.254.7.2"));
    ipv4[16] = 224;
    assert_eq!(demux::of_packet(&ipv4), To::Group);
    for length in 0..20 {
        assert_eq!(demux::of_packet(&ipv4[..length]), To::Unknown);
    }
}

#[test]
fn the_link_local_address_is_made_of_the_mac_address() {
    // RFC 4291 appendix A: 34-56-78-9a-bc-de; the universal bit is inverted.
    let mac = MacAddr::new([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]);
    let expected: Ipv6Addr = "fe80::3656:78ff:fe9a:bcde".parse().unwrap();
    assert_eq!(link_local(mac), expected);
}
