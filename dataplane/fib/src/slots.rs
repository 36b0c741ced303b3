//! IPv4: a bit for each /24 that says where the answer changes, and the answers packed.
//!
//! A region is a /10. Its bits are in words of [`WORD_SLOTS`], with the number of bits set before the word
//! in the rest of it: so one load and a count of bits give the index of an address' leaf. An answer takes
//! the width of a leaf, whatever the length of its route.

use std::sync::Arc;

use crate::coarse::Coarse;
use crate::leaf::{Code, ENTRY_BITS, Leaf, Palette};
use crate::memory::Memory;
use crate::packed::Packed;
use crate::regions::{Answers, BURST, Left, Regions};
use crate::routes::Route;
use crate::sweep;
use crate::table::NextHopId;

const REGION_LEN: u8 = 10;
const REGIONS: usize = 1 << REGION_LEN;

/// /24s in a region.
const SLOTS: u32 = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 24 - REGION_LEN as u32;

/// Bits of a word that stand for /24s, the highest for the first. The others hold any count of leaves.
const WORD_SLOTS: u32 = u64::BITS - SLOT_BITS;

const WORDS: usize = SLOTS.div_ceil(WORD_SLOTS) as usize;

const _: () = assert!(ENTRY_BITS == 32 - REGION_LEN as u32);

/// What most look-ups read of a region.
#[derive(Clone)]
struct Hot<L> {
    words: Arc<[u64; WORDS]>,
    /// The first has no meaning: a word counts the leaves up to its own first one.
    leaves: Arc<[L]>,
}

/// The rest of a region.
#[derive(Clone)]
struct Cold<E> {
    /// The exceptions, for /24s whose leaf escapes.
    entries: Arc<[E]>,
    routes: Packed<u32>,
}

/// The regions of an IPv4 table.
#[derive(Clone)]
pub struct Slots<L: Leaf> {
    hot: Box<[Hot<L>; REGIONS]>,
    cold: Box<[Cold<L::Entry>; REGIONS]>,
}

impl<L: Leaf> Regions<u32> for Slots<L> {
    fn empty() -> Self {
        let (hot, cold) = build::<L>(&[], 0, &Palette::new());
        Self {
            hot: Box::new(std::array::from_fn(|_| hot.clone())),
            cold: Box::new(std::array::from_fn(|_| cold.clone())),
        }
    }

    fn count(&self) -> usize {
        REGIONS
    }

    fn region_of(&self, addr: u32) -> usize {
        region_of(addr)
    }

    fn bounds(&self, region: usize) -> (u32, u8) {
        #[allow(clippy::cast_possible_truncation, reason = "there are 2^10 regions")]
        let region = region as u32;
        (region << (32 - REGION_LEN), REGION_LEN)
    }

    fn routes(&self, region: usize) -> &Packed<u32> {
        &self.cold[region].routes
    }

    fn rebuild(
        &mut self,
        regions: Vec<(usize, Vec<Route<u32>>)>,
        palette: &Palette,
    ) -> Vec<Route<u32>> {
        for (region, routes) in regions {
            let (first, _) = self.bounds(region);
            (self.hot[region], self.cold[region]) = build(&routes, first, palette);
        }
        Vec::new()
    }

    #[inline(always)]
    fn lookup_burst(&self, addrs: &[u32], answers: &Answers<'_>, found: &mut [Option<NextHopId>]) {
        let mut leaves = [0; BURST];
        for (leaf, addr) in leaves.iter_mut().zip(addrs) {
            *leaf = leaf_of(&self.hot[region_of(*addr)].words, *addr);
        }
        let mut left = Left::new();
        for (index, ((leaf, addr), found)) in leaves.iter().zip(addrs).zip(&mut *found).enumerate()
        {
            let leaf = self.hot[region_of(*addr)].leaves[*leaf as usize];
            *found = answers.value(leaf);
            left.note(index, leaf.is_special());
        }
        for index in left.indices() {
            let (addr, region) = (addrs[index], region_of(addrs[index]));
            let leaf = self.hot[region].leaves[leaves[index] as usize];
            let code = if leaf == L::ESCAPE {
                self.cold[region].code::<L>(addr)
            } else {
                Code::NONE
            };
            found[index] = answers.values[code.0 as usize].or(answers.covers[region]);
        }
    }

    fn memory(&self) -> Memory {
        let regions = self.hot.iter().zip(&*self.cold).map(|(hot, cold)| {
            let arc = 2 * size_of::<usize>();
            let lookup = [
                size_of_val(&*hot.words) + arc,
                size_of_val(&*hot.leaves) + arc,
                size_of_val(&*cold.entries) + arc,
            ];
            let lookup: Memory = lookup.map(Memory::of_lookup).into_iter().sum();
            lookup + Memory::of_routes(cold.routes.size())
        });
        let directory = Memory::of_lookup(size_of_val(&*self.hot) + size_of_val(&*self.cold));
        directory + regions.sum()
    }
}

impl<E: Copy + Ord> Cold<E> {
    /// The code in a /24 whose leaf escapes.
    #[inline]
    fn code<L: Leaf<Entry = E>>(&self, addr: u32) -> Code {
        let last = L::last_entry(within(addr));
        let behind = self.entries.partition_point(|entry| *entry <= last);
        // An escaping /24 has an entry at or before its first address.
        L::entry_code(self.entries[behind - 1])
    }
}

const fn region_of(addr: u32) -> usize {
    (addr >> (32 - REGION_LEN)) as usize
}

/// An address counted from the first one of its region.
const fn within(addr: u32) -> u32 {
    addr % (1 << (32 - REGION_LEN))
}

/// The index of the leaf that `addr` has in the region with these words.
#[inline(always)]
fn leaf_of(words: &[u64; WORDS], addr: u32) -> u32 {
    let slot = within(addr) >> 8;
    // A division, which the compiler does not find to be this multiplication in 32 bits.
    let at = (u64::from(slot) * INVERSE) >> 22;
    #[allow(clippy::cast_possible_truncation, reason = "less than WORDS")]
    let bit = slot - at as u32 * WORD_SLOTS;
    let word = words[at as usize];
    #[allow(
        clippy::cast_possible_truncation,
        reason = "only its lowest bits count"
    )]
    let before = word as u32 % SLOTS;
    before + (word >> (u64::BITS - 1 - bit)).count_ones()
}

/// Divides by [`WORD_SLOTS`]: the product with a slot is above the quotient by less than 1/50.
const INVERSE: u64 = (1 << 22) / WORD_SLOTS as u64 + 1;

const _: () = assert!((SLOTS as u64) * (INVERSE * WORD_SLOTS as u64 - (1 << 22)) < (1 << 22));

/// Builds the region that begins at `first`.
fn build<L: Leaf>(
    routes: &[Route<u32>],
    first: u32,
    palette: &Palette,
) -> (Hot<L>, Cold<L::Entry>) {
    let last = first | (u32::MAX >> REGION_LEN);
    let intervals = sweep::intervals(routes, first, last, |r| palette.code(r.value));
    let coarse = Coarse::<u32, L>::new(&intervals, SLOTS.into(), |addr| {
        (within(addr) >> 8, addr & 0xff == 0)
    });
    let mut words = Box::new([0u64; WORDS]);
    let mut leaves = Vec::with_capacity(coarse.runs.len() + 1);
    leaves.push(L::default());
    for (slot, leaf) in coarse.runs {
        let (word, bit) = (slot / WORD_SLOTS, slot % WORD_SLOTS);
        words[word as usize] |= 1 << (u64::BITS - 1 - bit);
        leaves.push(leaf);
    }
    let mut before = 0;
    for word in &mut *words {
        let begun = u64::from(word.count_ones());
        *word |= before;
        before += begun;
    }
    let entries = coarse.exceptions.iter();
    let entries = entries.map(|(start, code)| L::entry(within(*start), *code));
    let hot = Hot {
        words: Arc::from(words),
        leaves: leaves.into(),
    };
    let cold = Cold {
        entries: entries.collect(),
        routes: Packed::new(routes),
    };
    (hot, cold)
}
