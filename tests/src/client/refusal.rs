//! Why outer packets are thrown away.

/// Why a client's end takes no notice of an outer packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Refusal {
    /// The outer header is no IPv4 header without options.
    OuterHeader,
    /// The outer header's checksum is wrong.
    OuterChecksum,
    /// The outer total length is not what arrived.
    OuterLength,
    /// No tunnel of this protocol has these outer addresses.
    UnknownPair,
    /// The GRE header is cut off.
    GreTruncated,
    /// GRE flags other than the key's are set: sequence numbers, routing, reserved bits.
    GreFlags,
    /// A GRE version other than 0.
    GreVersion,
    /// The GRE checksum is there and wrong.
    GreChecksum,
    /// The GRE payload is not IPv4.
    GreProtocol,
    /// A tunnel with a key got a packet without one.
    KeyMissing,
    /// A tunnel without a key got a packet with one.
    KeyUnexpected,
    /// Another key.
    KeyWrong,
    /// The inner packet has no valid IPv4 header.
    InnerHeader,
    /// The inner header's checksum is wrong.
    InnerChecksum,
    /// The inner total length is not what the outer packet holds.
    InnerLength,
}

impl Refusal {
    /// All of them, by number.
    pub const ALL: [Self; 15] = [
        Self::OuterHeader,
        Self::OuterChecksum,
        Self::OuterLength,
        Self::UnknownPair,
        Self::GreTruncated,
        Self::GreFlags,
        Self::GreVersion,
        Self::GreChecksum,
        Self::GreProtocol,
        Self::KeyMissing,
        Self::KeyUnexpected,
        Self::KeyWrong,
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
            Self::UnknownPair => "unknown_pair",
            Self::GreTruncated => "gre_truncated",
            Self::GreFlags => "gre_flags",
            Self::GreVersion => "gre_version",
            Self::GreChecksum => "gre_checksum",
            Self::GreProtocol => "gre_protocol",
            Self::KeyMissing => "key_missing",
            Self::KeyUnexpected => "key_unexpected",
            Self::KeyWrong => "key_wrong",
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
