//! ICMP (RFC 792): echo, and errors with the packet that they quote.

use super::{Ipv4, internet_checksum, put16};

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
    pub fn error(kind: u8, code: u8, quoted: &Ipv4, payload: usize) -> Self {
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
        let mut out = vec![self.kind, self.code, 0, 0];
        out.extend(self.rest.to_be_bytes());
        out.extend(&self.body);
        let right = internet_checksum(&out);
        put16(&mut out, 2, right);
        out
    }
}
