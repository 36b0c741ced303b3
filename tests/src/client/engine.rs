//! The two threads of a client's end: packets from the tunnels' devices to the outer network, and back.
//!
//! Each waits in poll for its sources and for the stop signal, then empties what is ready. Buffers are made once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use socket2::Socket;

use super::counters::Counters;
use super::device::Trunk;
use super::refusal::Refusal;
use super::sockets::Senders;
use super::spec::{Carrier, TunnelSpec};
use super::{frame, outer};

/// The largest IP packet in an Ethernet frame with two VLAN tags.
const BUFFER: usize = 65_535 + 22;
/// Packets taken from one source before the others get their turn.
const BURST: usize = 64;

/// Outer packets in, inner packets to the tunnels' devices.
pub(super) struct Receiver {
    pub(super) specs: Arc<[TunnelSpec]>,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Arc<EventFd>,
    /// In the order of the tunnels.
    pub(super) devices: Vec<File>,
    pub(super) sockets: Vec<Socket>,
    /// Only there.
    pub(super) _takers: Vec<Socket>,
}

impl Receiver {
    pub(super) fn run(self, trunks: &BTreeMap<String, Trunk>) {
        let mut buffer = vec![0; BUFFER];
        let sockets = self.sockets.iter().map(AsFd::as_fd);
        let frames = trunks.values().map(|trunk| trunk.frames.as_fd());
        let sources: Vec<BorrowedFd<'_>> = sockets.chain(frames).collect();
        let trunks: Vec<(&String, &Trunk)> = trunks.iter().collect();
        serve(&self.stop, &sources, |source| {
            match source.checked_sub(self.sockets.len()) {
                None => self.receive(&self.sockets[source], &mut buffer),
                Some(number) => self.receive_frame(trunks[number], &mut buffer),
            }
        });
        for (_, trunk) in trunks {
            trunk.remove();
        }
    }

    /// Takes one outer packet; false when there is none.
    fn receive(&self, mut socket: &Socket, buffer: &mut [u8]) -> bool {
        let length = match socket.read(buffer) {
            Ok(length) => length,
            // A device that goes down reports it once; nothing is lost by going on.
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        };
        match outer::open(&buffer[..length], &self.specs) {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let inner = &buffer[accepted.inner.clone()];
                // A device takes a packet as a whole or not at all.
                let delivered = (&self.devices[accepted.tunnel]).write(inner).is_ok();
                self.counters.received(&accepted, delivered);
            }
            Err(refusal) => self.counters.refused(refusal),
        }
        true
    }

    /// Takes one frame of an Ethernet device; false when there is none.
    fn receive_frame(&self, (name, trunk): (&String, &Trunk), buffer: &mut [u8]) -> bool {
        let length = match (&trunk.frames).read(buffer) {
            Ok(length) => length,
            Err(error) => return error.kind() == ErrorKind::Interrupted,
        };
        // Untagged frames are no VLAN's.
        let Some((tags, frame)) =
            frame::untag(&buffer[..length]).filter(|(tags, _)| !tags.is_empty())
        else {
            return true;
        };
        let tunnel = self.specs.iter().position(|spec| match &spec.carrier {
            Carrier::Tagged { trunk, tags: its } => trunk == name && *its == tags,
            Carrier::Carried { .. } => false,
        });
        match tunnel {
            Some(tunnel) => {
                let delivered = (&self.devices[tunnel]).write(&frame).is_ok();
                self.counters.delivered(tunnel, frame.len(), delivered);
            }
            None => self.counters.refused(Refusal::UnknownTags),
        }
        true
    }
}

/// Inner packets from the tunnels' devices, outer packets out.
pub(super) struct Transmitter {
    pub(super) specs: Arc<[TunnelSpec]>,
    pub(super) counters: Arc<Counters>,
    pub(super) stop: Arc<EventFd>,
    /// In the order of the tunnels.
    pub(super) devices: Vec<File>,
    pub(super) senders: Senders,
    /// By the name of the Ethernet device.
    pub(super) trunks: BTreeMap<String, File>,
}

impl Transmitter {
    pub(super) fn run(self) {
        let mut buffer = vec![0; BUFFER];
        let mut sequence = vec![0_u32; self.devices.len()];
        let sources: Vec<BorrowedFd<'_>> = self.devices.iter().map(AsFd::as_fd).collect();
        serve(&self.stop, &sources, |tunnel| {
            self.transmit(tunnel, &mut sequence[tunnel], &mut buffer)
        });
    }

    /// Takes one packet; false when there is none.
    fn transmit(&self, tunnel: usize, sequence: &mut u32, buffer: &mut [u8]) -> bool {
        let length = match (&self.devices[tunnel]).read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            // Nothing to read, or (EIO) the device was deleted: poll decides what comes next.
            Err(_) => return false,
        };
        let inner = &buffer[..length];
        let gone = match &self.specs[tunnel].carrier {
            Carrier::Carried {
                kind,
                local,
                remote,
            } => outer::seal(*kind, (*local, *remote), *sequence, inner)
                .map(|packet| self.senders.send(&packet, *remote)),
            Carrier::Tagged { trunk, tags } => {
                frame::tag(inner, tags).map(|frame| (&self.trunks[trunk]).write(&frame).is_ok())
            }
        };
        match gone {
            Some(gone) => {
                *sequence = sequence.wrapping_add(1);
                self.counters.sent(tunnel, length, gone);
            }
            None => self.counters.not_ip(tunnel),
        }
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
                // A deleted device answers POLLERR for ever; kept, it would make this loop spin.
                live.remove(at);
                fds.remove(at + 1);
            }
        }
    }
}
