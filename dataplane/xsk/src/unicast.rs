//! MAC addresses beside a device's own that it shall receive.
#![allow(unsafe_code, reason = "an option that rustix does not have")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

/// Keeps devices receiving frames to MAC addresses that are not their own, without promiscuous mode; for as long as it lives,
/// and no longer, however the process ends: they are memberships of a packet socket (packet(7), `PACKET_MR_UNICAST`).
#[derive(Debug)]
pub struct UnicastFilter {
    socket: OwnedFd,
}

impl UnicastFilter {
    /// Lets nothing in yet.
    ///
    /// # Errors
    /// Of the socket; it needs `CAP_NET_RAW`.
    pub fn new() -> io::Result<Self> {
        // Without a protocol it receives nothing.
        let socket = net::socket_with(
            AddressFamily::PACKET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self { socket })
    }

    /// Lets frames to this address in. Asked for twice, it must be refused twice.
    ///
    /// # Errors
    /// No such device, or one without Ethernet addresses.
    pub fn admit(&self, ifindex: u32, mac: [u8; 6]) -> io::Result<()> {
        self.change(libc::PACKET_ADD_MEMBERSHIP, ifindex, mac)
    }

    /// Lets them in no more. A device that is gone lets nothing in.
    ///
    /// # Errors
    /// Of the kernel.
    pub fn refuse(&self, ifindex: u32, mac: [u8; 6]) -> io::Result<()> {
        self.change(libc::PACKET_DROP_MEMBERSHIP, ifindex, mac)
    }

    fn change(&self, option: libc::c_int, ifindex: u32, mac: [u8; 6]) -> io::Result<()> {
        #[allow(clippy::cast_possible_truncation, reason = "16 and 3")]
        const LEN_AND_TYPE: (libc::socklen_t, libc::c_ushort) = (
            size_of::<libc::packet_mreq>() as libc::socklen_t,
            libc::PACKET_MR_UNICAST as libc::c_ushort,
        );
        let mut request = libc::packet_mreq {
            mr_ifindex: libc::c_int::try_from(ifindex).map_err(io::Error::other)?,
            mr_type: LEN_AND_TYPE.1,
            mr_alen: 6,
            mr_address: [0; 8],
        };
        request.mr_address[..6].copy_from_slice(&mac);
        // SAFETY: the option's value is a `packet_mreq` that lives across the call, and its size is given.
        let answer = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const request).cast(),
                LEN_AND_TYPE.0,
            )
        };
        if answer < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}
