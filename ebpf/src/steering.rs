//! The loaded program with its maps.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use tp_pipeline::abi::{MAX_PORTS, MAX_QUEUES};

use crate::barrier::Barrier;
use crate::counters::{self, PortCounters};
use crate::maps::Maps;
use crate::skel::SteerSkelBuilder;
use crate::state::SteeringState;

/// Why the steering program is not in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The process may not load programs.
    #[error("loading the steering program needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    Denied(#[source] libbpf_rs::Error),
    /// The kernel did not take the program or a map; libbpf has put the verifier's log to stderr.
    #[error("the kernel does not accept the steering program")]
    Refused(#[source] libbpf_rs::Error),
}

/// Why a socket does not get, or keeps, the frames of a queue.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// No such place in the map.
    #[error(
        "port {port} queue {queue}: a portal has {MAX_PORTS} ports with {MAX_QUEUES} queues each"
    )]
    OutOfRange {
        /// Index of the port.
        port: u16,
        /// The queue.
        queue: u16,
    },
    /// The kernel refused.
    #[error("port {port} queue {queue}: the kernel does not change the socket map")]
    Kernel {
        /// Index of the port.
        port: u16,
        /// The queue.
        queue: u16,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
}

/// A steering program with maps of its own.
///
/// Dropping it leaves the program on the devices that it is attached to: the links are
/// pinned ([`crate::Pins`]), and the frames find no socket, once those are closed.
#[derive(Debug)]
pub struct Steering {
    pub(crate) program: OwnedFd,
    pub(crate) maps: Maps,
    /// What the maps hold.
    pub(crate) state: SteeringState,
    /// Whether frames may be running through the program.
    pub(crate) attached: bool,
    /// Whether map entries were freed that a CPU may still be reading.
    pub(crate) freed: bool,
    barrier: Barrier,
    instructions: usize,
}

impl Steering {
    /// Loads the program with fresh, empty maps: it drops every frame as
    /// [`tp_pipeline::abi::Counter::NoPort`].
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load() -> Result<Self, LoadError> {
        let mut storage = MaybeUninit::uninit();
        let open = SteerSkelBuilder::default()
            .open(&mut storage)
            .map_err(LoadError::Refused)?;
        let skel = open.load().map_err(|e| match e.kind() {
            libbpf_rs::ErrorKind::PermissionDenied => LoadError::Denied(e),
            _ => LoadError::Refused(e),
        })?;
        let program = &skel.progs.tp_steer;
        Ok(Self {
            program: program
                .as_fd()
                .try_clone_to_owned()
                .map_err(|e| LoadError::Refused(e.into()))?,
            maps: Maps::new(&skel.maps).map_err(LoadError::Refused)?,
            state: SteeringState::default(),
            attached: false,
            freed: false,
            barrier: Barrier::new().map_err(LoadError::Refused)?,
            instructions: program.insn_cnt(),
        })
    }

    /// What the maps hold: what was last applied.
    #[must_use]
    pub fn state(&self) -> &SteeringState {
        &self.state
    }

    /// Instructions of the program, as loaded.
    #[must_use]
    pub fn instructions(&self) -> usize {
        self.instructions
    }

    /// Gives the frames of a port's queue to an AF_XDP socket.
    ///
    /// # Errors
    /// A port or queue beyond the map, or a descriptor that is no AF_XDP socket.
    pub fn set_socket(
        &self,
        port: u16,
        queue: u16,
        socket: BorrowedFd<'_>,
    ) -> Result<(), SocketError> {
        check_place(port, queue)?;
        self.maps
            .set_socket(port, queue, socket)
            .map_err(|source| SocketError::Kernel {
                port,
                queue,
                source,
            })
    }

    /// Drops the frames of a port's queue from now on (`Counter::NoSocket`). A socket that is
    /// closed has left the map by itself.
    ///
    /// # Errors
    /// A port or queue beyond the map.
    pub fn clear_socket(&self, port: u16, queue: u16) -> Result<(), SocketError> {
        check_place(port, queue)?;
        self.maps
            .clear_socket(port, queue)
            .map_err(|source| SocketError::Kernel {
                port,
                queue,
                source,
            })
    }

    /// Counters of every port, summed over the CPUs; [`crate::NO_PORT_ROW`] is the row of frames
    /// from devices that are no port.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn counters(&self) -> io::Result<Vec<PortCounters>> {
        counters::read_all(&self.maps.counters)
    }

    /// Waits until no CPU runs the program with what the maps held before this call: each frame
    /// that was steered by it is then in a socket's ring, or dropped. Takes some milliseconds.
    ///
    /// # Errors
    /// What the kernel says; it has no reason to.
    pub fn wait_for_cpus(&mut self) -> io::Result<()> {
        self.barrier.wait().map_err(io::Error::other)?;
        self.freed = false;
        Ok(())
    }
}

impl AsFd for Steering {
    /// The program's.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

fn check_place(port: u16, queue: u16) -> Result<(), SocketError> {
    if usize::from(port) < MAX_PORTS && usize::from(queue) < MAX_QUEUES {
        Ok(())
    } else {
        Err(SocketError::OutOfRange { port, queue })
    }
}
