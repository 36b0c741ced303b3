//! What the kernel receives by a device of the slow path is for itself, or it is dropped.
//!
//! Two rules a family: look into the table of local addresses, then go no further. Whatever
//! `ip_forward`, and whether somebody took an address of a link from its device: a kernel that forwarded would carry
//! clients' packets past all that the workers check. (`forwarding` of the device alone would not do: writing
//! `ip_forward` overwrites it, and IPv6 forwards by the setting of all devices.)

use std::io;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::netlink::Netlink;

/// `RT_TABLE_LOCAL` of linux/rtnetlink.h.
const LOCAL: u8 = 255;
/// Before all rules that an operator may have, but the kernel's own, which is 0.
const FIRST: u32 = 1;

/// Adds the rules for a device; those that are there are no error.
pub(super) fn fence(netlink: &mut Netlink, device: &str) -> io::Result<()> {
    let requests: Vec<_> = rules(device)
        .map(|rule| {
            (
                RouteNetlinkMessage::NewRule(rule),
                NLM_F_CREATE | NLM_F_EXCL,
            )
        })
        .collect();
    tolerate(
        netlink.request_all(&requests)?,
        io::ErrorKind::AlreadyExists,
    )
}

/// Removes the rules for a device; those that are not there are no error.
pub(super) fn unfence(netlink: &mut Netlink, device: &str) -> io::Result<()> {
    let requests: Vec<_> = rules(device)
        .map(|rule| (RouteNetlinkMessage::DelRule(rule), 0))
        .collect();
    tolerate(netlink.request_all(&requests)?, io::ErrorKind::NotFound)
}

fn tolerate(refused: Vec<(usize, io::Error)>, kind: io::ErrorKind) -> io::Result<()> {
    let other = refused.into_iter().find(|(_, error)| {
        // A kernel that was started without IPv6 forwards none.
        error.kind() != kind
            && error.raw_os_error() != Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
    });
    other.map_or(Ok(()), |(_, error)| Err(error))
}

fn rules(device: &str) -> impl Iterator<Item = RuleMessage> {
    let families = [AddressFamily::Inet, AddressFamily::Inet6];
    families.into_iter().flat_map(move |family| {
        let rule = |priority, action, table| {
            let mut rule = RuleMessage::default();
            rule.header.family = family;
            rule.header.action = action;
            rule.header.table = table;
            rule.attributes = vec![
                RuleAttribute::Iifname(device.to_owned()),
                RuleAttribute::Priority(priority),
                RuleAttribute::Protocol(RouteProtocol::from(crate::kernel::OURS)),
            ];
            rule
        };
        [
            rule(FIRST, RuleAction::ToTable, LOCAL),
            rule(FIRST + 1, RuleAction::Blackhole, 0),
        ]
    })
}
