//! The corpus of odd packets: `tests/odd/packets.txt`, written by Scapy.

use tp_pipeline::abi::{Counter, IngressKind, NO_SLOT};

use crate::{Drop, Expect, Pass, Row, redirect_tagged};

const PACKETS: &str = include_str!("../odd/packets.txt");

pub(crate) fn rows() -> Vec<Row> {
    let blocks = PACKETS.split("\n\n").map(str::trim);
    let rows: Vec<_> = blocks
        .filter(|block| !block.is_empty() && !block.starts_with('#'))
        .map(row)
        .collect();
    assert_eq!(rows.len(), PACKETS.matches("\n  is: ").count());
    rows
}

/// A name, `below BYTES: VERDICT` for what is cut short, `is: VERDICT`, and the bytes.
fn row(block: &'static str) -> Row {
    let mut lines = block.lines().map(str::trim);
    let name = lines.next().expect("a name");
    let mut cuts = Vec::new();
    let expect = loop {
        let line = lines.next().expect("a verdict");
        let (what, verdict) = line.split_once(": ").expect("a verdict");
        match what.strip_prefix("below ") {
            Some(bytes) => cuts.push((number(bytes), expect(verdict))),
            None => break expect(verdict),
        }
    };
    let (least, verdict) = cuts.remove(0);
    assert_eq!(verdict, Drop(Counter::Truncated), "{name}: the least cut");
    let row = Row::new(name, lines.flat_map(bytes).collect(), least, expect);
    cuts.into_iter()
        .fold(row, |row, (bytes, verdict)| row.below(bytes, verdict))
}

fn expect(verdict: &str) -> Expect {
    if verdict == "pass" {
        return Pass;
    }
    if let Some(counter) = Counter::ALL.into_iter().find(|c| c.name() == verdict) {
        assert!(counter.is_drop(), "{verdict} is no reason to drop");
        return Drop(counter);
    }
    let words: Vec<_> = verdict.split(' ').collect();
    let [ingress, slot, "vlans", vlans, "at", l3, l4, inner] = words[..] else {
        panic!("no verdict: {verdict}");
    };
    let slot = match slot {
        "none" => NO_SLOT,
        slot => number(slot),
    };
    let offsets = [l3, l4, inner].map(number);
    redirect_tagged(kind(ingress), slot, number(vlans), offsets)
}

fn kind(name: &str) -> IngressKind {
    match name {
        "upstream" => IngressKind::Upstream,
        "upstream-tunnel" => IngressKind::UpstreamTunnel,
        "tunnel" => IngressKind::Tunnel,
        "l2-client" => IngressKind::L2Client,
        "outer-fragment" => IngressKind::OuterFragment,
        "outer-icmp" => IngressKind::OuterIcmp,
        "outer-icmp-upstream" => IngressKind::OuterIcmpUpstream,
        _ => panic!("no ingress: {name}"),
    }
}

fn number<T: std::str::FromStr>(digits: &str) -> T {
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number: {digits}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "half a byte: {hex}");
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
    pairs.iter().map(|pair| byte(pair)).collect()
}
