//! A bridge: an exchange LAN, in a namespace of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{End, LabError, Ns, link, netlink};

/// Name of the bridge device in its namespace.
const DEVICE: &str = "br0";

/// A learning switch without spanning tree, so that a new port forwards at once.
#[derive(Debug)]
pub struct Bridge {
    ns: Ns,
    ports: AtomicU32,
}

impl Bridge {
    pub(crate) fn create(ns: Ns) -> Result<Self, LabError> {
        ns.run(|| netlink::add_bridge(DEVICE))??;
        Ok(Self {
            ns,
            ports: AtomicU32::new(0),
        })
    }

    /// The bridge's namespace, for `tcpdump` and the like.
    pub fn ns(&self) -> &Ns {
        &self.ns
    }

    /// Plugs an end into the bridge; returns the name of the port in the bridge's namespace ("p0", "p1"...).
    pub fn plug(&self, end: impl Into<End>) -> Result<String, LabError> {
        let end = end.into();
        let name = format!("p{}", self.ports.fetch_add(1, Ordering::Relaxed));
        let port = end.twin(&self.ns, &name);
        link::add_veth(&end, &port)?;
        self.ns.run(|| netlink::plug(&name, DEVICE))??;
        Ok(name)
    }
}
