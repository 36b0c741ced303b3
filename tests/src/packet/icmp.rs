//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, errors with the packet that they quote, and
//! neighbour discovery (RFC 4861).

use std::net::{IpAddr, Ipv6Addr};

use tp_wire::MacAddr;

use super::{Ip, internet_checksum, put16};

/// An ICMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The second word: identifier and sequence number of an echo, the next hop's MTU of an error.
    pub rest: u32,
    /// What follows the eight bytes of header.
    pub body: Vec<u8>,
}

/// An ICMPv6 message: the same shape under another checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp6(pub Icmp);

impl Icmp {
    /// An echo request.
    #[must_use]
    pub fn echo(id: u16, sequence: u16, body: Vec<u8>) -> Self {
        Self {
            kind: 8,
            code: 0,
            rest: u32::from(id) << 16 | u32::from(sequence),
            body,
        }
    }

    /// An error of this type and code that quotes the IP header and `payload` bytes behind it.
    #[must_use]
    pub fn error(kind: u8, code: u8, quoted: &Ip, payload: usize) -> Self {
        let mut body = quoted.build();
        body.truncate(quoted.header_len() + payload);
        Self {
            kind,
            code,
            rest: 0,
            body,
        }
    }

    /// The message's bytes, its checksum right.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut out = self.build_without_checksum();
        let right = internet_checksum(&out);
        put16(&mut out, 2, right);
        out
    }

    fn build_without_checksum(&self) -> Vec<u8> {
        let mut out = vec![self.kind, self.code, 0, 0];
        out.extend(self.rest.to_be_bytes());
        out.extend(&self.body);
        out
    }
}

impl Icmp6 {
    /// An echo request.
    #[must_use]
    pub fn echo(id: u16, sequence: u16, body: Vec<u8>) -> Self {
        Self(Icmp {
            kind: 128,
            ..Icmp::echo(id, sequence, body)
        })
    }

    /// A neighbour solicitation, with the sender's link-layer address as its option.
    #[must_use]
    pub fn solicitation(target: Ipv6Addr, source: MacAddr) -> Self {
        let mut body = Vec::from(target.octets());
        body.extend([1, 1]);
        body.extend(source.octets());
        Self(Icmp {
            kind: 135,
            code: 0,
            rest: 0,
            body,
        })
    }

    /// A solicited neighbour advertisement, with the target's link-layer address as its option.
    #[must_use]
    pub fn advertisement(target: Ipv6Addr, mac: MacAddr) -> Self {
        let Self(mut icmp) = Self::solicitation(target, mac);
        icmp.kind = 136;
        icmp.rest = 0x6000_0000;
        icmp.body[16] = 2;
        Self(icmp)
    }

    pub(super) fn build(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut out = self.0.build_without_checksum();
        // RFC 8200 section 8.1; under IPv4, where no such message belongs, of its addresses.
        let octets = |address: IpAddr| match address {
            IpAddr::V4(address) => Vec::from(address.octets()),
            IpAddr::V6(address) => Vec::from(address.octets()),
        };
        let length = u32::try_from(out.len()).expect("a test packet is shorter than 64 KiB");
        let pseudo = [
            octets(source),
            octets(destination),
            Vec::from(length.to_be_bytes()),
            vec![0, 0, 0, 58],
        ];
        let right = internet_checksum(&[pseudo.concat(), out.clone()].concat());
        put16(&mut out, 2, right);
        out
    }
}
