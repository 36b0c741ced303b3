//! The table: what the pipeline reads and the compiler changes.

use std::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::many::Large;
use crate::memory::Memory;
use crate::prefix::Prefix;
use crate::regions::BURST;
use crate::routes::{self, Edit, Route};
use crate::small::Small;
use crate::vector::{self, Work};

/// The value of a route: opaque here, an index for the table's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHopId(pub u32);

/// One change of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<A: Address = u32> {
    /// Adds the route, or gives it another value.
    Set(Prefix<A>, NextHopId),
    /// Removes the route; no effect if there is none.
    Remove(Prefix<A>),
}

/// A longest-prefix match table over the addresses of one family.
///
/// Cloning is cheap and shares everything. Tables with equal routes are equal.
#[derive(Clone)]
pub struct Fib<A: Address> {
    form: Form<A>,
}

/// A table of IPv4 routes.
pub type Fib4 = Fib<u32>;

/// A table of IPv6 routes.
pub type Fib6 = Fib<u128>;

/// How a table is held. Which of the latter two depends on the table's past, too, so that one at
/// the limit does not change its form at every route.
#[derive(Clone)]
enum Form<A: Address> {
    Empty,
    /// Costs nothing beyond its routes.
    Small(Arc<Small<A>>),
    Large(Arc<Large<A>>),
}

/// A table with more routes becomes a large one.
const SMALL_UP_TO: usize = 1 << 13;

/// A large table with fewer routes becomes a small one.
const LARGE_DOWN_TO: usize = 1 << 12;

const _: () = assert!(SMALL_UP_TO <= Small::<u32>::MAX_ROUTES);

impl<A: Address> Fib<A> {
    /// The table after these changes, made in their order. Shares with this one what they do not touch.
    #[must_use]
    pub fn with(&self, changes: &[Change<A>]) -> Self {
        let edits = routes::edits(changes.iter().copied());
        let form = self.form.with(&edits);
        Self {
            form: form.unwrap_or_else(|| self.form.clone()),
        }
    }

    /// The value of the longest prefix that contains `addr`.
    #[inline]
    #[must_use]
    pub fn lookup(&self, addr: A::Ip) -> Option<NextHopId> {
        let mut found = [None];
        self.lookup_burst(&[addr.into()], &mut found);
        found[0]
    }

    /// Looks up each of `addrs` (host order) into the element of `found` with the same index.
    ///
    /// # Panics
    /// If `found` is shorter than `addrs`.
    #[inline]
    pub fn lookup_burst(&self, addrs: &[A], found: &mut [Option<NextHopId>]) {
        let found = &mut found[..addrs.len()];
        vector::run(Burst {
            form: &self.form,
            addrs,
            found,
        });
    }

    /// The longest prefix that contains `addr`, and its value. For the control side: it takes
    /// many times as long as [`Self::lookup`].
    #[must_use]
    pub fn longest_match(&self, addr: A::Ip) -> Option<(Prefix<A>, NextHopId)> {
        let addr = addr.into();
        let route = match &self.form {
            Form::Empty => None,
            Form::Small(small) => small.routes().longest(addr),
            Form::Large(large) => large.longest(addr),
        }?;
        Some((route.prefix, route.value))
    }

    /// The value of exactly this prefix. For the control side.
    #[must_use]
    pub fn get(&self, prefix: Prefix<A>) -> Option<NextHopId> {
        match &self.form {
            Form::Empty => None,
            Form::Small(small) => small.routes().get(prefix),
            Form::Large(large) => large.get(prefix),
        }
    }

    /// All routes, in the order of [`Prefix`].
    pub fn iter(&self) -> impl Iterator<Item = (Prefix<A>, NextHopId)> {
        let routes: Box<dyn Iterator<Item = Route<A>> + '_> = match &self.form {
            Form::Empty => Box::new(std::iter::empty()),
            Form::Small(small) => Box::new(small.routes().iter()),
            Form::Large(large) => large.iter(),
        };
        routes.map(|route| (route.prefix, route.value))
    }

    /// Number of routes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Empty => 0,
            Form::Small(small) => small.len(),
            Form::Large(large) => large.len(),
        }
    }

    /// Whether there is no route.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.form, Form::Empty)
    }

    /// The heap memory that this table takes if it shares it with no other.
    #[must_use]
    pub fn memory(&self) -> Memory {
        match &self.form {
            Form::Empty => Memory::default(),
            Form::Small(small) => small.memory(),
            Form::Large(large) => large.memory(),
        }
    }
}

impl<A: Address> Form<A> {
    /// After edits in order, each prefix once; `None` if none has an effect.
    fn with(&self, edits: &[Edit<A>]) -> Option<Self> {
        let large = match self {
            Self::Empty => return Self::merged(std::iter::empty(), edits),
            Self::Small(small) => return Self::merged(small.routes().iter(), edits),
            Self::Large(large) => large.with(edits)?,
        };
        Some(if large.len() < LARGE_DOWN_TO {
            Self::new(&large.iter().collect::<Vec<_>>())
        } else {
            Self::Large(Arc::new(large))
        })
    }

    fn merged(routes: impl Iterator<Item = Route<A>>, edits: &[Edit<A>]) -> Option<Self> {
        let merged = routes::merge(routes, edits);
        merged.changed.then(|| Self::new(&merged.routes))
    }

    /// Of routes in order.
    fn new(routes: &[Route<A>]) -> Self {
        match routes.len() {
            0 => Self::Empty,
            1..=SMALL_UP_TO => Self::Small(Arc::new(Small::new(routes))),
            _ => Self::Large(Arc::new(Large::new(routes))),
        }
    }
}

/// A burst to be looked up.
struct Burst<'b, A: Address> {
    form: &'b Form<A>,
    addrs: &'b [A],
    found: &'b mut [Option<NextHopId>],
}

impl<A: Address> Work for Burst<'_, A> {
    #[inline(always)]
    fn run(self) {
        let bursts = self.addrs.chunks(BURST).zip(self.found.chunks_mut(BURST));
        // Not a closure: what it calls would be compiled once, for all processors.
        for (addrs, found) in bursts {
            match self.form {
                Form::Empty => found.fill(None),
                Form::Small(small) => small.lookup_burst(addrs, found),
                Form::Large(large) => large.lookup_burst(addrs, found),
            }
        }
    }
}

impl<A: Address> Default for Fib<A> {
    fn default() -> Self {
        Self { form: Form::Empty }
    }
}

impl<A: Address> FromIterator<(Prefix<A>, NextHopId)> for Fib<A> {
    fn from_iter<I: IntoIterator<Item = (Prefix<A>, NextHopId)>>(routes: I) -> Self {
        let set = routes
            .into_iter()
            .map(|(prefix, value)| Change::Set(prefix, value));
        let form = Form::Empty.with(&routes::edits(set));
        Self {
            form: form.unwrap_or(Form::Empty),
        }
    }
}

impl<A: Address> PartialEq for Fib<A> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<A: Address> Eq for Fib<A> {}

impl<A: Address> fmt::Debug for Fib<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests run on processors for which look-ups are compiled a second time: this is the first.
    #[test]
    fn look_ups_answer_the_same_on_a_processor_without_vectors() {
        for count in [20u32, 20_000] {
            let mixed = |n: u32| n.wrapping_mul(0x9e37_79b1);
            let four = |n| {
                (
                    Prefix::from_bits(mixed(n) >> 4 << 4, 28).unwrap(),
                    NextHopId(n % 300),
                )
            };
            let six = |n: u32| {
                let addr = 0x2001 << 112 | u128::from(mixed(n)) << 72;
                (Prefix::from_bits(addr, 60).unwrap(), NextHopId(n % 300))
            };
            let addrs: Vec<u32> = (0..count * 2).map(mixed).collect();
            let wide = |addr: &u32| 0x2001 << 112 | u128::from(*addr) << 72;
            answers_the_same(&(0..count).map(four).collect(), &addrs);
            answers_the_same(
                &(0..count).map(six).collect(),
                &addrs.iter().map(wide).collect::<Vec<_>>(),
            );
        }
    }

    fn answers_the_same<A: Address>(table: &Fib<A>, addrs: &[A]) {
        let (mut plain, mut chosen) = (vec![None; addrs.len()], vec![None; addrs.len()]);
        let (form, found) = (&table.form, &mut *plain);
        Burst { form, addrs, found }.run();
        table.lookup_burst(addrs, &mut chosen);
        assert_eq!(plain, chosen);
        assert!(plain.contains(&None) && plain.iter().flatten().count() >= addrs.len() / 4);
    }
}
