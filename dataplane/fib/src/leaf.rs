//! Short numbers for next hops: most tables have few, so that an answer fits a byte.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::table::NextHopId;

/// A next hop's number within one table; [`Code::NONE`] is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub(crate) u32);

impl Code {
    pub(crate) const NONE: Self = Self(0);
}

/// A code as look-ups read it, a byte or two.
pub trait Leaf: Copy + Eq + Default + Send + Sync + 'static {
    /// An interval of addresses that are told apart by their lowest bits only, with any code that
    /// a table of these leaves may have.
    type Entry: Copy + Ord + Send + Sync;

    /// Stands for codes that do not fit, and for places that one code does not fit.
    const ESCAPE: Self;

    /// Next hops with which a new table may begin on such leaves.
    const BEGINS_WITH: usize;

    /// Next hops, those out of use included, that it may grow to.
    const HOLDS: usize;

    /// Leaves in 32 bits.
    const IN_LANE: usize;

    /// Of the 16 times 32 bits of a line of the cache, so many separate intervals, whose leaves
    /// (one more) fit the rest.
    const SEPARATORS: usize;

    /// The code; [`Self::ESCAPE`] if it does not fit.
    fn new(code: Code) -> Self;

    /// The index of the code's value.
    fn index(self) -> usize;

    /// Whether it escapes or is no route: then it is not the whole answer.
    fn is_special(self) -> bool;

    /// Writes it as the leaf with this index among 32 bits, which are 0 there.
    fn put(self, lane: &mut i32, index: usize);

    /// The leaf with this index among 32 bits.
    fn from_lane(lane: i32, index: usize) -> Self;

    /// The interval that begins at `start`, which has [`ENTRY_BITS`] bits.
    fn entry(start: u32, code: Code) -> Self::Entry;

    /// The last entry that may begin at `start`.
    fn last_entry(start: u32) -> Self::Entry;

    /// The code of an entry.
    fn entry_code(entry: Self::Entry) -> Code;
}

/// Bits of the addresses within a region that has entries.
pub(crate) const ENTRY_BITS: u32 = 22;

/// Implements [`Leaf`] for an unsigned type, with entries of another.
macro_rules! leaf {
    ($leaf:ty, $entry:ty, separators $separators:expr, begins with $begins:expr, holds $holds:expr) => {
        impl Leaf for $leaf {
            type Entry = $entry;

            const ESCAPE: Self = Self::MAX;
            const IN_LANE: usize = size_of::<i32>() / size_of::<$leaf>();
            const SEPARATORS: usize = $separators;
            const BEGINS_WITH: usize = $begins;
            const HOLDS: usize = $holds;

            fn new(code: Code) -> Self {
                Self::try_from(code.0).unwrap_or(Self::ESCAPE)
            }

            #[inline(always)]
            fn index(self) -> usize {
                self.into()
            }

            #[inline(always)]
            fn is_special(self) -> bool {
                self.wrapping_add(1) <= 1
            }

            fn put(self, lane: &mut i32, index: usize) {
                *lane |= i32::from(self) << (index * <$leaf>::BITS as usize);
            }

            #[inline(always)]
            fn from_lane(lane: i32, index: usize) -> Self {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a part of it"
                )]
                let leaf = (lane >> (index * <$leaf>::BITS as usize)) as Self;
                leaf
            }

            fn entry(start: u32, code: Code) -> $entry {
                <$entry>::from(start) << (<$entry>::BITS - ENTRY_BITS) | <$entry>::from(code.0)
            }

            #[inline]
            fn last_entry(start: u32) -> $entry {
                let code_bits = <$entry>::BITS - ENTRY_BITS;
                <$entry>::from(start) << code_bits | ((1 << code_bits) - 1)
            }

            #[inline]
            fn entry_code(entry: $entry) -> Code {
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::unnecessary_cast,
                    reason = "a code is a u32"
                )]
                let code = (entry & ((1 << (<$entry>::BITS - ENTRY_BITS)) - 1)) as u32;
                Code(code)
            }
        }
    };
}

// 254 codes fit a byte. A few more escape, so that 256 next hops still take a byte each.
leaf!(u8, u32, separators 12, begins with 264, holds 320);
leaf!(u16, u64, separators 8, begins with usize::MAX, holds usize::MAX);

const _: () = assert!(u8::HOLDS < 1 << (u32::BITS - ENTRY_BITS));

/// The next hops that a table has had, in order of appearance.
///
/// Grows only: a leaf of any version that shares the palette stays valid. The table begins a new
/// one when too much of it is out of use.
#[derive(Clone)]
pub struct Palette {
    /// By code.
    values: Vec<Option<NextHopId>>,
    codes: HashMap<NextHopId, Code, BuildHasherDefault<Mixer>>,
}

/// Mixes a next hop's bits: building asks for the code of each route. Next hops are chosen by this
/// process, so that nobody can choose those that collide.
#[derive(Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn write_u32(&mut self, value: u32) {
        // The golden ratio: neighbours come far apart. The table takes the lowest bits and the highest.
        let mixed = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Palette {
    pub(crate) fn new() -> Self {
        Self {
            values: vec![None],
            codes: HashMap::default(),
        }
    }

    /// Codes given out.
    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }

    pub(crate) fn has(&self, value: NextHopId) -> bool {
        self.codes.contains_key(&value)
    }

    pub(crate) fn add(&mut self, value: NextHopId) {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "values are distinct u32, and a table of 2^32 of them does not fit any memory"
        )]
        let next = Code(self.values.len() as u32);
        if *self.codes.entry(value).or_insert(next) == next {
            self.values.push(Some(value));
        }
    }

    /// The code of a value that was added.
    pub(crate) fn code(&self, value: NextHopId) -> Code {
        self.codes[&value]
    }

    /// The value of a code.
    pub(crate) fn value(&self, code: Code) -> Option<NextHopId> {
        self.values[code.0 as usize]
    }

    /// By code, for look-ups.
    #[inline(always)]
    pub(crate) fn values(&self) -> &[Option<NextHopId>] {
        &self.values
    }

    pub(crate) fn value_bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }

    pub(crate) fn code_bytes(&self) -> usize {
        // A bucket is an entry and a byte of control, and 7 of 8 buckets are used at most.
        self.codes.capacity() * (size_of::<(NextHopId, Code)>() + 1) * 8 / 7
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_of_a_start_is_not_before_any_of_its_codes() {
        let top = (1 << ENTRY_BITS) - 1;
        for start in [0, 7, top] {
            let code = Code(1000);
            assert!(u8::entry(start, code) <= u8::last_entry(start));
            assert_eq!(u8::entry_code(u8::entry(start, code)), code);
            let code = Code(u32::MAX);
            assert!(u16::entry(start, code) <= u16::last_entry(start));
            assert_eq!(u16::entry_code(u16::entry(start, code)), code);
        }
        assert!(u8::last_entry(7) < u8::entry(8, Code::NONE));
        assert!(u16::last_entry(7) < u16::entry(8, Code::NONE));
    }

    #[test]
    fn no_route_and_what_does_not_fit_are_special() {
        let special = |code| {
            (
                u8::new(Code(code)).is_special(),
                u16::new(Code(code)).is_special(),
            )
        };
        assert_eq!(special(0), (true, true));
        assert_eq!(special(1), (false, false));
        assert_eq!(special(254), (false, false));
        assert_eq!(special(255), (true, false));
        assert_eq!(special(256), (true, false));
        assert_eq!(special(65_535), (true, true));
        assert_eq!(special(65_536), (true, true));
    }
}
