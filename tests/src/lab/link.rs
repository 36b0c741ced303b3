//! veth pairs: what an end looks like, and how a pair is made.

use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::{LabError, Ns, netlink};

/// What `ethtool -K` turns off; why: the invariants of [`crate::lab`].
const OFFLOADS: [&str; 9] = [
    "tx",
    "sg",
    "tso",
    "gso",
    "gro",
    "rxvlan",
    "txvlan",
    "rx-vlan-stag-hw-parse",
    "tx-vlan-stag-hw-insert",
];

/// One end of a veth pair.
#[derive(Clone, Debug)]
pub struct End {
    ns: Ns,
    name: String,
    mac: Option<[u8; 6]>,
    mtu: u32,
    queues: u32,
    offloads: bool,
}

/// What the kernel says about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its MAC address; zero for devices without one.
    pub mac: [u8; 6],
    /// Most bytes of a network packet.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Up, and the other end too.
    pub running: bool,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets received and dropped.
    pub rx_dropped: u64,
    /// Packets dropped instead of being sent.
    pub tx_dropped: u64,
}

impl End {
    /// An end with one queue, an MTU of 1500 and a random MAC address, with its offloads off.
    pub fn new(ns: &Ns, name: &str) -> Self {
        Self {
            ns: ns.clone(),
            name: name.to_owned(),
            mac: None,
            mtu: 1500,
            queues: 1,
            offloads: false,
        }
    }

    /// With this MAC address.
    #[must_use]
    pub fn mac(mut self, mac: [u8; 6]) -> Self {
        self.mac = Some(mac);
        self
    }

    /// With this MTU.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.mtu = mtu;
        self
    }

    /// With this many receive and transmit queues. Native XDP needs at least as many receive queues as the
    /// peer has transmit queues (drivers/net/veth.c, veth_xdp_set), so both ends usually get the same number.
    #[must_use]
    pub fn queues(mut self, queues: u32) -> Self {
        self.queues = queues;
        self
    }

    /// With checksum, segmentation and VLAN offloads left on.
    #[must_use]
    pub fn with_offloads(mut self) -> Self {
        self.offloads = true;
        self
    }

    /// The same end of another pair: equal in all but place, name and MAC address.
    pub(crate) fn twin(&self, ns: &Ns, name: &str) -> Self {
        Self {
            ns: ns.clone(),
            name: name.to_owned(),
            mac: None,
            ..self.clone()
        }
    }

    fn describe<T>(&self, link: LinkMessageBuilder<T>) -> LinkMessageBuilder<T> {
        let link = link
            .mtu(self.mtu)
            .append_extra_attribute(LinkAttribute::NumTxQueues(self.queues))
            .append_extra_attribute(LinkAttribute::NumRxQueues(self.queues));
        match self.mac {
            Some(mac) => link.address(mac.to_vec()),
            None => link,
        }
    }

    /// There is no netlink or ioctl wrapper crate that changes features (the `ethtool` crate only reads them),
    /// and the ioctl itself would need `unsafe`: the program does it.
    fn turn_offloads_off(&self) -> Result<(), LabError> {
        if self.offloads {
            return Ok(());
        }
        let failed = |reason: String| LabError::Program {
            program: "ethtool",
            package: "package ethtool",
            reason,
        };
        let mut command = self.ns.command("ethtool");
        command.args(["-K", &self.name]);
        for feature in OFFLOADS {
            command.args([feature, "off"]);
        }
        let output = command
            .output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}

impl From<(&Ns, &str)> for End {
    fn from((ns, name): (&Ns, &str)) -> Self {
        Self::new(ns, name)
    }
}

/// Makes a pair, each end in its own namespace from the start, sets both up and waits
/// until they carry packets.
pub(crate) fn add_veth(left: &End, right: &End) -> Result<(), LabError> {
    let peer = right
        .describe(LinkMessageBuilder::<LinkUnspec>::new().name(right.name.clone()))
        .setns_by_fd(right.ns.raw_fd())
        .build();
    let message = left
        .describe(LinkVeth::new(&left.name, &right.name))
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    let what = format!(
        "add veth {}:{} - {}:{}",
        left.ns.name(),
        left.name,
        right.ns.name(),
        right.name
    );
    left.ns.run(|| netlink::add_link(&what, message))??;
    for end in [left, right] {
        end.turn_offloads_off()?;
        // Only when both ends exist: veth_open answers ENOTCONN to an end without its peer.
        end.ns.link_up(&end.name)?;
    }
    left.ns.link_await_running(&left.name)?;
    right.ns.link_await_running(&right.name)
}
