//! What can be asked for.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`](crate::Status) |
//! | `GET /v1/ports` | list of [`Port`](crate::Port) |
//! | `GET /v1/upstreams` | list of [`Upstream`](crate::Upstream) |
//! | `GET /v1/clients` | list of [`Client`](crate::Client) |
//! | `GET /v1/tunnels` | list of [`Tunnel`](crate::Tunnel) |
//! | `GET /v1/vfib` | list of [`VfibSummary`](crate::VfibSummary) |
//! | `GET /v1/vfib/{name}` | [`Vfib`](crate::Vfib) |
//! | `GET /v1/lookup/{vfib}/{address}` | [`Lookup`](crate::Lookup) |
//! | `GET /v1/neighbours` | list of [`Neighbour`](crate::Neighbour) |
//! | `GET /v1/counters` | [`Counters`](crate::Counters) |
//! | `GET /v1/drops` | [`Drops`](crate::Drops) |
//! | `POST /v1/reload` | [`Reload`](crate::Reload) |
//!
//! Lists are ordered by name. A refusal has a status of 400 or above and an
//! [`ApiError`](crate::ApiError) as its body.

use std::net::IpAddr;

/// `GET`: how the daemon is.
pub const STATUS: &str = "/v1/status";
/// `GET`: devices.
pub const PORTS: &str = "/v1/ports";
/// `GET`: ISPs.
pub const UPSTREAMS: &str = "/v1/upstreams";
/// `GET`: hosted networks.
pub const CLIENTS: &str = "/v1/clients";
/// `GET`: links of clients to upstreams.
pub const TUNNELS: &str = "/v1/tunnels";
/// `GET`: all virtual FIBs, without their routes.
pub const VFIBS: &str = "/v1/vfib";
/// `GET`: one virtual FIB, as a route of axum.
pub const VFIB: &str = "/v1/vfib/{name}";
/// `GET`: where a packet would go, as a route of axum.
pub const LOOKUP: &str = "/v1/lookup/{vfib}/{address}";
/// `GET`: underlay next hops.
pub const NEIGHBOURS: &str = "/v1/neighbours";
/// `GET`: all counters.
pub const COUNTERS: &str = "/v1/counters";
/// `GET`: what was dropped, by reason.
pub const DROPS: &str = "/v1/drops";
/// `POST`: read the configuration file again and apply it.
pub const RELOAD: &str = "/v1/reload";

/// The path of one virtual FIB; names need no escape (`A-Z a-z 0-9 . _ -`), others are escaped.
#[must_use]
pub fn vfib(name: &str) -> String {
    format!("{VFIBS}/{}", Escaped(name))
}

/// The path of a look-up.
#[must_use]
pub fn lookup(vfib: &str, address: IpAddr) -> String {
    format!("/v1/lookup/{}/{address}", Escaped(vfib))
}

/// A path segment: what is not unreserved is percent-encoded (RFC 3986 section 2.3).
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cannot_leave_their_place() {
        assert_eq!(vfib("isp-1"), "/v1/vfib/isp-1");
        assert_eq!(vfib("a/../b c%"), "/v1/vfib/a%2F..%2Fb%20c%25");
        assert_eq!(
            lookup("i?x", "::1".parse().unwrap()),
            "/v1/lookup/i%3Fx/::1"
        );
    }
}
