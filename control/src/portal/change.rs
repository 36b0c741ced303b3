//! The four steps of a change: what makes it lossless, and keeps every packet in one generation.

use std::sync::Arc;
use std::time::Duration;

use tp_pipeline::{ClientSlot, Link, Snapshot, TunnelSlot, UpstreamSlot};
use tp_worker::Epoch;

use super::{Portal, PortalError};
use crate::compile::Compiled;

/// How long workers may take for one step. A turn takes microseconds, but a worker may wait for its CPU.
const STEP: Duration = Duration::from_secs(5);

impl Portal {
    /// Puts `next` into force.
    ///
    /// Order (docs/ARCHITECTURE.md, "A change of configuration"): publish both, write steering, wait until
    /// nothing steered under the old maps is under way, publish without the old.
    ///
    /// # Errors
    /// Where a steering map refuses an update, or a worker does not answer, the old maps and tables are put back;
    /// a worker that has not answered finds the old tables whenever it looks.
    pub(super) fn change(&mut self, next: Compiled) -> Result<(), PortalError> {
        if next.steering == self.compiled.steering && next.names == self.compiled.names {
            // No ingress changes hands, so no packet can be steered under an id that `next` lacks.
            if let Err(refused) = self.publish(&next, None) {
                self.show(&self.compiled, None);
                return Err(refused);
            }
            self.renew_meters(&next);
            self.compiled = next;
            return Ok(());
        }
        if let Err(refused) = self.publish(&next, Some(&self.compiled)) {
            // The maps name the old slots alone.
            self.show(&self.compiled, None);
            return Err(refused);
        }
        if let Err(refused) = self.steer(&next).and_then(|()| self.publish(&next, None)) {
            let restored = self.restore(&next);
            // If the way back fails too, both generations stay published: no packet loses its tables. The maps
            // may then name the failed one's slots for ever, so no later one may give out its tags.
            self.compiled.spend_tags_of(&next);
            return Err(restored.err().unwrap_or(refused));
        }
        self.renew_meters(&next);
        self.free_what_retired(&next);
        self.compiled = next;
        Ok(())
    }

    fn publish(&self, current: &Compiled, retiring: Option<&Compiled>) -> Result<(), PortalError> {
        let epoch = self.show(current, retiring);
        Ok(self.fleet.wait_seen(epoch, STEP)?)
    }

    /// Publishes without waiting for who has seen it.
    fn show(&self, current: &Compiled, retiring: Option<&Compiled>) -> Epoch {
        self.fleet.publish(Snapshot {
            current: Arc::clone(&current.tables),
            retiring: retiring.map(|r| Arc::clone(&r.tables)),
        })
    }

    /// Steers by these maps alone.
    fn steer(&mut self, to: &Compiled) -> Result<(), PortalError> {
        self.steering.apply(&to.steering)?;
        self.settle()
    }

    /// Waits until no frame that was steered under the old maps is still on its way to a verdict:
    /// first until no CPU runs the program with what it read from them, then until every
    /// worker has emptied its RX rings of what is in them.
    fn settle(&mut self) -> Result<(), PortalError> {
        self.steering
            .wait_for_cpus()
            .map_err(PortalError::Barrier)?;
        Ok(self.fleet.wait_drained(self.fleet.mark(), STEP)?)
    }

    /// Puts the old state back after a failed step. The old tables stay published, with the failed
    /// ones beside them until the maps name the old slots alone again.
    fn restore(&mut self, failed: &Compiled) -> Result<(), PortalError> {
        self.publish(&self.compiled, Some(failed))?;
        let old = self.compiled.steering.clone();
        self.steering.apply(&old)?;
        self.settle()?;
        self.publish(&self.compiled, None)
    }

    /// A client, tunnel or upstream whose rates changed starts with full buckets: one that was emptied under a low rate is
    /// paid for far ahead, and would refuse everything under a higher one until then.
    fn renew_meters(&self, next: &Compiled) {
        let (before, after) = (&self.compiled.tables, &next.tables);
        for (slot, pair) in (0..).zip(before.clients.iter().zip(&after.clients)) {
            if matches!(pair, (Some(a), Some(b)) if a.rates != b.rates) {
                self.meters.reset_client(ClientSlot(slot));
            }
        }
        let slow_path = |link: &Link| link.local.as_ref().map(|local| local.rate);
        for (slot, pair) in (0..).zip(before.tunnels.iter().zip(&after.tunnels)) {
            if matches!(pair, (Some(a), Some(b)) if a.rates != b.rates || slow_path(&a.link) != slow_path(&b.link))
            {
                self.meters.reset_tunnel(TunnelSlot(slot));
            }
        }
        for (slot, pair) in (0..).zip(before.upstreams.iter().zip(&after.upstreams)) {
            if matches!(pair, (Some(a), Some(b)) if slow_path(&a.link) != slow_path(&b.link)) {
                self.meters.reset_upstream(UpstreamSlot(slot));
            }
        }
    }

    fn free_what_retired(&mut self, next: &Compiled) {
        let (before, after) = (&self.compiled.names, &next.names);
        self.totals.advance(&self.counters, Some(before), after);
        let mut port_totals = std::mem::take(&mut self.port_totals);
        // Counts that cannot be read now are not taken off later: the sums still close.
        port_totals.advance(&before.ports, &after.ports, || {
            let rows = self.fleet.report().ok().map(|r| self.rows(&r));
            rows.and_then(Result::ok).unwrap_or_default()
        });
        self.port_totals = port_totals;
        for (_, slot) in before.tunnels.retired_by(&after.tunnels) {
            self.meters.reset_tunnel(slot);
        }
        for (_, slot) in before.upstreams.retired_by(&after.upstreams) {
            self.meters.reset_upstream(slot);
        }
        for (_, slot) in before.clients.retired_by(&after.clients) {
            self.meters.reset_client(slot);
        }
    }
}
