//! Single values: numbers, addresses, prefixes, MACs; each with what would be right.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{Ipv4Net, Ipv6Net};
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
    /// Not an IPv4 address.
    #[error("`{text}` is no IPv4 address")]
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
    /// IPv6 where only IPv4 works.
    #[error("{text} is IPv6, which is not there yet for {what}")]
    #[diagnostic(help("only IPv4 works here in this version"))]
    Ipv6 {
        /// As written.
        text: String,
        /// The key.
        what: &'static str,
        /// Its place.
        #[label("IPv6")]
        at: SourceSpan,
    },
    /// An address that is not one host's.
    #[error("{address} as {what} is {kind}")]
    #[diagnostic(help("an address of one host is needed"))]
    NotHost {
        /// As written.
        address: Ipv4Addr,
        /// The key.
        what: &'static str,
        /// In words.
        kind: &'static str,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// Not a prefix.
    #[error("`{text}` is no IPv4 prefix")]
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
        right: Ipv4Net,
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

/// The IPv4 address of one host, for the key `what`.
pub(super) fn address(text: &Text, what: &'static str) -> Result<Ipv4Addr, ValueProblem> {
    let (at, written) = (span(text), text.get_ref());
    let Ok(address) = written.parse::<Ipv4Addr>() else {
        return Err(match written.parse::<Ipv6Addr>() {
            Ok(_) => ValueProblem::Ipv6 {
                text: written.clone(),
                what,
                at,
            },
            Err(_) => ValueProblem::Address {
                text: written.clone(),
                right: if what == "next_hop" {
                    "an address like \"192.0.2.1\", or a MAC address like \"02:00:00:00:00:01\""
                } else {
                    "an address like \"192.0.2.1\", without a length"
                },
                at,
            },
        });
    };
    let kind = match address {
        a if a.octets()[0] == 0 => "an address of \"this network\"",
        a if a.is_loopback() => "a loopback address",
        a if a.is_multicast() => "a multicast address",
        a if a.octets()[0] >= 240 => "a reserved or broadcast address",
        a => return Ok(a),
    };
    Err(ValueProblem::NotHost {
        address,
        what,
        kind,
        at,
    })
}

/// A prefix without host bits.
pub(super) fn prefix(text: &Text, what: &'static str) -> Result<Ipv4Net, ValueProblem> {
    let (at, written) = (span(text), text.get_ref().clone());
    if written.parse::<Ipv6Net>().is_ok() || written.parse::<Ipv6Addr>().is_ok() {
        return Err(ValueProblem::Ipv6 {
            text: written,
            what,
            at,
        });
    }
    match written.parse::<Ipv4Net>() {
        Ok(net) if net.trunc() == net => Ok(net),
        Ok(net) => Err(ValueProblem::HostBits {
            text: written,
            right: net.trunc(),
            at,
        }),
        Err(_) => {
            let right = match written.parse::<Ipv4Addr>() {
                Ok(address) => format!("a single address is \"{address}/32\""),
                Err(_) => "an address and a length: \"198.51.100.0/24\"".to_owned(),
            };
            Err(ValueProblem::Prefix {
                text: written,
                right,
                at,
            })
        }
    }
}
