//! A table of few routes: the intervals that they make, and an index of those.
//!
//! One allocation for each part, none that grows with the address space.

use crate::address::Address;
use crate::index::{Key, Search};
use crate::leaf::Palette;
use crate::memory::Memory;
use crate::packed::Packed;
use crate::regions::BURST;
use crate::routes::Route;
use crate::sweep;
use crate::table::NextHopId;

/// A worker's bursts come apart into few addresses when they go to many tables.
const FEW: usize = 8;

/// Where the intervals begin.
enum Starts<A: Address> {
    /// All with zeros behind their highest bits: in half the memory, and compared in half the time.
    Short(<A::Short as Key>::Search),
    Whole(<A as Key>::Search),
}

/// A table of few routes.
pub(crate) struct Small<A: Address> {
    starts: Starts<A>,
    /// Each interval's answer, as an index into `values`.
    codes: Box<[u16]>,
    values: Box<[Option<NextHopId>]>,
    routes: Packed<A>,
    len: usize,
}

impl<A: Address> Small<A> {
    /// More routes may have more next hops than `codes` can tell apart.
    pub(crate) const MAX_ROUTES: usize = u16::MAX as usize - 1;

    /// A table of these routes, which are in order and at most [`Self::MAX_ROUTES`].
    pub(crate) fn new(routes: &[Route<A>]) -> Self {
        debug_assert!(routes.len() <= Self::MAX_ROUTES);
        let mut palette = Palette::new();
        routes.iter().for_each(|route| palette.add(route.value));
        let intervals = sweep::intervals(routes, A::ZERO, A::MAX, |r| palette.code(r.value));
        #[allow(clippy::cast_possible_truncation, reason = "at most one a route")]
        let codes = intervals.iter().map(|(_, code)| code.0 as u16).collect();
        Self {
            starts: Starts::new(intervals.iter().map(|(start, _)| *start).collect()),
            codes,
            values: palette.values().into(),
            routes: Packed::new(routes),
            len: routes.len(),
        }
    }

    /// Looks up at most [`BURST`] addresses.
    #[inline(always)]
    pub(crate) fn lookup_burst(&self, addrs: &[A], found: &mut [Option<NextHopId>]) {
        // Room for a whole burst costs as much as looking up a few addresses.
        if addrs.len() <= FEW {
            self.lookup::<FEW>(addrs, found);
        } else {
            self.lookup::<BURST>(addrs, found);
        }
    }

    /// Looks up at most `N` addresses.
    #[inline(always)]
    fn lookup<const N: usize>(&self, addrs: &[A], found: &mut [Option<NextHopId>]) {
        let mut places = [0; N];
        self.starts.find(addrs, &mut places);
        for (place, found) in places.iter().zip(found) {
            *found = self.values[usize::from(self.codes[*place as usize])];
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn routes(&self) -> &Packed<A> {
        &self.routes
    }

    pub(crate) fn memory(&self) -> Memory {
        let [starts, blocks, slots] = self.starts.sizes();
        let lookup = [
            size_of::<Self>() + 2 * size_of::<usize>(),
            starts,
            blocks,
            slots,
            size_of_val(&*self.codes),
            size_of_val(&*self.values),
        ];
        let lookup: Memory = lookup.map(Memory::of_lookup).into_iter().sum();
        lookup + Memory::of_routes(self.routes.size())
    }
}

impl<A: Address> Starts<A> {
    fn new(starts: Vec<A>) -> Self {
        if starts.iter().all(|start| start.is_short()) {
            let short: Vec<A::Short> = starts.into_iter().map(A::short).collect();
            Self::Short(Search::new(&short))
        } else {
            Self::Whole(Search::new(&starts))
        }
    }

    #[inline(always)]
    fn find<const N: usize>(&self, addrs: &[A], found: &mut [u32; N]) {
        match self {
            Self::Short(index) => {
                let mut keys = [A::ZERO.short(); N];
                for (key, addr) in keys.iter_mut().zip(addrs) {
                    *key = addr.short();
                }
                index.find(&keys[..addrs.len()], found);
            }
            Self::Whole(index) => index.find(addrs, found),
        }
    }

    fn sizes(&self) -> [usize; 3] {
        match self {
            Self::Short(index) => index.sizes(),
            Self::Whole(index) => index.sizes(),
        }
    }
}
