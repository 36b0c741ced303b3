//! Routes like the Internet's, and addresses over all of them.

use std::collections::HashSet;

use tp_fib::Prefix;

use super::Route;
use super::family::Family;
use super::random::Random;

/// Addresses that are looked up.
const ADDRESSES: usize = 4_000_000;

/// Where routes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Placement {
    /// Nine of ten of those that are longer than a /16 (IPv6: /40) within that of another one, as
    /// allocations are split.
    Clustered,
    /// Anywhere (IPv6: in any allocation).
    Random,
}

impl Placement {
    pub(super) const ALL: [Self; 2] = [Self::Clustered, Self::Random];

    /// As cases name it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Clustered => "clustered",
            Self::Random => "random",
        }
    }
}

/// A table, and what is asked of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Load<A: Family> {
    pub(super) routes: Vec<Route<A>>,
    pub(super) addresses: Vec<A>,
}

/// Routes with a default among them, in random order; addresses are random ones within random
/// routes.
pub(super) fn load<A: Family>(
    count: usize,
    seed: u64,
    placement: Placement,
    next_hops: u32,
) -> Load<A> {
    let mut random = Random::new(seed);
    let mut next_hop = Random::new(seed ^ u64::MAX);
    let mut value = || 1 + next_hop.below(next_hops.into());
    let mut seen = HashSet::with_capacity(count);
    let mut routes = Vec::with_capacity(count.max(1));
    routes.push((Prefix::DEFAULT, value()));
    while routes.len() < count {
        let len = length::<A>(&mut random);
        let addr = match placement {
            Placement::Clustered if len > A::NEAR && routes.len() > 1 && random.below(10) != 0 => {
                let (other, _): (Prefix<A>, u32) = routes[1 + random.index(routes.len() - 1)];
                other.bits().within(A::NEAR, &mut random)
            }
            _ => A::anywhere(&mut random),
        };
        let Some(prefix) = Prefix::from_bits(addr.first_of(len), len) else {
            continue;
        };
        // Few short ones exist: when they are used up, their share goes to the others.
        if seen.insert(prefix) {
            routes.push((prefix, value()));
        }
    }
    let addresses = (0..ADDRESSES.min(64 * count.max(1))).map(|_| {
        let (prefix, _) = routes[random.index(routes.len())];
        prefix.bits().within(prefix.len(), &mut random)
    });
    let addresses = addresses.collect();
    Load { routes, addresses }
}

fn length<A: Family>(random: &mut Random) -> u8 {
    let all = A::LENGTHS.iter().map(|(_, share)| share).sum();
    let mut at = u64::from(random.below(all));
    for (len, share) in A::LENGTHS {
        if at < *share {
            return *len;
        }
        at -= share;
    }
    unreachable!("less than the sum of all shares")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of routes of these lengths, and of neighbourhoods to routes.
    fn shares<A: Family>(placement: Placement, len: u8) -> (f64, f64, f64) {
        let generated = load::<A>(50_000, 3, placement, 256);
        assert_eq!(generated, load(50_000, 3, placement, 256));
        let routes = &generated.routes;
        let count = |is: &dyn Fn(u8) -> bool| routes.iter().filter(|(p, _)| is(p.len())).count();
        let places: HashSet<A> = routes
            .iter()
            .map(|(p, _)| p.bits().first_of(A::NEAR))
            .collect();
        let of_all = |count: usize| count as f64 / routes.len() as f64;
        let (most, longer) = (count(&|l| l == len), count(&|l| l > len));
        (of_all(most), of_all(longer), of_all(places.len()))
    }

    #[test]
    fn lengths_and_placement_are_as_said() {
        let [clustered, random] = Placement::ALL.map(|placement| shares::<u32>(placement, 24));
        for (most, longer, _) in [clustered, random] {
            assert!((0.55..0.65).contains(&most), "{most}");
            assert!((0.015..0.025).contains(&longer), "{longer}");
        }
        assert!(clustered.2 < random.2 / 2.0, "{clustered:?} {random:?}");

        let [clustered, random] = Placement::ALL.map(|placement| shares::<u128>(placement, 48));
        for (most, longer, _) in [clustered, random] {
            assert!((0.45..0.58).contains(&most), "{most}");
            assert!((0.015..0.025).contains(&longer), "{longer}");
        }
        assert!(clustered.2 < random.2 / 2.0, "{clustered:?} {random:?}");
    }
}
