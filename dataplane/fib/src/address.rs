//! The address families: what a table needs to know of an address.

use std::fmt;
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address as its bits, in host order: `u32` for IPv4, `u128` for IPv6. Sealed.
pub trait Address:
    bits::Bits + Copy + Ord + Hash + fmt::Debug + Default + Send + Sync + 'static
{
    /// The same as the standard library has it.
    type Ip: Copy + Eq + From<Self> + Into<Self> + fmt::Display + fmt::Debug;

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

/// The arithmetic. Apart from [`Address`], so that nobody else can implement that.
pub(crate) mod bits {
    /// An unsigned integer.
    pub trait Bits: Sized {
        /// The lowest address.
        const ZERO: Self;
        /// The `len` highest bits set; `len` is at most the number of bits.
        fn mask(len: u8) -> Self;
        /// Bits that both have.
        fn and(self, other: Self) -> Self;
        /// How many of the highest bits are the same in both.
        fn common(self, other: Self) -> u8;
        /// The bit with this index, from the highest; `index` is below the number of bits.
        fn bit(self, index: u8) -> usize;
    }

    macro_rules! bits {
        ($bits:ty) => {
            impl Bits for $bits {
                const ZERO: Self = 0;

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
                fn common(self, other: Self) -> u8 {
                    #[allow(clippy::cast_possible_truncation, reason = "at most 128")]
                    let same = (self ^ other).leading_zeros() as u8;
                    same
                }

                #[inline]
                fn bit(self, index: u8) -> usize {
                    (self >> (Self::BITS - 1 - u32::from(index)) & 1) as usize
                }
            }
        };
    }
    bits!(u32);
    bits!(u128);
}
