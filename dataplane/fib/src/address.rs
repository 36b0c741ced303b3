//! The address families: what a table needs to know of an address.

use std::fmt;
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::leaf::Leaf;
use crate::slots::Slots;
use crate::windows::Windows;

/// An address as its bits, in host order: `u32` for IPv4, `u128` for IPv6. Sealed.
pub trait Address:
    bits::Bits + Copy + Ord + Hash + fmt::Debug + Default + Send + Sync + 'static
{
    /// The same as the standard library has it.
    type Ip: Copy + Eq + From<Self> + Into<Self> + FromStr + fmt::Display + fmt::Debug;

    /// Bits of an address: 32 or 128.
    const BITS: u8;
}

impl Address for u32 {
    type Ip = Ipv4Addr;
    const BITS: u8 = 32;
}

impl Address for u128 {
    type Ip = Ipv6Addr;
    const BITS: u8 = 128;
}

/// The arithmetic, and what is chosen by it. Apart from [`Address`], so that nobody else can
/// implement that.
pub(crate) mod bits {
    use super::{Leaf, Slots, Windows};
    use crate::index::Key;
    use crate::regions::Regions;

    /// An unsigned integer.
    pub trait Bits: Key {
        /// The lowest address.
        const ZERO: Self;
        /// The highest address.
        const MAX: Self;

        /// How a table of many routes divides the addresses of this family.
        type Regions<L: Leaf>: Regions<Self>;

        /// Its highest bits, as many as a processor compares at once. Few prefixes are longer.
        type Short: Key;

        /// The highest bits.
        fn short(self) -> Self::Short;
        /// Whether the others are zero.
        fn is_short(self) -> bool;
        /// The `len` highest bits set; `len` is at most the number of bits.
        fn mask(len: u8) -> Self;
        /// Bits that both have.
        fn and(self, other: Self) -> Self;
        /// The highest address that has the `len` highest bits of this one.
        fn last(self, len: u8) -> Self;
        /// The address behind this one, which is not the highest.
        fn next(self) -> Self;
        /// In 128 bits, the highest bit as the highest.
        fn widen(self) -> u128;
        /// The highest bits of 128.
        fn narrow(wide: u128) -> Self;
    }

    macro_rules! bits {
        ($bits:ty, short $short:ty, $regions:ident) => {
            impl Bits for $bits {
                const ZERO: Self = 0;
                const MAX: Self = Self::MAX;

                type Regions<L: Leaf> = $regions<L>;
                type Short = $short;

                #[inline(always)]
                fn short(self) -> $short {
                    #[allow(clippy::cast_possible_truncation, reason = "the bits that are left")]
                    let short = (self >> (Self::BITS - <$short>::BITS)) as $short;
                    short
                }

                fn is_short(self) -> bool {
                    self.trailing_zeros() >= Self::BITS - <$short>::BITS
                }

                #[inline]
                fn mask(len: u8) -> Self {
                    // A shift by all bits is an overflow, not zero.
                    !Self::MAX.checked_shr(u32::from(len)).unwrap_or(0)
                }

                #[inline]
                fn and(self, other: Self) -> Self {
                    self & other
                }

                #[inline]
                fn last(self, len: u8) -> Self {
                    self | !Self::mask(len)
                }

                #[inline]
                fn next(self) -> Self {
                    self + 1
                }

                fn widen(self) -> u128 {
                    (self as u128) << (u128::BITS - Self::BITS)
                }

                fn narrow(wide: u128) -> Self {
                    #[allow(clippy::cast_possible_truncation, reason = "the bits that are left")]
                    let narrow = (wide >> (u128::BITS - Self::BITS)) as Self;
                    narrow
                }
            }
        };
    }
    bits!(u32, short u32, Slots);
    bits!(u128, short u64, Windows);
}
