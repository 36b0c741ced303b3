//! The Internet checksum (RFC 1071), whole and incremental (RFC 1624).

/// The ones' complement sum of `bytes` as big-endian 16-bit words, folded to 16 bits.
///
/// An odd last byte counts as the high byte of a word (RFC 1071 section 1). Over bytes that
/// contain their own right checksum the result is 0xffff.
#[inline]
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    // 2^16 = 2^32 = 2^64 = 1 modulo 0xffff: words of 8 and 4 bytes add up like words of 2, as
    // long as each carry out of the top comes back in at the bottom.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut total = 0u64;
    for word in words {
        let (next, carry) = total.overflowing_add(u64::from_be_bytes(*word));
        total = next + u64::from(carry);
    }
    let (quads, rest) = rest.as_chunks::<4>();
    let (pairs, odd) = rest.as_chunks::<2>();
    let mut tail = 0u64;
    for quad in quads {
        tail += u64::from(u32::from_be_bytes(*quad));
    }
    for pair in pairs {
        tail += u64::from(u16::from_be_bytes(*pair));
    }
    for last in odd {
        tail += u64::from(*last) << 8;
    }
    fold(u64::from(fold(total)) + tail)
}

/// The checksum of `bytes`, whose checksum field is 0.
#[inline]
#[must_use]
pub fn full(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// Whether `bytes` contain their own right checksum.
#[inline]
#[must_use]
pub fn is_valid(bytes: &[u8]) -> bool {
    sum(bytes) == 0xffff
}

/// The checksum after a 16-bit word changed from `old` to `new` (RFC 1624 equation 3).
///
/// For a checksum of bytes that are not all zero this is what [`full`] gives; equation 4 of
/// the same document, which looks the same, would give 0xffff in place of 0.
#[inline]
#[must_use]
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// Folds a sum of words to 16 bits; 0 only if the sum is 0.
#[inline]
#[must_use]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "at most 0xffff after the last carry"
    )]
    let folded = sum as u16;
    folded
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 section 1 to the letter: word by word, carry by carry.
    fn slow(bytes: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in bytes.chunks(2) {
            total += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
            if total > 0xffff {
                total -= 0xffff;
            }
        }
        u16::try_from(total).unwrap()
    }

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(
            sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            0xddf2
        );
    }

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: HC = 0xdd2f, m = 0x5555, m' = 0x3285; the answer is 0, not 0xffff.
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    #[test]
    fn long_runs_of_ones_lose_no_carry() {
        for len in 0..600 {
            let bytes = std::vec![0xff; len];
            assert_eq!(sum(&bytes), slow(&bytes), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn fast_equals_slow(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(sum(&bytes), slow(&bytes));
        }

        #[test]
        fn incremental_equals_full(
            words in prop::collection::vec(any::<u16>(), 1..40),
            at in any::<prop::sample::Index>(),
            new in prop_oneof![Just(0u16), Just(0xffff), any::<u16>()],
        ) {
            let bytes = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
            // IP headers are never all zero, and neither is what they become.
            let mut words = words;
            words.insert(0, 0x4500);
            let before = full(&bytes(&words));
            let at = 1 + at.index(words.len() - 1);
            let old = core::mem::replace(&mut words[at], new);
            prop_assert_eq!(update(before, old, new), full(&bytes(&words)));
        }

        #[test]
        fn a_flipped_bit_shows(
            bytes in prop::collection::vec(any::<u8>(), 20..60),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut bytes = bytes;
            bytes[10..12].fill(0);
            let checksum = full(&bytes);
            bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
            prop_assert!(is_valid(&bytes));
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!is_valid(&bytes));
        }
    }
}
