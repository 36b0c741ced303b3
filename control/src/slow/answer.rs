//! ARP and neighbour discovery that a link's far end sends: what is answered here, what the kernel gets.
//!
//! The kernel has one device for all Ethernet links and does not know by which of them a question came; neither
//! could it answer one from a link-local address or a probe, which name no link. So questions for the addresses that
//! a link shows (the portal's own, and the upstreams' on a link to several) are answered here. The kernel gets what
//! tells it the MAC address of the link's peer. All else ends here: from a link come no tidings about others.

use std::net::{IpAddr, Ipv6Addr};

use tp_wire::{EtherType, EthernetFrame, MacAddr};

use super::arp::{self, Arp};
use super::nd::{self, Nd};

/// What a link says of itself by ARP and neighbour discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Addresses that are answered for, with the MAC address that each has there; sorted by address.
    pub(super) answers: Vec<(IpAddr, MacAddr)>,
    /// Addresses of the far end.
    pub(super) peers: Vec<IpAddr>,
}

impl Shown {
    fn mac_of(&self, address: impl Into<IpAddr>) -> Option<MacAddr> {
        let address = address.into();
        let found = self.answers.binary_search_by(|(a, _)| a.cmp(&address));
        found.ok().map(|index| self.answers[index].1)
    }

    fn is_peer(&self, address: impl Into<IpAddr>) -> bool {
        self.peers.contains(&address.into())
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is answered; the answer has this length.
    Answered(usize),
    /// It is for the kernel.
    Kernel,
    /// It is for nobody here.
    NotForUs,
}

/// Room for an answer.
pub(super) type Answer = [u8; nd::FRAME];

/// Whether the kernel would take a frame for news of its neighbours.
pub(super) fn is_neighbour_protocol(frame: &[u8]) -> bool {
    match EthernetFrame::new_checked(frame).map(|f| f.ethertype()) {
        Ok(EtherType::ARP) => true,
        // ND has no extension headers in front of it here (docs/forwarding.md section 4).
        Ok(EtherType::IPV6) => {
            frame.get(20) == Some(&58) && matches!(frame.get(54), Some(133..=136))
        }
        _ => false,
    }
}

/// Judges a frame of ARP or neighbour discovery that came by a link which shows this.
pub(super) fn judge(frame: &[u8], shown: &Shown, answer: &mut Answer) -> Outcome {
    match EthernetFrame::new_checked(frame).map(|f| f.ethertype()) {
        Ok(EtherType::ARP) => judge_arp(frame, shown, answer),
        Ok(EtherType::IPV6) => judge_nd(frame, shown, answer),
        _ => Outcome::NotForUs,
    }
}

fn judge_arp(frame: &[u8], shown: &Shown, answer: &mut Answer) -> Outcome {
    match arp::parse(frame) {
        Some(Arp::Request { sender, target }) => {
            if let Some(mac) = shown.mac_of(target)
                && let Some(out) = answer.first_chunk_mut()
            {
                arp::reply(out, mac, target, sender);
                return Outcome::Answered(arp::FRAME);
            }
            to_kernel(sender.1 == target && shown.is_peer(target))
        }
        Some(Arp::Reply { sender }) => to_kernel(shown.is_peer(sender)),
        None => Outcome::NotForUs,
    }
}

fn judge_nd(frame: &[u8], shown: &Shown, answer: &mut Answer) -> Outcome {
    match nd::parse(frame) {
        Some(Nd::Solicitation {
            source,
            mac: asker,
            target,
        }) => {
            let Some(mac) = shown.mac_of(target) else {
                return Outcome::NotForUs;
            };
            nd::advertise(answer, mac, target, (source, asker));
            Outcome::Answered(nd::FRAME)
        }
        Some(Nd::Advertisement { target }) => to_kernel(shown.is_peer(target)),
        None => Outcome::NotForUs,
    }
}

fn to_kernel(yes: bool) -> Outcome {
    if yes {
        Outcome::Kernel
    } else {
        Outcome::NotForUs
    }
}

/// The link-local address that the kernel makes of a device's MAC address (RFC 4291 appendix A).
pub(super) fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.octets();
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        pair(a ^ 2, b),
        pair(c, 0xff),
        pair(0xfe, d),
        pair(e, f),
    )
}

#[cfg(test)]
mod tests;
