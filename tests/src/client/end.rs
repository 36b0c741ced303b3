//! Starting and stopping a client's end.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::counters::{ClientReport, Counters};
use super::device;
use super::engine::{Receiver, Transmitter};
use super::sockets::{self, Senders};
use super::spec::TunnelSpec;
use crate::lab::{LabError, Ns};

/// Why a client's end could not start.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A device or socket could not be made.
    #[error("{what}: {source}")]
    Os {
        /// What was being done.
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The namespace could not be entered, or a device not be set up.
    #[error(transparent)]
    Lab(#[from] LabError),
}

impl ClientError {
    pub(super) fn os(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Os {
            what: what.into(),
            source: source.into(),
        }
    }
}

/// The client's end of its tunnels: TUN and TAP devices, sockets and two threads, until it is dropped.
#[derive(Debug)]
pub struct ClientEnd {
    specs: Arc<[TunnelSpec]>,
    counters: Arc<Counters>,
    stop: Arc<EventFd>,
    threads: Vec<JoinHandle<()>>,
}

impl ClientEnd {
    /// Starts in a namespace of a laboratory. Devices are up, with their addresses, on return; routes into
    /// them are the caller's business.
    pub fn start_in(ns: &Ns, specs: Vec<TunnelSpec>) -> Result<Self, ClientError> {
        ns.run(|| Self::start(specs))?
    }

    /// Starts in the network namespace of the calling thread.
    pub fn start(specs: Vec<TunnelSpec>) -> Result<Self, ClientError> {
        let specs: Arc<[TunnelSpec]> = specs.into();
        let counters = Arc::new(Counters::new(specs.len()));
        // Read by nobody: once written, it stays readable for both threads.
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)
            .map_err(|source| ClientError::os("make an eventfd", source))?;
        let stop = Arc::new(stop);
        let devices = specs.iter().map(device::open);
        let devices = devices.collect::<Result<Vec<_>, _>>()?;
        let trunks = device::trunks(&specs)?;
        let again = |file: &File| {
            file.try_clone()
                .map_err(|source| ClientError::os("duplicate a device", source))
        };
        let receiver = Receiver {
            specs: Arc::clone(&specs),
            counters: Arc::clone(&counters),
            stop: Arc::clone(&stop),
            devices: devices.iter().map(again).collect::<Result<_, _>>()?,
            sockets: sockets::receivers(&specs)?,
            _takers: sockets::takers(&specs)?,
        };
        let transmitter = Transmitter {
            specs: Arc::clone(&specs),
            counters: Arc::clone(&counters),
            stop: Arc::clone(&stop),
            devices,
            senders: Senders::open()?,
            trunks: trunks
                .iter()
                .map(|(name, trunk)| Ok((name.clone(), again(&trunk.frames)?)))
                .collect::<Result<_, ClientError>>()?,
        };
        Ok(Self {
            specs,
            counters,
            stop,
            threads: vec![
                thread::spawn(move || receiver.run(&trunks)),
                thread::spawn(move || transmitter.run()),
            ],
        })
    }

    /// Stops it and reports what it has counted altogether.
    pub fn stop(mut self) -> ClientReport {
        self.end();
        self.report()
    }

    /// What it has counted until here. A packet is counted after it was passed on: who has just received one may
    /// read a count without it.
    pub fn report(&self) -> ClientReport {
        self.counters.report(&self.specs)
    }

    /// What it has counted, once nothing has changed for 50 ms: for equations between counts, after the traffic.
    /// Traffic that does not end is reported on after five seconds.
    pub fn report_when_quiet(&self) -> ClientReport {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut report = self.report();
        loop {
            thread::sleep(Duration::from_millis(50));
            let next = self.report();
            if next == report || Instant::now() >= deadline {
                return next;
            }
            report = next;
        }
    }

    /// Ends the threads; harmless the second time.
    fn end(&mut self) {
        if let Err(error) = self.stop.write(1) {
            // Without the wake-up the threads would never be joined.
            eprintln!("client end: threads stay: {error}");
            return;
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("client end: a thread panicked");
            }
        }
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        self.end();
    }
}
