//! From the kernel to a link: `docs/forwarding.md`, "From the kernel".

use tp_wire::{Ecn, EtherType, EthernetFrame, Ipv4Packet, Ipv6Packet, is_ipv6};

use crate::link::{Link, LinkHeader};
use crate::packet::Packet;
use crate::tables::Tables;
use crate::tunnel::Payload;
use crate::verdict::{DropReason, Verdict};

/// Gives a packet that the kernel sent the headers of this link: an Ethernet frame without tags if the
/// link is an Ethernet link, else an IP packet. `tables` are those that the link is in.
///
/// # Errors
/// None, but the verdict is a drop where the packet is no such packet (`InnerMalformed`), the
/// link's neighbour is unresolved, its port is not there, or the packet is too big for port or chunk.
#[must_use]
pub fn originate(link: &Link, tables: &Tables, packet: &mut Packet<'_>) -> Verdict {
    match headers(link, tables, packet) {
        Ok(header) => Verdict::Transmit(header.port),
        Err(reason) => Verdict::Drop(reason),
    }
}

fn headers<'l>(
    link: &'l Link,
    tables: &Tables,
    packet: &mut Packet<'_>,
) -> Result<&'l LinkHeader, DropReason> {
    let header = link.local.as_ref().and_then(|local| local.egress.as_ref());
    let header = header.ok_or(DropReason::NeighbourUnresolved)?;
    let port = tables.ports.get(header.port.index()).copied().flatten();
    let mtu = port.ok_or(DropReason::NoPort)?.mtu;

    // The Ethernet header stays in front of the packet, where it is needed again.
    let mut addresses = [0; 12];
    let ethertype = if link.encap.is_ethernet() {
        let frame = EthernetFrame::new_checked(packet.bytes());
        let ethertype = frame.map_err(|_| DropReason::InnerMalformed)?.ethertype();
        addresses.copy_from_slice(&packet.bytes()[..12]);
        packet
            .pull(EthernetFrame::<&[u8]>::HEADER_LEN)
            .ok_or(DropReason::InnerMalformed)?;
        ethertype
    } else if is_ipv6(packet.bytes()) {
        EtherType::IPV6
    } else {
        EtherType::IPV4
    };
    let ecn = ecn(ethertype, packet.bytes())?;

    let overhead = link.encap.overhead();
    if packet.len() + overhead > usize::from(mtu) {
        return Err(DropReason::TooBig);
    }
    let (new, inner) = packet
        .push_split(header.len() + overhead)
        .ok_or(DropReason::NoHeadroom)?;
    let payload = Payload {
        ethertype,
        ecn,
        packet: inner,
    };
    let (front, outer) = new.split_at_mut(header.len());
    link.encap.write_around(&payload, outer);
    header.write(link.encap.ethertype(&payload).0, front);
    if link.encap.is_bare() {
        front[..12].copy_from_slice(&addresses);
    }
    Ok(header)
}

/// The ECN field of an IP packet whose header is whole.
fn ecn(ethertype: EtherType, packet: &[u8]) -> Result<Ecn, DropReason> {
    let malformed = |_| DropReason::InnerMalformed;
    match ethertype {
        EtherType::IPV4 => Ok(Ipv4Packet::new_checked(packet).map_err(malformed)?.ecn()),
        EtherType::IPV6 => Ok(Ipv6Packet::new_checked(packet).map_err(malformed)?.ecn()),
        _ => Ok(Ecn::NotEct),
    }
}
