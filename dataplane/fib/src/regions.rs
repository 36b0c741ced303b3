//! A part of the address space that is built as a whole: what the families have in common.

use crate::leaf::{Leaf, Palette};
use crate::memory::Memory;
use crate::packed::Packed;
use crate::routes::Route;
use crate::table::NextHopId;

/// All regions of a table. Each is the addresses of one prefix, and they divide the address space.
///
/// Clones share the regions that are not built again.
pub trait Regions<A>: Clone + Send + Sync + 'static {
    /// Without routes.
    fn empty() -> Self;

    /// How many there are.
    fn count(&self) -> usize;

    /// Which one an address is in. Regions are counted in the order of their addresses.
    fn region_of(&self, addr: A) -> usize;

    /// First address and length of a region.
    fn bounds(&self, region: usize) -> (A, u8);

    /// The routes of a region, none of which is shorter than it.
    fn routes(&self, region: usize) -> &Packed<A>;

    /// Builds regions again of these routes, regions and routes in order; the palette has their
    /// values. It may divide regions: gives back routes that are shorter than the region that they begin
    /// in then.
    fn rebuild(&mut self, regions: Vec<(usize, Vec<Route<A>>)>, palette: &Palette)
    -> Vec<Route<A>>;

    /// Looks up at most [`BURST`] addresses, in steps: each step's loads do not depend on each
    /// other, so that the processor has many of them under way.
    fn lookup_burst(&self, addrs: &[A], answers: &Answers<'_>, found: &mut [Option<NextHopId>]);

    /// What look-ups read, and what the routes take.
    fn memory(&self) -> Memory;
}

/// Addresses looked up at a time.
pub(crate) const BURST: usize = 64;

/// What a region's leaves mean.
#[derive(Clone, Copy)]
pub struct Answers<'t> {
    /// By code.
    pub(crate) values: &'t [Option<NextHopId>],
    /// By region: the answer where no route of the region covers the address.
    pub(crate) covers: &'t [Option<NextHopId>],
}

impl Answers<'_> {
    /// The value of a leaf; any if it escapes.
    #[inline(always)]
    pub(crate) fn value<L: Leaf>(&self, leaf: L) -> Option<NextHopId> {
        self.values.get(leaf.index()).copied().flatten()
    }
}

/// Addresses of a burst for which a step was not enough, found out without a branch: which ones
/// these are cannot be foreseen.
pub(crate) struct Left {
    indices: [u8; BURST],
    count: usize,
}

impl Left {
    pub(crate) const fn new() -> Self {
        Self {
            indices: [0; BURST],
            count: 0,
        }
    }

    /// Takes note of `index` if `left`. At most [`BURST`] times.
    #[inline(always)]
    pub(crate) fn note(&mut self, index: usize, left: bool) {
        #[allow(clippy::cast_possible_truncation, reason = "less than BURST")]
        let short = index as u8;
        self.indices[self.count % BURST] = short;
        self.count += usize::from(left);
    }

    #[inline(always)]
    pub(crate) fn indices(&self) -> impl Iterator<Item = usize> {
        self.indices
            .iter()
            .take(self.count)
            .copied()
            .map(usize::from)
    }
}
