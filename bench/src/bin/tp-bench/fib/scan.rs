//! The expected answers: addresses and routes sorted, and walked together.

use super::Route;
use super::family::Family;

/// Sum of the next hops of all addresses; 0 for those without a route.
pub(super) fn sum<A: Family>(routes: &[Route<A>], addresses: &[A]) -> u64 {
    let mut ordered: Vec<(A, A, u32)> = Vec::with_capacity(routes.len());
    // Stable, and the last of equal prefixes counts.
    let mut routes = routes.to_vec();
    routes.sort_by_key(|(prefix, _)| *prefix);
    for (prefix, value) in routes {
        let (first, last) = (prefix.bits(), prefix.bits().last_of(prefix.len()));
        if ordered.last().is_some_and(|o| (o.0, o.1) == (first, last)) {
            ordered.pop();
        }
        ordered.push((first, last, value));
    }
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    let mut open: Vec<(A, u32)> = Vec::new();
    let mut next = ordered.into_iter().peekable();
    let mut sum = 0;
    for addr in addresses {
        while let Some((_, last, value)) = next.next_if(|(first, ..)| *first <= addr) {
            // Those that ended hold nothing that begins later.
            open.retain(|(end, _)| *end >= last);
            open.push((last, value));
        }
        open.retain(|(end, _)| *end >= addr);
        sum += open.last().map_or(0, |(_, value)| u64::from(*value));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use tp_fib::{Prefix4, Prefix6};

    #[test]
    fn the_innermost_route_counts_and_its_parent_behind_it() {
        let route = |addr: [u8; 4], len, value| (Prefix4::new(addr.into(), len).unwrap(), value);
        let routes = [
            route([10, 1, 0, 0], 16, 100),
            route([10, 0, 0, 0], 8, 10),
            route([10, 1, 1, 0], 24, 999),
            route([10, 1, 1, 0], 24, 1000),
        ];
        let addr = |a: [u8; 4]| u32::from_be_bytes(a);
        let one = |a: [u8; 4]| sum(&routes, &[addr(a)]);
        assert_eq!(one([9, 255, 255, 255]), 0);
        assert_eq!(one([10, 0, 0, 0]), 10);
        assert_eq!(one([10, 1, 0, 255]), 100);
        assert_eq!(one([10, 1, 1, 255]), 1000);
        assert_eq!(one([10, 1, 2, 0]), 100);
        assert_eq!(one([10, 2, 0, 0]), 10);
        assert_eq!(one([11, 0, 0, 0]), 0);
        let all = [[10, 2, 0, 0], [10, 1, 1, 0], [9, 0, 0, 0], [10, 1, 2, 0]].map(addr);
        assert_eq!(sum(&routes, &all), 1110);
    }

    #[test]
    fn the_same_with_ipv6() {
        let addr = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
        let route = |text: &str, len, value| (Prefix6::from_bits(addr(text), len).unwrap(), value);
        let routes = [route("2001:db8::", 32, 1), route("2001:db8:1::", 48, 2)];
        let asked = ["2001:db8::1", "2001:db8:1::1", "2001:db8:2::", "2001:db9::"].map(addr);
        assert_eq!(sum(&routes, &asked), 1 + 2 + 1);
    }
}
