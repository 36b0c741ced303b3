//! Offloads that would change frames before the steering program sees them: a VLAN tag that the
//! device strips would make a frame match another upstream, and merged frames do not fit a chunk.

use rustix::io::Errno;
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
    #[error("{device}")]
    Ethtool {
        /// The device.
        device: String,
        /// Why.
        source: EthtoolError,
    },
    /// Features that stayed as they were.
    #[error("{} of {device} cannot be switched {}", features.join(", "), if *on { "on" } else { "off" })]
    Stuck {
        /// The device.
        device: String,
        /// The features' names.
        features: Vec<String>,
        /// What was wanted.
        on: bool,
    },
}

impl OffloadError {
    /// Whether there is no such device: nothing of it needs to be switched.
    #[must_use]
    pub fn is_of_no_device(&self) -> bool {
        matches!(self, Self::Ethtool { source: EthtoolError::Refused(error), .. }
            if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()))
    }
}

/// Offloads of a device that must be off while it is a port, and that it has on at other times.
///
/// All of this works in the network namespace of the calling thread, and blocks for as long as the driver takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offloads {
    device: String,
    ifindex: u32,
    features: Features,
}

impl Offloads {
    /// Those of the unwanted ones that are on.
    ///
    /// # Errors
    /// [`OffloadError::Ethtool`].
    pub fn that_are_on(device: &str, ifindex: u32) -> Result<Self, OffloadError> {
        let mut offloads = Self::known(device, ifindex, []);
        let active = offloads.active(&mut offloads.ethtool()?)?;
        let unwanted = UNWANTED.iter().map(|name| (*name).to_owned());
        offloads.features = unwanted.filter(|name| active.contains(name)).collect();
        Ok(offloads)
    }

    /// Those that are known to have been on.
    pub fn known(device: &str, ifindex: u32, features: impl IntoIterator<Item = String>) -> Self {
        Self {
            device: device.to_owned(),
            ifindex,
            features: features.into_iter().collect(),
        }
    }

    /// The index of the device.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The names of the features.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(String::as_str)
    }

    /// Switches them off, and verifies that they are off.
    ///
    /// # Errors
    /// [`OffloadError`]: the kernel refuses, or a feature stays on.
    pub fn switch_off(&self) -> Result<(), OffloadError> {
        self.set(false)
    }

    /// Switches them on, and verifies that they are on.
    ///
    /// # Errors
    /// [`OffloadError`]: the kernel refuses (the device may be gone), or a feature stays off.
    pub fn switch_on(&self) -> Result<(), OffloadError> {
        self.set(true)
    }

    fn set(&self, on: bool) -> Result<(), OffloadError> {
        if self.features.is_empty() {
            return Ok(());
        }
        let mut ethtool = self.ethtool()?;
        ethtool
            .set_features(self.ifindex, &self.device, self.features(), on)
            .map_err(|source| self.error(source))?;
        let active = self.active(&mut ethtool)?;
        let stays = |name: &&String| active.contains(*name) != on;
        let stuck: Vec<String> = self.features.iter().filter(stays).cloned().collect();
        if stuck.is_empty() {
            return Ok(());
        }
        Err(OffloadError::Stuck {
            device: self.device.clone(),
            features: stuck,
            on,
        })
    }

    fn ethtool(&self) -> Result<Ethtool, OffloadError> {
        Ethtool::open().map_err(|source| self.error(source))
    }

    fn active(&self, ethtool: &mut Ethtool) -> Result<Features, OffloadError> {
        ethtool
            .active_features(self.ifindex, &self.device)
            .map_err(|source| self.error(source))
    }

    fn error(&self, source: EthtoolError) -> OffloadError {
        OffloadError::Ethtool {
            device: self.device.clone(),
            source,
        }
    }
}
