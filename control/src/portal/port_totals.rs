//! Counters of ports by name.
//!
//! Steering and workers count by the port's slot and never go back to zero. A name's counts are what its
//! slot counted since the name got it; what slots counted for names that are gone stands under [`REMOVED`], so that
//! the equations close after a port was removed too.

use std::collections::BTreeMap;

use tp_api::{Named, PortCounters, RingLosses};
use tp_pipeline::PortId;
use tp_pipeline::abi::Counter;

use crate::compile::Slots;
use crate::model::Name;

/// In the place of a name: ports that the model no longer has. No port can bear it.
const REMOVED: &str = "(removed)";

/// What was counted for one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) steering: [u64; Counter::COUNT],
    /// By queue.
    pub(super) rings: BTreeMap<u32, RingLosses>,
}

/// What the slots of ports stood at when their names got them.
#[derive(Debug, Default)]
pub(super) struct PortTotals {
    openings: BTreeMap<Name, Row>,
}

impl PortTotals {
    /// Opens and closes accounts as names got and lost slots; `rows` are the counts by slot. Called before the
    /// new names' ports are in service, and when those of the old are not any more.
    pub(super) fn advance(
        &mut self,
        before: &Slots<PortId, Name>,
        after: &Slots<PortId, Name>,
        rows: impl FnOnce() -> Vec<Row>,
    ) {
        self.openings.retain(|name, _| after.get(name).is_some());
        let mut new = after
            .iter()
            .filter(|(name, port)| before.get(name).is_none_or(|b| b.id != port.id))
            .peekable();
        if new.peek().is_none() {
            return;
        }
        let rows = rows();
        for (name, port) in new {
            let row = rows.get(port.id.slot.index()).cloned();
            self.openings.insert(name.clone(), row.unwrap_or_default());
        }
    }

    /// The counts of each name, and of the names that are gone, if they counted anything.
    pub(super) fn by_name(&self, names: &Slots<PortId, Name>, rows: &[Row]) -> Vec<PortCounters> {
        let (nothing, mut removed) = (Row::default(), Row::default());
        rows.iter()
            .for_each(|row| removed.combine(row, u64::wrapping_add));
        let mut ports = Vec::new();
        for (name, port) in names.iter() {
            let mut row = rows.get(port.id.slot.index()).cloned().unwrap_or_default();
            row.combine(
                self.openings.get(name).unwrap_or(&nothing),
                u64::wrapping_sub,
            );
            removed.combine(&row, u64::wrapping_sub);
            ports.push(row.counters(name));
        }
        let removed = removed.counters(REMOVED);
        if removed.steering.values().any(|packets| *packets > 0) {
            ports.push(removed);
        }
        ports
    }
}

impl Row {
    fn combine(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        for (a, b) in self.steering.iter_mut().zip(other.steering) {
            *a = op(*a, b);
        }
        for (queue, b) in &other.rings {
            let a = self.rings.entry(*queue).or_default();
            *a = RingLosses {
                queue: *queue,
                rx_dropped: op(a.rx_dropped, b.rx_dropped),
                rx_invalid_descs: op(a.rx_invalid_descs, b.rx_invalid_descs),
                tx_invalid_descs: op(a.tx_invalid_descs, b.tx_invalid_descs),
                rx_ring_full: op(a.rx_ring_full, b.rx_ring_full),
                rx_fill_ring_empty_descs: op(
                    a.rx_fill_ring_empty_descs,
                    b.rx_fill_ring_empty_descs,
                ),
                tx_ring_empty_descs: op(a.tx_ring_empty_descs, b.tx_ring_empty_descs),
                suspects: op(a.suspects, b.suspects),
            };
        }
    }

    fn counters(self, port: &str) -> PortCounters {
        PortCounters {
            port: port.to_owned(),
            steering: named(&self.steering),
            rings: self.rings.into_values().collect(),
        }
    }
}

/// Counts of the steering program by their names.
pub(super) fn named(row: &[u64; Counter::COUNT]) -> Named {
    Counter::ALL
        .into_iter()
        .zip(row)
        .map(|(counter, packets)| (counter.name().to_owned(), *packets))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::compile::TagSource;

    use super::*;

    fn slots(
        before: &Slots<PortId, Name>,
        names: &[&str],
        tags: &mut TagSource,
    ) -> Slots<PortId, Name> {
        let wanted = names
            .iter()
            .map(|name| ((*name).to_owned(), (*name).to_owned()));
        Slots::advance(Some(before), wanted, tags, ("ports", 64)).unwrap()
    }

    /// Rows of slots that each saw, redirected and lost so many packets.
    fn rows(packets: &[u64]) -> Vec<Row> {
        let row = |n: &u64| {
            let mut row = Row::default();
            row.steering[Counter::Seen as usize] = *n;
            row.steering[Counter::Redirected as usize] = *n;
            let losses = RingLosses {
                queue: 3,
                rx_dropped: *n,
                ..RingLosses::default()
            };
            row.rings.insert(3, losses);
            row
        };
        packets.iter().map(row).collect()
    }

    fn shown(
        totals: &PortTotals,
        names: &Slots<PortId, Name>,
        rows: &[Row],
    ) -> Vec<(String, u64, u64)> {
        let ports = totals.by_name(names, rows).into_iter();
        ports
            .map(|p| (p.port, p.steering["redirected"], p.rings[0].rx_dropped))
            .collect()
    }

    #[test]
    fn a_slots_next_name_starts_at_zero_and_what_is_gone_still_counts() {
        let (mut totals, mut tags) = (PortTotals::default(), TagSource::starting_at(7));
        let none = Slots::default();
        let first = slots(&none, &["a", "b"], &mut tags);
        totals.advance(&none, &first, || rows(&[0, 0]));
        let at = |name: &str, n| (name.to_owned(), n, n);
        assert_eq!(
            shown(&totals, &first, &rows(&[10, 20])),
            [at("a", 10), at("b", 20)]
        );

        let without_b = slots(&first, &["a"], &mut tags);
        totals.advance(&first, &without_b, || unreachable!("no name is new"));
        assert_eq!(
            shown(&totals, &without_b, &rows(&[11, 20])),
            [at("a", 11), at("(removed)", 20)]
        );

        let with_c = slots(&without_b, &["a", "c"], &mut tags);
        assert_eq!(
            with_c.get("c").unwrap().id.slot,
            first.get("b").unwrap().id.slot
        );
        totals.advance(&without_b, &with_c, || rows(&[12, 20]));
        let after = shown(&totals, &with_c, &rows(&[13, 25]));
        assert_eq!(after, [at("a", 13), at("c", 5), at("(removed)", 20)]);
    }
}
