//! Opening: from a configuration to a bound socket with a filled fill ring.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::registry::Sharer;
use super::{BindMode, Bound, End, Mode, OpenError, Socket, SocketConfig, sys};
use crate::region::{Magazine, Region};

/// How long a taken queue is waited for. The kernel lets go of a closed socket's queue after a
/// while (its pool is released by a work item), a killed predecessor's too.
const BUSY_FOR: Duration = Duration::from_secs(3);
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// How an attempt to bind ended.
enum Refusal {
    /// `bind` itself said so.
    Bind(Errno),
    /// The attempt did not come so far.
    Before(OpenError),
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        Self::Before(error)
    }
}

impl Socket {
    /// Opens a socket on a queue of a device in the calling thread's network namespace.
    ///
    /// The fill ring is full before the kernel can receive. A queue that another socket still
    /// has is waited for, for up to three seconds.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing stays open and no frame is lost.
    pub fn open(
        region: &Region,
        config: &SocketConfig,
        magazine: &mut Magazine,
    ) -> Result<Self, OpenError> {
        config.rings.check()?;
        if !magazine.is_of(region) {
            return Err(OpenError::OtherRegion);
        }
        check_queue(config)?;
        let mut refused = None;
        if config.wants_zero_copy()? {
            match open_as(region, config, Mode::ZeroCopy, magazine) {
                Ok(socket) => return Ok(socket),
                Err(Refusal::Bind(why)) if is_about_mode(why) => refused = Some(why.into()),
                Err(refusal) => return Err(refusal.into()),
            }
        }
        if config.mode == BindMode::ZeroCopy
            && let Some(why) = refused
        {
            return Err(OpenError::ZeroCopy(why));
        }
        let mut socket = open_as(region, config, Mode::Copy, magazine)?;
        if let End::Kernel(bound) = &mut socket.end {
            bound.refused = refused;
        }
        Ok(socket)
    }
}

impl SocketConfig {
    fn wants_zero_copy(&self) -> Result<bool, OpenError> {
        match (self.mode, self.generic_xdp) {
            (BindMode::ZeroCopy, true) => Err(OpenError::GenericZeroCopy),
            (BindMode::Auto, generic) => Ok(!generic),
            (mode, _) => Ok(mode == BindMode::ZeroCopy),
        }
    }
}

/// A socket on a queue that receives but does not send would drop everything without an error:
/// `__xsk_generic_xmit` answers 0 there.
fn check_queue(config: &SocketConfig) -> Result<(), OpenError> {
    let (rx, tx) = sys::queue_counts(config.ifindex)?;
    let queue = config.queue;
    if queue < rx && queue < tx {
        Ok(())
    } else {
        Err(OpenError::NoQueue { queue, rx, tx })
    }
}

fn open_as(
    region: &Region,
    config: &SocketConfig,
    mode: Mode,
    magazine: &mut Magazine,
) -> Result<Socket, Refusal> {
    let until = Instant::now() + BUSY_FOR;
    loop {
        match attempt(region, config, mode, magazine) {
            Err(Refusal::Bind(Errno::BUSY)) if Instant::now() < until => {
                std::thread::sleep(BUSY_PAUSE);
            }
            done => return done,
        }
    }
}

/// One attempt, on a new socket each time: a UMEM that this one registered keeps it from sharing
/// one that another socket has registered meanwhile.
fn attempt(
    region: &Region,
    config: &SocketConfig,
    mode: Mode,
    magazine: &mut Magazine,
) -> Result<Socket, Refusal> {
    let fd = sys::socket(config.rings, region.chunk_size())?;
    let rings = sys::rings(&fd, config.rings)?;
    let id = region.sockets().number()?;
    let (ifindex, queue) = (config.ifindex, config.queue);
    let bound = Bound {
        fd: Arc::new(fd),
        ifindex,
        queue,
        mode,
        refused: None,
    };
    let mut socket = Socket::new(region, id, rings, End::Kernel(bound));
    // From here on, dropping the socket gives back its number and chunks.
    if socket.refill(magazine) == 0 {
        return Err(OpenError::NoFrames.into());
    }
    bind(&socket, config)?;
    Ok(socket)
}

/// Binds to the mode's UMEM, registering it if no bound socket has it, and enters the socket into
/// the registry. The lock is held throughout, so that two sockets never register one UMEM each.
fn bind(socket: &Socket, config: &SocketConfig) -> Result<(), Refusal> {
    let Some(Bound {
        fd,
        ifindex,
        queue,
        mode,
        ..
    }) = socket.bound()
    else {
        return Ok(());
    };
    let (region, at, mode) = (&socket.region, (*ifindex, *queue), *mode);
    let mut registry = region.sockets();
    let shared = registry
        .of_mode(mode)
        .map(|with| share(fd, at, with))
        // A socket whose device was removed is bound no more; another one may be.
        .find(|answer| *answer != Err(Errno::BADF));
    if let Some(answer) = shared {
        answer.map_err(Refusal::Bind)?;
    } else {
        sys::register(fd, region.extent(), region.chunk_bytes())?;
        sys::bind(fd, at, mode, config.need_wakeup).map_err(Refusal::Bind)?;
    }
    if sys::is_zero_copy(fd)? != (mode == Mode::ZeroCopy) {
        return Err(Refusal::Bind(Errno::OPNOTSUPP));
    }
    registry.add(Sharer {
        id: socket.id,
        mode,
        at,
        fd: Arc::clone(fd),
    });
    Ok(())
}

fn share(fd: &OwnedFd, at: (u32, u32), with: &Sharer) -> Result<(), Errno> {
    match sys::bind_shared(fd, at, &with.fd) {
        // Sockets on one queue would have to share fill and completion rings as well.
        Err(Errno::INVAL) if with.at == at => Err(Errno::BUSY),
        answer => answer,
    }
}

/// Whether copy mode may succeed where `bind` gave this answer to zero-copy.
fn is_about_mode(answer: Errno) -> bool {
    ![
        Errno::BUSY,
        Errno::NODEV,
        Errno::NETDOWN,
        Errno::PERM,
        Errno::ACCESS,
    ]
    .contains(&answer)
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Bind(Errno::BUSY) => Self::Busy,
            Refusal::Bind(errno) => sys::failed("bind")(errno),
            Refusal::Before(error) => error,
        }
    }
}
