//! The two devices: persistent, so that the kernel keeps its addresses, routes and TCP sessions while no daemon runs.
//!
//! A device bears a mark (its alias, `ip link show`): whose it is, and which of the two. One without it was made by
//! somebody else, and is neither used nor removed.

use std::io;
use std::path::Path;

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use tp_wire::MacAddr;
use tp_xsk::{Carries, TunTap};

use super::netlink::Netlink;
use super::{rules, sysctl};

/// Longest alias: `IFALIASZ` of linux/if.h, with its zero byte.
const LONGEST_MARK: usize = 255;

/// Why a device of the slow path cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is one of that name, made by somebody else.
    #[error(
        "device {name}: there is one that this daemon did not make; give the slow path another name, or remove it \
         (ip link delete {name})"
    )]
    Foreign {
        /// Which.
        name: String,
    },
    /// The device is a daemon's with another bpffs, or the other of the two.
    #[error("device {name}: it is {mark:?}; give the slow path another name")]
    Taken {
        /// Which.
        name: String,
        /// Whose.
        mark: String,
    },
    /// The kernel gives no device, or not to us.
    #[error("device {name}: no {} device", kind(*carries))]
    Open {
        /// Which.
        name: String,
        /// What it should carry.
        carries: Carries,
        /// Why.
        source: io::Error,
    },
    /// The path of the bpffs does not fit a device's mark.
    #[error("device {name}: the path of the bpffs is too long to mark it with")]
    Mark {
        /// Which.
        name: String,
    },
    /// A setting is refused.
    #[error("writing {path}")]
    Sysctl {
        /// Its file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// rtnetlink fails.
    #[error("device {name}: {what}")]
    Netlink {
        /// Which.
        name: String,
        /// What was asked for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A device of the slow path.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) ifindex: u32,
    /// Of a TAP: the portal's on all Ethernet links.
    pub(super) mac: MacAddr,
    /// What it was last given; the kernel tells the world of every change, of none too.
    mtu: Option<u32>,
}

/// Opens a device of the slow path: the one that a predecessor left, or a new one, which goes with its file unless it
/// is [kept](keep).
///
/// # Errors
/// [`DeviceError`].
pub(super) fn open(
    netlink: &mut Netlink,
    name: &str,
    carries: Carries,
    bpffs: &Path,
) -> Result<(Device, TunTap), DeviceError> {
    let mark = mark(carries, bpffs);
    if mark.len() > LONGEST_MARK {
        return Err(DeviceError::Mark {
            name: name.to_owned(),
        });
    }
    match find(netlink, name)? {
        None => {}
        Some(Found { mark: Some(m), .. }) if m == mark => {}
        Some(Found { mark: Some(m), .. }) if is_ours(&m) => {
            return Err(DeviceError::Taken {
                name: name.to_owned(),
                mark: m,
            });
        }
        Some(_) => {
            return Err(DeviceError::Foreign {
                name: name.to_owned(),
            });
        }
    }
    let refused = |source| DeviceError::Open {
        name: name.to_owned(),
        carries,
        source,
    };
    let queue = TunTap::open(name, carries).map_err(refused)?;
    let failed = |what| {
        move |source| DeviceError::Netlink {
            name: name.to_owned(),
            what,
            source,
        }
    };
    let found =
        find(netlink, name)?.ok_or_else(|| failed("finding it")(io::ErrorKind::NotFound.into()))?;
    set_link(netlink, found.ifindex, |link| {
        link.attributes.push(LinkAttribute::IfAlias(mark));
    })
    .map_err(failed("marking it"))?;
    sysctl::set(name, carries)?;
    set_link(netlink, found.ifindex, |link| {
        link.header.flags |= LinkFlags::Up;
        link.header.change_mask |= LinkFlags::Up;
    })
    .map_err(failed("setting it up"))?;
    let device = Device {
        name: name.to_owned(),
        ifindex: found.ifindex,
        mac: found.mac,
        mtu: None,
    };
    Ok((device, queue))
}

/// Makes a device stay when its file is closed, and what the kernel receives by it end at this host.
///
/// # Errors
/// [`DeviceError`].
pub(super) fn keep(
    netlink: &mut Netlink,
    device: &Device,
    queue: &TunTap,
) -> Result<(), DeviceError> {
    let failed = |what| {
        move |source| DeviceError::Netlink {
            name: device.name.clone(),
            what,
            source,
        }
    };
    rules::fence(netlink, &device.name)
        .map_err(failed("keeping its packets from being forwarded"))?;
    queue.persist().map_err(failed("making it stay"))
}

/// Says how long a packet the kernel may send by this device.
///
/// # Errors
/// [`DeviceError`].
pub(super) fn set_mtu(
    netlink: &mut Netlink,
    device: &mut Device,
    mtu: u32,
) -> Result<(), DeviceError> {
    if device.mtu == Some(mtu) {
        return Ok(());
    }
    let change = set_link(netlink, device.ifindex, |link| {
        link.attributes.push(LinkAttribute::Mtu(mtu));
    });
    change.map_err(|source| DeviceError::Netlink {
        name: device.name.clone(),
        what: "setting its MTU",
        source,
    })?;
    device.mtu = Some(mtu);
    Ok(())
}

/// Removes the devices that daemons with this bpffs left, but those of these names; answers which they were.
///
/// # Errors
/// [`DeviceError`]: what could not be removed; the others are gone.
pub(super) fn remove_ours(
    netlink: &mut Netlink,
    bpffs: &Path,
    but: &[&str],
) -> Result<Vec<String>, DeviceError> {
    let marks = [mark(Carries::Packets, bpffs), mark(Carries::Frames, bpffs)];
    let ours = |found: &Found| found.mark.as_ref().is_some_and(|m| marks.contains(m));
    let (mut removed, mut failed) = (Vec::new(), None);
    for found in all(netlink)?.into_iter().filter(ours) {
        let Found { name, ifindex, .. } = found;
        if but.contains(&name.as_str()) {
            continue;
        }
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        let gone = netlink
            .request(RouteNetlinkMessage::DelLink(link), 0)
            .and_then(|()| rules::unfence(netlink, &name));
        match gone {
            Ok(()) => removed.push(name),
            Err(source) => {
                failed = Some(DeviceError::Netlink {
                    name,
                    what: "removing it",
                    source,
                });
            }
        }
    }
    failed.map_or(Ok(removed), Err)
}

/// Starts each mark.
const OURS: &str = "tpd slow path";

fn mark(carries: Carries, bpffs: &Path) -> String {
    format!("{OURS}: {} of {}", kind(carries), bpffs.display())
}

fn kind(carries: Carries) -> &'static str {
    match carries {
        Carries::Packets => "TUN",
        Carries::Frames => "TAP",
    }
}

fn is_ours(mark: &str) -> bool {
    mark.starts_with(OURS)
}

struct Found {
    name: String,
    ifindex: u32,
    mac: MacAddr,
    mark: Option<String>,
}

fn find(netlink: &mut Netlink, name: &str) -> Result<Option<Found>, DeviceError> {
    Ok(all(netlink)?.into_iter().find(|found| found.name == name))
}

fn all(netlink: &mut Netlink) -> Result<Vec<Found>, DeviceError> {
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = netlink
        .dump(&question)
        .map_err(|source| DeviceError::Netlink {
            name: "(all)".to_owned(),
            what: "listing",
            source,
        })?;
    let found = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => Some(read(&link)),
        _ => None,
    });
    Ok(found.collect())
}

fn read(link: &LinkMessage) -> Found {
    let mut found = Found {
        name: String::new(),
        ifindex: link.header.index,
        mac: MacAddr::default(),
        mark: None,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name.clone_from(name),
            LinkAttribute::IfAlias(alias) => found.mark = Some(alias.clone()),
            LinkAttribute::Address(bytes) => {
                found.mac = <[u8; 6]>::try_from(&bytes[..])
                    .map_or_else(|_| MacAddr::default(), MacAddr::new);
            }
            _ => {}
        }
    }
    found
}

fn set_link(
    netlink: &mut Netlink,
    ifindex: u32,
    change: impl FnOnce(&mut LinkMessage),
) -> io::Result<()> {
    let mut link = LinkMessage::default();
    link.header.index = ifindex;
    change(&mut link);
    netlink.request(RouteNetlinkMessage::SetLink(link), 0)
}
