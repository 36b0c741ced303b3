//! How long a packet the kernel may send: what fits the narrowest link of each device.

use tp_pipeline::{Link, Tables};
use tp_xsk::PACKET_START;

use super::directory::carries;

/// Of a device without links, and the most that any is given: what hosts expect of a link.
const USUAL: u32 = 1500;
/// What every link must carry (RFC 8200 section 5, RFC 791 section 3.2). With less the kernel would have no IP there at all;
/// so it may send what is too big for such a link, which is dropped and counted.
const LEAST_IPV6: u32 = 1280;
const LEAST_IPV4: u32 = 68;
/// Addresses and type of a frame that the TAP carries.
const ETHERNET: u32 = 14;

/// MTUs of the TUN and the TAP device, for links in these tables and chunks of this size. A link of whose way out nothing is
/// known yet asks for nothing.
pub(super) fn of(tables: &Tables, chunk: u32) -> [u32; 2] {
    let most = chunk - u32::try_from(PACKET_START).unwrap_or(u32::MAX) - ETHERNET;
    let mut mtus = [USUAL.min(most); 2];
    for link in links(tables) {
        if let Some(room) = room(link, tables) {
            let mtu = &mut mtus[carries(link) as usize];
            *mtu = (*mtu).min(room);
        }
    }
    for (mtu, needs_ipv6) in mtus.iter_mut().zip(ipv6_on(tables)) {
        *mtu = (*mtu).max(if needs_ipv6 { LEAST_IPV6 } else { LEAST_IPV4 });
    }
    mtus
}

/// Whether a link of each device has IPv6 link addresses.
fn ipv6_on(tables: &Tables) -> [bool; 2] {
    let mut on = [false; 2];
    for link in links(tables) {
        let local = link.local.as_ref();
        on[carries(link) as usize] |=
            local.is_some_and(|l| l.pairs.iter().any(|p| p.peer.is_ipv6()));
    }
    on
}

fn links(tables: &Tables) -> impl Iterator<Item = &Link> {
    let upstreams = tables.upstreams.iter().flatten().map(|u| &u.link);
    upstreams.chain(tables.tunnels.iter().flatten().map(|t| &t.link))
}

/// The longest IP packet that a link with link addresses takes.
fn room(link: &Link, tables: &Tables) -> Option<u32> {
    let egress = link.local.as_ref()?.egress?;
    let port = tables.ports.get(egress.port.index()).copied().flatten()?;
    let overhead = u32::try_from(link.encap.overhead()).ok()?;
    Some(u32::from(port.mtu).saturating_sub(overhead))
}
