//! Ethernet over GRE: the inner packet has an Ethernet header, behind GRE of protocol type 0x6558.
//!
//! What comes in is opened by `gre`: the protocol type tells them apart.

use tp_wire::{EtherType, EthernetFrame, MacAddr, Protocol};

use super::gre::Header;
use super::outer::{Ends, Outer, Payload};

/// MAC addresses of both ends of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetAddresses {
    /// The portal's.
    pub own: MacAddr,
    /// The other end's.
    pub peer: MacAddr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Egre {
    pub(super) outer: Outer,
    header: Header,
    addresses: EthernetAddresses,
}

impl Egre {
    pub(super) fn new(ends: &Ends, key: Option<u32>, addresses: EthernetAddresses) -> Self {
        Self {
            outer: Outer::new(ends),
            header: Header::new(key),
            addresses,
        }
    }

    #[inline]
    pub(super) fn overhead(&self) -> usize {
        self.outer.len() + self.header.len() + EthernetFrame::<&[u8]>::HEADER_LEN
    }

    /// Writes all headers; `source` takes the place of the link's own MAC.
    #[inline]
    pub(super) fn write(&self, payload: &Payload<'_>, source: Option<MacAddr>, out: &mut [u8]) {
        let ethernet = self.write_carrier(payload, out);
        if let Ok(mut frame) = EthernetFrame::new_checked(ethernet) {
            frame.set_destination(self.addresses.peer);
            frame.set_source(source.unwrap_or(self.addresses.own));
            frame.set_ethertype(payload.ethertype);
        }
    }

    /// Writes all but the Ethernet header, which it returns.
    #[inline]
    pub(super) fn write_carrier<'o>(
        &self,
        payload: &Payload<'_>,
        out: &'o mut [u8],
    ) -> &'o mut [u8] {
        let rest = self.outer.write(Protocol::GRE, payload, out);
        self.header.write(EtherType::TEB, rest)
    }
}

#[cfg(test)]
mod tests {
    use etherparse::Ethernet2Header;
    use tp_wire::Ecn;

    use super::*;
    use crate::family::Family;
    use crate::tunnel::{Carries, gre};

    const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const PEER: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const SHOWN: [u8; 6] = [2, 0x54, 0x50, 1, 2, 3];

    fn written(family: Family, source: Option<MacAddr>) -> Vec<u8> {
        let ends = Ends::new([192, 0, 2, 1].into(), [198, 51, 100, 9].into(), 64, 0).unwrap();
        let addresses = EthernetAddresses {
            own: OWN.into(),
            peer: PEER.into(),
        };
        let egre = Egre::new(&ends, Some(7), addresses);
        let mut out = vec![0xff; egre.overhead()];
        let payload = Payload {
            ethertype: family.ethertype(),
            ecn: Ecn::NotEct,
            packet: &[0; 100],
        };
        egre.write(&payload, source, &mut out);
        out
    }

    fn ethernet(source: [u8; 6], ether_type: etherparse::EtherType) -> Vec<u8> {
        let header = Ethernet2Header {
            source,
            destination: PEER,
            ether_type,
        };
        header.to_bytes().to_vec()
    }

    #[test]
    fn an_ethernet_header_follows_gre_of_type_6558() {
        let v4 = written(Family::V4, None);
        // Total length: 20, 8, 14, 100.
        assert_eq!(v4[2..4], 142u16.to_be_bytes());
        assert_eq!(v4[20..28], [0x20, 0, 0x65, 0x58, 0, 0, 0, 7]);
        assert_eq!(v4[28..], ethernet(OWN, etherparse::EtherType::IPV4));
        let v6 = written(Family::V6, Some(SHOWN.into()));
        assert_eq!(v6[..28], v4[..28]);
        assert_eq!(v6[28..], ethernet(SHOWN, etherparse::EtherType::IPV6));
    }

    #[test]
    fn what_is_written_is_opened_as_ethernet() {
        let bytes = written(Family::V4, None);
        assert_eq!(gre::open(&bytes[20..], 8), Ok(Carries::Ethernet));
    }
}
