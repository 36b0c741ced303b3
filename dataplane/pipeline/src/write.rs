//! What goes on the wire?
//!
//! Reads: prebuilt headers. Writes: headers in front of the packet. Drops: nothing.

use tp_wire::EthernetFrame;

use crate::packet::Packet;
use crate::police::Admitted;
use crate::tunnel::Payload;
use crate::verdict::{DropReason, Verdict};

/// Gives the packet its new headers.
#[inline]
pub(crate) fn write(admitted: Admitted<'_>, packet: &mut Packet<'_>) -> Verdict {
    let fitted = admitted.0;
    let link_len = fitted.link.len();
    let encap = &fitted.way.link().encap;
    // Always there: `fit` measured it.
    let Some((headers, inner)) = packet.push_split(link_len + encap.overhead()) else {
        return Verdict::Drop(DropReason::NoHeadroom);
    };
    let payload = Payload {
        ethertype: fitted.family.ethertype(),
        ecn: fitted.ecn,
        packet: inner,
    };
    let (link, outer) = headers.split_at_mut(link_len);
    fitted.link.write(encap.ethertype(&payload).0, link);
    encap.write(&payload, fitted.source, outer);
    if let Some(source) = fitted.source
        && encap.is_bare()
        && let Ok(mut frame) = EthernetFrame::new_checked(link)
    {
        frame.set_source(source);
    }
    Verdict::Transmit(fitted.link.port)
}
