//! The MAC addresses of the portal that are not the ports' own: bare links receive by them, so their ports must.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tp_ebpf::SteeringState;
use tp_wire::MacAddr;
use tp_xsk::UnicastFilter;

use crate::model::KernelView;

/// What ports are made to receive.
#[derive(Debug)]
pub(super) struct Filter {
    filter: UnicastFilter,
    admitted: BTreeSet<(u32, MacAddr)>,
}

impl Filter {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            filter: UnicastFilter::new()?,
            admitted: BTreeSet::new(),
        })
    }

    /// Admits these, by ifindex, and no others.
    ///
    /// # Errors
    /// The first that could not be admitted; it is tried again the next time.
    pub(super) fn set(&mut self, wanted: BTreeSet<(u32, MacAddr)>) -> io::Result<()> {
        for &(ifindex, mac) in self.admitted.difference(&wanted) {
            // A device that is gone lets nothing in.
            let _ = self.filter.refuse(ifindex, mac.octets());
        }
        self.admitted.retain(|entry| wanted.contains(entry));
        let mut failed = None;
        for entry in wanted {
            if self.admitted.contains(&entry) {
                continue;
            }
            match self.filter.admit(entry.0, entry.1.octets()) {
                Ok(()) => {
                    self.admitted.insert(entry);
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The addresses by which steering knows frames for the portal, but for those that the devices have themselves.
pub(super) fn wanted(steering: &SteeringState, view: &KernelView) -> BTreeSet<(u32, MacAddr)> {
    let own: BTreeSet<(u32, MacAddr)> = view.links.values().map(|l| (l.ifindex, l.mac)).collect();
    let ifindexes: BTreeMap<u16, u32> = steering.ports.iter().map(|(i, e)| (e.port, *i)).collect();
    let all = steering.local_macs.iter().filter_map(|key| {
        let ifindex = ifindexes.get(&key.port)?;
        Some((*ifindex, MacAddr::new(key.mac)))
    });
    all.filter(|entry| !own.contains(entry)).collect()
}
