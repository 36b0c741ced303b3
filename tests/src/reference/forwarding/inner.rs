//! The inner packet: what of a frame the portal forwards, punts or drops.

use std::net::IpAddr;

use tp_pipeline::DropReason;
use tp_wire::MacAddr;

use crate::packet::internet_checksum;
use crate::reference::bytes::Bytes;

/// What an inner packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Arp,
}

impl Family {
    pub(super) fn of_ethertype(ethertype: u16) -> Option<Self> {
        match ethertype {
            0x0800 => Some(Self::V4),
            0x86dd => Some(Self::V6),
            0x0806 => Some(Self::Arp),
            _ => None,
        }
    }

    pub(super) fn ethertype(self) -> u16 {
        match self {
            Self::V4 => 0x0800,
            Self::V6 => 0x86dd,
            Self::Arp => 0x0806,
        }
    }
}

/// Addresses of the Ethernet header that an inner packet came with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) destination: MacAddr,
    pub(super) source: MacAddr,
}

/// An inner packet, cut to its length.
#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) family: Family,
    /// Where it started in the frame.
    pub(super) start: usize,
    /// Of the (inner) Ethernet header, if it came with one.
    pub(super) addresses: Option<Addresses>,
    /// Of the outer header, if it came in one.
    pub(super) outer_ecn: Option<u8>,
    bytes: Vec<u8>,
}

impl Inner {
    /// The packet of this family that starts `there`, where the frame or the outer packet ends.
    pub(super) fn read(family: Family, frame: &[u8], start: usize) -> Result<Self, DropReason> {
        let there = &frame[start..];
        let length = match family {
            Family::V4 => ipv4_length(there)?,
            Family::V6 => ipv6_length(there)?,
            Family::Arp => arp_length(there)?,
        };
        Ok(Self {
            family,
            start,
            addresses: None,
            outer_ecn: None,
            bytes: there[..length].to_vec(),
        })
    }

    /// What the kernel sends, and the Ethernet header in front of it, if there is one.
    pub(super) fn of_the_kernel(packet: &[u8], ethernet: bool) -> (Self, &[u8]) {
        let (header, packet) = packet.split_at(if ethernet { 14 } else { 0 });
        let family = match (header, packet[0] >> 4) {
            ([.., high, low], _) => Family::of_ethertype(u16::from_be_bytes([*high, *low])),
            ([], 4) => Some(Family::V4),
            ([], _) => Some(Family::V6),
            ([_], _) => None,
        };
        let inner = Self {
            family: family.expect("IP or ARP"),
            start: header.len(),
            addresses: None,
            outer_ecn: None,
            bytes: packet.to_vec(),
        };
        (inner, header)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Source and destination; ARP has none that anything is forwarded by.
    pub(super) fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        let bytes = Bytes(&self.bytes);
        let whole = "a whole header";
        match self.family {
            Family::V4 => Some((
                bytes.ipv4(12).expect(whole).into(),
                bytes.ipv4(16).expect(whole).into(),
            )),
            Family::V6 => Some((
                bytes.ipv6(8).expect(whole).into(),
                bytes.ipv6(24).expect(whole).into(),
            )),
            Family::Arp => None,
        }
    }

    pub(super) fn is_neighbour_discovery(&self) -> bool {
        let has = |at: usize| self.bytes.get(at).copied();
        self.family == Family::V6
            && has(6) == Some(58)
            && has(7) == Some(255)
            && matches!(has(40), Some(133..=136))
    }

    pub(super) fn ecn(&self) -> u8 {
        match self.family {
            Family::V4 => self.bytes[1] & 3,
            Family::V6 => self.bytes[1] >> 4 & 3,
            Family::Arp => 0,
        }
    }

    /// Sets the ECN field; nothing changes where it is the same.
    pub(super) fn set_ecn(&mut self, ecn: u8) {
        if ecn == self.ecn() {
            return;
        }
        match self.family {
            Family::V4 => {
                self.bytes[1] = self.bytes[1] & 0xfc | ecn;
                self.renew_checksum();
            }
            Family::V6 => self.bytes[1] = self.bytes[1] & 0xcf | ecn << 4,
            Family::Arp => {}
        }
    }

    fn ttl_at(&self) -> usize {
        match self.family {
            Family::V4 => 8,
            Family::V6 => 7,
            Family::Arp => unreachable!("ARP is never forwarded"),
        }
    }

    pub(super) fn ttl(&self) -> u8 {
        self.bytes[self.ttl_at()]
    }

    pub(super) fn decrement_ttl(&mut self) {
        let at = self.ttl_at();
        self.bytes[at] -= 1;
        if self.family == Family::V4 {
            self.renew_checksum();
        }
    }

    /// Computes the header's checksum anew.
    fn renew_checksum(&mut self) {
        let header_len = usize::from(self.bytes[0] & 0x0f) * 4;
        self.bytes[10..12].fill(0);
        let checksum = internet_checksum(&self.bytes[..header_len]);
        self.bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    /// The hash by which packets of one flow take one path.
    pub(super) fn flow_hash(&self) -> u32 {
        let word = |at: usize| u64::from(Bytes(&self.bytes).u32(at).expect("a whole header"));
        let folded = |at: usize| word(at) ^ word(at + 4) ^ word(at + 8) ^ word(at + 12);
        let (s, d, n, behind, whole) = match self.family {
            Family::V4 => {
                let fragmentation = u16::from_be_bytes([self.bytes[6], self.bytes[7]]);
                let behind = usize::from(self.bytes[0] & 0x0f) * 4;
                let whole = fragmentation & 0x3fff == 0;
                (word(12), word(16), self.bytes[9], behind, whole)
            }
            Family::V6 => (folded(8), folded(24), self.bytes[6], 40, true),
            Family::Arp => return 0,
        };
        let p = match n {
            6 | 17 | 132 if whole => Bytes(&self.bytes).u32(behind).unwrap_or(0),
            _ => 0,
        };
        let x = (s << 32).wrapping_add(d);
        let y = (u64::from(p) << 8).wrapping_add(u64::from(n));
        let h = (x ^ y.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        u32::try_from(h >> 32).expect("the upper half")
    }
}

/// Header length and total length of an IPv4 header that is whole and whose lengths are possible.
pub(super) fn ipv4_lengths(there: &[u8]) -> Option<(usize, usize)> {
    let fixed = there.get(..20)?;
    let header = usize::from(fixed[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let possible = fixed[0] >> 4 == 4 && (20..=total).contains(&header);
    (possible && total <= there.len()).then_some((header, total))
}

fn ipv4_length(there: &[u8]) -> Result<usize, DropReason> {
    let (header, total) = ipv4_lengths(there).ok_or(DropReason::InnerMalformed)?;
    if internet_checksum(&there[..header]) != 0 {
        return Err(DropReason::InnerChecksum);
    }
    Ok(total)
}

fn ipv6_length(there: &[u8]) -> Result<usize, DropReason> {
    let fixed = there.get(..40).ok_or(DropReason::InnerMalformed)?;
    let length = 40 + usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    if fixed[0] >> 4 != 6 || length > there.len() {
        return Err(DropReason::InnerMalformed);
    }
    Ok(length)
}

/// RFC 826, over Ethernet for IPv4.
fn arp_length(there: &[u8]) -> Result<usize, DropReason> {
    match there.get(..28) {
        Some([0, 1, 8, 0, 6, 4, ..]) => Ok(28),
        _ => Err(DropReason::InnerMalformed),
    }
}
