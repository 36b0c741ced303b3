//! What a socket tells about itself.

/// What a flush did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Descriptors that the kernel took from the TX ring.
    pub consumed: u32,
    /// How many of them it dropped at once (`EBUSY`: the device had no room).
    pub busy: u32,
    /// The port is down or gone: nothing will be sent until it is up, or the socket made anew.
    pub down: bool,
}

/// What a closed socket gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Chunks that were lent for receiving.
    pub fill: u32,
    /// Chunks that were lent for sending and never completed: not yet sent, or lost by the kernel.
    pub tx: u32,
    /// Chunks that stay lent for good, because the driver may still write into them.
    pub kept: u32,
}

/// Whether a socket's port works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// It is up.
    Up,
    /// It is administratively down; the socket works again when it is up.
    Down,
    /// It was removed; a port of the same name needs a new socket.
    Gone,
}

/// Ring entries that were not believed, and what is still out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketSuspects {
    /// Received descriptors of chunks that were not lent to this socket for receiving, or whose
    /// packet does not lie in its chunk.
    pub received: u64,
    /// Received descriptors of packets in several chunks, which the socket did not ask for.
    pub fragments: u64,
    /// Completions of chunks that were not lent to this socket for sending: of another owner, or
    /// the same one twice.
    pub completions: u64,
    /// Frames shorter than an Ethernet header that were to be sent; they went back to the depot.
    pub runts: u64,
    /// Chunks that the kernel took to send and has not completed. When the device is idle and
    /// this does not fall to 0, the kernel lost them; [`crate::Socket::close`] takes them back.
    pub in_flight: u32,
}

/// `XDP_STATISTICS` of a socket (`struct xdp_statistics`), counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpStatistics {
    /// Packets dropped for want of a chunk, or because they do not fit one.
    pub rx_dropped: u64,
    /// Fill ring entries that the kernel refused.
    pub rx_invalid_descs: u64,
    /// TX ring entries that the kernel refused; older kernels never complete their chunks.
    pub tx_invalid_descs: u64,
    /// Packets dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// How often the kernel found the fill ring empty.
    pub rx_fill_ring_empty_descs: u64,
    /// How often the kernel found the TX ring empty.
    pub tx_ring_empty_descs: u64,
}
