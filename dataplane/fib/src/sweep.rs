//! Nested routes as intervals: the address space in order, cut where the answer changes.

use crate::address::Address;
use crate::leaf::Code;
use crate::routes::Route;

/// The first address of an interval, and the answer up to the next one.
pub(crate) type Interval<A> = (A, Code);

/// The intervals of routes that are in order and within `first..=last`. Neighbours differ in
/// their codes, and the first interval begins at `first`.
pub(crate) fn intervals<A: Address>(
    routes: &[Route<A>],
    first: A,
    last: A,
    code: impl Fn(&Route<A>) -> Code,
) -> Vec<Interval<A>> {
    let mut cuts = Cuts(Vec::with_capacity(2 * routes.len() + 1));
    cuts.at(first, Code::NONE);
    // Routes that the sweep is inside of, outermost first: their last addresses and codes.
    let mut inside: Vec<Interval<A>> = Vec::new();
    for route in routes {
        let start = route.prefix.bits();
        leave(&mut inside, &mut cuts, |end| end < start);
        let code = code(route);
        cuts.at(start, code);
        inside.push((start.last(route.prefix.len()), code));
    }
    leave(&mut inside, &mut cuts, |end| end < last);
    cuts.0
}

/// Leaves the routes whose last address fulfils `is_left`: behind each of them its parent counts.
fn leave<A: Address>(
    inside: &mut Vec<Interval<A>>,
    cuts: &mut Cuts<A>,
    is_left: impl Fn(A) -> bool,
) {
    while let Some((end, _)) = inside.pop_if(|(end, _)| is_left(*end)) {
        let parent = inside.last().map_or(Code::NONE, |(_, code)| *code);
        // Something is behind `end`, so it is not the last address.
        cuts.at(end.next(), parent);
    }
}

struct Cuts<A>(Vec<Interval<A>>);

impl<A: Address> Cuts<A> {
    /// From `start` on it is `code`, which supersedes what was said of the same start.
    fn at(&mut self, start: A, code: Code) {
        self.0.pop_if(|(at, _)| *at == start);
        if self.0.last().is_none_or(|(_, before)| *before != code) {
            self.0.push((start, code));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::Prefix4;
    use crate::table::NextHopId;

    /// Codes are one more than the routes' indices.
    fn cut(routes: &[([u8; 4], u8)]) -> Vec<(u32, u32)> {
        let route = |(index, (addr, len)): (u32, &([u8; 4], u8))| Route {
            prefix: Prefix4::new((*addr).into(), *len).unwrap(),
            value: NextHopId(index + 1),
        };
        let routes: Vec<_> = (0..).zip(routes).map(route).collect();
        let intervals = intervals(&routes, 0, u32::MAX, |route| Code(route.value.0));
        intervals
            .into_iter()
            .map(|(at, code)| (at, code.0))
            .collect()
    }

    #[test]
    fn behind_a_route_its_parent_counts() {
        let routes = [([10, 0, 0, 0], 8), ([10, 0, 0, 0], 24), ([10, 0, 1, 0], 24)];
        let expected = [
            (0, 0),
            (0x0a00_0000, 2),
            (0x0a00_0100, 3),
            (0x0a00_0200, 1),
            (0x0b00_0000, 0),
        ];
        assert_eq!(cut(&routes), expected);
    }

    #[test]
    fn the_edges_of_the_address_space_do_not_overflow() {
        assert_eq!(cut(&[]), [(0, 0)]);
        assert_eq!(cut(&[([0, 0, 0, 0], 0)]), [(0, 1)]);
        let ends = [([0, 0, 0, 0], 32), ([255, 255, 255, 255], 32)];
        assert_eq!(cut(&ends), [(0, 1), (1, 0), (u32::MAX, 2)]);
    }
}
