//! Random numbers.

/// SplitMix64: the same numbers from the same seed, on every machine and for ever.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 128 bits.
    pub(super) fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// Less than `end`, which is at most 2^32.
    pub(super) fn below(&mut self, end: u64) -> u32 {
        let high = self.next() >> 32;
        #[allow(clippy::cast_possible_truncation, reason = "less than end")]
        let below = ((high * end) >> 32) as u32;
        below
    }

    /// An index of something that has so many, at most 2^32.
    pub(super) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}
