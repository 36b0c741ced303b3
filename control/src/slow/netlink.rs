//! rtnetlink for whoever runs on a thread and waits for the kernel's answers: requests in batches, and dumps.
//!
//! The kernel works off a datagram's messages one after the other before `send` returns (netlink(7)), so a
//! batch costs two system calls, however many addresses it holds.

use std::io;

use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Messages of one datagram: below 16 KiB, so that no allocation of the kernel's is large.
const BATCH: usize = 128;
/// Dumps that the kernel's tables changed under are repeated this often.
const DUMP_ATTEMPTS: usize = 8;

/// A request, with the flags that say what it does (`NLM_F_CREATE` and so on).
pub(super) type Request = (RouteNetlinkMessage, u16);

/// A connection in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Refusals without a copy of what was refused.
        socket.set_cap_ack(true)?;
        // What a dump's question says is a filter.
        socket.set_netlink_get_strict_chk(true)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Makes one request.
    pub(super) fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let refused = self.request_all(&[(message, flags)])?;
        refused.into_iter().next().map_or(Ok(()), |(_, e)| Err(e))
    }

    /// Makes all requests, in their order, and answers which ones the kernel refused; the others are done.
    ///
    /// # Errors
    /// Of the socket: how far the kernel got is not known.
    pub(super) fn request_all(
        &mut self,
        requests: &[Request],
    ) -> io::Result<Vec<(usize, io::Error)>> {
        let mut refused = Vec::new();
        for (batch, chunk) in requests.chunks(BATCH).enumerate() {
            let first = self.sequence.wrapping_add(1);
            self.send_batch(chunk)?;
            self.gather_refusals(first, batch * BATCH, &mut refused)?;
        }
        Ok(refused)
    }

    /// Sends a batch; only its last message asks for an answer when nothing is wrong.
    fn send_batch(&mut self, batch: &[Request]) -> io::Result<()> {
        let mut datagram = Vec::new();
        for (index, (message, flags)) in batch.iter().enumerate() {
            let last = if index + 1 == batch.len() {
                NLM_F_ACK
            } else {
                0
            };
            self.append(&mut datagram, message.clone(), flags | last);
        }
        self.socket.send(&datagram, 0).map(drop)
    }

    fn append(&mut self, datagram: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        request.header.sequence_number = self.sequence;
        request.finalize();
        // Messages are aligned to 4 bytes (NLMSG_ALIGN of linux/netlink.h).
        let start = datagram.len().next_multiple_of(4);
        datagram.resize(start + request.buffer_len(), 0);
        request.serialize(&mut datagram[start..]);
    }

    /// Reads the answers up to that of the newest request.
    fn gather_refusals(
        &mut self,
        first: u32,
        offset: usize,
        refused: &mut Vec<(usize, io::Error)>,
    ) -> io::Result<()> {
        loop {
            for answer in self.receive()? {
                let sequence = answer.header.sequence_number;
                let NetlinkPayload::Error(error) = answer.payload else {
                    continue;
                };
                if error.code.is_some() {
                    let index = offset + sequence.wrapping_sub(first) as usize;
                    refused.push((index, error.to_io()));
                }
                if sequence == self.sequence {
                    return Ok(());
                }
            }
        }
    }

    /// All that a dump answers.
    pub(super) fn dump(
        &mut self,
        what: &RouteNetlinkMessage,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut messages = Vec::new();
        for _ in 0..DUMP_ATTEMPTS {
            messages.clear();
            if self.dump_once(what, &mut messages)? {
                return Ok(messages);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "the kernel's tables changed under every dump of them",
        ))
    }

    /// Whether the tables stayed as they were meanwhile.
    fn dump_once(
        &mut self,
        what: &RouteNetlinkMessage,
        messages: &mut Vec<RouteNetlinkMessage>,
    ) -> io::Result<bool> {
        let mut datagram = Vec::new();
        self.append(&mut datagram, what.clone(), NLM_F_DUMP);
        self.socket.send(&datagram, 0)?;
        let mut whole = true;
        loop {
            for answer in self.receive()? {
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
                match answer.payload {
                    NetlinkPayload::InnerMessage(message) => messages.push(message),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    NetlinkPayload::Done(_) => return Ok(whole),
                    _ => {}
                }
            }
        }
    }

    fn receive(&mut self) -> io::Result<Vec<NetlinkMessage<RouteNetlinkMessage>>> {
        let (datagram, _) = self.socket.recv_from_full()?;
        let mut messages = Vec::new();
        let mut rest = &datagram[..];
        while let Ok(buffer) = NetlinkBuffer::new_checked(rest) {
            let length = buffer.length() as usize;
            // What this version does not know is about objects of others.
            if let Ok(message) = NetlinkMessage::deserialize(&rest[..length]) {
                messages.push(message);
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(messages)
    }
}
