//! Packet sockets (packet(7)) on one device.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsRawFd;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, SockaddrLike, bind};
use socket2::{Domain, Protocol, Socket, Type};

use super::LabError;

/// A packet socket of the calling thread's namespace that hears this Ethernet type (linux/if_ether.h) on this device,
/// non-blocking, with at least a buffer of that many bytes: what arrives from here on is kept until it is read.
pub(crate) fn packet_socket(
    device: &str,
    socket_type: Type,
    ethertype: u16,
    buffer: usize,
) -> Result<Socket, LabError> {
    let failed = |source: io::Error| LabError::os(format!("packet socket on {device}"), source);
    let protocol = Some(Protocol::from(i32::from(ethertype.to_be())));
    let socket = Socket::new(Domain::PACKET, socket_type, protocol).map_err(failed)?;
    let address = link_address(device)?.ok_or_else(|| failed(ErrorKind::NotFound.into()))?;
    // A protocol of 0 in the address leaves the socket's as it is (net/packet/af_packet.c, packet_do_bind).
    bind(socket.as_raw_fd(), &address).map_err(|error| failed(error.into()))?;
    socket.set_recv_buffer_size(buffer).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    // Before it was bound the socket heard every device of the namespace.
    let mut heard = [0; 1];
    loop {
        match (&socket).read(&mut heard) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(socket),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// The packet-socket address of a device in the thread's namespace.
fn link_address(device: &str) -> Result<Option<LinkAddr>, LabError> {
    let mut addresses = getifaddrs().map_err(|source| LabError::os("list the devices", source))?;
    Ok(addresses.find_map(|entry| {
        let address = entry.address?;
        let is_link =
            entry.interface_name == device && address.family() == Some(AddressFamily::Packet);
        is_link.then(|| address.as_link_addr().copied()).flatten()
    }))
}
