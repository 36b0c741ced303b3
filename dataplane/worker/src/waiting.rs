//! Packets that wait for a neighbour (`docs/forwarding.md`, "Waiting for a neighbour").

use tp_pipeline::{Context, Held, Nanos, Packet, Pipeline, Verdict};
use tp_xsk::{Frame, Region};

use crate::outlets::Outlets;

/// Most packets that a worker holds.
const CAPACITY: usize = 256;
/// Most of them towards one link: a far end that never answers takes no other's places.
const PER_LINK: usize = 16;
/// How long a packet waits, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;

#[derive(Debug)]
struct Entry {
    frame: Frame,
    held: Held,
    until: Nanos,
}

/// The packets, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Waiting {
    // With room for all from the start.
    entries: Vec<Entry>,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::with_capacity(CAPACITY),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps a packet, or drops it if there is no place for it.
    #[cold]
    pub(crate) fn keep(&mut self, frame: Frame, held: Held, now: Nanos, outlets: &mut Outlets) {
        let same = |entry: &&Entry| entry.held.waits_with(&held);
        let towards_it = self.entries.iter().filter(same).count();
        if self.entries.len() >= CAPACITY || towards_it >= PER_LINK {
            return give_up(frame, &held, outlets);
        }
        let until = Nanos(now.0.saturating_add(PATIENCE));
        self.entries.push(Entry { frame, held, until });
    }

    /// Lets those packets go on whose neighbour the context's snapshot knows.
    pub(crate) fn retry(&mut self, context: &Context<'_>, region: &Region, outlets: &mut Outlets) {
        // In place: a worker allocates nothing, and those that go on waiting keep their order.
        let mut index = 0;
        while let Some(entry) = self.entries.get_mut(index) {
            let Some(verdict) = resume(entry, context, region) else {
                index += 1;
                continue;
            };
            let Entry { frame, .. } = self.entries.remove(index);
            match verdict {
                Verdict::Transmit(port) => outlets.send(port, frame),
                // Past its route a packet is sent or dropped; the pipeline counted the drop.
                _ => outlets.magazine.free(frame),
            }
        }
    }

    /// Drops what waited for too long.
    pub(crate) fn expire(&mut self, now: Nanos, outlets: &mut Outlets) {
        // In the order in which they came, so the oldest is first.
        while self.entries.first().is_some_and(|first| first.until <= now) {
            let Entry { frame, held, .. } = self.entries.remove(0);
            give_up(frame, &held, outlets);
        }
    }

    /// Drops all.
    pub(crate) fn clear(&mut self, outlets: &mut Outlets) {
        for Entry { frame, held, .. } in self.entries.drain(..) {
            give_up(frame, &held, outlets);
        }
    }
}

fn give_up(frame: Frame, held: &Held, outlets: &mut Outlets) {
    Pipeline::give_up(&outlets.counters, held);
    outlets.magazine.free(frame);
}

fn resume(entry: &mut Entry, context: &Context<'_>, region: &Region) -> Option<Verdict> {
    let (start, len) = (entry.frame.start(), entry.frame.len());
    let mut packet = Packet::new(region.chunk_mut(&mut entry.frame), start, len)
        .unwrap_or_else(|| unreachable!("a frame's extent is in its chunk"));
    let verdict = Pipeline::resume(context, &entry.held, &mut packet)?;
    let (start, len) = (packet.start(), packet.len());
    entry.frame.set_extent(start, len);
    Some(verdict)
}
