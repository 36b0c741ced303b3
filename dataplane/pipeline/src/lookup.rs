//! Looks up a burst's addresses, as many at a time as are in one table.

use tp_fib::{Address, Fib, Fib4, Fib6, NextHopId};

use crate::family::Family;
use crate::process::Pipeline;

/// An address, and the table in which its longest match is wanted; no table has no match.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key<'t> {
    V4(Option<&'t Fib4>, u32),
    V6(Option<&'t Fib6>, u128),
}

/// Room for one burst's addresses and answers.
#[derive(Debug)]
pub(crate) struct Lookup {
    v4: Room<u32>,
    v6: Room<u128>,
}

impl Lookup {
    pub(crate) const fn new() -> Self {
        Self {
            v4: Room {
                addrs: [0; Pipeline::BURST],
                found: [None; Pipeline::BURST],
            },
            v6: Room {
                addrs: [0; Pipeline::BURST],
                found: [None; Pipeline::BURST],
            },
        }
    }

    /// The values of each key's longest match; keys are at most a burst.
    ///
    /// Families are kept apart, so that a mixed burst still makes long runs in one table.
    #[inline]
    pub(crate) fn all<'t>(&mut self, keys: impl Iterator<Item = Key<'t>>) -> Answers<'_> {
        let (mut v4, mut v6) = (Run::new(&mut self.v4), Run::new(&mut self.v6));
        for key in keys.take(Pipeline::BURST) {
            match key {
                Key::V4(table, addr) => v4.add(table, addr),
                Key::V6(table, addr) => v6.add(table, addr),
            }
        }
        Answers {
            v4: v4.finish().iter(),
            v6: v6.finish().iter(),
        }
    }
}

/// Answers, in the order of the keys of each family.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    v4: std::slice::Iter<'a, Option<NextHopId>>,
    v6: std::slice::Iter<'a, Option<NextHopId>>,
}

impl Answers<'_> {
    /// The answer to the next key of this family.
    #[inline]
    pub(crate) fn next(&mut self, family: Family) -> Option<NextHopId> {
        let answers = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        answers.next().copied().flatten()
    }
}

#[derive(Debug)]
struct Room<A> {
    addrs: [A; Pipeline::BURST],
    found: [Option<NextHopId>; Pipeline::BURST],
}

/// The keys of one family: those from `start` to `end` are of `table` and not looked up yet.
struct Run<'a, 't, A: Address> {
    room: &'a mut Room<A>,
    table: Option<&'t Fib<A>>,
    start: usize,
    end: usize,
}

impl<'a, 't, A: Address> Run<'a, 't, A> {
    #[inline]
    fn new(room: &'a mut Room<A>) -> Self {
        Self {
            room,
            table: None,
            start: 0,
            end: 0,
        }
    }

    #[inline]
    fn add(&mut self, table: Option<&'t Fib<A>>, addr: A) {
        if !is_same(self.table, table) {
            self.look_up();
            (self.table, self.start) = (table, self.end);
        }
        self.room.addrs[self.end] = addr;
        self.end += 1;
    }

    #[inline]
    fn look_up(&mut self) {
        let found = &mut self.room.found[self.start..self.end];
        match self.table {
            Some(table) => table.lookup_burst(&self.room.addrs[self.start..self.end], found),
            None => found.fill(None),
        }
    }

    #[inline]
    fn finish(mut self) -> &'a [Option<NextHopId>] {
        self.look_up();
        &self.room.found[..self.end]
    }
}

fn is_same<A: Address>(a: Option<&Fib<A>>, b: Option<&Fib<A>>) -> bool {
    a.map(std::ptr::from_ref) == b.map(std::ptr::from_ref)
}
