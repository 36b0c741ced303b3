//! The slow path of the running portal: what it needs of the model comes before a change, what it needs no more goes
//! after it.

use super::{Portal, PortalError, chain};
use crate::model::Model;
use crate::slow::Workers;

impl Portal {
    /// What the slow path's thread works with.
    pub(super) fn slow_workers(&self) -> Workers {
        Workers {
            region: self.region.clone(),
            ends: self.fleet.slow_ends(),
            cpus: self.model.portal.workers.clone(),
        }
    }

    /// Adds what `next` needs to what is there.
    ///
    /// # Errors
    /// [`PortalError::SlowPath`]; what was in force still is.
    pub(super) fn widen_slow_path(&mut self, next: &Model) -> Result<(), PortalError> {
        let widened = self.slow.add(next);
        if widened.is_err() {
            self.settle_slow_path();
        }
        Ok(widened?)
    }

    /// Makes the slow path that of the model in force alone. What fails is tried again by [`Self::retry_slow_path`].
    pub(super) fn settle_slow_path(&mut self) {
        let settled = self.slow.settle(&self.model, &self.compiled, &self.view);
        self.slow_is_behind = settled.is_err();
        if let Err(error) = settled {
            tracing::error!(error = chain(&error), "the slow path is not as configured");
        }
    }

    /// Repairs a slow path that is not as configured, or whose devices somebody removed.
    pub fn retry_slow_path(&mut self) {
        if !self.slow.is_running() {
            tracing::error!("a device of the slow path is gone; it is made again");
            let workers = self.slow_workers();
            self.slow_is_behind = true;
            if let Err(error) = self.slow.reopen(workers) {
                tracing::error!(error = chain(&error), "there is no slow path");
                return;
            }
        }
        if self.slow_is_behind {
            self.settle_slow_path();
        }
    }
}
