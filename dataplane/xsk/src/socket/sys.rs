//! The system calls, each by its AF_XDP meaning.
#![allow(unsafe_code, reason = "two calls that rustix does not have")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING,
    XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpOptionsFlags,
    XdpRingOffset, XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::{Mode, OpenError, PortState, RingSizes, Rings, XdpStatistics};
use crate::mapping::Mapping;
use crate::ring::{Descriptor, Entry, Layout, Mapped};

/// `XDP_MAX_TX_SKB_BUDGET` (include/uapi/linux/if_xdp.h, Linux 6.17).
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// Smallest budget that the kernel accepts (`TX_BATCH_SIZE` in net/xdp/xsk.c).
const MIN_TX_BUDGET: u32 = 32;
/// What the kernel charges for a frame on top of its bytes, at most (`struct sk_buff` and
/// `struct skb_shared_info`, rounded up).
const SKB_OVERHEAD: usize = 1024;

/// Wraps a failed call.
pub(super) fn failed<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> OpenError {
    move |source| OpenError::System {
        call,
        source: source.into(),
    }
}

/// A new AF_XDP socket with rings of these sizes.
pub(super) fn socket(sizes: RingSizes, chunk_size: usize) -> Result<OwnedFd, OpenError> {
    let (family, flags) = (AddressFamily::XDP, SocketFlags::CLOEXEC);
    let fd =
        net::socket_with(family, SocketType::RAW, flags, None).map_err(failed("socket(AF_XDP)"))?;
    sockopt::set_xdp_umem_fill_ring_size(&fd, sizes.fill).map_err(failed("XDP_UMEM_FILL_RING"))?;
    sockopt::set_xdp_umem_completion_ring_size(&fd, sizes.completion)
        .map_err(failed("XDP_UMEM_COMPLETION_RING"))?;
    sockopt::set_xdp_rx_ring_size(&fd, sizes.rx).map_err(failed("XDP_RX_RING"))?;
    sockopt::set_xdp_tx_ring_size(&fd, sizes.tx).map_err(failed("XDP_TX_RING"))?;
    widen_tx(&fd, sizes.tx, chunk_size);
    Ok(fd)
}

/// Lets copy mode send a whole TX ring in one call. Both options only make it faster: where the
/// kernel is older or a capability is missing, [`super::Socket::flush`] kicks more often.
fn widen_tx(fd: &OwnedFd, tx: u32, chunk_size: usize) {
    let in_flight = tx as usize * (chunk_size + SKB_OVERHEAD);
    let bytes = in_flight.min(i32::MAX as usize / 2);
    if sockopt::set_socket_send_buffer_size_force(fd, bytes).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(fd, bytes);
    }
    if tx >= MIN_TX_BUDGET {
        const LEN: libc::socklen_t = 4;
        // SAFETY: the option's value is a u32 that lives across the call, and its size is given.
        let _ = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_XDP,
                XDP_MAX_TX_SKB_BUDGET,
                (&raw const tx).cast(),
                LEN,
            )
        };
    }
}

/// Maps the rings of a socket that has none mapped.
pub(super) fn rings(fd: &OwnedFd, sizes: RingSizes) -> Result<Rings, OpenError> {
    let offsets = sockopt::xdp_mmap_offsets(fd).map_err(failed("XDP_MMAP_OFFSETS"))?;
    let map = |at: &XdpRingOffset, entries, words, page| -> Result<Mapped, OpenError> {
        let layout = layout(at).ok_or_else(|| failed("XDP_MMAP_OFFSETS")(Errno::NOTSUP))?;
        let mapping = Mapping::ring(fd.as_fd(), layout.bytes(entries, words), page)
            .map_err(failed("mmap of a ring"))?;
        Ok(Mapped::new(mapping, &layout, entries, words))
    };
    let (address, descriptor) = (u64::WORDS, Descriptor::WORDS);
    Ok(Rings {
        rx: map(&offsets.rx, sizes.rx, descriptor, XDP_PGOFF_RX_RING)?,
        tx: map(&offsets.tx, sizes.tx, descriptor, XDP_PGOFF_TX_RING)?,
        fill: map(&offsets.fr, sizes.fill, address, XDP_UMEM_PGOFF_FILL_RING)?,
        completion: map(
            &offsets.cr,
            sizes.completion,
            address,
            XDP_UMEM_PGOFF_COMPLETION_RING,
        )?,
    })
}

/// `None` for kernels before 5.4, whose rings have no flags.
fn layout(at: &XdpRingOffset) -> Option<Layout> {
    Some(Layout {
        producer: usize::try_from(at.producer).ok()?,
        consumer: usize::try_from(at.consumer).ok()?,
        flags: usize::try_from(at.flags?).ok()?,
        entries: usize::try_from(at.desc).ok()?,
    })
}

/// Registers memory as the socket's UMEM. The kernel keeps the pages pinned until the last socket
/// that shares the UMEM is gone, mapped or not.
pub(super) fn register(fd: &OwnedFd, extent: (u64, u64), chunk_size: u32) -> Result<(), OpenError> {
    let (addr, len) = extent;
    let flags = XdpUmemRegFlags::empty();
    let umem = XdpUmemReg {
        addr,
        len,
        chunk_size,
        headroom: 0,
        flags,
        tx_metadata_len: 0,
    };
    sockopt::set_xdp_umem_reg(fd, umem).map_err(failed("XDP_UMEM_REG"))
}

/// Binds a socket that has registered a UMEM.
pub(super) fn bind(
    fd: &OwnedFd,
    at: (u32, u32),
    mode: Mode,
    need_wakeup: bool,
) -> Result<(), Errno> {
    let mut flags = match mode {
        Mode::ZeroCopy => SocketAddrXdpFlags::XDP_ZEROCOPY,
        Mode::Copy | Mode::Memory => SocketAddrXdpFlags::XDP_COPY,
    };
    flags.set(SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP, need_wakeup);
    net::bind(fd, &SocketAddrXdp::new(flags, at.0, at.1))
}

/// Binds a socket to the UMEM of a bound one. `EBADF`: that one is bound no more.
pub(super) fn bind_shared(fd: &OwnedFd, at: (u32, u32), with: &OwnedFd) -> Result<(), Errno> {
    // The kernel refuses any other flag here: a shared UMEM has one mode.
    let addr = SocketAddrXdp::new(SocketAddrXdpFlags::XDP_SHARED_UMEM, at.0, at.1);
    net::bind(
        fd,
        &SocketAddrXdpWithSharedUmem {
            addr,
            shared_umem_fd: with.as_fd(),
        },
    )
}

/// Whether the kernel says that the socket is in zero-copy mode.
pub(super) fn is_zero_copy(fd: &OwnedFd) -> Result<bool, OpenError> {
    let options = sockopt::xdp_options(fd).map_err(failed("XDP_OPTIONS"))?;
    Ok(options.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY))
}

/// Makes the kernel read the TX ring. Without `MSG_DONTWAIT` it answers `EOPNOTSUPP`.
pub(super) fn kick_tx(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    net::send(fd, &[], SendFlags::DONTWAIT).map(drop)
}

/// Makes the kernel read the fill ring.
pub(super) fn wake_rx(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    net::recv(fd, &mut [0u8; 0], RecvFlags::DONTWAIT).map(drop)
}

/// The kernel checks the port before anything else (`xsk_check_common`).
pub(super) fn port_state(fd: BorrowedFd<'_>) -> PortState {
    match wake_rx(fd) {
        Err(Errno::NETDOWN) => PortState::Down,
        Err(Errno::NXIO) => PortState::Gone,
        Ok(()) | Err(_) => PortState::Up,
    }
}

pub(super) fn statistics(fd: BorrowedFd<'_>) -> io::Result<XdpStatistics> {
    let s = sockopt::xdp_statistics(fd)?;
    Ok(XdpStatistics {
        rx_dropped: s.rx_dropped,
        rx_invalid_descs: s.rx_invalid_descs,
        tx_invalid_descs: s.tx_invalid_descs,
        // Kernels before 5.9 do not tell these.
        rx_ring_full: s.rx_ring_full.unwrap_or(0),
        rx_fill_ring_empty_descs: s.rx_fill_ring_empty_descs.unwrap_or(0),
        tx_ring_empty_descs: s.tx_ring_empty_descs.unwrap_or(0),
    })
}

/// How many queues a device receives and sends on now, `(rx, tx)`.
///
/// A driver that does not tell its channels has one of each.
pub(super) fn queue_counts(ifindex: u32) -> Result<(u32, u32), OpenError> {
    let fd = net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(failed("socket(AF_INET)"))?;
    let name =
        net::netdevice::index_to_name_inlined(&fd, ifindex).map_err(failed("SIOCGIFNAME"))?;
    match channels(&fd, name.as_bytes()) {
        Ok(c) => Ok((c.rx + c.combined, c.tx + c.combined)),
        Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok((1, 1)),
        Err(e) => Err(failed("ETHTOOL_GCHANNELS")(e)),
    }
}

/// `struct ethtool_channels` (include/uapi/linux/ethtool.h).
#[repr(C)]
#[derive(Default)]
struct Channels {
    cmd: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

fn channels(fd: &OwnedFd, name: &[u8]) -> io::Result<Channels> {
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    let mut channels = Channels {
        cmd: ETHTOOL_GCHANNELS,
        ..Channels::default()
    };
    // SAFETY: an all-zero ifreq is a valid one.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = from.cast_signed() as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    // SAFETY: SIOCETHTOOL reads the name and writes one `ethtool_channels` where the request
    // points to; both live across the call.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(channels)
    }
}
