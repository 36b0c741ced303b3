//! Separators in lines of the cache, of which one instruction or two compares all.

use crate::index::Search;
use crate::vector;

/// A line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [i32; LANES]);

pub(crate) const LANES: usize = 16;

/// Not before any key.
pub(crate) const UNUSED: i32 = i32::MAX;

impl Line {
    /// The line that separates keys by starts in order, at most 17 of them: the first separates
    /// nothing.
    fn separating(starts: &[u32]) -> Self {
        let mut line = Self([UNUSED; LANES]);
        for (lane, start) in line.0.iter_mut().zip(&starts[1..]) {
            *lane = biased(start - 1);
        }
        line
    }

    /// How many of the separators are before `key`; they are in order.
    #[inline(always)]
    pub(crate) fn before(&self, key: i32) -> usize {
        vector::less(&self.0, key).trailing_ones() as usize
    }
}

/// Starts in order as a tree of lines: each separates 17 others, or 17 starts in the lowest level.
#[derive(Clone)]
pub struct Tree {
    /// The levels, the highest first, one behind the other.
    lines: Box<[Line]>,
    /// Where each level begins, and the lowest ends.
    levels: Box<[u32]>,
}

const FAN_OUT: usize = LANES + 1;

impl Search<u32> for Tree {
    fn new(starts: &[u32]) -> Self {
        let mut levels: Vec<Vec<Line>> = Vec::new();
        let mut firsts = starts.to_vec();
        while levels.is_empty() || firsts.len() > 1 {
            levels.push(firsts.chunks(FAN_OUT).map(Line::separating).collect());
            firsts = firsts.chunks(FAN_OUT).map(|starts| starts[0]).collect();
        }
        levels.reverse();
        #[allow(clippy::cast_possible_truncation, reason = "less than the starts")]
        let ends = levels.iter().scan(0, |end, level| {
            *end += level.len() as u32;
            Some(*end)
        });
        Self {
            levels: std::iter::once(0).chain(ends).collect(),
            lines: levels.into_iter().flatten().collect(),
        }
    }

    #[inline(always)]
    fn find<const N: usize>(&self, keys: &[u32], found: &mut [u32; N]) {
        found.fill(0);
        for level in &self.levels[..self.levels.len() - 1] {
            for (key, at) in keys.iter().zip(&mut *found) {
                let line = &self.lines[(level + *at) as usize];
                #[allow(clippy::cast_possible_truncation, reason = "17, and at most 16")]
                let (fan_out, before) = (FAN_OUT as u32, line.before(biased(*key)) as u32);
                *at = *at * fan_out + before;
            }
        }
    }

    fn sizes(&self) -> [usize; 3] {
        [size_of_val(&*self.lines), size_of_val(&*self.levels), 0]
    }
}

/// In the same order, but signed: the comparison that all processors have for vectors.
#[inline(always)]
fn biased(key: u32) -> i32 {
    (key ^ 1 << 31).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(
            keys in btree_set(prop_oneof![any::<u32>(), 1u32..100, Just(u32::MAX)], 0..400),
            probes in prop::collection::vec(prop_oneof![any::<u32>(), 0u32..110], 20),
        ) {
            let mut starts = vec![0];
            starts.extend(keys.iter().copied().filter(|key| *key > 0));
            let tree = Tree::new(&starts);
            let beside = keys.iter().flat_map(|key| [*key, key.wrapping_sub(1), key.wrapping_add(1)]);
            for key in beside.chain(probes) {
                let mut found = [0];
                tree.find(&[key], &mut found);
                let expected = starts.iter().skip(1).take_while(|start| **start <= key).count();
                prop_assert_eq!(found[0] as usize, expected, "{}", key);
            }
        }
    }
}
