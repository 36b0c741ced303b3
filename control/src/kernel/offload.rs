//! Offloads that would change frames before the steering program sees them: a VLAN tag that the
//! device strips would make a frame match another upstream, and merged frames do not fit a chunk.

use thiserror::Error;

use super::ethtool::{Ethtool, EthtoolError, Features};

/// Features that must be off on a port (names of net/ethtool/common.c).
const UNWANTED: &[&str] = &[
    "rx-vlan-hw-parse",
    "tx-vlan-hw-insert",
    "rx-vlan-stag-hw-parse",
    "tx-vlan-stag-hw-insert",
    "rx-lro",
    "rx-gro-hw",
];

/// Why a port's offloads cannot be switched off, or back on.
#[derive(Debug, Error)]
pub enum OffloadError {
    /// The kernel did not answer.
    #[error(transparent)]
    Ethtool(#[from] EthtoolError),
    /// Features that stayed as they were.
    #[error("{} of ifindex {ifindex} cannot be switched {}", features.join(", "), if *on { "on" } else { "off" })]
    Stuck {
        /// The device.
        ifindex: u32,
        /// The features' names.
        features: Vec<String>,
        /// What was wanted.
        on: bool,
    },
}

/// Offloads that were switched off, to be restored when the port is released.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a port that is released gets its offloads back"]
pub struct SwitchedOff {
    ifindex: u32,
    features: Features,
}

/// Switches off the device's VLAN offloads and LRO, and verifies that they are off.
///
/// Works in the network namespace of the calling thread; blocks for as long as the driver takes.
///
/// # Errors
/// [`OffloadError`]: the kernel refuses, or a feature stays on. Nothing stays changed then, as far
/// as the kernel lets it be undone.
pub fn switch_off(ifindex: u32) -> Result<SwitchedOff, OffloadError> {
    let mut ethtool = Ethtool::open()?;
    let before = ethtool.active_features(ifindex)?;
    let is_on = |name: &&&str| before.contains(**name);
    let on: Features = UNWANTED
        .iter()
        .filter(is_on)
        .map(|name| (*name).to_owned())
        .collect();
    let switched = SwitchedOff {
        ifindex,
        features: on,
    };
    if switched.features.is_empty() {
        return Ok(switched);
    }
    switched.set(&mut ethtool, false).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = switched.set(&mut ethtool, true);
    })?;
    Ok(switched)
}

impl SwitchedOff {
    /// The names of the features that were on.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(String::as_str)
    }

    /// Switches back on what was on.
    ///
    /// # Errors
    /// [`OffloadError`]: the kernel refuses (the device may be gone), or a feature stays off.
    pub fn restore(self) -> Result<(), OffloadError> {
        if self.features.is_empty() {
            return Ok(());
        }
        self.set(&mut Ethtool::open()?, true)
    }

    fn set(&self, ethtool: &mut Ethtool, on: bool) -> Result<(), OffloadError> {
        ethtool.set_features(self.ifindex, self.features(), on)?;
        let active = ethtool.active_features(self.ifindex)?;
        let stuck: Vec<String> = self
            .features
            .iter()
            .filter(|name| active.contains(*name) != on)
            .cloned()
            .collect();
        if stuck.is_empty() {
            return Ok(());
        }
        Err(OffloadError::Stuck {
            ifindex: self.ifindex,
            features: stuck,
            on,
        })
    }
}
