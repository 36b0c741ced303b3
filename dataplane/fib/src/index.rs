//! Which of some starts an address comes at or behind: blocks, slots in them, then a short search.

use std::hint::select_unpredictable;

use crate::lines::Tree;

/// What is indexed: an address, or its highest bits.
pub trait Key: Copy + Ord + Send + Sync + 'static {
    /// What searches for it.
    type Search: Search<Self>;

    /// How many times 2^`shift` this is behind `origin`: not below 0, and at most [`MAX_STEPS`].
    fn steps_from(self, origin: Self, shift: u8) -> usize;

    /// The number of bits that its distance from `origin` takes; it is not before it.
    fn distance_bits(self, origin: Self) -> u8;

    /// The number of bits.
    const WIDTH: u8;
}

/// Starts in order, the first of which stands for all that is before the second.
pub trait Search<K>: Clone + Send + Sync {
    /// At least one start, in order; at most 2^32.
    fn new(starts: &[K]) -> Self;

    /// The last start that is not behind each of at most `N` keys, or the first one; in steps over
    /// all keys, so that nothing waits for what is loaded for one.
    fn find<const N: usize>(&self, keys: &[K], found: &mut [u32; N]);

    /// Bytes of its allocations.
    fn sizes(&self) -> [usize; 3];
}

/// What [`Key::steps_from`] is capped to.
const MAX_STEPS: usize = u16::MAX as usize;

macro_rules! key {
    ($key:ty, $search:ty) => {
        impl Key for $key {
            type Search = $search;

            #[allow(clippy::cast_possible_truncation, reason = "at most 128")]
            const WIDTH: u8 = <$key>::BITS as u8;

            #[inline(always)]
            fn steps_from(self, origin: Self, shift: u8) -> usize {
                #[allow(clippy::cast_possible_truncation, reason = "capped before")]
                let steps = (self.saturating_sub(origin) >> shift).min(MAX_STEPS as Self) as usize;
                steps
            }

            fn distance_bits(self, origin: Self) -> u8 {
                #[allow(clippy::cast_possible_truncation, reason = "at most 128")]
                let bits = (<$key>::BITS - (self - origin).leading_zeros()) as u8;
                bits
            }
        }
    };
}
key!(u32, Tree);
key!(u64, Index<u64>);
key!(u128, Index<u128>);

/// An index for keys that no vector holds many of.
///
/// The span between the second and the last start is divided into equal blocks, and each block into
/// equal slots between its own first and last start: for starts crowd in a few places, and
/// there at random.
#[derive(Clone)]
pub struct Index<K> {
    starts: Box<[K]>,
    blocks: Box<[Block<K>]>,
    /// For each slot how many starts, not counting the first, are in the slots before it; and all
    /// of them behind the last slot.
    slots: Box<[u32]>,
    grid: Grid<K>,
    /// Steps that a search takes in the slot with the most starts. It takes them in all: the same
    /// number is foreseen by the processor, which costs less than a step.
    steps: u8,
}

/// Equal parts.
#[derive(Clone, Copy)]
struct Grid<K> {
    /// Where the first part begins.
    origin: K,
    /// A part has so many keys (as a power of two).
    shift: u8,
    /// The last part.
    last: u32,
}

#[derive(Clone, Copy)]
struct Block<K> {
    grid: Grid<K>,
    first_slot: u32,
}

impl<K: Key> Grid<K> {
    /// Divides the span of `starts`, which may be empty, into at most so many parts.
    fn new(starts: &[K], before: K, parts: usize) -> Self {
        let (first, last) = match starts {
            [first, .., last] => (*first, *last),
            [only] => (*only, *only),
            [] => (before, before),
        };
        let parts = parts.next_power_of_two().min(MAX_STEPS + 1);
        #[allow(clippy::cast_possible_truncation, reason = "at most 16 bits")]
        let (part_bits, last_part) = (parts.trailing_zeros() as u8, parts as u32 - 1);
        Self {
            origin: first,
            // One part may need all bits; then no key is in a second one, wherever that begins.
            shift: last
                .distance_bits(first)
                .saturating_sub(part_bits)
                .min(K::WIDTH - 1),
            last: last_part,
        }
    }

    /// Which part a key is in: the first or the last if it is outside the span.
    #[inline(always)]
    fn part(&self, key: K) -> usize {
        key.steps_from(self.origin, self.shift)
            .min(self.last as usize)
    }
}

impl<K> Index<K> {
    pub(crate) fn starts(&self) -> &[K] {
        &self.starts
    }
}

impl<K: Key> Search<K> for Index<K> {
    fn new(starts: &[K]) -> Self {
        let (first, rest) = (starts[0], &starts[1..]);
        let grid = Grid::new(rest, first, (rest.len() / 16).clamp(1, 256));
        let (mut blocks, mut slots, mut most, mut counted) = (Vec::new(), Vec::new(), 0, 0);
        let mut left = rest;
        for block in 0..=grid.last as usize {
            let (here, behind) = left.split_at(left.partition_point(|s| grid.part(*s) <= block));
            left = behind;
            let within = Grid::new(here, first, here.len());
            #[allow(clippy::cast_possible_truncation, reason = "a few times the starts")]
            let first_slot = slots.len() as u32;
            blocks.push(Block {
                grid: within,
                first_slot,
            });
            let mut left = here;
            for slot in 0..=within.last as usize {
                let count = left.partition_point(|start| within.part(*start) <= slot);
                left = &left[count..];
                slots.push(counted);
                #[allow(clippy::cast_possible_truncation, reason = "of 2^32 starts")]
                let count = count as u32;
                counted += count;
                most = most.max(count);
            }
        }
        slots.push(counted);
        #[allow(clippy::cast_possible_truncation, reason = "at most 32")]
        let steps = (most + 1).next_power_of_two().trailing_zeros() as u8;
        Self {
            starts: starts.into(),
            blocks: blocks.into(),
            slots: slots.into(),
            grid,
            steps,
        }
    }

    #[inline(always)]
    fn find<const N: usize>(&self, keys: &[K], found: &mut [u32; N]) {
        let mut sizes = [0; N];
        for ((key, at), size) in keys.iter().zip(&mut *found).zip(&mut sizes) {
            let block = &self.blocks[self.grid.part(*key)];
            let slot = block.first_slot as usize + block.grid.part(*key);
            *at = self.slots[slot];
            *size = self.slots[slot + 1] - *at + 1;
        }
        for _ in 0..self.steps {
            for ((key, at), size) in keys.iter().zip(&mut *found).zip(&mut sizes) {
                let middle = *at + *size / 2;
                // Nobody can foresee the outcome: a branch would cost more than the step.
                *at = select_unpredictable(self.starts[middle as usize] <= *key, middle, *at);
                *size -= *size / 2;
            }
        }
    }

    fn sizes(&self) -> [usize; 3] {
        [
            size_of_val(&*self.starts),
            size_of_val(&*self.blocks),
            size_of_val(&*self.slots),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    /// As the definition says, one by one.
    fn expected(starts: &[u64], key: u64) -> usize {
        starts
            .iter()
            .skip(1)
            .take_while(|start| **start <= key)
            .count()
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(
            keys in btree_set(prop_oneof![any::<u64>(), 0u64..100, Just(u64::MAX)], 0..200),
            probes in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..110], 20),
        ) {
            let mut starts = vec![0];
            starts.extend(keys.iter().copied().filter(|key| *key > 0));
            let index = Index::new(&starts);
            let beside = keys.iter().flat_map(|key| [*key, key.wrapping_sub(1), key.wrapping_add(1)]);
            for key in beside.chain(probes) {
                let mut found = [0; 1];
                index.find(&[key], &mut found);
                prop_assert_eq!(found[0] as usize, expected(&starts, key), "{}", key);
            }
        }
    }
}
