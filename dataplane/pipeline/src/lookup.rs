//! Looks up a burst's addresses, as many at a time as are in one table.

use tp_fib::{Fib4, NextHopId};

use crate::process::Pipeline;

/// Room for one burst's addresses and answers.
#[derive(Debug)]
pub(crate) struct Lookup {
    addrs: [u32; Pipeline::BURST],
    found: [Option<NextHopId>; Pipeline::BURST],
}

impl Lookup {
    pub(crate) const fn new() -> Self {
        Self {
            addrs: [0; Pipeline::BURST],
            found: [None; Pipeline::BURST],
        }
    }

    /// The value of each address' longest match in its table, in the order of `keys`, which are
    /// at most a burst; no table has no match.
    #[inline]
    pub(crate) fn all<'t>(
        &mut self,
        keys: impl Iterator<Item = (Option<&'t Fib4>, u32)>,
    ) -> &[Option<NextHopId>] {
        let mut table: Option<&Fib4> = None;
        // Keys from `start` to `end` are of `table` and not looked up yet.
        let (mut start, mut end) = (0, 0);
        for (next, addr) in keys.take(Pipeline::BURST) {
            if !is_same(table, next) {
                self.run(table, start, end);
                (table, start) = (next, end);
            }
            self.addrs[end] = addr;
            end += 1;
        }
        self.run(table, start, end);
        &self.found[..end]
    }

    fn run(&mut self, table: Option<&Fib4>, start: usize, end: usize) {
        let found = &mut self.found[start..end];
        match table {
            Some(table) => table.lookup_burst(&self.addrs[start..end], found),
            None => found.fill(None),
        }
    }
}

fn is_same(a: Option<&Fib4>, b: Option<&Fib4>) -> bool {
    a.map(std::ptr::from_ref) == b.map(std::ptr::from_ref)
}
