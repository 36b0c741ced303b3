//! What becomes of a packet: exactly one [`Verdict`] each.

use crate::tables::PortId;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the packet, as it now is, out of this port.
    Transmit(PortId),
    /// Hand it to the kernel.
    Punt(PuntTo),
    /// Keep it until its neighbour is known: [`crate::Pipeline::held`] says what to keep with it, and
    /// [`crate::Pipeline::resume`] goes on.
    Hold(HoldId),
    /// Drop it; the reason has one counter.
    Drop(DropReason),
}

/// A packet that waits, among those of its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldId(pub(crate) u8);

/// By which of the portal's own devices the kernel gets a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PuntTo {
    /// As an IP packet, by the TUN device.
    Tun,
    /// As an Ethernet frame, by the TAP device.
    Tap,
}

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a worker dropped a packet. Each has one counter and a test that names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[$doc])* $variant,)*
        }

        impl DropReason {
            /// All reasons, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Name in the API and in `tpctl show drops`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

drop_reasons! {
    /// Metadata missing, of another layout or port, or offsets beyond the packet.
    BadMetadata = "bad-metadata",
    /// The ingress slot was freed or allocated anew since steering saw the packet.
    StaleIngress = "stale-ingress",
    /// A fragment of a tunnel's outer packet.
    OuterFragment = "outer-fragment",
    /// An ICMP error about a tunnel's outer packet.
    OuterIcmp = "outer-icmp",
    /// Outer IP header with a wrong length.
    OuterMalformed = "outer-malformed",
    /// Outer IPv4 header checksum (RFC 1812 section 5.2.2).
    OuterChecksum = "outer-checksum",
    /// GRE checksum present and wrong (RFC 2784 section 2.1).
    GreChecksum = "gre-checksum",
    /// UDP checksum of a tunnel's outer packet present and wrong.
    UdpChecksum = "udp-checksum",
    /// Inner packet is of a family or kind that is not forwarded here.
    InnerUnsupported = "inner-unsupported",
    /// Inner IP header with a wrong version or length.
    InnerMalformed = "inner-malformed",
    /// Inner IPv4 header checksum.
    InnerChecksum = "inner-checksum",
    /// To a group of an Ethernet link, and no link protocol.
    InnerGroup = "inner-group",
    /// To a MAC address that an Ethernet link does not have.
    InnerNotForUs = "inner-not-for-us",
    /// Outer header marked CE, inner not ECN-capable (RFC 6040 section 4.2).
    EcnViolation = "ecn-violation",
    /// ARP or neighbour discovery from a link without link addresses.
    LinkProtocol = "link-protocol",
    /// Above the rate of the link's slow path.
    RateSlowPath = "rate-slow-path",
    /// From a tunnel, with a source that its client does not own.
    ForgedSource = "forged-source",
    /// From an upstream, with a source that no host may have (RFC 1812 section 5.3.7).
    MartianSource = "martian-source",
    /// From a tunnel, to an address that is not forwarded (RFC 1812 section 5.3.7).
    MartianDestination = "martian-destination",
    /// From a tunnel: the virtual FIB has no route.
    NoRoute = "no-route",
    /// From an upstream: no client announced a route to the destination.
    NoClientRoute = "no-client-route",
    /// The route says drop.
    Blackhole = "blackhole",
    /// TTL was 1 or 0 on arrival.
    TtlExceeded = "ttl-exceeded",
    /// Does not fit the MTU of the way out.
    TooBig = "too-big",
    /// The neighbour's MAC address is not known.
    NeighbourUnresolved = "neighbour-unresolved",
    /// Above the client's rate towards the upstreams.
    RateFromClient = "rate-from-client",
    /// Above the client's rate from the upstreams.
    RateToClient = "rate-to-client",
    /// Above the tunnel's rate.
    RateTunnel = "rate-tunnel",
    /// No room in front of the packet for the new headers.
    NoHeadroom = "no-headroom",
    /// The worker has no socket on the port.
    NoPort = "no-port",
    /// The queue to the kernel was full.
    PuntQueueFull = "punt-queue-full",
    /// The transmit ring was full.
    TxRingFull = "tx-ring-full",
    /// The kernel took the descriptor and dropped the packet (EBUSY).
    TxBusy = "tx-busy",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_in_their_order_and_named_apart() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            let namesakes = DropReason::ALL.iter().filter(|r| r.name() == reason.name());
            assert_eq!(namesakes.count(), 1, "{}", reason.name());
        }
    }
}
