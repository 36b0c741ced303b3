//! Numbered UDP datagrams at a rate, and what arrived of them.

mod tally;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use self::tally::{HEADERS_V4, HEADERS_V6, NUMBER, Tally, fill};
use super::TrafficError;
use crate::lab::Ns;

pub use self::tally::UdpReport;

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
    destination: IpAddr,
    source: Option<IpAddr>,
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

impl UdpFlow {
    /// To an address of the namespace `to`: 1,000 datagrams of 100 bytes at 1,000 a second.
    pub fn new(from: &Ns, to: &Ns, destination: impl Into<IpAddr>) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            destination: destination.into(),
            source: None,
            payload: 100,
            packets_per_second: 1000,
            count: 1000,
        }
    }

    /// From this address.
    #[must_use]
    pub fn source(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With this many bytes of UDP payload; 8 at least.
    #[must_use]
    pub fn payload(mut self, bytes: usize) -> Self {
        self.payload = bytes.clamp(NUMBER, BUFFER - 48);
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
        let (any, headers): (IpAddr, _) = match self.destination {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), HEADERS_V4),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), HEADERS_V6),
        };
        let source = self.source.unwrap_or(any);
        let sending = self.from.run(|| UdpSocket::bind((source, 0)))?;
        let sending = sending.map_err(TrafficError::os("bind the sender"))?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            sender_done: AtomicBool::new(false),
            tally: Mutex::new(Tally::new(self.count, headers)),
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
        lock(&self.shared.tally).report()
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
