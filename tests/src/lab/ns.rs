//! One network namespace.

use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::LinkMessageBuilder;

use super::link::Link;
use super::{LabError, Route, netlink, route};

/// A network namespace; clones name the same one, which lives as long as the last of them.
#[derive(Clone, Debug)]
pub struct Ns {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    file: File,
}

impl Ns {
    /// Makes a namespace with loopback up, IPv6 and reverse path filters off and no forwarding.
    pub(crate) fn create(name: &str) -> Result<Self, LabError> {
        let what = format!("make network namespace {name}");
        // unshare changes the calling thread alone, and this one ends here.
        let made = on_new_thread(|| -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        let file = made.map_err(|source| LabError::os(what, source))?;
        let ns = Self {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                file,
            }),
        };
        // A new namespace inherits IPv4 settings from the initial one: whatever the host has must not matter.
        // Effective values are the maximum (rp_filter) or the device's own, which "default" seeds.
        for (key, value) in [
            ("net/ipv6/conf/all/disable_ipv6", "1"),
            ("net/ipv6/conf/default/disable_ipv6", "1"),
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv4/ip_forward", "0"),
            // What enable_ipv6 finds on each device: addresses that are usable at once, and none but those given
            // and the link-local one. Duplicate address detection is off where both values are 0
            // (net/ipv6/addrconf.c, addrconf_dad_begin).
            ("net/ipv6/conf/all/accept_dad", "0"),
            ("net/ipv6/conf/default/accept_dad", "0"),
            ("net/ipv6/conf/default/accept_ra", "0"),
            ("net/ipv6/conf/default/autoconf", "0"),
            ("net/ipv6/conf/default/router_solicitations", "0"),
        ] {
            ns.sysctl(key, value)?;
        }
        ns.link_up("lo")?;
        Ok(ns)
    }

    /// The name that the test gave it.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// A path by which `nsenter --net=PATH` enters it, as long as this process lives.
    pub fn path(&self) -> PathBuf {
        let fd = self.inner.file.as_raw_fd();
        PathBuf::from(format!("/proc/{}/fd/{fd}", std::process::id()))
    }

    /// Runs a closure on a thread of its own inside the namespace; a panic in it goes on in the caller.
    ///
    /// Sockets and devices made inside stay in the namespace wherever they are used later.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        on_new_thread(|| {
            self.enter()?;
            Ok(work())
        })
    }

    /// A command that runs inside the namespace, in the mount namespace of the caller: mounts that it makes
    /// outlive it, which those made under `ip netns exec` do not. Its process id is the program's own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path().display()))
            .arg("--")
            .arg(program);
        command
    }

    /// Writes a sysctl of this namespace: "net.ipv4.ip_forward", or with slashes where a name has dots.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        let path = if key.contains('/') {
            key.to_owned()
        } else {
            key.replace('.', "/")
        };
        let path = Path::new("/proc/sys").join(path);
        self.run(|| fs::write(&path, value))?
            .map_err(|source| LabError::os(format!("write {}", path.display()), source))
    }

    /// A counter of `/proc/net/snmp`, as in `snmp("Ip", "ForwDatagrams")` or `snmp("Tcp", "InCsumErrors")`.
    pub fn snmp(&self, group: &'static str, counter: &'static str) -> Result<u64, LabError> {
        let what = "read /proc/thread-self/net/snmp";
        let text = self
            .run(|| fs::read_to_string("/proc/thread-self/net/snmp"))?
            .map_err(|source| LabError::os(what, source))?;
        snmp_value(&text, group, counter).ok_or_else(|| LabError::Argument {
            value: format!("{group}.{counter}"),
            expected: "a counter of /proc/net/snmp",
        })
    }

    /// Turns IPv6 on, on the links that are there and on those to come.
    pub fn enable_ipv6(&self) -> Result<(), LabError> {
        // Writing "all" reaches the devices and the default of devices to come (addrconf_disable_ipv6).
        self.sysctl("net/ipv6/conf/all/disable_ipv6", "0")
    }

    /// Makes it a router of both families.
    pub fn enable_forwarding(&self) -> Result<(), LabError> {
        self.sysctl("net/ipv4/ip_forward", "1")?;
        self.sysctl("net/ipv6/conf/all/forwarding", "1")
    }

    /// A counter of `/proc/net/snmp6`, as in `snmp6("Icmp6OutParmProblems")`.
    pub fn snmp6(&self, counter: &'static str) -> Result<u64, LabError> {
        let what = "read /proc/thread-self/net/snmp6";
        let text = self
            .run(|| fs::read_to_string("/proc/thread-self/net/snmp6"))?
            .map_err(|source| LabError::os(what, source))?;
        let rows = text
            .lines()
            .filter_map(|line| line.split_once(char::is_whitespace));
        let value = rows
            .filter(|(name, _)| *name == counter)
            .find_map(|(_, value)| value.trim().parse().ok());
        value.ok_or_else(|| LabError::Argument {
            value: counter.to_owned(),
            expected: "a counter of /proc/net/snmp6",
        })
    }

    /// Adds an address such as "192.0.2.1/24" to a link.
    pub fn address(&self, link: &str, address: &str) -> Result<(), LabError> {
        let address = route::parse_net(address)?;
        self.run(|| netlink::add_address(link, address))?
    }

    /// Adds a route, or replaces the one with the same destination and table.
    pub fn route(&self, route: &Route) -> Result<(), LabError> {
        self.run(|| netlink::replace_route(route))?
    }

    /// Adds a rule: packets from a prefix are routed by this table.
    pub fn rule(&self, source: &str, table: u32) -> Result<(), LabError> {
        let source = route::parse_net(source)?;
        self.run(|| netlink::add_rule(source, table))?
    }

    /// Removes a route.
    pub fn route_delete(&self, route: &Route) -> Result<(), LabError> {
        self.run(|| netlink::delete_route(route))?
    }

    /// Adds a permanent neighbour entry.
    pub fn neighbour(&self, link: &str, address: IpAddr, mac: [u8; 6]) -> Result<(), LabError> {
        self.run(|| netlink::add_neighbour(link, address, mac))?
    }

    /// What the kernel says about a link.
    pub fn link(&self, name: &str) -> Result<Link, LabError> {
        self.run(|| netlink::link(name))?
    }

    /// Sets a link up.
    pub fn link_up(&self, name: &str) -> Result<(), LabError> {
        self.run(|| netlink::set_link(name, LinkMessageBuilder::up))?
    }

    /// Waits until a link carries packets, which is up to a second after both ends of a pair are up.
    pub fn link_await_running(&self, name: &str) -> Result<(), LabError> {
        self.run(|| netlink::await_running(name, self.name()))?
    }

    /// Sets a link down.
    pub fn link_down(&self, name: &str) -> Result<(), LabError> {
        self.run(|| netlink::set_link(name, LinkMessageBuilder::down))?
    }

    /// Changes the MTU of a link.
    pub fn link_mtu(&self, name: &str, mtu: u32) -> Result<(), LabError> {
        self.run(|| netlink::set_link(name, |link| link.mtu(mtu)))?
    }

    /// Deletes a link; the other end of a veth pair goes with it.
    pub fn link_delete(&self, name: &str) -> Result<(), LabError> {
        self.run(|| netlink::delete_link(name))?
    }

    /// The file descriptor, for netlink attributes; valid as long as the namespace value.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.inner.file.as_raw_fd()
    }

    /// What tells this namespace from others: device and inode of its nsfs file.
    pub(crate) fn identity(&self) -> Result<(u64, u64), LabError> {
        let metadata =
            self.inner.file.metadata().map_err(|source| {
                LabError::os(format!("stat namespace {}", self.name()), source)
            })?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn enter(&self) -> Result<(), LabError> {
        setns(self.as_fd(), CloneFlags::CLONE_NEWNET)
            .map_err(|source| LabError::os(format!("enter namespace {}", self.name()), source))
    }
}

impl AsFd for Ns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.file.as_fd()
    }
}

/// Runs work on a thread that ends with it, so that what it does to its namespaces stays there.
fn on_new_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// The snmp file has two lines a group: names, then values in the same order.
fn snmp_value(text: &str, group: &str, counter: &str) -> Option<u64> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| *name == group);
    let (names, values) = (lines.next()?.1, lines.next()?.1);
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(name, _)| *name == counter)
        .and_then(|(_, value)| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::snmp_value;

    #[test]
    fn snmp_values_are_found_by_group_and_name() {
        let text = "Ip: Forwarding ForwDatagrams\nIp: 1 42\nTcp: InSegs InCsumErrors\nTcp: 7 3\n";
        assert_eq!(snmp_value(text, "Ip", "ForwDatagrams"), Some(42));
        assert_eq!(snmp_value(text, "Tcp", "InCsumErrors"), Some(3));
        assert_eq!(snmp_value(text, "Udp", "InCsumErrors"), None);
        assert_eq!(snmp_value(text, "Ip", "InCsumErrors"), None);
    }
}
