//! What arrived of a flow.
//!
//! A datagram is its number (8 bytes, big endian) and a filler that follows from the number, so that loss,
//! duplication, reordering and damage are all seen.

use std::time::{Duration, Instant};

/// Bytes of the number in front of the filler.
pub(super) const NUMBER: usize = 8;
/// Bytes of IP and UDP headers in front of the payload (RFC 791, RFC 8200, RFC 768).
pub(super) const HEADERS_V4: u64 = 20 + 8;
pub(super) const HEADERS_V6: u64 = 40 + 8;

/// What became of a flow, or has until now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpReport {
    /// Datagrams that were given to the kernel; in the middle of a flow 0, since only its end is known.
    pub sent: u64,
    /// Datagrams that the kernel refused to send.
    pub not_sent: u64,
    /// Datagrams that arrived, each counted once.
    pub received: u64,
    /// Datagrams that arrived again.
    pub duplicated: u64,
    /// Datagrams that arrived after one with a higher number.
    pub reordered: u64,
    /// Datagrams whose bytes were not those that were sent.
    pub damaged: u64,
    /// Payload bytes of the datagrams counted by `received`.
    pub received_bytes: u64,
    /// Bytes of their IP packets: what a rate limit over inner IP bytes counts.
    pub received_ip_bytes: u64,
    /// From the first arrival to the last.
    pub elapsed: Duration,
}

/// What the receiver saw.
#[derive(Debug)]
pub(super) struct Tally {
    report: UdpReport,
    headers: u64,
    seen: Vec<bool>,
    highest: Option<u64>,
    first: Option<Instant>,
}

impl UdpReport {
    /// Datagrams that were sent and did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Everything arrived once, in order and undamaged.
    pub fn is_clean(&self) -> bool {
        self.sent > 0
            && self.lost() == 0
            && [self.not_sent, self.duplicated, self.reordered, self.damaged] == [0; 4]
    }
}

impl Tally {
    /// Of a flow of that many datagrams with that many bytes of IP and UDP headers.
    pub(super) fn new(count: u64, headers: u64) -> Self {
        Self {
            report: UdpReport::default(),
            headers,
            seen: vec![false; usize::try_from(count).unwrap_or(usize::MAX)],
            highest: None,
            first: None,
        }
    }

    /// What was seen until here.
    pub(super) fn report(&self) -> UdpReport {
        self.report.clone()
    }

    pub(super) fn record(&mut self, datagram: &[u8], now: Instant) {
        let first = *self.first.get_or_insert(now);
        let report = &mut self.report;
        report.elapsed = now - first;
        let number = datagram
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes));
        let slot = number
            .filter(|number| is_filled(datagram, *number))
            .and_then(|number| Some((number, self.seen.get_mut(usize::try_from(number).ok()?)?)));
        let Some((number, seen)) = slot else {
            report.damaged += 1;
            return;
        };
        if std::mem::replace(seen, true) {
            report.duplicated += 1;
            return;
        }
        report.received += 1;
        report.received_bytes += datagram.len() as u64;
        report.received_ip_bytes += datagram.len() as u64 + self.headers;
        if self.highest.is_some_and(|highest| number < highest) {
            report.reordered += 1;
        } else {
            self.highest = Some(number);
        }
    }
}

/// Writes number and filler.
pub(super) fn fill(datagram: &mut [u8], number: u64) {
    let (head, filler) = datagram.split_at_mut(NUMBER);
    head.copy_from_slice(&number.to_be_bytes());
    filler.fill(filler_of(number));
}

fn is_filled(datagram: &[u8], number: u64) -> bool {
    datagram[NUMBER..]
        .iter()
        .all(|byte| *byte == filler_of(number))
}

/// Differs between neighbours, so that a filler of another datagram shows.
fn filler_of(number: u64) -> u8 {
    number
        .to_be_bytes()
        .iter()
        .fold(0xa5, |mix, byte| mix ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_duplicates_reordering_and_damage_are_told_apart() {
        let mut tally = Tally::new(6, HEADERS_V4);
        let datagram = |number| {
            let mut bytes = vec![0; 20];
            fill(&mut bytes, number);
            bytes
        };
        let now = Instant::now();
        for number in [0, 2, 1, 2, 5] {
            tally.record(&datagram(number), now);
        }
        let mut bad = datagram(3);
        bad[19] ^= 1;
        tally.record(&bad, now);
        tally.record(&datagram(6), now);
        tally.record(&[1, 2], now);
        let report = UdpReport {
            sent: 6,
            ..tally.report
        };
        assert_eq!((report.received, report.lost()), (4, 2));
        assert_eq!(
            (report.duplicated, report.reordered, report.damaged),
            (1, 1, 3)
        );
        assert_eq!(
            (report.received_bytes, report.received_ip_bytes),
            (80, 4 * 48)
        );
        assert!(!report.is_clean());
    }
}
