//! Every kind of link, with either family outside and inside, both ways and to the kernel and back: through the
//! configuration, the compiler and the pipeline, the bytes that leave are those that Scapy built.
//!
//! `packets.py` wrote `portal.toml` and `packets.txt`; each packet there stands below its Scapy expression.
#![allow(clippy::unwrap_used, reason = "a test's helpers fail like the test")]
#![allow(clippy::print_stdout, reason = "what was seen belongs to the result")]

mod bed;

use std::collections::BTreeMap;

use bed::Bed;
use tp_tests::reference::forwarding::Outcome;

#[test]
fn what_leaves_is_what_scapy_built() {
    let mut bed = Bed::new();
    let rows = rows(include_str!("packets.txt"));
    let mut wrong = Vec::new();
    for (case, [arrives, leaves]) in &rows {
        let outcome = bed.run(&arrives.place, &arrives.bytes);
        if outcome.as_ref() != Ok(leaves) {
            wrong.push(format!(
                "{case}: {arrives:02x?}\nexpected {leaves:02x?}\ngot {outcome:02x?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n\n")
    );
    assert!(rows.len() > 300, "{} rows", rows.len());
}

/// Cut off anywhere, or with any bit inverted, each packet becomes what the text says.
#[test]
fn damaged_packets_become_what_the_text_says() {
    let mut bed = Bed::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for (case, [arrives, _]) in rows(include_str!("packets.txt")) {
        if !arrives.place.starts_with("eth") {
            continue;
        }
        for damaged in damaged(&arrives.bytes) {
            let Some([expected, got]) = bed.both(&arrives.place, &damaged) else {
                *seen.entry("steered elsewhere".to_owned()).or_default() += 1;
                continue;
            };
            assert_eq!(got, expected, "{case}: {damaged:02x?}");
            let what = match expected {
                Outcome::Drop(reason) => format!("{reason:?}"),
                Outcome::Transmit(..) | Outcome::Tun(_) | Outcome::Tap(_) => "leaves".to_owned(),
            };
            *seen.entry(what).or_default() += 1;
        }
    }
    println!("{seen:#?}");
    let leaves = seen["leaves"];
    let dropped: u32 = seen.values().sum::<u32>() - leaves;
    assert!(leaves > 10_000 && dropped > 10_000 && seen.len() > 12);
}

/// The frame cut off at each byte, and with each bit of its first bytes inverted: all headers are there.
fn damaged(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    const HEADERS: usize = 128;
    let cut = (0..frame.len()).map(|end| frame[..end].to_vec());
    let bits = 0..8 * frame.len().min(HEADERS);
    let inverted = bits.map(|bit| {
        let mut frame = frame.to_vec();
        frame[bit / 8] ^= 1 << (bit % 8);
        frame
    });
    cut.chain(inverted)
}

/// Bytes at a place: a port, `tun`, `tap`, or a link that the kernel sends to.
#[derive(Debug, PartialEq, Eq)]
struct At {
    place: String,
    bytes: Vec<u8>,
}

/// What arrives and what must leave, with the heading that they stand under.
fn rows(text: &str) -> Vec<(String, [At; 2])> {
    let mut rows = Vec::new();
    let mut heading = String::new();
    let mut arrived = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut heading);
        } else if !line.is_empty() && !line.starts_with('#') {
            let fields: Vec<&str> = line.split(' ').collect();
            let [place, way, bytes] = fields[..] else {
                panic!("{line}")
            };
            let at = At {
                place: place.to_owned(),
                bytes: unhex(bytes),
            };
            match (way, arrived.take()) {
                ("in", None) => arrived = Some(at),
                ("out", Some(before)) => rows.push((heading.clone(), [before, at])),
                _ => panic!("out of order: {line}"),
            }
        }
    }
    rows
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
