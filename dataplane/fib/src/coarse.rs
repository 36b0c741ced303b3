//! Intervals told apart by their highest bits only, with the exceptions aside.
//!
//! Nearly all routes of a large table end at a /24 (IPv4) or within 32 bits behind what their
//! neighbours share (IPv6). So answers are kept for *slots* of addresses that are alike in these
//! bits. A slot that is cut further in has [`Leaf::ESCAPE`], as has one whose code does not fit a leaf; what
//! holds in it is said by intervals with whole addresses.

use crate::address::Address;
use crate::leaf::{Code, Leaf};
use crate::sweep::Interval;

/// A region's answers.
pub(crate) struct Coarse<A, L> {
    /// The slots where the answer changes, in order, the first of the region always.
    pub(crate) runs: Vec<(u32, L)>,
    /// Where the slots escape: an address in one is in the last of these that begins at or before it.
    pub(crate) exceptions: Vec<Interval<A>>,
}

impl<A: Address, L: Leaf> Coarse<A, L> {
    /// Sorts the intervals of a region, of which the first begins where the region does. `slot`
    /// says in which of its `slots` an address is, and whether it is the slot's first address.
    pub(crate) fn new(
        intervals: &[Interval<A>],
        slots: u64,
        slot: impl Fn(A) -> (u32, bool),
    ) -> Self {
        let mut coarse = Self {
            runs: Vec::with_capacity(intervals.len()),
            exceptions: Vec::new(),
        };
        for (index, (start, code)) in intervals.iter().enumerate() {
            let (first, whole) = slot(*start);
            let next = intervals.get(index + 1).map(|(next, _)| slot(*next));
            // A slot that the interval begins within has escaped already, by the one before it.
            let from = u64::from(first) + u64::from(!whole);
            if !whole {
                coarse.except(*start, *code);
            }
            if from < next.map_or(slots, |(next, _)| next.into()) {
                coarse.plain(from, *start, *code);
            }
            if let Some((next, false)) = next
                && from <= u64::from(next)
            {
                coarse.run(next, L::ESCAPE);
                coarse.except(*start, *code);
            }
        }
        coarse
    }

    /// From slot `from` on it is `code`, for at least one slot.
    fn plain(&mut self, from: u64, start: A, code: Code) {
        let leaf = L::new(code);
        if leaf == L::ESCAPE {
            self.except(start, code);
        }
        #[allow(clippy::cast_possible_truncation, reason = "a slot")]
        self.run(from as u32, leaf);
    }

    fn run(&mut self, slot: u32, leaf: L) {
        // Codes may differ where leaves do not: escaped ones.
        if self.runs.last().is_none_or(|(_, before)| *before != leaf) {
            self.runs.push((slot, leaf));
        }
    }

    fn except(&mut self, start: A, code: Code) {
        // One interval may begin and end within slots.
        if self
            .exceptions
            .last()
            .is_none_or(|(before, _)| *before != start)
        {
            self.exceptions.push((start, code));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Runs = Vec<(u32, u8)>;

    /// Slots of 256 addresses.
    fn coarse(intervals: &[(u32, u32)]) -> (Runs, Vec<(u32, u32)>) {
        let intervals: Vec<_> = intervals.iter().map(|(at, c)| (*at, Code(*c))).collect();
        let coarse =
            Coarse::<u32, u8>::new(&intervals, 1 << 24, |addr| (addr >> 8, addr & 0xff == 0));
        let exceptions = coarse.exceptions.iter().map(|(at, code)| (*at, code.0));
        (coarse.runs, exceptions.collect())
    }

    const ESC: u8 = u8::MAX;

    #[test]
    fn whole_slots_have_no_exceptions() {
        let intervals = [(0, 0), (0x100, 1), (0x500, 2)];
        assert_eq!(coarse(&intervals), (vec![(0, 0), (1, 1), (5, 2)], vec![]));
    }

    #[test]
    fn a_slot_that_is_cut_escapes_alone() {
        let intervals = [(0, 1), (0x310, 2), (0x320, 3), (0x480, 1)];
        let runs = vec![(0, 1), (3, ESC)];
        let exceptions = vec![(0, 1), (0x310, 2), (0x320, 3), (0x480, 1)];
        // Slots 3 and 4 are both cut, 5 and on are not.
        let expected = ([runs, vec![(5, 1)]].concat(), exceptions);
        assert_eq!(coarse(&intervals), expected);

        let intervals = [(0, 1), (0x310, 2), (0x400, 3)];
        let expected = (vec![(0, 1), (3, ESC), (4, 3)], vec![(0, 1), (0x310, 2)]);
        assert_eq!(coarse(&intervals), expected);
    }

    #[test]
    fn a_code_that_does_not_fit_escapes() {
        let intervals = [(0, 1), (0x100, 300), (0x300, 301), (0x400, 2)];
        let runs = vec![(0, 1), (1, ESC), (4, 2)];
        assert_eq!(coarse(&intervals), (runs, vec![(0x100, 300), (0x300, 301)]));
    }

    #[test]
    fn the_last_slot_may_be_cut() {
        let intervals = [(0, 1), (0xffff_ff80, 2)];
        let runs = vec![(0, 1), (0x00ff_ffff, ESC)];
        assert_eq!(coarse(&intervals), (runs, vec![(0, 1), (0xffff_ff80, 2)]));
    }
}
