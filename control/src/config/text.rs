//! Single values: numbers, addresses, prefixes, MACs; each with what would be right.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use toml::Spanned;
use tp_wire::MacAddr;

use super::raw::{Text, span};

/// A value that is not what its key takes.
#[derive(Debug, Error, Diagnostic)]
pub enum ValueProblem {
    /// Not a number of the range.
    #[error("{value} is out of range for {what}")]
    #[diagnostic(help("{what} is from {least} to {most}"))]
    OutOfRange {
        /// What it is for.
        what: &'static str,
        /// As written.
        value: i128,
        /// Least allowed.
        least: i128,
        /// Most allowed.
        most: i128,
        /// Its place.
        #[label("out of range")]
        at: SourceSpan,
    },
    /// Not a MAC address.
    #[error("`{text}` is no MAC address")]
    #[diagnostic(help("six bytes in hexadecimal: \"02:00:00:00:00:01\""))]
    Mac {
        /// As written.
        text: String,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// A MAC address that no single interface has.
    #[error("{text} is {kind} MAC address, not that of an interface")]
    #[diagnostic(help("the first byte of an interface's address is even, and not all six are 0"))]
    NotUnicastMac {
        /// As written.
        text: String,
        /// In words.
        kind: &'static str,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// Not an address.
    #[error("`{text}` is no IP address")]
    #[diagnostic(help("{right}"))]
    Address {
        /// As written.
        text: String,
        /// What would be right.
        right: &'static str,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// An address that is not one host's.
    #[error("{address} as {what} is {kind}")]
    #[diagnostic(help("an address of one host is needed"))]
    NotHost {
        /// As written.
        address: IpAddr,
        /// The key.
        what: &'static str,
        /// In words.
        kind: &'static str,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// Not a prefix.
    #[error("`{text}` is no prefix")]
    #[diagnostic(help("{right}"))]
    Prefix {
        /// As written.
        text: String,
        /// What would be right.
        right: String,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// A prefix with bits behind its length.
    #[error("{text} has bits set behind its prefix length")]
    #[diagnostic(help("the prefix is \"{right}\""))]
    HostBits {
        /// As written.
        text: String,
        /// Without them.
        right: IpNet,
        /// Its place.
        #[label("host bits set")]
        at: SourceSpan,
    },
}

/// A number within `range`.
pub(super) fn number<T>(
    value: &Spanned<i64>,
    what: &'static str,
    range: RangeInclusive<T>,
) -> Result<T, ValueProblem>
where
    T: Copy + TryFrom<i64> + Into<i128> + PartialOrd,
{
    T::try_from(*value.get_ref())
        .ok()
        .filter(|n| range.contains(n))
        .ok_or_else(|| ValueProblem::OutOfRange {
            what,
            value: (*value.get_ref()).into(),
            least: (*range.start()).into(),
            most: (*range.end()).into(),
            at: span(value),
        })
}

/// The MAC address of an interface.
pub(super) fn mac(text: &Text) -> Result<MacAddr, ValueProblem> {
    let (at, written) = (span(text), text.get_ref().clone());
    let Ok(mac) = text.get_ref().parse::<MacAddr>() else {
        return Err(ValueProblem::Mac { text: written, at });
    };
    let kind = match mac {
        _ if mac.is_zero() => "the zero",
        _ if mac.octets() == [0xff; 6] => "the broadcast",
        _ if mac.is_group() => "a multicast",
        _ => return Ok(mac),
    };
    Err(ValueProblem::NotUnicastMac {
        text: written,
        kind,
        at,
    })
}

/// The address of one host, for the key `what`; not a link-local one, which names its host on one link only.
pub(super) fn address(text: &Text, what: &'static str) -> Result<IpAddr, ValueProblem> {
    match link_address(text, what)? {
        IpAddr::V6(address) if address.is_unicast_link_local() => Err(ValueProblem::NotHost {
            address: address.into(),
            what,
            kind: "an address of one link only",
            at: span(text),
        }),
        address => Ok(address),
    }
}

/// The address of one host on a link, for the key `what`.
pub(super) fn link_address(text: &Text, what: &'static str) -> Result<IpAddr, ValueProblem> {
    let (at, written) = (span(text), text.get_ref());
    let Ok(address) = written.parse::<IpAddr>() else {
        return Err(ValueProblem::Address {
            text: written.clone(),
            right: if what == "next_hop" {
                "an address like \"192.0.2.1\", or a MAC address like \"02:00:00:00:00:01\""
            } else {
                "an address like \"192.0.2.1\" or \"2001:db8::1\", without a length"
            },
            at,
        });
    };
    match not_a_host(address) {
        None => Ok(address),
        Some(kind) => Err(ValueProblem::NotHost {
            address,
            what,
            kind,
            at,
        }),
    }
}

/// In words, why no host has this address.
fn not_a_host(address: IpAddr) -> Option<&'static str> {
    Some(match address {
        a if a.is_loopback() => "a loopback address",
        a if a.is_multicast() => "a multicast address",
        IpAddr::V4(a) if a.octets()[0] == 0 => "an address of \"this network\"",
        IpAddr::V4(a) if a.octets()[0] >= 240 => "a reserved or broadcast address",
        IpAddr::V6(a) if a.is_unspecified() => "the unspecified address",
        IpAddr::V6(a) if a.to_ipv4_mapped().is_some() => "an IPv4-mapped address",
        _ => return None,
    })
}

/// A prefix without host bits.
pub(super) fn prefix(text: &Text) -> Result<IpNet, ValueProblem> {
    let (at, written) = (span(text), text.get_ref().clone());
    match written.parse::<IpNet>() {
        Ok(net) if net.trunc() == net => Ok(net),
        Ok(net) => Err(ValueProblem::HostBits {
            text: written,
            right: net.trunc(),
            at,
        }),
        Err(_) => {
            let right = match written.parse::<IpAddr>() {
                Ok(address) => format!("a single address is \"{}\"", IpNet::from(address)),
                Err(_) => {
                    "an address and a length: \"198.51.100.0/24\" or \"2001:db8::/48\"".to_owned()
                }
            };
            Err(ValueProblem::Prefix {
                text: written,
                right,
                at,
            })
        }
    }
}
