//! GRE headers, from RFC 2784 and RFC 2890.

use etherparse::checksum::Sum16BitWords;

use super::refusal::Refusal;
use super::spec::Gre;

/// IP protocol (RFC 2784 section 3).
pub(super) const PROTOCOL: u8 = 47;
/// Protocol type of Ethernet frames ("Transparent Ethernet Bridging", RFC 7637 section 3.2 among others).
pub(super) const ETHERNET: u16 = 0x6558;

/// Checksum present (RFC 2784 section 2.2).
const CHECKSUM: u16 = 0x8000;
/// Key present (RFC 2890 section 2).
const KEY: u16 = 0x2000;
/// Sequence number present (RFC 2890 section 2).
const SEQUENCE: u16 = 0x1000;
/// Version number field (RFC 2784 section 2.3).
const VERSION: u16 = 0x0007;

/// A GRE header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key: Option<u32>,
    pub(super) protocol: u16,
    pub(super) checksummed: bool,
    /// With the optional fields.
    pub(super) len: usize,
}

/// Reads what stands in front of a payload.
pub(super) fn read(gre: &[u8]) -> Result<Header, Refusal> {
    let word = |at: usize| -> Result<u16, Refusal> {
        let bytes = gre.get(at..at + 2).ok_or(Refusal::GreTruncated)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let (flags, protocol) = (word(0)?, word(2)?);
    if flags & VERSION != 0 {
        return Err(Refusal::GreVersion);
    }
    if flags & !(CHECKSUM | KEY | SEQUENCE) != 0 {
        return Err(Refusal::GreFlags);
    }
    let mut len = 4;
    let checksummed = flags & CHECKSUM != 0;
    if checksummed {
        // RFC 2784 section 2.5: the sum of header and payload, the field itself taken as it is, is all ones.
        word(len + 2)?;
        if sum(gre) != 0 {
            return Err(Refusal::GreChecksum);
        }
        len += 4;
    }
    let mut key = None;
    if flags & KEY != 0 {
        key = Some(u32::from(word(len)?) << 16 | u32::from(word(len + 2)?));
        len += 4;
    }
    if flags & SEQUENCE != 0 {
        word(len + 2)?;
        len += 4;
    }
    Ok(Header {
        key,
        protocol,
        checksummed,
        len,
    })
}

/// The header in front of a payload.
pub(super) fn write(gre: Gre, protocol: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut flags = 0;
    for (set, flag) in [
        (gre.checksum, CHECKSUM),
        (gre.key.is_some(), KEY),
        (gre.sequence, SEQUENCE),
    ] {
        flags |= if set { flag } else { 0 };
    }
    let mut bytes = Vec::from(u16::to_be_bytes(flags));
    bytes.extend(protocol.to_be_bytes());
    if gre.checksum {
        bytes.extend([0; 4]);
    }
    bytes.extend(gre.key.map(u32::to_be_bytes).into_iter().flatten());
    if gre.sequence {
        bytes.extend(sequence.to_be_bytes());
    }
    if gre.checksum {
        let sum = sum(&[&bytes, payload].concat());
        bytes[4..6].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

fn sum(bytes: &[u8]) -> u16 {
    let sum = Sum16BitWords::new().add_slice(bytes);
    u16::from_be(sum.ones_complement())
}
