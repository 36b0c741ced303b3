//! Routes in few bytes, for whatever is not a look-up: `get`, `iter`, `longest_match`, and the
//! next version.
//!
//! In order, each route is a head, the bytes of its prefix that differ from the one before, and
//! its value. The head says how long the prefix is and how many leading bytes are those of the one before.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::address::Address;
use crate::prefix::Prefix;
use crate::routes::Route;
use crate::table::NextHopId;

/// Routes in the order of their prefixes. Clones share the bytes.
#[derive(Clone)]
pub struct Packed<A> {
    bytes: Arc<[u8]>,
    family: PhantomData<A>,
}

impl<A: Address> Packed<A> {
    /// Bits of the head that count shared bytes: with IPv4, most heads are one byte.
    const SHARED_BITS: u32 = if A::BITS == 32 { 2 } else { 4 };

    /// Packs routes in order.
    pub(crate) fn new(routes: &[Route<A>]) -> Self {
        let mut bytes = Vec::with_capacity(8 * routes.len());
        let mut before = 0;
        for Route { prefix, value } in routes {
            let wide = prefix.bits().widen();
            let whole = usize::from(prefix.len()).div_ceil(8);
            let same = (wide ^ before).leading_zeros() as usize / 8;
            let shared = same.min(whole).min((1 << Self::SHARED_BITS) - 1);
            #[allow(clippy::cast_possible_truncation, reason = "less than 2^4")]
            let head = u32::from(prefix.len()) << Self::SHARED_BITS | shared as u32;
            push_number(&mut bytes, head);
            bytes.extend_from_slice(&wide.to_be_bytes()[shared..whole]);
            push_number(&mut bytes, value.0);
            before = wide;
        }
        Self {
            bytes: bytes.into(),
            family: PhantomData,
        }
    }

    pub(crate) fn iter(&self) -> Routes<'_, A> {
        Routes {
            bytes: self.bytes.iter(),
            before: [0; 16],
            family: PhantomData,
        }
    }

    /// The value of exactly this prefix.
    pub(crate) fn get(&self, prefix: Prefix<A>) -> Option<NextHopId> {
        let route = self.iter().find(|route| route.prefix >= prefix)?;
        (route.prefix == prefix).then_some(route.value)
    }

    /// The longest route that covers `addr`: the last one, since a longer one comes behind those
    /// that contain it.
    pub(crate) fn longest(&self, addr: A) -> Option<Route<A>> {
        self.iter()
            .take_while(|route| route.prefix.bits() <= addr)
            .filter(|route| route.prefix.covers_bits(addr))
            .last()
    }

    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.bytes) + 2 * size_of::<usize>()
    }
}

/// The routes of a [`Packed`], in order.
pub(crate) struct Routes<'p, A> {
    bytes: std::slice::Iter<'p, u8>,
    before: [u8; 16],
    family: PhantomData<A>,
}

impl<A: Address> Iterator for Routes<'_, A> {
    type Item = Route<A>;

    fn next(&mut self) -> Option<Route<A>> {
        let head = take_number(&mut self.bytes)?;
        let shared = (head & ((1 << Packed::<A>::SHARED_BITS) - 1)) as usize;
        #[allow(clippy::cast_possible_truncation, reason = "a length as it was packed")]
        let len = (head >> Packed::<A>::SHARED_BITS) as u8;
        let own = usize::from(len).div_ceil(8) - shared;
        self.before[shared..].fill(0);
        for byte in &mut self.before[shared..shared + own] {
            *byte = *self.bytes.next()?;
        }
        let addr = A::narrow(u128::from_be_bytes(self.before));
        Some(Route {
            prefix: Prefix::from_bits(addr, len)?,
            value: NextHopId(take_number(&mut self.bytes)?),
        })
    }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
#[inline]
fn push_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

#[inline]
fn take_number(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u32> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = *bytes.next()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    use super::*;
    use crate::address::bits::Bits;
    use crate::prefix::{Prefix4, Prefix6};

    fn comes_back<A: Address>(routes: impl Iterator<Item = (Prefix<A>, u32)>) {
        let routes: Vec<Route<A>> = routes
            .map(|(prefix, value)| Route {
                prefix,
                value: NextHopId(value),
            })
            .collect();
        let packed = Packed::new(&routes);
        assert_eq!(packed.iter().collect::<Vec<_>>(), routes);
    }

    proptest! {
        #[test]
        fn routes_come_back_as_they_were(
            routes in btree_map((any::<u128>(), 0u8..=128), any::<u32>(), 0..50),
            shift in 0u32..128,
        ) {
            // Shifted, so that prefixes share bytes.
            let v6 = |(addr, len): (u128, u8)| Prefix6::from_bits(addr >> shift & u128::mask(len), len);
            let v4 = |(addr, len)| {
                let addr = u32::narrow(addr) >> (shift / 4);
                Prefix4::from_bits(addr & u32::mask(len / 4), len / 4)
            };
            let sixes: std::collections::BTreeMap<_, _> =
                routes.iter().map(|(p, value)| (v6(*p).unwrap(), *value)).collect();
            let fours: std::collections::BTreeMap<_, _> =
                routes.iter().map(|(p, value)| (v4(*p).unwrap(), *value)).collect();
            comes_back(sixes.into_iter());
            comes_back(fours.into_iter());
        }
    }

    #[test]
    fn a_route_like_its_neighbour_takes_three_bytes() {
        let route = |third| Route {
            prefix: Prefix4::new([192, 0, third, 0].into(), 24).unwrap(),
            value: NextHopId(100),
        };
        let routes: Vec<_> = (0..=255).map(route).collect();
        assert_eq!(Packed::new(&routes).bytes.len(), 256 * 3 + 2);
    }
}
