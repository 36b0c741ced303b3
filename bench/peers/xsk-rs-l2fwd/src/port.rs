//! One device, one queue: its socket and its four rings.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;

use xsk_rs::config::{BindFlags, Interface, QueueSize, SocketConfig, UmemConfig, XdpFlags};
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem};

use crate::Failure;

/// Packets a burst, as the portal's workers take them (`tp_pipeline::Pipeline::BURST`).
pub const BURST: usize = 64;
/// Entries of each ring, as on the portal's sockets (`RING` in control/src/portal/ports.rs).
pub const RING: u32 = 1024;
/// Chunks of 2048 bytes that the ports share: both fill rings, both TX rings, bursts in hand.
const CHUNKS: NonZeroU32 = NonZeroU32::new(16384).unwrap();
/// Least missing chunks that are worth an update of the fill ring.
const REFILL: usize = 32;
/// Most system calls to empty a TX ring before the other port gets its turn, and most of them in a row
/// that do not visibly take a frame.
const MAX_KICKS: u32 = 64;
const MAX_IDLE_KICKS: u32 = 2;
/// Send buffer: room for a TX ring of chunks, with what the kernel charges for each on top.
const SEND_BUFFER: libc::c_int = RING as libc::c_int * (2048 + 1024);
/// From <linux/if_xdp.h>, kernel 6.17: most packets that one sendto() transmits in copy mode.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// The memory of both ports, and its chunks that no ring holds.
pub struct Memory {
    umem: Umem,
    free: Vec<FrameDesc>,
}

impl Memory {
    pub fn new() -> Result<Self, Failure> {
        let ring = QueueSize::new(RING)?;
        let config = UmemConfig::builder()
            .fill_queue_size(ring)
            .comp_queue_size(ring)
            .build()?;
        let (umem, free) = Umem::new(config, CHUNKS, false)?;
        Ok(Self { umem, free })
    }
}

pub struct Port {
    tx: TxQueue,
    rx: RxQueue,
    fill: FillQueue,
    completion: CompQueue,
    /// Chunks in the fill ring, with the kernel, or in the RX ring: at most [`RING`], so that the RX
    /// ring always has room.
    lent: usize,
    /// Frames the kernel took and dropped (EBUSY).
    pub busy: u64,
    /// Frames received on this port.
    pub received: u64,
    /// Frames that found the TX ring full.
    pub full: u64,
}

impl Port {
    /// Binds queue 0 of the device, in copy mode with need_wakeup, the fill ring filled.
    pub fn open(device: &str, memory: &mut Memory) -> Result<Self, Failure> {
        let ring = QueueSize::new(RING)?;
        let config = SocketConfig::builder()
            .rx_queue_size(ring)
            .tx_queue_size(ring)
            .bind_flags(BindFlags::XDP_COPY | BindFlags::XDP_USE_NEED_WAKEUP)
            .xdp_flags(XdpFlags::XDP_FLAGS_DRV_MODE)
            .build();
        let interface: Interface = device.parse()?;
        // SAFETY: no other socket of this memory is bound to the device.
        let queues = unsafe { Socket::new(config, &memory.umem, &interface, 0) }?;
        let (tx, rx, Some((fill, completion))) = queues else {
            return Err("the device's queue is bound already".into());
        };
        tune(tx.fd().as_raw_fd())?;
        let mut port = Self {
            tx,
            rx,
            fill,
            completion,
            lent: 0,
            busy: 0,
            received: 0,
            full: 0,
        };
        port.refill(&mut memory.free);
        Ok(port)
    }

    pub fn fd(&self) -> libc::c_int {
        self.rx.fd().as_raw_fd()
    }

    /// Takes up to a burst from this port and puts it into the other's TX ring.
    pub fn forward_to(&mut self, other: &mut Self, memory: &mut Memory) -> usize {
        let mut burst = [FrameDesc::default(); BURST];
        // SAFETY: all descriptors are of the memory that both ports share.
        let received = unsafe { self.rx.consume(&mut burst) };
        if received > 0 {
            self.received += received as u64;
            let fits = received.min(other.tx.nb_free(BURST as u32) as usize);
            // SAFETY: the frames were received and are in no ring.
            let sent = unsafe { other.tx.produce(&burst[..fits]) };
            self.full += (received - sent) as u64;
            memory.free.extend_from_slice(&burst[sent..received]);
        }
        self.lent -= received;
        self.refill(&mut memory.free);
        received
    }

    /// Kicks the kernel until it has taken all of the TX ring or says that it cannot.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let (mut free, mut idle) = (self.tx.nb_free_exact(), 0);
        for _ in 0..MAX_KICKS {
            if free == RING || !self.tx.needs_wakeup() {
                break;
            }
            match kick(self.tx.fd().as_raw_fd()) {
                Ok(()) => {}
                // The budget is used up, or the completion ring is full: the caller reclaims.
                Err(libc::EAGAIN) => {}
                Err(libc::EBUSY) => self.busy += 1,
                Err(libc::ENOBUFS) => break,
                Err(errno) => return Err(io::Error::from_raw_os_error(errno).into()),
            }
            let left = self.tx.nb_free_exact();
            idle = if left > free { 0 } else { idle + 1 };
            free = left;
            if idle == MAX_IDLE_KICKS {
                break;
            }
        }
        Ok(())
    }

    /// Takes sent frames back.
    pub fn reclaim(&mut self, memory: &mut Memory) {
        let mut done = [FrameDesc::default(); BURST];
        loop {
            // SAFETY: as in `forward_to`.
            let n = unsafe { self.completion.consume(&mut done) };
            memory.free.extend_from_slice(&done[..n]);
            if n < BURST {
                break;
            }
        }
    }

    fn refill(&mut self, free: &mut Vec<FrameDesc>) {
        let n = (RING as usize - self.lent).min(free.len());
        if n < REFILL {
            return;
        }
        let from = free.len() - n;
        // SAFETY: chunks in `free` are in no ring.
        let filled = unsafe { self.fill.produce(&free[from..]) };
        free.drain(from..from + filled);
        self.lent += filled;
    }

    /// Frames that the kernel lost between device and RX ring: for want of chunks, and for want of room.
    pub fn ring_losses(&self) -> io::Result<(u64, u64)> {
        let statistics = self.rx.fd().xdp_statistics()?;
        Ok((statistics.rx_dropped(), statistics.rx_ring_full()))
    }
}

/// The send buffer bounds the packets in flight in copy mode, and the budget those of one call.
fn tune(fd: libc::c_int) -> Result<(), Failure> {
    set(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER)?;
    match set(
        fd,
        libc::SOL_XDP,
        XDP_MAX_TX_SKB_BUDGET,
        RING as libc::c_int,
    ) {
        // Kernels below 6.17 do not know it.
        Err(e) if e.raw_os_error() != Some(libc::ENOPROTOOPT) => Err(e.into()),
        _ => Ok(()),
    }
}

fn set(fd: libc::c_int, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let (at, len) = (&raw const value, size_of_val(&value) as libc::socklen_t);
    // SAFETY: `at` points to `len` bytes for the time of the call.
    match unsafe { libc::setsockopt(fd, level, name, at.cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn kick(fd: libc::c_int) -> Result<(), i32> {
    // SAFETY: an empty message, no address.
    let sent = unsafe {
        libc::sendto(
            fd,
            std::ptr::null(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null(),
            0,
        )
    };
    match sent {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO)),
    }
}
