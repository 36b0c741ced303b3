//! A TCP transfer between two namespaces with a SHA-256 on each side.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::TrafficError;
use crate::lab::Ns;

/// Bytes of one read or write.
const CHUNK: usize = 64 << 10;
/// How long a blocked read or write lasts before the deadline is looked at.
const TICK: Duration = Duration::from_millis(100);
/// What a timeout names.
const WHAT: &str = "TCP transfer";

/// Bytes from one namespace to another.
#[derive(Clone, Debug)]
pub struct TcpTransfer {
    from: Ns,
    to: Ns,
    destination: IpAddr,
    source: Option<IpAddr>,
    bytes: u64,
    limit: Duration,
}

/// A transfer that has begun.
#[derive(Debug)]
pub struct TcpRunning {
    progress: Arc<Progress>,
    started: Instant,
    sender: Option<JoinHandle<Result<[u8; 32], TrafficError>>>,
    receiver: Option<JoinHandle<Result<[u8; 32], TrafficError>>>,
}

/// A transfer that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpReport {
    /// Bytes that arrived: all of them.
    pub bytes: u64,
    /// From the connection's start to the last byte's arrival.
    pub elapsed: Duration,
    /// SHA-256 of what was sent.
    pub sent_digest: [u8; 32],
    /// SHA-256 of what arrived.
    pub received_digest: [u8; 32],
}

/// What both threads and the caller see.
#[derive(Debug)]
struct Progress {
    wanted: u64,
    received: AtomicU64,
    stopped: AtomicBool,
    limit: Duration,
    deadline: Instant,
}

impl TcpTransfer {
    /// To an address of the namespace `to`, with a limit of one minute.
    pub fn new(from: &Ns, to: &Ns, destination: impl Into<IpAddr>, bytes: u64) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            destination: destination.into(),
            source: None,
            bytes,
            limit: Duration::from_secs(60),
        }
    }

    /// From this address instead of the one that routing chooses.
    #[must_use]
    pub fn source(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// How long it may take altogether.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts it; the connection is made on the sender's thread.
    pub fn start(self) -> Result<TcpRunning, TrafficError> {
        let started = Instant::now();
        let progress = Arc::new(Progress {
            wanted: self.bytes,
            received: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            limit: self.limit,
            deadline: started + self.limit,
        });
        let listener = self
            .to
            .run(|| TcpListener::bind((self.destination, 0)))?
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(TrafficError::os("listen"))?;
        let port = listener
            .local_addr()
            .map_err(TrafficError::os("listen"))?
            .port();
        let receiving = Arc::clone(&progress);
        let receiver =
            thread::spawn(move || receiving.until_first_error(|at| receive(&listener, at)));
        let sending = Arc::clone(&progress);
        let sender = thread::spawn(move || sending.until_first_error(|at| self.send(port, at)));
        Ok(TcpRunning {
            progress,
            started,
            sender: Some(sender),
            receiver: Some(receiver),
        })
    }

    /// Starts it and waits for its end.
    pub fn run(self) -> Result<TcpReport, TrafficError> {
        self.start()?.finish()
    }

    fn send(&self, port: u16, progress: &Progress) -> Result<[u8; 32], TrafficError> {
        let to = SocketAddr::new(self.destination, port);
        let domain = Domain::for_address(to);
        let socket = self
            .from
            .run(|| Socket::new(domain, Type::STREAM, Some(Protocol::TCP)))?
            .map_err(TrafficError::os("open a socket"))?;
        if let Some(source) = self.source {
            socket
                .bind(&SockAddr::from(SocketAddr::new(source, 0)))
                .map_err(TrafficError::os("bind to the source"))?;
        }
        socket
            .connect_timeout(&SockAddr::from(to), progress.limit)
            .map_err(TrafficError::os("connect"))?;
        let mut stream = TcpStream::from(socket);
        stream
            .set_write_timeout(Some(TICK))
            .map_err(TrafficError::os("set the socket"))?;
        let mut digest = Sha256::new();
        let mut random = fastrand::Rng::with_seed(self.bytes);
        let mut chunk = vec![0; CHUNK];
        let mut left = self.bytes;
        while left > 0 {
            let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            random.fill(&mut chunk[..length]);
            digest.update(&chunk[..length]);
            let mut at = 0;
            while at < length {
                at += progress.patient("send", || stream.write(&chunk[at..length]))?;
            }
            left -= length as u64;
        }
        Ok(digest.finalize().into())
    }
}

impl TcpRunning {
    /// Bytes that have arrived until here.
    pub fn received(&self) -> u64 {
        self.progress.received.load(Ordering::Relaxed)
    }

    /// Waits until that many bytes have arrived: a test can then act in the middle of the transfer. False when
    /// the transfer failed or its limit came first.
    pub fn wait_for(&self, bytes: u64) -> bool {
        while self.received() < bytes {
            let failed = self.progress.stopped.load(Ordering::Relaxed);
            if failed || Instant::now() >= self.progress.deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Waits for its end. An incomplete transfer is an error; whether the digests agree is for the caller.
    pub fn finish(mut self) -> Result<TcpReport, TrafficError> {
        let sent_digest = join(self.sender.take());
        let received_digest = join(self.receiver.take());
        // The receiver's error says how far it got; the sender's, if it is no timeout, says why.
        let (sent_digest, received_digest) = match (sent_digest, received_digest) {
            (Err(why @ TrafficError::Os { .. }), _) => return Err(why),
            (sent, received) => (sent?, received?),
        };
        let report = TcpReport {
            bytes: self.received(),
            elapsed: self.started.elapsed(),
            sent_digest,
            received_digest,
        };
        if report.bytes == self.progress.wanted {
            return Ok(report);
        }
        Err(TrafficError::Incomplete {
            what: WHAT,
            done: report.bytes,
            wanted: self.progress.wanted,
        })
    }
}

impl Drop for TcpRunning {
    /// A transfer that nobody waits for ends at the next tick.
    fn drop(&mut self) {
        self.progress.stopped.store(true, Ordering::Relaxed);
        for side in [self.sender.take(), self.receiver.take()] {
            drop(side.map(JoinHandle::join));
        }
    }
}

impl TcpReport {
    /// What arrived is what was sent.
    pub fn is_intact(&self) -> bool {
        self.sent_digest == self.received_digest
    }

    /// Payload bits a second.
    pub fn bits_per_second(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.elapsed.as_secs_f64()
    }
}

/// Result of a side; its panic goes on here.
fn join<T>(side: Option<JoinHandle<T>>) -> T {
    // Both are there from the start and taken once, by the method that consumes the value.
    match side.map(JoinHandle::join) {
        Some(Ok(result)) => result,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => unreachable!("a transfer is finished once"),
    }
}

/// Takes one connection and reads it to its end.
fn receive(listener: &TcpListener, progress: &Progress) -> Result<[u8; 32], TrafficError> {
    let (mut stream, _) = progress.patient("accept", || {
        listener.accept().inspect_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                thread::sleep(TICK / 20);
            }
        })
    })?;
    let set = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_read_timeout(Some(TICK)));
    set.map_err(TrafficError::os("set the socket"))?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = progress.patient("receive", || stream.read(&mut chunk))?;
        if length == 0 {
            return Ok(digest.finalize().into());
        }
        digest.update(&chunk[..length]);
        progress
            .received
            .fetch_add(length as u64, Ordering::Relaxed);
    }
}

impl Progress {
    /// Repeats what would block until it is done, the deadline comes or the other side has failed.
    fn patient<T>(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Result<T, TrafficError> {
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => {
                        return Err(TrafficError::Os {
                            what,
                            source: error,
                        });
                    }
                },
            }
            if self.stopped.load(Ordering::Relaxed) || Instant::now() >= self.deadline {
                return Err(TrafficError::Timeout {
                    what: WHAT,
                    limit: self.limit,
                    done: self.received.load(Ordering::Relaxed),
                    wanted: self.wanted,
                });
            }
        }
    }

    /// Runs one side; when it fails the other need not wait for the deadline.
    fn until_first_error<T>(
        &self,
        side: impl FnOnce(&Self) -> Result<T, TrafficError>,
    ) -> Result<T, TrafficError> {
        side(self).inspect_err(|_| self.stopped.store(true, Ordering::Relaxed))
    }
}
