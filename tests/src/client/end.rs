//! Starting and stopping a client's end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tappers::Interface;
use tappers::linux::Tun;

use super::counters::{ClientReport, Counters};
use super::engine::{Receiver, Transmitter};
use super::outer::{self, PROTOCOL_GRE, PROTOCOL_IPIP};
use super::spec::TunnelSpec;
use crate::lab::{LabError, Ns, netlink};

/// Buffer of each raw socket in bytes: a TCP window of small packets must not overflow it.
const SOCKET_BUFFER: usize = 16 << 20;

/// Why a client's end could not start.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A TUN device or socket could not be made.
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
    fn os(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Os {
            what: what.into(),
            source: source.into(),
        }
    }
}

/// The client's end of its tunnels: TUN devices, raw sockets and two threads, until it is dropped.
#[derive(Debug)]
pub struct ClientEnd {
    specs: Arc<[TunnelSpec]>,
    counters: Arc<Counters>,
    stop: Arc<EventFd>,
    threads: Vec<JoinHandle<()>>,
}

impl ClientEnd {
    /// Starts in a namespace of a laboratory. TUN devices are up, with their addresses, on return; routes into
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
        let tuns = specs.iter().map(open_tun).collect::<Result<Vec<_>, _>>()?;
        let tun_writers = tuns
            .iter()
            .map(File::try_clone)
            .collect::<io::Result<Vec<_>>>()
            .map_err(|source| ClientError::os("duplicate a TUN device", source))?;
        let receiver = Receiver {
            specs: Arc::clone(&specs),
            counters: Arc::clone(&counters),
            stop: Arc::clone(&stop),
            sockets: receive_sockets(&specs)?,
            tuns: tun_writers,
        };
        let transmitter = Transmitter {
            templates: specs.iter().map(outer::template).collect(),
            remotes: specs.iter().map(|spec| spec.remote).collect(),
            counters: Arc::clone(&counters),
            stop: Arc::clone(&stop),
            socket: transmit_socket()?,
            tuns,
        };
        Ok(Self {
            specs,
            counters,
            stop,
            threads: vec![
                thread::spawn(move || receiver.run()),
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

/// Makes a TUN device without packet information and without virtio headers: the kernel completes checksums and
/// cuts packets to the MTU before they are read.
fn open_tun(spec: &TunnelSpec) -> Result<File, ClientError> {
    let failed =
        |source: io::Error| ClientError::os(format!("make TUN device {}", spec.tun), source);
    let name = Interface::new(&spec.tun).map_err(failed)?;
    let tun = Tun::create_named(name).map_err(failed)?;
    tun.set_nonblocking(true).map_err(failed)?;
    // The device lives as long as one descriptor does: a File reads and writes without another wrapper.
    let fd: OwnedFd = tun.as_fd().try_clone_to_owned().map_err(failed)?;
    netlink::set_tun_up(&spec.tun, spec.inner_mtu().into())?;
    if let Some(address) = spec.address {
        netlink::add_address(&spec.tun, IpNet::V4(address))?;
    }
    Ok(File::from(fd))
}

/// One socket for each protocol in use, bound to no address: every packet of that protocol is seen, and since
/// there is a socket that takes it the kernel sends no ICMP "protocol unreachable" (net/ipv4/ip_input.c,
/// `ip_protocol_deliver_rcu`).
fn receive_sockets(specs: &[TunnelSpec]) -> Result<Vec<Socket>, ClientError> {
    [PROTOCOL_IPIP, PROTOCOL_GRE]
        .into_iter()
        .filter(|protocol| {
            specs
                .iter()
                .any(|spec| outer::protocol(spec.kind) == *protocol)
        })
        .map(|protocol| {
            let socket = raw_socket(Protocol::from(i32::from(protocol)))?;
            socket
                .set_nonblocking(true)
                .map_err(|source| ClientError::os("set a raw socket", source))?;
            setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER)
                .map_err(|source| ClientError::os("size a raw socket's buffer", source))?;
            Ok(socket)
        })
        .collect()
}

/// A socket that only sends, whole packets with their IP header: `IPPROTO_RAW` receives nothing (raw(7)).
fn transmit_socket() -> Result<Socket, ClientError> {
    let socket = raw_socket(Protocol::from(nix::libc::IPPROTO_RAW))?;
    setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER)
        .map_err(|source| ClientError::os("size a raw socket's buffer", source))?;
    Ok(socket)
}

fn raw_socket(protocol: Protocol) -> Result<Socket, ClientError> {
    Socket::new(Domain::IPV4, Type::RAW, Some(protocol))
        .map_err(|source| ClientError::os("open a raw socket", source))
}
