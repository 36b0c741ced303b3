//! A bridge: an exchange LAN, in a namespace of its own.

use std::sync::atomic::{AtomicU32, Ordering};

use rtnetlink::LinkBridge;
use rtnetlink::packet_route::link::BridgeStpState;

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
        let message = LinkBridge::new(DEVICE)
            .stp_state(BridgeStpState::Disabled)
            .forward_delay(0)
            // Group frames are flooded to all, as on an exchange whose switch knows no members.
            .mcast_snooping(false)
            .up()
            .build();
        ns.run(|| netlink::add_link("add bridge", message))??;
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
        let bridge = self.ns.link(DEVICE)?.index;
        self.ns
            .run(|| netlink::set_link(&name, |link| link.controller(bridge)))??;
        Ok(name)
    }
}
