//! A route of a laboratory namespace.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::LabError;

/// A route: where to, and by what.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) destination: IpNet,
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) device: Option<String>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) table: Option<u32>,
}

impl Route {
    /// A route to a prefix ("0.0.0.0/0" is the default route).
    pub fn to(prefix: &str) -> Result<Self, LabError> {
        Ok(Self {
            destination: parse_net(prefix)?.trunc(),
            gateway: None,
            device: None,
            source: None,
            table: None,
        })
    }

    /// By this gateway; without one the destination is on-link.
    #[must_use]
    pub fn via(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// Out of this device.
    #[must_use]
    pub fn dev(mut self, device: &str) -> Self {
        self.device = Some(device.to_owned());
        self
    }

    /// With this source address for what the host itself sends.
    #[must_use]
    pub fn src(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// In this table instead of the main one.
    #[must_use]
    pub fn table(mut self, table: u32) -> Self {
        self.table = Some(table);
        self
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(device) = &self.device {
            write!(f, " dev {device}")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if let Some(table) = self.table {
            write!(f, " table {table}")?;
        }
        Ok(())
    }
}

/// Parses an address with a prefix length.
pub(crate) fn parse_net(text: &str) -> Result<IpNet, LabError> {
    text.parse().map_err(|_| LabError::Argument {
        value: text.to_owned(),
        expected: "an address with a prefix length, such as 192.0.2.1/24",
    })
}
