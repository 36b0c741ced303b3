//! IPv6: regions of some hundred intervals, each a prefix as long as it takes to have no more.
//!
//! A region tells addresses apart by the [`WINDOW_BITS`] bits behind its own prefix, its window. Intervals are
//! in lines of the cache, starts and codes together, and a first line separates the others: so two lines
//! give an answer, each by counting, without a branch.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::address::bits::Bits;
use crate::coarse::Coarse;
use crate::index::{Index, Key, Search};
use crate::leaf::{Code, Leaf, Palette};
use crate::lines::{LANES, Line, UNUSED};
use crate::memory::Memory;
use crate::packed::Packed;
use crate::regions::{Answers, BURST, Left, Regions};
use crate::routes::Route;
use crate::sweep::{self, Interval};
use crate::table::NextHopId;
use crate::vector::{less, prefetch};

/// Lines of intervals that one line can separate.
const LINES: usize = LANES + 1;

/// A number of 32 bits that is not negative.
const WINDOW_BITS: u32 = 31;

/// A region with routes is at least so long: then its window reaches /48, behind which few routes are.
const MIN_LEN: u8 = 48 - 31;

const _: () = assert!(MIN_LEN as u32 + WINDOW_BITS == 48);

/// A region is not longer, so that its first address is 64 bits. What has too many routes then has them all as exceptions.
const MAX_LEN: u8 = 64;

/// What a region has beside its lines.
struct Cold {
    /// The exceptions, for places whose leaf escapes.
    exceptions: Box<[Interval<u128>]>,
    routes: Packed<u128>,
}

/// Where the regions are.
struct Top {
    /// The highest 64 bits of their first addresses.
    index: Index<u64>,
    lens: Box<[u8]>,
}

/// The regions of an IPv6 table.
#[derive(Clone)]
pub struct Windows<L> {
    top: Arc<Top>,
    /// The lines that separate each region's lines of intervals.
    tops: Box<[Line]>,
    lines: Box<[Arc<[Line]>]>,
    cold: Box<[Arc<Cold>]>,
    /// Its leaves are in the lines.
    leaf: PhantomData<L>,
}

impl<L: Leaf> Regions<u128> for Windows<L> {
    fn empty() -> Self {
        let mut parts = Vec::new();
        divide::<L>(&[], (0, 0), &Palette::new(), &mut parts, &mut Vec::new());
        Self::new(parts)
    }

    fn count(&self) -> usize {
        self.lines.len()
    }

    fn region_of(&self, addr: u128) -> usize {
        let starts = self.top.index.starts();
        starts.partition_point(|start| *start <= addr.short()) - 1
    }

    fn bounds(&self, region: usize) -> (u128, u8) {
        let first = u128::from(self.top.index.starts()[region]) << u64::BITS;
        (first, self.top.lens[region])
    }

    fn routes(&self, region: usize) -> &Packed<u128> {
        &self.cold[region].routes
    }

    fn rebuild(
        &mut self,
        regions: Vec<(usize, Vec<Route<u128>>)>,
        palette: &Palette,
    ) -> Vec<Route<u128>> {
        let mut shorter = Vec::new();
        let rebuilt = regions.into_iter().map(|(region, routes)| {
            let mut parts = Vec::new();
            let bounds = self.bounds(region);
            divide::<L>(&routes, bounds, palette, &mut parts, &mut shorter);
            (region, parts)
        });
        let rebuilt: Vec<(usize, Vec<Part>)> = rebuilt.collect();
        if rebuilt.iter().any(|(_, parts)| parts.len() > 1) {
            *self = self.with_parts(rebuilt);
        } else {
            for (region, parts) in rebuilt {
                for part in parts {
                    self.tops[region] = part.top;
                    (self.lines[region], self.cold[region]) = (part.lines, part.cold);
                }
            }
        }
        shorter
    }

    #[inline(always)]
    fn lookup_burst(&self, addrs: &[u128], answers: &Answers<'_>, found: &mut [Option<NextHopId>]) {
        let (mut keys, mut regions) = ([0; BURST], [0; BURST]);
        for (key, addr) in keys.iter_mut().zip(addrs) {
            *key = addr.short();
        }
        self.top.index.find(&keys[..addrs.len()], &mut regions);
        for region in &regions[..addrs.len()] {
            prefetch(&self.tops[*region as usize]);
            prefetch(&self.lines[*region as usize]);
        }
        let mut places = [(0, 0); BURST];
        for ((place, region), addr) in places.iter_mut().zip(regions).zip(addrs) {
            let region = region as usize;
            let key = window(*addr, self.top.lens[region]);
            let line = self.tops[region].before(key);
            prefetch(&self.lines[region][line]);
            *place = (line, key);
        }
        let mut left = Left::new();
        for (index, ((line, key), found)) in places.into_iter().zip(&mut *found).enumerate() {
            let region = regions[index] as usize;
            let leaf = self.lines[region][line].leaf::<L>(key);
            *found = answers.value(leaf).or(answers.covers[region]);
            left.note(index, leaf == L::ESCAPE);
        }
        for index in left.indices() {
            let region = regions[index] as usize;
            let code = self.cold[region].code(addrs[index]);
            found[index] = answers.values[code.0 as usize].or(answers.covers[region]);
        }
    }

    fn memory(&self) -> Memory {
        let regions = self.lines.iter().zip(&self.cold).map(|(lines, cold)| {
            // The counts of an Arc take a line of their own, as aligned as the rest.
            let lookup = Memory::of_lookup(size_of_val(&**lines) + size_of::<Line>());
            let counted = size_of::<Cold>() + 2 * size_of::<usize>();
            let exceptions = Memory::of_lookup(size_of_val(&*cold.exceptions));
            let routes = Memory::of_routes(cold.routes.size());
            lookup + Memory::of_lookup(counted) + exceptions + routes
        });
        let [starts, blocks, slots] = self.top.index.sizes();
        let top = [
            size_of::<Top>() + 2 * size_of::<usize>(),
            starts,
            blocks,
            slots,
            size_of_val(&*self.top.lens),
            size_of_val(&*self.tops),
            size_of_val(&*self.lines),
            size_of_val(&*self.cold),
        ];
        top.map(Memory::of_lookup).into_iter().sum::<Memory>() + regions.sum()
    }
}

impl<L: Leaf> Windows<L> {
    /// The regions in order; they divide the address space.
    fn new(parts: Vec<Part>) -> Self {
        let starts: Vec<u64> = parts.iter().map(|part| part.first.short()).collect();
        let top = Top {
            index: Index::new(&starts),
            lens: parts.iter().map(|part| part.len).collect(),
        };
        let tops = parts.iter().map(|part| part.top).collect();
        let (lines, cold): (Vec<_>, Vec<_>) = parts.into_iter().map(|p| (p.lines, p.cold)).unzip();
        Self {
            top: Arc::new(top),
            tops,
            lines: lines.into(),
            cold: cold.into(),
            leaf: PhantomData,
        }
    }

    /// With parts in the place of some regions.
    fn with_parts(&self, rebuilt: Vec<(usize, Vec<Part>)>) -> Self {
        let mut rebuilt = rebuilt.into_iter().peekable();
        let mut all = Vec::with_capacity(self.count() + rebuilt.len());
        for region in 0..self.count() {
            if let Some((_, parts)) = rebuilt.next_if(|(at, _)| *at == region) {
                all.extend(parts);
            } else {
                let (first, len) = self.bounds(region);
                all.push(Part {
                    first,
                    len,
                    top: self.tops[region],
                    lines: Arc::clone(&self.lines[region]),
                    cold: Arc::clone(&self.cold[region]),
                });
            }
        }
        Self::new(all)
    }
}

impl Cold {
    /// The code in a place whose leaf escapes.
    fn code(&self, addr: u128) -> Code {
        let behind = self.exceptions.partition_point(|(start, _)| *start <= addr);
        // Such a place has an exception at or before its first address.
        self.exceptions[behind - 1].1
    }
}

/// Separators are as [`separator`] makes them.
impl Line {
    /// The leaf of the interval that `key` is in.
    #[inline(always)]
    fn leaf<L: Leaf>(&self, key: i32) -> L {
        let at = (less(&self.0, key) & ((1 << L::SEPARATORS) - 1)).trailing_ones() as usize;
        L::from_lane(self.0[L::SEPARATORS + at / L::IN_LANE], at % L::IN_LANE)
    }

    /// A line of at most [`Leaf::SEPARATORS`] intervals and one.
    fn of_intervals<L: Leaf>(runs: &[(u32, L)]) -> Self {
        let mut line = Self([0; LANES]);
        line.0[..L::SEPARATORS].fill(UNUSED);
        for (lane, (start, _)) in line.0.iter_mut().zip(&runs[1..]) {
            *lane = separator(*start);
        }
        for (at, (_, leaf)) in runs.iter().enumerate() {
            leaf.put(
                &mut line.0[L::SEPARATORS + at / L::IN_LANE],
                at % L::IN_LANE,
            );
        }
        line
    }

    /// The line that separates lines of intervals.
    fn of_lines<'r, L: Leaf>(lines: impl Iterator<Item = &'r [(u32, L)]>) -> Self {
        let mut line = Self([UNUSED; LANES]);
        for (lane, runs) in line.0.iter_mut().zip(lines.skip(1)) {
            *lane = separator(runs[0].0);
        }
        line
    }
}

/// A region as it is built.
struct Part {
    first: u128,
    len: u8,
    top: Line,
    lines: Arc<[Line]>,
    cold: Arc<Cold>,
}

impl Part {
    /// The region of this first address and length; `None` if it must be divided.
    fn new<L: Leaf>(
        routes: &[Route<u128>],
        (first, len): (u128, u8),
        palette: &Palette,
    ) -> Option<Self> {
        let (in_line, divisible) = (L::SEPARATORS + 1, len < MAX_LEN);
        // No need to try: hardly any routes make less intervals than they are.
        let too_many = routes.len() > LINES * in_line;
        if divisible && (too_many || len < MIN_LEN && !routes.is_empty()) {
            return None;
        }
        let last = first.last(len);
        let intervals = sweep::intervals(routes, first, last, |r| palette.code(r.value));
        let slot = |addr: u128| {
            let whole = addr << len << WINDOW_BITS == 0;
            (window(addr, len).cast_unsigned(), whole)
        };
        let Coarse {
            mut runs,
            mut exceptions,
        } = Coarse::<u128, L>::new(&intervals, 1 << WINDOW_BITS, slot);
        if runs.len() > LINES * in_line {
            if divisible {
                return None;
            }
            (runs, exceptions) = (vec![(0, L::ESCAPE)], intervals);
        }
        let lines = runs.chunks(in_line);
        Some(Self {
            first,
            len,
            top: Line::of_lines(lines.clone()),
            lines: lines.map(Line::of_intervals).collect(),
            cold: Arc::new(Cold {
                exceptions: exceptions.into(),
                routes: Packed::new(routes),
            }),
        })
    }
}

/// Divides a region into parts that are small enough; a route as long as one that is divided
/// again goes to `shorter`.
fn divide<L: Leaf>(
    routes: &[Route<u128>],
    (first, len): (u128, u8),
    palette: &Palette,
    parts: &mut Vec<Part>,
    shorter: &mut Vec<Route<u128>>,
) {
    if let Some(part) = Part::new::<L>(routes, (first, len), palette) {
        return parts.push(part);
    }
    // The first in order, if it is there.
    let whole = usize::from(routes[0].prefix.len() == len);
    let (whole, routes) = routes.split_at(whole);
    shorter.extend(whole);
    let half = first | 1 << (u128::WIDTH - 1 - len);
    let (low, high) = routes.split_at(routes.partition_point(|r| r.prefix.bits() < half));
    divide::<L>(low, (first, len + 1), palette, parts, shorter);
    divide::<L>(high, (half, len + 1), palette, parts, shorter);
}

/// What is before all windows from `start` on, which is not the first.
fn separator(start: u32) -> i32 {
    (start - 1).cast_signed()
}

/// The bits of an address by which the region of this length tells it from others; not negative.
#[inline(always)]
fn window(addr: u128, len: u8) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "31 bits are left")]
    let window = (addr << len >> (u128::BITS - WINDOW_BITS)) as i32;
    window
}
