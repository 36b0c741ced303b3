//! The files of `dpdk-test-fib`.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use tp_fib::Prefix;

use super::family::Family;
use super::{Broken, Route};

pub(super) fn read_routes<A: Family>(path: &Path) -> Result<Vec<Route<A>>, Broken> {
    read(path, "prefix/length next-hop", route)
}

pub(super) fn read_addresses<A: Family>(path: &Path) -> Result<Vec<A>, Broken> {
    read(path, "an address of this family", |line| {
        Some(line.trim().parse::<A::Ip>().ok()?.into())
    })
}

pub(super) fn write_routes<A: Family>(path: &Path, routes: &[Route<A>]) -> Result<(), Broken> {
    write(path, routes.iter().map(|(p, value)| format!("{p} {value}")))
}

pub(super) fn write_addresses<A: Family>(path: &Path, addresses: &[A]) -> Result<(), Broken> {
    write(path, addresses.iter().map(|addr| A::Ip::from(*addr)))
}

fn route<A: Family>(line: &str) -> Option<Route<A>> {
    let (prefix, value) = line.trim().split_once([' ', '\t'])?;
    let (addr, len) = prefix.split_once('/')?;
    let prefix = Prefix::<A>::new(addr.parse().ok()?, len.parse().ok()?)?;
    Some((prefix, value.trim().parse().ok()?))
}

fn read<T>(
    path: &Path,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Broken> {
    let text = fs::read_to_string(path).map_err(|error| file(path, error))?;
    let parsed = text.lines().enumerate().map(|(index, line)| {
        parse(line).ok_or_else(|| Broken::Line {
            path: path.to_owned(),
            line: index + 1,
            expected,
        })
    });
    let parsed: Vec<T> = parsed.collect::<Result<_, _>>()?;
    if parsed.is_empty() {
        return Err(Broken::Nothing(path.to_owned()));
    }
    Ok(parsed)
}

fn write<T: Display>(path: &Path, lines: impl Iterator<Item = T>) -> Result<(), Broken> {
    let written = || {
        let mut out = BufWriter::new(File::create(path)?);
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    };
    written().map_err(|error| file(path, error))
}

fn file(path: &Path, error: std::io::Error) -> Broken {
    let path = path.to_owned();
    Broken::File { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tp_fib::{Prefix4, Prefix6};

    #[test]
    fn a_route_is_a_prefix_and_a_number() {
        let prefix = Prefix4::new([10, 0, 0, 0].into(), 8).unwrap();
        assert_eq!(route::<u32>("10.0.0.0/8 7"), Some((prefix, 7)));
        assert_eq!(route::<u32>("10.0.0.0/8\t7 "), Some((prefix, 7)));
        let prefix = Prefix6::new("2001:db8::".parse().unwrap(), 32).unwrap();
        assert_eq!(route::<u128>("2001:db8::/32 7"), Some((prefix, 7)));
        assert_eq!(route::<u128>("2001:db8::1/32 7"), None);
        for line in [
            "",
            "10.0.0.0/8",
            "10.0.0.1/8 7",
            "10.0.0.0/33 7",
            "10.0.0.0/8 x",
            "2001:db8::/32 7",
        ] {
            assert_eq!(route::<u32>(line), None, "{line}");
        }
    }
}
