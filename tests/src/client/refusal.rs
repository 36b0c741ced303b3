//! Why outer packets are thrown away.

/// Why a client's end takes no notice of an outer packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Refusal {
    /// The outer header is no IPv4 header without options, and no IPv6 header with a Destination Options header at most.
    OuterHeader,
    /// The outer header's checksum is wrong.
    OuterChecksum,
    /// The outer length is not what arrived.
    OuterLength,
    /// The outer packet is a fragment.
    OuterFragment,
    /// No tunnel of this protocol has these outer addresses.
    UnknownPair,
    /// The GRE header is cut off.
    GreTruncated,
    /// GRE flags other than those of checksum, key and sequence number are set.
    GreFlags,
    /// A GRE version other than 0.
    GreVersion,
    /// The GRE checksum is there and wrong.
    GreChecksum,
    /// The GRE payload is neither IP nor Ethernet.
    GreProtocol,
    /// A tunnel with a key got a packet without one.
    KeyMissing,
    /// A tunnel without a key got a packet with one.
    KeyUnexpected,
    /// Another key.
    KeyWrong,
    /// The UDP length is not what arrived.
    UdpLength,
    /// The UDP checksum is there and wrong.
    UdpChecksum,
    /// The GUE header is of another variant, a control message, has fields, or names no IP.
    GueHeader,
    /// A frame's VLAN tags are none of the tunnels'.
    UnknownTags,
    /// What is inside is no IP packet (of the family that was said), or no frame with one.
    InnerHeader,
    /// The inner header's checksum is wrong.
    InnerChecksum,
    /// The inner length is not what the outer packet holds.
    InnerLength,
}

impl Refusal {
    /// All of them, by number.
    pub const ALL: [Self; 20] = [
        Self::OuterHeader,
        Self::OuterChecksum,
        Self::OuterLength,
        Self::OuterFragment,
        Self::UnknownPair,
        Self::GreTruncated,
        Self::GreFlags,
        Self::GreVersion,
        Self::GreChecksum,
        Self::GreProtocol,
        Self::KeyMissing,
        Self::KeyUnexpected,
        Self::KeyWrong,
        Self::UdpLength,
        Self::UdpChecksum,
        Self::GueHeader,
        Self::UnknownTags,
        Self::InnerHeader,
        Self::InnerChecksum,
        Self::InnerLength,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::OuterHeader => "outer_header",
            Self::OuterChecksum => "outer_checksum",
            Self::OuterLength => "outer_length",
            Self::OuterFragment => "outer_fragment",
            Self::UnknownPair => "unknown_pair",
            Self::GreTruncated => "gre_truncated",
            Self::GreFlags => "gre_flags",
            Self::GreVersion => "gre_version",
            Self::GreChecksum => "gre_checksum",
            Self::GreProtocol => "gre_protocol",
            Self::KeyMissing => "key_missing",
            Self::KeyUnexpected => "key_unexpected",
            Self::KeyWrong => "key_wrong",
            Self::UdpLength => "udp_length",
            Self::UdpChecksum => "udp_checksum",
            Self::GueHeader => "gue_header",
            Self::UnknownTags => "unknown_tags",
            Self::InnerHeader => "inner_header",
            Self::InnerChecksum => "inner_checksum",
            Self::InnerLength => "inner_length",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn refusals_are_numbered_in_order() {
        for (number, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, number);
        }
    }
}
