//! What goes to the kernel, and whether it may.
//!
//! Reads: the link's slow path. Writes: the slow path's meter, the packet's Ethernet header.
//! Drops: `RateSlowPath`.

use tp_wire::EthernetFrame;

use crate::classify::Ingress;
use crate::context::Nanos;
use crate::meter::Meters;
use crate::packet::Packet;
use crate::verdict::{DropReason, PuntTo, Verdict};

/// A packet on its way to the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Punted<'t> {
    pub(crate) from: Ingress<'t>,
    pub(crate) len: u16,
    /// As in [`crate::parse::InnerHeader`].
    pub(crate) ethernet_len: u16,
}

/// Charges the packet to its link's slow path, and gives it the form that the kernel's device takes.
#[cold]
pub(crate) fn punt(
    punted: Punted<'_>,
    packet: &mut Packet<'_>,
    meters: &Meters,
    now: Nanos,
) -> Verdict {
    // A link without link addresses has no rate: only a route to the kernel leads here from it.
    if let Some(local) = &punted.from.link().local {
        let admitted = meters
            .slow_path(punted.from.id())
            .is_some_and(|meter| meter.charge(local.rate, now, punted.len));
        if !admitted {
            return Verdict::Drop(DropReason::RateSlowPath);
        }
    }
    match usize::from(punted.ethernet_len) {
        0 => Verdict::Punt(PuntTo::Tun),
        len => match bring_back(packet, len) {
            Some(()) => Verdict::Punt(PuntTo::Tap),
            None => Verdict::Drop(DropReason::NoHeadroom),
        },
    }
}

/// Puts the Ethernet header that starts `len` bytes in front of the packet in front of it again, without
/// its tags: the EtherType is where it belongs, and the addresses move up to it.
fn bring_back(packet: &mut Packet<'_>, len: usize) -> Option<()> {
    const HEADER_LEN: usize = EthernetFrame::<&[u8]>::HEADER_LEN;
    let tags = len.checked_sub(HEADER_LEN)?;
    packet.push(len)?.copy_within(..12, tags);
    packet.pull(tags)
}
