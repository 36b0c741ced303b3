//! Small choices.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

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
pub(super) fn host(rng: &mut Rng, net: IpNet) -> IpAddr {
    match rng.u32(0..4) {
        0 => net.network(),
        1 => net.broadcast(),
        _ => within(rng, net),
    }
}

/// An address of `net` or next to it.
pub(super) fn near(rng: &mut Rng, net: IpNet) -> IpAddr {
    let step = match rng.u32(0..10) {
        0 => u32::MAX,
        1 => 1,
        _ => return host(rng, net),
    };
    let edge = if step == 1 {
        net.broadcast()
    } else {
        net.network()
    };
    match edge {
        IpAddr::V4(address) => Ipv4Addr::from(address.to_bits().wrapping_add(step)).into(),
        IpAddr::V6(address) if step == 1 => {
            Ipv6Addr::from(address.to_bits().wrapping_add(1)).into()
        }
        IpAddr::V6(address) => Ipv6Addr::from(address.to_bits().wrapping_sub(1)).into(),
    }
}

/// A part of `net`, at most eight bits longer.
pub(super) fn subnet(rng: &mut Rng, net: IpNet) -> IpNet {
    let longest = net.prefix_len().saturating_add(8).min(net.max_prefix_len());
    let length = rng.u8(net.prefix_len()..=longest);
    IpNet::new(within(rng, net), length)
        .expect("at most the longest")
        .trunc()
}

fn within(rng: &mut Rng, net: IpNet) -> IpAddr {
    match net {
        IpNet::V4(net) => within_v4(rng, net).into(),
        IpNet::V6(net) => within_v6(rng, net).into(),
    }
}

fn within_v4(rng: &mut Rng, net: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(net.network().to_bits() | rng.u32(..) & net.hostmask().to_bits())
}

fn within_v6(rng: &mut Rng, net: Ipv6Net) -> Ipv6Addr {
    Ipv6Addr::from(net.network().to_bits() | rng.u128(..) & net.hostmask().to_bits())
}

/// Random bytes, as many as asked for.
pub(super) fn bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}
