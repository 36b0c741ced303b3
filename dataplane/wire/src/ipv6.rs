//! IPv6 (RFC 8200): what names the family, and no more until it is forwarded.

/// Whether these bytes begin like an IPv6 packet. Says nothing about what follows.
#[inline]
#[must_use]
pub fn is_ipv6(packet: &[u8]) -> bool {
    packet.first().is_some_and(|b| b >> 4 == 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_the_version_nibble() {
        assert!(is_ipv6(&[0x60]));
        assert!(is_ipv6(&[0x6f, 0]));
        assert!(!is_ipv6(&[0x45]));
        assert!(!is_ipv6(&[]));
    }
}
