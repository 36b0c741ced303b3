//! Small choices.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::Rng;

/// True `percent` times in a hundred.
pub(super) fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

/// One of `choices`, which is not empty.
pub(super) fn one_of<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(0..choices.len())]
}

/// One value of an iterator; `None` if it has none.
pub(super) fn any<T>(rng: &mut Rng, choices: impl IntoIterator<Item = T>) -> Option<T> {
    let mut choices: Vec<T> = choices.into_iter().collect();
    (!choices.is_empty()).then(|| choices.swap_remove(rng.usize(0..choices.len())))
}

/// An address of `net`, its ends more often than others.
pub(super) fn host(rng: &mut Rng, net: Ipv4Net) -> Ipv4Addr {
    match rng.u32(0..4) {
        0 => net.network(),
        1 => net.broadcast(),
        _ => within(rng, net),
    }
}

/// An address of `net` or next to it.
pub(super) fn near(rng: &mut Rng, net: Ipv4Net) -> Ipv4Addr {
    match rng.u32(0..10) {
        0 => Ipv4Addr::from(net.network().to_bits().wrapping_sub(1)),
        1 => Ipv4Addr::from(net.broadcast().to_bits().wrapping_add(1)),
        _ => host(rng, net),
    }
}

/// A part of `net`, at most eight bits longer.
pub(super) fn subnet(rng: &mut Rng, net: Ipv4Net) -> Ipv4Net {
    let length = rng.u8(net.prefix_len()..=net.prefix_len().saturating_add(8).min(32));
    Ipv4Net::new(within(rng, net), length)
        .expect("at most 32")
        .trunc()
}

fn within(rng: &mut Rng, net: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(net.network().to_bits() | rng.u32(..) & net.hostmask().to_bits())
}

/// Random bytes, as many as asked for.
pub(super) fn bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}
