//! Settings of a device below /proc/sys/net, of the network namespace of the calling thread.

use std::io;
use std::path::Path;

use tp_xsk::Carries;

use super::devices::DeviceError;

/// What holds for both devices.
const BOTH: &[(&str, &str)] = &[
    // The host's end of a link: it learns its neighbours, but no routes and no addresses of its own making.
    // A host that has IPv6 off by default has it on here, where it is configured.
    ("ipv6/conf/{}/disable_ipv6", "0"),
    ("ipv4/conf/{}/accept_redirects", "0"),
    ("ipv4/conf/{}/send_redirects", "0"),
    // A packet shall end where its destination says, not where its options do.
    ("ipv4/conf/{}/accept_source_route", "0"),
    ("ipv6/conf/{}/accept_source_route", "-1"),
    ("ipv4/conf/{}/forwarding", "0"),
    ("ipv6/conf/{}/forwarding", "0"),
    ("ipv6/conf/{}/accept_redirects", "0"),
    ("ipv6/conf/{}/accept_ra", "0"),
    ("ipv6/conf/{}/autoconf", "0"),
    // One device for all links: a probe for a duplicate could be sent by none of them.
    ("ipv6/conf/{}/accept_dad", "0"),
];

/// A device without neighbours needs no link-local address; an automatic one brings noise.
const TUN: &[(&str, &str)] = &[("ipv6/conf/{}/addr_gen_mode", "1")];

/// Requests are answered for the link that they came by (`answer.rs`). The kernel would answer on any link for any
/// address of the host.
const TAP: &[(&str, &str)] = &[
    ("ipv4/conf/{}/arp_ignore", "8"),
    // The link-local address by which the kernel probes its neighbours is the one made of the MAC address.
    ("ipv6/conf/{}/addr_gen_mode", "0"),
];

/// Gives a device its settings.
pub(super) fn set(device: &str, carries: Carries) -> Result<(), DeviceError> {
    let own = match carries {
        Carries::Packets => TUN,
        Carries::Frames => TAP,
    };
    for (pattern, value) in BOTH.iter().chain(own) {
        let path = Path::new("/proc/sys/net").join(pattern.replace("{}", device));
        match std::fs::write(&path, value) {
            Ok(()) => {}
            // A kernel that was started without IPv6.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && pattern.starts_with("ipv6") => {}
            Err(source) => {
                return Err(DeviceError::Sysctl {
                    path: path.display().to_string(),
                    source,
                });
            }
        }
    }
    Ok(())
}
