//! A table of many routes, divided into regions that are built again as a whole.
//!
//! A change builds the regions that it touches and shares all others with the version before. So a
//! changed table equals a new one by construction. Routes shorter than the region that they begin in are in no
//! region; the longest of them that covers a region is beside it, so that a new default route touches none.

use std::sync::Arc;

use crate::address::Address;
use crate::leaf::{Code, Leaf, Palette};
use crate::memory::Memory;
use crate::packed::Packed;
use crate::prefix::Prefix;
use crate::regions::{Answers, Regions};
use crate::routes::{self, Edit, Route};
use crate::sweep;
use crate::table::NextHopId;

/// A table of many routes, its leaves of one width.
#[derive(Clone)]
struct Many<A: Address, L: Leaf> {
    regions: A::Regions<L>,
    /// By region.
    covers: Arc<[Option<NextHopId>]>,
    palette: Arc<Palette>,
    /// Routes in no region.
    short: Packed<A>,
    len: usize,
    /// Routes and next hops when the table was new.
    begun: (usize, usize),
}

/// A table of many routes. A byte says the answer in most, if there are few next hops.
#[derive(Clone)]
pub(crate) struct Large<A: Address>(Width<A>);

#[derive(Clone)]
enum Width<A: Address> {
    Byte(Many<A, u8>),
    Two(Many<A, u16>),
}

/// The same expression for either width.
macro_rules! either {
    ($width:expr, $many:ident => $result:expr) => {
        match &$width.0 {
            Width::Byte($many) => $result,
            Width::Two($many) => $result,
        }
    };
}

impl<A: Address> Large<A> {
    /// A table of these routes, in order.
    pub(crate) fn new(routes: &[Route<A>]) -> Self {
        let mut palette = Palette::new();
        routes.iter().for_each(|route| palette.add(route.value));
        let edits: Vec<Edit<A>> = routes.iter().map(|r| (r.prefix, Some(r.value))).collect();
        Self(if palette.len() <= u8::BEGINS_WITH {
            Width::Byte(Many::new(palette, &edits))
        } else {
            Width::Two(Many::new(palette, &edits))
        })
    }

    /// After edits in order, each prefix once; `None` if none has an effect.
    pub(crate) fn with(&self, edits: &[Edit<A>]) -> Option<Self> {
        let next = match &self.0 {
            Width::Byte(many) => many.with(edits).map(|next| next.map(Width::Byte)),
            Width::Two(many) => many.with(edits).map(|next| next.map(Width::Two)),
        };
        match next {
            Ok(next) => next.map(Self),
            Err(Worn) => {
                let merged = either!(self, many => routes::merge(many.iter(), edits));
                merged.changed.then(|| Self::new(&merged.routes))
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        either!(self, many => many.len)
    }

    /// Looks up at most [`BURST`](crate::regions::BURST) addresses.
    #[inline(always)]
    pub(crate) fn lookup_burst(&self, addrs: &[A], found: &mut [Option<NextHopId>]) {
        either!(self, many => many.lookup_burst(addrs, found));
    }

    pub(crate) fn longest(&self, addr: A) -> Option<Route<A>> {
        either!(self, many => {
            let region = many.regions.routes(many.regions.region_of(addr));
            region.longest(addr).or_else(|| many.short.longest(addr))
        })
    }

    pub(crate) fn get(&self, prefix: Prefix<A>) -> Option<NextHopId> {
        either!(self, many => match many.region_with(prefix) {
            Some(region) => many.regions.routes(region).get(prefix),
            None => many.short.get(prefix),
        })
    }

    /// All routes in order.
    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = Route<A>> + '_> {
        either!(self, many => Box::new(many.iter()))
    }

    pub(crate) fn memory(&self) -> Memory {
        let routes = |many_short: &Packed<A>, palette: &Palette| {
            Memory::of_routes(many_short.size() + palette.code_bytes())
        };
        either!(self, many => {
            let own = [
                size_of::<Self>() + 2 * size_of::<usize>(),
                size_of_val(&*many.covers) + 2 * size_of::<usize>(),
                many.palette.value_bytes(),
            ];
            let own: Memory = own.map(Memory::of_lookup).into_iter().sum();
            own + many.regions.memory() + routes(&many.short, &many.palette)
        })
    }
}

/// The table is to be made anew: next hops out of use may be in its way, or it has far fewer
/// routes than it was divided for.
struct Worn;

impl<A: Address, L: Leaf> Many<A, L> {
    fn new(palette: Palette, edits: &[Edit<A>]) -> Self {
        let begun = (edits.len(), palette.len());
        let mut many = Self {
            regions: A::Regions::<L>::empty(),
            covers: Arc::new([]),
            palette: Arc::new(palette),
            short: Packed::new(&[]),
            len: 0,
            begun,
        };
        many.apply(edits);
        many.cover();
        many
    }

    fn with(&self, edits: &[Edit<A>]) -> Result<Option<Self>, Worn> {
        let mut next = self.clone();
        next.learn(edits.iter().filter_map(|(_, value)| *value));
        let (routes, next_hops) = self.begun;
        // Codes do not come back one by one.
        if next.palette.len() > L::HOLDS.min(2 * next_hops + 1024) {
            return Err(Worn);
        }
        if !next.apply(edits) {
            return Ok(None);
        }
        if next.len < routes / 2 {
            return Err(Worn);
        }
        Ok(Some(next))
    }

    /// Gives codes to values that are new.
    fn learn(&mut self, values: impl Iterator<Item = NextHopId>) {
        for value in values {
            if !self.palette.has(value) {
                Arc::make_mut(&mut self.palette).add(value);
            }
        }
    }

    /// Applies edits in order, each prefix once, and says whether any had an effect.
    fn apply(&mut self, edits: &[Edit<A>]) -> bool {
        let (mut short, mut rebuilt) = (Vec::new(), Vec::new());
        let (mut changed, mut len) = (false, self.len);
        for here in edits.chunk_by(|(a, _), (b, _)| self.same_region(*a, *b)) {
            // Shorter ones may stand anywhere before longer ones of the same region.
            let (longer, shorter): (Vec<Edit<A>>, Vec<Edit<A>>) = here
                .iter()
                .partition(|(p, _)| self.region_with(*p).is_some());
            short.extend(shorter);
            let region = self.regions.region_of(here[0].0.bits());
            let merged = routes::merge(self.regions.routes(region).iter(), &longer);
            if merged.changed {
                changed = true;
                len = len + merged.routes.len() - merged.before;
                rebuilt.push((region, merged.routes));
            }
        }
        let divided = self.regions.rebuild(rebuilt, &self.palette);
        let regions_changed = self.regions.count() != self.covers.len();
        // Counted in their regions, and again below.
        len -= divided.len();
        short.extend(
            divided
                .iter()
                .map(|route| (route.prefix, Some(route.value))),
        );
        short.sort_by_key(|(prefix, _)| *prefix);
        let merged = routes::merge(self.short.iter(), &short);
        if merged.changed {
            changed = true;
            len = len + merged.routes.len() - merged.before;
            self.short = Packed::new(&merged.routes);
        }
        self.len = len;
        if merged.changed || regions_changed {
            self.cover();
        }
        changed
    }

    fn same_region(&self, a: Prefix<A>, b: Prefix<A>) -> bool {
        self.regions.region_of(a.bits()) == self.regions.region_of(b.bits())
    }

    /// The region that has a prefix among its routes, if it is not too short for any.
    fn region_with(&self, prefix: Prefix<A>) -> Option<usize> {
        let region = self.regions.region_of(prefix.bits());
        (prefix.len() >= self.regions.bounds(region).1).then_some(region)
    }

    /// Finds again which short route covers each region.
    fn cover(&mut self) {
        let routes: Vec<Route<A>> = self.short.iter().collect();
        let code = |route: &Route<A>| self.palette.code(route.value);
        let mut intervals = sweep::intervals(&routes, A::ZERO, A::MAX, code)
            .into_iter()
            .peekable();
        let mut cover = Code::NONE;
        let covers = (0..self.regions.count()).map(|region| {
            let (first, _) = self.regions.bounds(region);
            while let Some((_, code)) = intervals.next_if(|(start, _)| *start <= first) {
                cover = code;
            }
            self.palette.value(cover)
        });
        self.covers = covers.collect();
    }

    #[inline(always)]
    fn lookup_burst(&self, addrs: &[A], found: &mut [Option<NextHopId>]) {
        let answers = Answers {
            values: self.palette.values(),
            covers: &self.covers,
        };
        self.regions.lookup_burst(addrs, &answers, found);
    }

    /// All routes in order: a short one comes before the regions that it covers.
    fn iter(&self) -> impl Iterator<Item = Route<A>> {
        let mut short = self.short.iter().peekable();
        (0..self.regions.count()).flat_map(move |region| {
            let (first, _) = self.regions.bounds(region);
            let before = std::iter::from_fn(|| short.next_if(|r| r.prefix.bits() <= first));
            let before: Vec<Route<A>> = before.collect();
            before.into_iter().chain(self.regions.routes(region).iter())
        })
    }
}
