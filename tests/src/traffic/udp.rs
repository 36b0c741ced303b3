//! Numbered UDP datagrams at a rate, and what arrived of them.
//!
//! A datagram is its number (8 bytes, big endian) and a filler that follows from the number, so that loss,
//! duplication, reordering and damage are all seen.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use super::TrafficError;
use crate::lab::Ns;

/// Bytes of the number in front of the filler.
const NUMBER: usize = 8;
/// Bytes of UDP payload that carry nothing but IPv4 and UDP headers more on the wire (RFC 791, RFC 768).
const HEADERS: u64 = 20 + 8;
/// Receive buffer in bytes: a burst must not overflow it, since that loss would be blamed on the portal.
const RECEIVE_BUFFER: usize = 32 << 20;
/// How long the receiver waits for stragglers after the last datagram was sent.
const STRAGGLERS: Duration = Duration::from_millis(300);
/// The largest UDP datagram.
const BUFFER: usize = 65_535;

/// Datagrams from one namespace to another.
#[derive(Clone, Debug)]
pub struct UdpFlow {
    from: Ns,
    to: Ns,
    destination: Ipv4Addr,
    source: Option<Ipv4Addr>,
    payload: usize,
    packets_per_second: u32,
    count: u64,
}

/// A flow that has begun.
#[derive(Debug)]
pub struct UdpRunning {
    shared: Arc<Shared>,
    sender: Option<JoinHandle<Result<Sent, TrafficError>>>,
    receiver: Option<JoinHandle<Result<(), TrafficError>>>,
}

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

/// What the sender did.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    sent: u64,
    not_sent: u64,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    sender_done: AtomicBool,
    tally: Mutex<Tally>,
}

/// What the receiver saw.
#[derive(Debug)]
struct Tally {
    report: UdpReport,
    seen: Vec<bool>,
    highest: Option<u64>,
    first: Option<Instant>,
}

impl UdpFlow {
    /// To an address of the namespace `to`: 1,000 datagrams of 100 bytes at 1,000 a second.
    pub fn new(from: &Ns, to: &Ns, destination: Ipv4Addr) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            destination,
            source: None,
            payload: 100,
            packets_per_second: 1000,
            count: 1000,
        }
    }

    /// From this address.
    #[must_use]
    pub fn source(mut self, source: Ipv4Addr) -> Self {
        self.source = Some(source);
        self
    }

    /// With this many bytes of UDP payload; 8 at least.
    #[must_use]
    pub fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes.clamp(NUMBER, BUFFER - 28);
        self
    }

    /// At this rate: at least 1.
    #[must_use]
    pub fn packets_per_second(mut self, rate: u32) -> Self {
        self.packets_per_second = rate.max(1);
        self
    }

    /// This many datagrams.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// As many datagrams as the rate gives in this time.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.count = millis.saturating_mul(self.packets_per_second.into()) / 1000;
        self
    }

    /// Starts it: the receiver listens when this returns.
    pub fn start(self) -> Result<UdpRunning, TrafficError> {
        let receiving = self.to.run(|| UdpSocket::bind((self.destination, 0)))?;
        let receiving = receiving.map_err(TrafficError::os("bind the receiver"))?;
        setsockopt(&receiving, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .map_err(|error| TrafficError::os("size the receive buffer")(error.into()))?;
        receiving
            .set_read_timeout(Some(STRAGGLERS))
            .map_err(TrafficError::os("set the receiver"))?;
        let destination = receiving
            .local_addr()
            .map_err(TrafficError::os("bind the receiver"))?;
        let source = self.source.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let sending = self.from.run(|| UdpSocket::bind((source, 0)))?;
        let sending = sending.map_err(TrafficError::os("bind the sender"))?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            sender_done: AtomicBool::new(false),
            tally: Mutex::new(Tally::new(self.count)),
        });
        let (of_sender, of_receiver) = (Arc::clone(&shared), Arc::clone(&shared));
        Ok(UdpRunning {
            shared,
            sender: Some(thread::spawn(move || {
                let sent = self.send(&sending, destination, &of_sender);
                of_sender.sender_done.store(true, Ordering::Release);
                sent
            })),
            receiver: Some(thread::spawn(move || receive(&receiving, &of_receiver))),
        })
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Result<UdpReport, TrafficError> {
        self.start()?.finish()
    }

    /// Keeps the schedule of the rate: when late it catches up without a pause, so the mean is held.
    fn send(
        &self,
        socket: &UdpSocket,
        to: SocketAddr,
        shared: &Shared,
    ) -> Result<Sent, TrafficError> {
        let started = Instant::now();
        let mut datagram = vec![0; self.payload];
        let mut done = Sent::default();
        for number in 0..self.count {
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let due = Duration::from_secs_f64(number as f64 / f64::from(self.packets_per_second));
            if let Some(early) = due.checked_sub(started.elapsed()) {
                thread::sleep(early);
            }
            fill(&mut datagram, number);
            match socket.send_to(&datagram, to) {
                Ok(_) => done.sent += 1,
                // A route that is being changed, a queue that is full: lost, and known to be.
                Err(error) if is_transient(&error) => done.not_sent += 1,
                Err(source) => {
                    return Err(TrafficError::Os {
                        what: "send",
                        source,
                    });
                }
            }
        }
        Ok(done)
    }
}

impl UdpRunning {
    /// What has arrived until here.
    pub fn progress(&self) -> UdpReport {
        lock(&self.shared.tally).report.clone()
    }

    /// Lets the sender stop before its count is reached; [`UdpRunning::finish`] then reports what it sent.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the last datagram and for stragglers.
    pub fn finish(mut self) -> Result<UdpReport, TrafficError> {
        let sent = join(self.sender.take())?;
        join(self.receiver.take())?;
        Ok(UdpReport {
            sent: sent.sent,
            not_sent: sent.not_sent,
            ..self.progress()
        })
    }
}

impl Drop for UdpRunning {
    fn drop(&mut self) {
        self.stop();
        drop(self.sender.take().map(JoinHandle::join));
        drop(self.receiver.take().map(JoinHandle::join));
    }
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
    fn new(count: u64) -> Self {
        Self {
            report: UdpReport::default(),
            seen: vec![false; usize::try_from(count).unwrap_or(usize::MAX)],
            highest: None,
            first: None,
        }
    }

    fn record(&mut self, datagram: &[u8], now: Instant) {
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
        report.received_ip_bytes += datagram.len() as u64 + HEADERS;
        if self.highest.is_some_and(|highest| number < highest) {
            report.reordered += 1;
        } else {
            self.highest = Some(number);
        }
    }
}

/// Receives until the sender is done and nothing has come for a while.
fn receive(socket: &UdpSocket, shared: &Shared) -> Result<(), TrafficError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        // Read before the wait: what was sent before it was set has then had the whole wait to arrive.
        let done = shared.sender_done.load(Ordering::Acquire);
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => lock(&shared.tally).record(&buffer[..length], Instant::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if done {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => {
                return Err(TrafficError::Os {
                    what: "receive",
                    source,
                });
            }
        }
    }
}

/// Writes number and filler.
fn fill(datagram: &mut [u8], number: u64) {
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

fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, WouldBlock};
    matches!(
        error.kind(),
        ConnectionRefused | HostUnreachable | NetworkUnreachable | WouldBlock
    ) || error.raw_os_error() == Some(nix::libc::ENOBUFS)
}

fn join<T>(side: Option<JoinHandle<T>>) -> T {
    match side.map(JoinHandle::join) {
        Some(Ok(result)) => result,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => unreachable!("a flow is finished once"),
    }
}

/// A tally stays whole when a thread that holds it panics: it is a set of counts.
fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_duplicates_reordering_and_damage_are_told_apart() {
        let mut tally = Tally::new(6);
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
