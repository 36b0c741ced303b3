//! Rates and bursts, in units, within what a meter holds.

use std::ops::RangeInclusive;

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use tp_pipeline::MeterSpec;

use super::raw::{RawRates, Text, span};
use super::report::Problems;
use crate::model::{Rate, Rates};

/// The default burst is what the rate sends in this fraction of a second, and at least
/// [`DEFAULT_BURST`].
const BURST_FRACTION: u64 = 100;
/// The least default burst in bytes.
const DEFAULT_BURST: u64 = 64 << 10;

/// A rate or burst that a meter cannot hold.
#[derive(Debug, Error, Diagnostic)]
pub enum RateProblem {
    /// Not a number with a unit.
    #[error("`{text}` is no {what}")]
    #[diagnostic(help("a number and a unit of {units}: \"{example}\""))]
    Quantity {
        /// As written.
        text: String,
        /// What it is for.
        what: &'static str,
        /// The units there are.
        units: String,
        /// What would be right.
        example: &'static str,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// Beyond what a meter holds.
    #[error("{text} is out of range for a {what}")]
    #[diagnostic(help("a {what} is from {least} to {most}"))]
    OutOfRange {
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
    Alone {
        /// Its place.
        #[label("limits nothing")]
        at: SourceSpan,
    },
    /// A burst that the rate does not fill in the time that a meter keeps.
    #[error("a burst of {burst} takes {seconds} s to fill at {rate}")]
    #[diagnostic(help("at most {most} s: a smaller burst, or a higher rate", most = LONGEST_FILL))]
    FillsTooLong {
        /// As written.
        burst: String,
        /// As written.
        rate: String,
        /// Until it is full.
        seconds: u64,
        /// Its place.
        #[label(primary, "too deep")]
        at: SourceSpan,
        /// The place of the rate.
        #[label("too slow for it")]
        rate_at: SourceSpan,
    },
}

/// Seconds that a bucket may take to fill.
const LONGEST_FILL: u64 = MeterSpec::MAX_FILL_NANOS / 1_000_000_000;

/// What a quantity may be, and how messages about it speak.
struct Quantity {
    what: &'static str,
    units: &'static [(&'static str, u64)],
    example: &'static str,
    range: RangeInclusive<u64>,
    range_in_words: (&'static str, &'static str),
}

const RATE: Quantity = Quantity {
    what: "rate",
    units: &[
        ("bit/s", 1),
        ("kbit/s", 1_000),
        ("Mbit/s", 1_000_000),
        ("Gbit/s", 1_000_000_000),
    ],
    example: "100 Mbit/s",
    range: 8_000..=MeterSpec::MAX_BITS_PER_SECOND,
    range_in_words: ("8 kbit/s", "400 Gbit/s"),
};

/// No packet is larger than the largest chunk, so every packet fits the least burst.
const BURST: Quantity = Quantity {
    what: "burst",
    units: &[
        ("B", 1),
        ("kB", 1_000),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ],
    example: "64 KiB",
    range: 4096..=1 << 30,
    range_in_words: ("4 KiB (more than any packet)", "1 GiB"),
};

/// The limits of a client or tunnel; no entry is unlimited.
pub(super) fn rates(raw: Option<&RawRates>, problems: &mut Problems) -> Rates {
    let Some(raw) = raw else {
        return Rates::default();
    };
    let text = raw.burst.as_ref();
    let burst = text.and_then(|text| Some((text, problems.keep(BURST.read(text))?)));
    if let (Some(text), None, None) = (text, &raw.from_client, &raw.to_client) {
        problems.push(RateProblem::Alone { at: span(text) });
    }
    let mut direction = |text: &Option<Text>| {
        let text = text.as_ref()?;
        let bits_per_second = problems.keep(RATE.read(text))?;
        if let Some(burst) = burst {
            problems.keep(check_fill(burst, (text, bits_per_second)))?;
        }
        let burst = burst.map_or_else(|| default_burst(bits_per_second), |(_, bytes)| bytes);
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

/// A single rate with its burst; `default` where neither is given.
pub(super) fn rate(
    rate: Option<&Text>,
    burst: Option<&Text>,
    default: Rate,
    problems: &mut Problems,
) -> Rate {
    let bits_per_second = rate.and_then(|text| Some((text, problems.keep(RATE.read(text))?)));
    let bytes = burst.and_then(|text| Some((text, problems.keep(BURST.read(text))?)));
    if let (Some(rate), Some(burst)) = (bits_per_second, bytes) {
        problems.keep(check_fill(burst, rate));
    }
    let bits_per_second = bits_per_second.map_or(default.bits_per_second, |(_, n)| n);
    Rate {
        bits_per_second,
        burst: bytes.map_or_else(|| default_burst(bits_per_second), |(_, n)| n),
    }
}

fn default_burst(bits_per_second: u64) -> u64 {
    (bits_per_second / 8 / BURST_FRACTION).max(DEFAULT_BURST)
}

fn check_fill(burst: (&Text, u64), rate: (&Text, u64)) -> Result<(), RateProblem> {
    if MeterSpec::new(rate.1, burst.1).is_some() {
        return Ok(());
    }
    Err(RateProblem::FillsTooLong {
        burst: burst.0.get_ref().clone(),
        rate: rate.0.get_ref().clone(),
        seconds: burst.1 * 8 / rate.1,
        at: span(burst.0),
        rate_at: span(rate.0),
    })
}

impl Quantity {
    fn read(&self, text: &Text) -> Result<u64, RateProblem> {
        let (at, written) = (span(text), text.get_ref().clone());
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let unit_at = written.find(|c| !is_number(c)).unwrap_or(written.len());
        let (number, unit) = written.split_at(unit_at);
        let known = self
            .units
            .iter()
            .find(|(name, _)| *name == unit.trim_start());
        let Some(value) = known.and_then(|(_, scale)| decimal(number, *scale)) else {
            let units: Vec<&str> = self.units.iter().map(|(name, _)| *name).collect();
            return Err(RateProblem::Quantity {
                text: written,
                what: self.what,
                units: units.join(", "),
                example: self.example,
                at,
            });
        };
        let value = u64::try_from(value).ok();
        let (least, most) = self.range_in_words;
        value
            .filter(|value| self.range.contains(value))
            .ok_or(RateProblem::OutOfRange {
                text: written,
                what: self.what,
                least,
                most,
                at,
            })
    }
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
    use toml::Spanned;

    use super::*;

    fn read(quantity: &Quantity, text: &str) -> Option<u64> {
        let text = Spanned::new(0..text.len(), text.to_owned());
        quantity.read(&text).ok()
    }

    #[test]
    fn rates_are_exact_in_decimal_units() {
        for (text, value) in [
            ("100 Mbit/s", 100_000_000),
            ("1.5Gbit/s", 1_500_000_000),
            ("0.0081 Mbit/s", 8_100),
            ("8000 bit/s", 8_000),
            ("400 Gbit/s", 400_000_000_000),
        ] {
            assert_eq!(read(&RATE, text), Some(value), "{text}");
        }
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
            "7999 bit/s",
            "400.000001 Gbit/s",
        ] {
            assert_eq!(read(&RATE, bad), None, "{bad}");
        }
    }

    #[test]
    fn bursts_know_binary_and_decimal_units() {
        assert_eq!(read(&BURST, "64 KiB"), Some(65_536));
        assert_eq!(read(&BURST, "64 kB"), Some(64_000));
        assert_eq!(read(&BURST, "4095 B"), None);
        assert_eq!(read(&BURST, "1 GiB"), Some(1 << 30));
        assert_eq!(read(&BURST, "1.5 GiB"), None);
    }

    #[test]
    fn the_default_burst_is_10_ms_and_at_least_64_kib() {
        assert_eq!(default_burst(8_000), 65_536);
        assert_eq!(default_burst(1_000_000_000), 1_250_000);
        assert_eq!(default_burst(400_000_000_000), 500_000_000);
    }

    #[test]
    fn a_meter_holds_every_rate_with_its_default_burst() {
        for rate in [*RATE.range.start(), 1_000_000, *RATE.range.end()] {
            assert!(
                MeterSpec::new(rate, default_burst(rate)).is_some(),
                "{rate}"
            );
        }
    }
}
