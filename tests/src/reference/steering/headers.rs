//! The headers that steering reads.

use std::net::IpAddr;

use tp_control::model::Vlan;
use tp_pipeline::abi::Counter;

use super::{Bytes, Decided};

pub(super) struct Vlans {
    /// Tags with a VID, outermost first.
    pub(super) stack: Vec<Vlan>,
    /// Tags in the frame.
    pub(super) count: u8,
    /// The type behind them.
    pub(super) ethertype: u16,
    /// Where they end.
    pub(super) end: usize,
}

impl Vlans {
    pub(super) fn read(frame: Bytes<'_>) -> Result<Self, Decided> {
        let mut vlans = Self {
            stack: Vec::new(),
            count: 0,
            ethertype: frame.u16(12)?,
            end: 14,
        };
        while matches!(vlans.ethertype, 0x8100 | 0x88a8) {
            if vlans.count == 2 {
                return Err(Decided::Drop(Counter::Ethertype));
            }
            let service = vlans.ethertype == 0x88a8;
            let tag = frame.range(vlans.end, 4)?;
            let vid = u16::from_be_bytes([tag[0], tag[1]]) & 0x0fff;
            if vid != 0 {
                vlans.stack.push(Vlan { vid, service });
            }
            vlans.ethertype = u16::from_be_bytes([tag[2], tag[3]]);
            vlans.count += 1;
            vlans.end += 4;
        }
        Ok(vlans)
    }
}

/// An IP header with its extension headers.
pub(super) struct Network {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// Protocol, or what the last extension header names.
    pub(super) protocol: u8,
    /// More follow, or it is not the first.
    pub(super) fragment: bool,
    /// Not the first of its packet.
    pub(super) later_fragment: bool,
    pub(super) start: usize,
    /// Behind the header and its extension headers.
    pub(super) payload: usize,
}

impl Network {
    pub(super) fn read_v4(frame: Bytes<'_>, start: usize) -> Result<Self, Decided> {
        let fixed = frame.range(start, 20)?;
        let ihl = usize::from(fixed[0] & 0x0f);
        if fixed[0] >> 4 != 4 || ihl < 5 {
            return Err(Decided::Drop(Counter::Malformed));
        }
        frame.range(start, ihl * 4)?;
        let fragmentation = u16::from_be_bytes([fixed[6], fixed[7]]);
        Ok(Self {
            source: frame.ipv4(start + 12)?.into(),
            destination: frame.ipv4(start + 16)?.into(),
            protocol: fixed[9],
            fragment: fragmentation & 0x3fff != 0,
            later_fragment: fragmentation & 0x1fff != 0,
            start,
            payload: start + ihl * 4,
        })
    }

    pub(super) fn read_v6(frame: Bytes<'_>, start: usize) -> Result<Self, Decided> {
        let fixed = frame.range(start, 40)?;
        if fixed[0] >> 4 != 6 {
            return Err(Decided::Drop(Counter::Malformed));
        }
        let mut network = Self {
            source: frame.ipv6(start + 8)?.into(),
            destination: frame.ipv6(start + 24)?.into(),
            protocol: fixed[6],
            fragment: false,
            later_fragment: false,
            start,
            payload: start + 40,
        };
        let mut extensions = 0;
        while matches!(network.protocol, 0 | 43 | 44 | 60) {
            if extensions == 4 {
                return Err(Decided::Drop(Counter::Malformed));
            }
            let header = frame.range(network.payload, 8)?;
            if network.protocol == 44 {
                let word = u16::from_be_bytes([header[2], header[3]]);
                network.fragment |= word & 0xfff9 != 0;
                network.payload += 8;
                if word & 0xfff8 != 0 {
                    network.later_fragment = true;
                    network.protocol = header[0];
                    break;
                }
            } else {
                network.payload += (usize::from(header[1]) + 1) * 8;
            }
            network.protocol = header[0];
            extensions += 1;
        }
        Ok(network)
    }

    /// Behind what an address of this family can be, and of the family that `like` is.
    pub(super) fn read_like(like: &Self, frame: Bytes<'_>, start: usize) -> Result<Self, Decided> {
        match like.source {
            IpAddr::V4(_) => Self::read_v4(frame, start),
            IpAddr::V6(_) => Self::read_v6(frame, start),
        }
    }
}

/// What GRE says it carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GreCarries {
    Ip,
    Ethernet,
    Another,
}

pub(super) struct Gre {
    pub(super) carries: GreCarries,
    pub(super) key: Option<u32>,
    /// Bytes that the flags say the header has.
    pub(super) length: usize,
}

impl Gre {
    /// Reads flags, protocol type and key only; a header with unsupported flags is none.
    pub(super) fn read(frame: Bytes<'_>, start: usize) -> Result<Self, Decided> {
        let flags = frame.u16(start)?;
        let protocol = frame.u16(start + 2)?;
        if flags & (0x4000 | 0x0800 | 0x0400 | 0x0007) != 0 {
            return Err(Decided::Drop(Counter::GreUnsupported));
        }
        let has = |bit: u16| flags & bit != 0;
        let optional = [0x8000, 0x2000, 0x1000];
        let key = if has(0x2000) {
            Some(frame.u32(start + 4 + 4 * usize::from(has(0x8000)))?)
        } else {
            None
        };
        Ok(Self {
            carries: match protocol {
                0x0800 | 0x86dd => GreCarries::Ip,
                0x6558 => GreCarries::Ethernet,
                _ => GreCarries::Another,
            },
            key,
            length: 4 + 4 * optional.into_iter().filter(|bit| has(*bit)).count(),
        })
    }
}

/// Where what a GUE header carries starts.
pub(super) fn read_gue(frame: Bytes<'_>, start: usize) -> Result<usize, Decided> {
    let first = frame.u8(start)?;
    match first & 0xc0 {
        0x40 => Ok(start),
        0x00 if first & 0x20 == 0 => {
            let length = 4 + 4 * usize::from(first & 0x1f);
            frame.range(start, length)?;
            Ok(start + length)
        }
        _ => Err(Decided::Drop(Counter::GueUnsupported)),
    }
}
