//! The socket that listens: batches of news, or the notice that some were lost.

use std::io;

use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{
    AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE,
};
use rustix::net::sockopt;

/// What can change a view. Rules and next-hop objects change routes without a word on these.
const GROUPS: &[MulticastGroup] = &[
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

/// Datagrams taken at once, so that a flood of news does not keep the actor from its other work.
const BATCH: usize = 64;

/// News of the kernel.
pub(super) enum News {
    /// In the order of the kernel; `None` is a message that this version does not know.
    Messages(Vec<Option<RouteNetlinkMessage>>),
    /// The socket's buffer was full and news were lost.
    Overrun,
}

/// The socket that listens.
pub(super) struct Listener {
    socket: TokioSocket,
}

impl Listener {
    /// Subscribes to [`GROUPS`] with a buffer of this many bytes.
    pub(super) fn open(receive_buffer: usize) -> io::Result<Self> {
        let mut listener = TokioSocket::new(NETLINK_ROUTE)?;
        let socket = listener.socket_mut();
        // Without CAP_NET_ADMIN over the machine the buffer is limited by net.core.rmem_max:
        // more overruns, but no other harm.
        if sockopt::set_socket_recv_buffer_size_force(&*socket, receive_buffer).is_err() {
            sockopt::set_socket_recv_buffer_size(&*socket, receive_buffer)?;
        }
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.add_membership(*group as u32)?;
        }
        Ok(Self { socket: listener })
    }

    /// Waits for news. Cancelling loses none.
    pub(super) async fn next(&self) -> io::Result<News> {
        let mut messages = Vec::new();
        let mut received = self.socket.recv_from_full().await;
        for waiting in (0..BATCH).rev() {
            match received {
                Ok((datagram, _)) => decode(&datagram, &mut messages),
                Err(error) if is_overrun(&error) => return Ok(News::Overrun),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            // What is received must be decoded: nothing more is taken with the last turn.
            if waiting == 0 {
                break;
            }
            received = self.socket.socket_ref().recv_from_full();
        }
        Ok(News::Messages(messages))
    }

    /// Throws away what waits. After an overrun this must come before the dump: what waits is older
    /// than the news that were lost, and would overwrite what the dump knows of them.
    pub(super) fn drain(&self) -> io::Result<()> {
        loop {
            match self.socket.socket_ref().recv_from_full() {
                Ok(_) => {}
                Err(error) if is_overrun(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

/// The messages of a datagram (netlink(7): each is aligned to 4 bytes).
fn decode(datagram: &[u8], messages: &mut Vec<Option<RouteNetlinkMessage>>) {
    let mut rest = datagram;
    while let Ok(buffer) = NetlinkBuffer::new_checked(rest) {
        let length = buffer.length() as usize;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&rest[..length]) {
            Ok(NetlinkMessage {
                payload: NetlinkPayload::InnerMessage(message),
                ..
            }) => {
                messages.push(Some(message));
            }
            Ok(_) => {}
            Err(_) => messages.push(None),
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}
