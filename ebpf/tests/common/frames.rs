//! Frames from bytes, header by header. Independent of the data plane's own views.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const PORTAL_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
pub(crate) const ISP_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
pub(crate) const STRANGER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x03];
/// Of another member of an exchange, whose frames are flooded to us.
pub(crate) const MEMBER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x09];
pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];
pub(crate) const MULTICAST: [u8; 6] = [0x01, 0, 0x5e, 0, 0, 0x01];

pub(crate) const PORTAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The far end of upstreams behind tunnels, and on the way to the clients.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 254);
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
pub(crate) const PORTAL6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(crate) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub(crate) const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe);
pub(crate) const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 9, 0, 0, 0, 9);

pub(crate) const ARP: u16 = 0x0806;
pub(crate) const LLDP: u16 = 0x88cc;
pub(crate) const SLOW: u16 = 0x8809;
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const TEB: u16 = 0x6558;
pub(crate) const CTAG: u16 = 0x8100;
pub(crate) const STAG: u16 = 0x88a8;

pub(crate) const ICMP: u8 = 1;
pub(crate) const IGMP: u8 = 2;
pub(crate) const IPIP: u8 = 4;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const IP6: u8 = 41;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const GRE: u8 = 47;
pub(crate) const ICMP6: u8 = 58;
pub(crate) const DSTOPTS: u8 = 60;
pub(crate) const HOPOPTS: u8 = 0;

pub(crate) const C: u16 = 0x8000;
pub(crate) const R: u16 = 0x4000;
pub(crate) const K: u16 = 0x2000;
pub(crate) const S: u16 = 0x1000;

/// Lays headers one behind the other.
pub(crate) fn stack<const N: usize>(headers: [&[u8]; N]) -> Vec<u8> {
    headers.concat()
}

pub(crate) fn eth(to: [u8; 6], from: [u8; 6], ethertype: u16) -> Vec<u8> {
    stack([&to, &from, &ethertype.to_be_bytes()])
}

/// From the upstream's router to the portal.
pub(crate) fn from_isp(ethertype: u16) -> Vec<u8> {
    eth(PORTAL_MAC, ISP_MAC, ethertype)
}

/// What follows a tag's TPID: VID with a priority that must not matter, and the next type.
pub(crate) fn tag(vid: u16, next: u16) -> Vec<u8> {
    stack([&(vid | 0xe000).to_be_bytes(), &next.to_be_bytes()])
}

/// Total length and checksum are 0: steering reads neither.
pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8) -> Vec<u8> {
    let fixed = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    stack([&fixed, &from.octets(), &to.octets()])
}

/// With `words` words of options.
pub(crate) fn ipv4_options(mut header: Vec<u8>, words: u8) -> Vec<u8> {
    header[0] += words;
    // No-operation (RFC 791 section 3.1).
    header.resize(header.len() + usize::from(words) * 4, 1);
    header
}

/// With these flags and offset.
pub(crate) fn ipv4_fragment(mut header: Vec<u8>, flags_and_offset: u16) -> Vec<u8> {
    header[6..8].copy_from_slice(&flags_and_offset.to_be_bytes());
    header
}

pub(crate) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8) -> Vec<u8> {
    stack([
        &[0x60, 0, 0, 0, 0, 0, next, 64],
        &from.octets(),
        &to.octets(),
    ])
}

/// An extension header of 8 + `more` * 8 bytes.
pub(crate) fn extension(next: u8, more: u8) -> Vec<u8> {
    let mut header = vec![next, more];
    header.resize(8 + usize::from(more) * 8, 0);
    header
}

pub(crate) fn ipv6_fragment(next: u8, offset_and_flags: u16) -> Vec<u8> {
    // The second byte is reserved here and must not be taken for a length.
    stack([&[next, 0xff], &offset_and_flags.to_be_bytes(), &[0; 4]])
}

/// A GRE header with the optional fields that `flags` asks for.
pub(crate) fn gre(flags: u16, protocol: u16, key: u32) -> Vec<u8> {
    let mut header = stack([&flags.to_be_bytes(), &protocol.to_be_bytes()]);
    if flags & C != 0 {
        header.extend([0xcc; 4]);
    }
    if flags & K != 0 {
        header.extend(key.to_be_bytes());
    }
    if flags & S != 0 {
        header.extend([0x55; 4]);
    }
    header
}

/// From a port that tells nothing; without a checksum.
pub(crate) fn udp(to: u16) -> Vec<u8> {
    stack([&[0xd4, 0x31], &to.to_be_bytes(), &[0; 4]])
}

pub(crate) fn icmp(kind: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0, 0, 0, 0]
}

/// What a tunnel carries, or an upstream's host sends.
pub(crate) fn payload() -> Vec<u8> {
    stack([&ipv4(HOST, HOST, UDP), &[0xda; 12]])
}
