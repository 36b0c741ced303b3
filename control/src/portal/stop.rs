//! The end of a portal.

use super::{Portal, chain};
use crate::model;

impl Portal {
    /// Stops serving: workers close their sockets; the program stays and drops, or goes, as the model says.
    pub fn stop(mut self) {
        let release = self.model.portal.on_stop == model::OnStop::Release;
        for (name, bound) in std::mem::take(&mut self.bound) {
            if let Err(error) = self.fleet.detach(bound.id, &mut self.magazine) {
                tracing::error!(port = %name, error = chain(&error), "a worker did not close its sockets");
            }
            if release {
                self.release(&name);
            }
        }
        if !release {
            return;
        }
        if let Err(error) = self.slow.release() {
            tracing::warn!(error = chain(&error), "the slow path is not released");
        }
        if let Err(error) = self.pins.release_all() {
            tracing::warn!(error = chain(&error), "the bpffs is not released");
        }
        // Ports that could not be served when it ended, too.
        if let Err(error) = self.offloads.give_back_all() {
            tracing::warn!(error = chain(&error), "offloads not restored");
        }
    }
}
