//! Raw frames at the far end of a veth pair, by packet sockets: nothing of the crate under test.
#![allow(
    unsafe_code,
    reason = "sockaddr_ll has no safe wrapper among the dependencies"
)]

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// Local experimental EtherType 1 (IEEE 802).
const ETHERTYPE: u16 = 0x88b5;

/// A packet socket on one device that receives frames of the tests' EtherType only.
pub(crate) struct Wire {
    fd: OwnedFd,
}

impl Wire {
    /// On a device of the calling thread's namespace.
    pub(crate) fn open(device: &str) -> Self {
        let flags = SocketFlags::CLOEXEC;
        let fd = net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
            .expect("a packet socket");
        let any = Self::any_socket();
        let ifindex = net::netdevice::name_to_index(&any, device).expect("the device exists");
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).expect("17"),
            sll_protocol: ETHERTYPE.to_be(),
            sll_ifindex: ifindex.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let len = u32::try_from(size_of_val(&address)).expect("20");
        // SAFETY: the address is a whole sockaddr_ll that lives across the call.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
        assert_eq!(bound, 0, "bind: {}", std::io::Error::last_os_error());
        let patience = Some(Duration::from_millis(500));
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, patience).expect("SO_RCVTIMEO");
        sockopt::set_socket_recv_buffer_size_force(&fd, 16 << 20).expect("SO_RCVBUFFORCE");
        Self { fd }
    }

    /// A socket to ask about devices of the calling thread's namespace.
    pub(crate) fn any_socket() -> OwnedFd {
        net::socket_with(
            AddressFamily::INET,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a UDP socket")
    }

    pub(crate) fn send(&self, frame: &[u8]) {
        let sent = net::send(&self.fd, frame, SendFlags::empty()).expect("send");
        assert_eq!(sent, frame.len());
    }

    /// The next frame; `None` after half a second without one.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        let (_, len) = net::recv(&self.fd, &mut buffer[..], RecvFlags::empty()).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }

    /// `n` frames; panics if fewer come.
    pub(crate) fn receive_all(&self, n: usize) -> Vec<Vec<u8>> {
        let got: Vec<_> = std::iter::from_fn(|| self.receive()).take(n).collect();
        assert_eq!(got.len(), n, "frames arrive");
        got
    }
}

/// Frame number `i`: every byte behind the Ethernet header depends on it.
pub(crate) fn frame(i: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ETHERTYPE.to_be_bytes());
    frame.extend(i.to_be_bytes());
    let mut state = i;
    frame.resize_with(len, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    frame
}
