//! The two threads of a client's end: packets from TUN devices to the outer network, and back.
//!
//! Each waits in poll for its sources and for the stop signal, then empties what is ready. Buffers are made once.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use socket2::{SockAddr, Socket};

use super::counters::Counters;
use super::outer;
use super::spec::TunnelSpec;

/// The largest IP packet.
const BUFFER: usize = 65_535;
/// Packets taken from one source before the others get their turn.
const BURST: usize = 64;

/// Outer packets in, inner packets to the TUN devices.
pub(super) struct Receiver {
    pub(super) specs: Arc<[TunnelSpec]>,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Arc<EventFd>,
    pub(super) sockets: Vec<Socket>,
    pub(super) tuns: Vec<File>,
}

impl Receiver {
    pub(super) fn run(self) {
        let mut buffer = vec![0; BUFFER];
        let sources: Vec<BorrowedFd<'_>> = self.sockets.iter().map(AsFd::as_fd).collect();
        serve(&self.stop, &sources, |source| {
            self.receive(source, &mut buffer)
        });
    }

    /// Takes one packet; false when there is none.
    fn receive(&self, source: usize, buffer: &mut [u8]) -> bool {
        let length = match (&self.sockets[source]).read(buffer) {
            Ok(length) => length,
            // A raw socket reports ICMP errors about what it sent, and it sends nothing: nothing is lost.
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        };
        match outer::open(&buffer[..length], &self.specs) {
            Ok(accepted) => {
                let inner = &buffer[accepted.inner.clone()];
                // A TUN device takes a packet as a whole or not at all.
                let delivered = (&self.tuns[accepted.tunnel]).write(inner).is_ok();
                self.counters.received(&accepted, delivered);
            }
            Err(refusal) => self.counters.refused(refusal),
        }
        true
    }
}

/// Inner packets from the TUN devices, outer packets out.
pub(super) struct Transmitter {
    pub(super) templates: Vec<Vec<u8>>,
    pub(super) remotes: Vec<Ipv4Addr>,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Arc<EventFd>,
    pub(super) socket: Socket,
    pub(super) tuns: Vec<File>,
}

impl Transmitter {
    pub(super) fn run(self) {
        let mut buffer = vec![0; BUFFER];
        let remotes: Vec<SockAddr> = self
            .remotes
            .iter()
            .map(|remote| SockAddr::from(SocketAddrV4::new(*remote, 0)))
            .collect();
        let sources: Vec<BorrowedFd<'_>> = self.tuns.iter().map(AsFd::as_fd).collect();
        serve(&self.stop, &sources, |tunnel| {
            self.transmit(tunnel, &remotes[tunnel], &mut buffer)
        });
    }

    /// Takes one packet; false when there is none.
    fn transmit(&self, tunnel: usize, remote: &SockAddr, buffer: &mut [u8]) -> bool {
        let template = &self.templates[tunnel];
        let (header, inner) = buffer.split_at_mut(template.len());
        let length = match (&self.tuns[tunnel]).read(inner) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            // Nothing to read, or (EIO) the device was deleted: poll decides what comes next.
            Err(_) => return false,
        };
        if inner[0] >> 4 != 4 {
            self.counters.not_ipv4(tunnel);
            return true;
        }
        header.copy_from_slice(template);
        let packet = &buffer[..template.len() + length];
        let gone = self.socket.send_to(packet, remote).is_ok();
        self.counters.sent(tunnel, length, gone);
        true
    }
}

/// Calls `take` for each source that is ready, up to a burst at a time, until the stop signal comes.
fn serve(stop: &EventFd, sources: &[BorrowedFd<'_>], mut take: impl FnMut(usize) -> bool) {
    // The stop signal is first; live[i] is the source of fds[i + 1].
    let mut live: Vec<usize> = (0..sources.len()).collect();
    let mut fds: Vec<PollFd<'_>> = [stop.as_fd()]
        .into_iter()
        .chain(sources.iter().copied())
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                eprintln!("client end: poll: {error}");
                return;
            }
        }
        if fds[0].any() == Some(true) {
            return;
        }
        for at in (0..live.len()).rev() {
            let Some(events) = fds[at + 1].revents().filter(|events| !events.is_empty()) else {
                continue;
            };
            let taken = (0..BURST).take_while(|_| take(live[at])).count();
            if taken == 0 && events.contains(PollFlags::POLLERR) {
                // A deleted TUN device answers POLLERR for ever; kept, it would make this loop spin.
                live.remove(at);
                fds.remove(at + 1);
            }
        }
    }
}
