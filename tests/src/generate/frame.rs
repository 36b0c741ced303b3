//! Random frames for a configuration.

use super::config::TAP;
use super::pick::{any, bytes, chance, one_of};
use super::{Devices, Rng, hostile, ipv6, link, traffic};
use crate::packet::Frame;
use crate::reference::Portal;

/// A frame and where it arrives.
#[derive(Clone, PartialEq, Eq)]
pub struct Arriving {
    /// The device, which need not be a port.
    pub ifindex: u32,
    /// The device's receive queue.
    pub queue: u32,
    /// The frame.
    pub frame: Vec<u8>,
}

impl std::fmt::Debug for Arriving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ifindex {} queue {} frame ", self.ifindex, self.queue)?;
        self.frame
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Longest frame, in bytes: a chunk of 2048 holds it with its headroom.
const LONGEST: usize = 1792;

/// A frame that is yet to be built.
pub(super) struct Draft {
    pub(super) ifindex: u32,
    pub(super) frame: Frame,
}

/// A random frame: half of them as the configuration wants them, the others with faults.
#[must_use]
pub fn frame(rng: &mut Rng, portal: &Portal<'_>, devices: &Devices) -> Arriving {
    let draft = match rng.u32(0..100) {
        0..46 => traffic::from_tunnel(rng, portal),
        46..79 => traffic::from_upstream(rng, portal),
        79..86 => link::icmp_error(rng, portal),
        86..91 => ipv6::packet(rng, portal),
        91..95 => Some(link::protocol(rng, portal)),
        95..98 => Some(link::to_the_portal(rng, portal)),
        _ => None,
    };
    let (ifindex, mut frame) = match draft {
        Some(mut draft) => {
            if chance(rng, 45) {
                for _ in 0..rng.u32(1..=2) {
                    hostile::distort(rng, portal, &mut draft.frame);
                }
            }
            (draft.ifindex, draft.frame.build())
        }
        None => (device(rng, portal), noise(rng)),
    };
    if chance(rng, 12) {
        hostile::corrupt(rng, &mut frame);
    }
    frame.truncate(LONGEST);
    let ifindex = if chance(rng, 4) {
        device(rng, portal)
    } else {
        ifindex
    };
    Arriving {
        ifindex,
        queue: rng.u32(0..devices.queues),
        frame,
    }
}

/// Any device that frames arrive by, a port or not.
fn device(rng: &mut Rng, portal: &Portal<'_>) -> u32 {
    let all = portal.kernel.links.values().map(|link| link.ifindex);
    any(rng, all.filter(|ifindex| *ifindex != TAP)).unwrap_or(1)
}

/// Random bytes, some of them with a plausible start.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let length = rng.usize(0..200);
    let mut noise = bytes(rng, length);
    if let Some(start) = noise.first_chunk_mut::<14>() {
        start[..6].copy_from_slice(&[2, 0, 0, 0, 0, rng.u8(0..3)]);
        let ethertype = one_of(
            rng,
            &[[0x08, 0x00], [0x86, 0xdd], [0x81, 0x00], [0x12, 0x34]],
        );
        start[12..].copy_from_slice(ethertype);
    }
    noise
}
