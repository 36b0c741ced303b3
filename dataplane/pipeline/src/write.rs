//! What goes on the wire?
//!
//! Reads: prebuilt headers. Writes: headers in front of the packet. Drops: nothing.

use tp_wire::EtherType;

use crate::packet::Packet;
use crate::police::Admitted;
use crate::verdict::{DropReason, Verdict};

/// Gives the packet its new headers.
#[inline]
pub(crate) fn write(admitted: Admitted<'_>, packet: &mut Packet<'_>) -> Verdict {
    let fitted = admitted.0;
    let link_len = fitted.link.len();
    // Always there: `fit` measured it.
    let Some(headers) = packet.push(link_len + usize::from(fitted.total_len - fitted.len)) else {
        return Verdict::Drop(DropReason::NoHeadroom);
    };
    let (link, outer) = headers.split_at_mut(link_len);
    fitted.link.write(EtherType::IPV4.0, link);
    if let Some(to) = fitted.way.receiver() {
        to.tunnel.encap.write(fitted.total_len, fitted.ecn, outer);
    }
    Verdict::Transmit(fitted.link.port)
}
