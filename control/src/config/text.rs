//! Single values: addresses, prefixes, MACs, rates; each with what would be right.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{Ipv4Net, Ipv6Net};
use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use toml::Spanned;
use tp_wire::MacAddr;

use super::raw::{RawRates, Text, span};
use super::report::Problems;
use crate::model::{Rate, Rates};

/// Bits a second that a meter holds.
pub(super) const RATES: RangeInclusive<u64> = 8_000..=1_000_000_000_000;
/// Bytes of a burst; no packet is larger than the largest chunk, so every packet fits the least burst.
pub(super) const BURSTS: RangeInclusive<u64> = 4096..=1 << 30;
/// The default burst is what the rate sends in this fraction of a second, and at least [`DEFAULT_BURST`].
const BURST_FRACTION: u64 = 100;
/// The least default burst in bytes.
const DEFAULT_BURST: u64 = 64 << 10;

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
    /// Not a rate or a burst.
    #[error("`{text}` is no {what}")]
    #[diagnostic(help("{right}"))]
    Quantity {
        /// As written.
        text: String,
        /// What it is for.
        what: &'static str,
        /// What would be right.
        right: &'static str,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// A rate or burst beyond what a meter holds.
    #[error("{text} is out of range for a {what}")]
    #[diagnostic(help("a {what} is from {least} to {most}"))]
    QuantityRange {
        /// As written.
        text: String,
        /// What it is for.
        what: &'static str,
        /// Least allowed.
        least: &'static str,
        /// Most allowed.
        most: &'static str,
        /// Its place.
        #[label("out of range")]
        at: SourceSpan,
    },
    /// A burst that belongs to no rate.
    #[error("a burst without a rate")]
    #[diagnostic(help("add from_client = \"100 Mbit/s\" or to_client, or remove burst"))]
    BurstAlone {
        /// Its place.
        #[label("limits nothing")]
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

/// The limits of a client or tunnel; no entry is unlimited.
pub(super) fn rates(raw: Option<&RawRates>, problems: &mut Problems) -> Rates {
    let Some(raw) = raw else {
        return Rates::default();
    };
    let burst = raw
        .burst
        .as_ref()
        .and_then(|text| problems.keep(burst(text)));
    if let (Some(text), None, None) = (&raw.burst, &raw.from_client, &raw.to_client) {
        problems.push(ValueProblem::BurstAlone { at: span(text) });
    }
    let mut direction = |text: &Option<Text>| {
        let bits_per_second = problems.keep(rate(text.as_ref()?))?;
        let burst = burst.unwrap_or_else(|| default_burst(bits_per_second));
        Some(Rate {
            bits_per_second,
            burst,
        })
    };
    Rates {
        from_client: direction(&raw.from_client),
        to_client: direction(&raw.to_client),
    }
}

fn default_burst(bits_per_second: u64) -> u64 {
    (bits_per_second / 8 / BURST_FRACTION).clamp(DEFAULT_BURST, *BURSTS.end())
}

fn rate(text: &Text) -> Result<u64, ValueProblem> {
    const UNITS: &[(&str, u64)] = &[
        ("bit/s", 1),
        ("kbit/s", 1_000),
        ("Mbit/s", 1_000_000),
        ("Gbit/s", 1_000_000_000),
        ("Tbit/s", 1_000_000_000_000),
    ];
    let right = "a number and bit/s, kbit/s, Mbit/s, Gbit/s or Tbit/s: \"100 Mbit/s\"";
    let range = ("8 kbit/s", "1 Tbit/s");
    quantity(
        text,
        UNITS,
        RATES,
        Wording {
            what: "rate",
            right,
            range,
        },
    )
}

fn burst(text: &Text) -> Result<u64, ValueProblem> {
    const UNITS: &[(&str, u64)] = &[
        ("B", 1),
        ("kB", 1_000),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let right = "a number and B, kB, KiB, MB, MiB or GiB: \"64 KiB\"";
    let range = ("4 KiB (more than any packet)", "1 GiB");
    quantity(
        text,
        UNITS,
        BURSTS,
        Wording {
            what: "burst",
            right,
            range,
        },
    )
}

/// How messages about a quantity speak.
struct Wording {
    what: &'static str,
    right: &'static str,
    range: (&'static str, &'static str),
}

fn quantity(
    text: &Text,
    units: &[(&str, u64)],
    range: RangeInclusive<u64>,
    Wording {
        what,
        right,
        range: (least, most),
    }: Wording,
) -> Result<u64, ValueProblem> {
    let (at, written) = (span(text), text.get_ref());
    let number_end = written
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(written.len());
    let (number, unit) = written.split_at(number_end);
    let scale = units
        .iter()
        .find(|(name, _)| *name == unit.trim_start())
        .map(|(_, scale)| *scale);
    let Some(value) = scale.and_then(|scale| decimal(number, scale)) else {
        return Err(ValueProblem::Quantity {
            text: written.clone(),
            what,
            right,
            at,
        });
    };
    u64::try_from(value)
        .ok()
        .filter(|v| range.contains(v))
        .ok_or_else(|| ValueProblem::QuantityRange {
            text: written.clone(),
            what,
            least,
            most,
            at,
        })
}

/// `number` times `scale`, exactly; `None` for what is no decimal number, has more than six places
/// behind the point, or gives no whole number.
fn decimal(number: &str, scale: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || whole.len() > 15 || fraction.len() > 6 {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled = digits * u128::from(scale);
    scaled.is_multiple_of(divisor).then_some(scaled / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> Text {
        Spanned::new(0..s.len(), s.to_owned())
    }

    #[test]
    fn rates_are_exact_in_decimal_units() {
        let ok = |s: &str| rate(&text(s)).ok();
        assert_eq!(ok("100 Mbit/s"), Some(100_000_000));
        assert_eq!(ok("1.5Gbit/s"), Some(1_500_000_000));
        assert_eq!(ok("0.0081 Mbit/s"), Some(8_100));
        assert_eq!(ok("8000 bit/s"), Some(8_000));
        for bad in [
            "",
            "100",
            "Mbit/s",
            "1,5 Gbit/s",
            "1.2.3 Mbit/s",
            "-1 Mbit/s",
            "100 mbit/s",
            "1. Mbit/s",
            "8000.5 bit/s",
        ] {
            assert_eq!(ok(bad), None, "{bad}");
        }
    }

    #[test]
    fn bursts_know_binary_and_decimal_units() {
        let ok = |s: &str| burst(&text(s)).ok();
        assert_eq!(ok("64 KiB"), Some(65_536));
        assert_eq!(ok("64 kB"), Some(64_000));
        assert_eq!(ok("4095 B"), None);
        assert_eq!(ok("1 GiB"), Some(1 << 30));
        assert_eq!(ok("1.5 GiB"), None);
    }

    #[test]
    fn the_default_burst_is_10_ms_and_at_least_64_kib() {
        assert_eq!(default_burst(8_000), 65_536);
        assert_eq!(default_burst(1_000_000_000), 1_250_000);
        assert_eq!(default_burst(1_000_000_000_000), 1 << 30);
    }
}
