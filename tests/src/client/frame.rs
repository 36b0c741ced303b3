//! Ethernet frames of TAP devices, and their VLAN tags.

use super::ip;
use super::refusal::Refusal;
use super::spec::Tag;

/// Destination and source address.
const ADDRESSES: usize = 12;
/// Tag protocol identifiers: customer's (IEEE 802.1Q) and service (802.1ad).
const CUSTOMER: [u8; 2] = [0x81, 0x00];
const SERVICE: [u8; 2] = [0x88, 0xa8];
const ARP: [u8; 2] = [0x08, 0x06];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
/// An ARP packet of Ethernet and IPv4 (RFC 826).
const ARP_LEN: usize = 28;

/// A frame in a tunnel is untagged, and carries one whole ARP or IP packet.
pub(super) fn check_inner(frame: &[u8]) -> Result<(), Refusal> {
    let (ethertype, packet) = frame
        .get(ADDRESSES..)
        .and_then(<[u8]>::split_first_chunk::<2>)
        .ok_or(Refusal::InnerHeader)?;
    let version = match *ethertype {
        ARP if packet.len() >= ARP_LEN => return Ok(()),
        IPV4 => 4,
        IPV6 => 6,
        _ => return Err(Refusal::InnerHeader),
    };
    if ip::check_inner(packet)? == version {
        Ok(())
    } else {
        Err(Refusal::InnerHeader)
    }
}

/// The frame's tags, outermost first, and the frame without them.
pub(super) fn untag(frame: &[u8]) -> Option<(Vec<Tag>, Vec<u8>)> {
    let (addresses, mut rest) = frame.split_at_checked(ADDRESSES)?;
    let mut tags = Vec::new();
    while let Some((&[t0, t1, c0, c1], inner)) = rest.split_first_chunk::<4>() {
        let service = [t0, t1] == SERVICE;
        if !service && [t0, t1] != CUSTOMER {
            break;
        }
        let vid = u16::from_be_bytes([c0, c1]) & 0x0fff;
        tags.push(Tag { vid, service });
        rest = inner;
    }
    Some((tags, [addresses, rest].concat()))
}

/// The frame with these tags, of priority 0.
pub(super) fn tag(frame: &[u8], tags: &[Tag]) -> Option<Vec<u8>> {
    let (addresses, rest) = frame.split_at_checked(ADDRESSES)?;
    let mut bytes = addresses.to_vec();
    for tag in tags {
        bytes.extend(if tag.service { SERVICE } else { CUSTOMER });
        bytes.extend(tag.vid.to_be_bytes());
    }
    bytes.extend(rest);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broadcast ARP request behind an 802.1ad tag of VID 100 and an 802.1Q tag of VID 7 and priority 5.
    const TAGGED: [u8; 50] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xa8, 0x00, 100, 0x81, 0x00,
        0xa0, 7, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0,
        0, 10, 0, 0, 2,
    ];

    #[test]
    fn tags_come_off_outermost_first_and_go_on_again() {
        let (tags, frame) = untag(&TAGGED).unwrap();
        assert_eq!(tags, [Tag::service(100), Tag::customer(7)]);
        assert_eq!(frame, [&TAGGED[..12], &TAGGED[20..]].concat());
        assert_eq!(check_inner(&frame), Ok(()));
        let mut again = TAGGED;
        again[18] = 0;
        assert_eq!(tag(&frame, &tags).unwrap(), again);
    }

    #[test]
    fn a_tagged_frame_is_no_inner_frame() {
        assert_eq!(check_inner(&TAGGED), Err(Refusal::InnerHeader));
        assert_eq!(check_inner(&TAGGED[..13]), Err(Refusal::InnerHeader));
    }
}
