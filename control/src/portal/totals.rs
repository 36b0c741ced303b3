//! Counters by name, over all the slots that a name has had.
//!
//! Workers count by slot and never go back to zero, since only they write. A name's total is what its
//! slot counted since the name got it, and what its earlier slots counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use tp_pipeline::{LinkCounts, TunnelSlot, UpstreamSlot, WorkerCounters};

use crate::compile::{Names, Slot, Slots};
use crate::model::Name;

/// Totals of upstreams and tunnels.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    upstreams: Accounts<UpstreamSlot>,
    tunnels: Accounts<TunnelSlot>,
}

impl Totals {
    /// Opens and closes accounts as names got and lost slots. Called when no worker uses the
    /// predecessor any more, so that what is closed no longer grows.
    pub(crate) fn advance(
        &mut self,
        counters: &[Arc<WorkerCounters>],
        before: Option<&Names>,
        after: &Names,
    ) {
        self.upstreams
            .advance(before.map(|n| &n.upstreams), &after.upstreams, |slot| {
                sum(counters, |c| c.upstream(slot))
            });
        self.tunnels
            .advance(before.map(|n| &n.tunnels), &after.tunnels, |slot| {
                sum(counters, |c| c.tunnel(slot))
            });
    }

    /// What this upstream has counted.
    pub(crate) fn upstream(
        &self,
        counters: &[Arc<WorkerCounters>],
        name: &str,
        slot: UpstreamSlot,
    ) -> LinkCounts {
        self.upstreams
            .total(name, sum(counters, |c| c.upstream(slot)))
    }

    /// What this tunnel has counted.
    pub(crate) fn tunnel(
        &self,
        counters: &[Arc<WorkerCounters>],
        name: &str,
        slot: TunnelSlot,
    ) -> LinkCounts {
        self.tunnels.total(name, sum(counters, |c| c.tunnel(slot)))
    }
}

/// What one kind of slot counted, by name.
#[derive(Debug)]
struct Accounts<S> {
    by_name: BTreeMap<Name, Account>,
    slots: std::marker::PhantomData<S>,
}

impl<S> Default for Accounts<S> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
            slots: std::marker::PhantomData,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Of slots that the name no longer has.
    earlier: LinkCounts,
    /// What the slot stood at when the name got it.
    opening: LinkCounts,
}

impl<S: Slot> Accounts<S> {
    fn advance<I: Clone + PartialEq>(
        &mut self,
        before: Option<&Slots<S, I>>,
        after: &Slots<S, I>,
        counted: impl Fn(S) -> LinkCounts,
    ) {
        for (name, slot) in before.iter().flat_map(|b| b.retired_by(after)) {
            if let Some(account) = self.by_name.get_mut(&name) {
                account.earlier = plus(account.earlier, minus(counted(slot), account.opening));
                account.opening = LinkCounts::default();
            }
        }
        self.by_name.retain(|name, _| after.get(name).is_some());
        for (name, allocated) in after.iter() {
            let kept = before
                .and_then(|b| b.get(name))
                .is_some_and(|b| b.id == allocated.id);
            if !kept {
                self.by_name.entry(name.clone()).or_default().opening = counted(allocated.id.slot);
            }
        }
    }

    fn total(&self, name: &str, counted: LinkCounts) -> LinkCounts {
        let account = self.by_name.get(name).copied().unwrap_or_default();
        plus(account.earlier, minus(counted, account.opening))
    }
}

fn sum(
    counters: &[Arc<WorkerCounters>],
    read: impl Fn(&WorkerCounters) -> LinkCounts,
) -> LinkCounts {
    counters
        .iter()
        .map(|c| read(c))
        .fold(LinkCounts::default(), plus)
}

fn plus(a: LinkCounts, b: LinkCounts) -> LinkCounts {
    combine(a, b, u64::wrapping_add)
}

fn minus(a: LinkCounts, b: LinkCounts) -> LinkCounts {
    combine(a, b, u64::wrapping_sub)
}

fn combine(a: LinkCounts, b: LinkCounts, op: impl Fn(u64, u64) -> u64) -> LinkCounts {
    LinkCounts {
        rx_packets: op(a.rx_packets, b.rx_packets),
        rx_bytes: op(a.rx_bytes, b.rx_bytes),
        tx_packets: op(a.tx_packets, b.tx_packets),
        tx_bytes: op(a.tx_bytes, b.tx_bytes),
        dropped_packets: op(a.dropped_packets, b.dropped_packets),
    }
}
