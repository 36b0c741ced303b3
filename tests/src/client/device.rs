//! The devices of a client's end: TUN and TAP for tunnels, and what VLANs of an Ethernet device need.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tappers::Interface;
use tappers::linux::{Tap, Tun};

use super::end::ClientError;
use super::spec::{Carrier, TunnelSpec};
use crate::lab::{LabError, netlink};

/// Room for two VLAN tags on a trunk's device.
const TAGS: u32 = 8;

/// An Ethernet device whose tagged frames are read and written whole.
///
/// A packet socket on the device itself would not do: the kernel takes the outer tag off each frame before any socket
/// sees it, and tells it beside the frame only. So the device is bridged with a TAP device, which puts the tag back
/// where it was. The bridge is transparent to tags.
#[derive(Debug)]
pub(super) struct Trunk {
    bridge: String,
    /// Frames to and from the Ethernet device.
    pub(super) frames: File,
}

/// Makes a tunnel's device, up and with its addresses: without packet information and without virtio headers, so the
/// kernel completes checksums and cuts packets to the MTU before they are read.
pub(super) fn open(spec: &TunnelSpec) -> Result<File, ClientError> {
    let device = if spec.is_ethernet() {
        tap(&spec.device)?
    } else {
        tun(&spec.device)?
    };
    netlink::set_tun_up(&spec.device, spec.inner_mtu().into(), spec.mac)?;
    netlink::await_running(&spec.device, "of the client")?;
    for address in &spec.addresses {
        netlink::add_address(&spec.device, *address)?;
    }
    Ok(device)
}

/// Makes a trunk of each Ethernet device that tunnels name.
pub(super) fn trunks(specs: &[TunnelSpec]) -> Result<BTreeMap<String, Trunk>, ClientError> {
    let mut trunks = BTreeMap::new();
    for spec in specs {
        if let Carrier::Tagged { trunk, .. } = &spec.carrier
            && !trunks.contains_key(trunk)
        {
            trunks.insert(trunk.clone(), Trunk::of(trunk)?);
        }
    }
    Ok(trunks)
}

impl Trunk {
    fn of(device: &str) -> Result<Self, ClientError> {
        let (bridge, port) = (format!("br-{device}"), format!("tr-{device}"));
        netlink::add_bridge(&bridge)?;
        let mtu = netlink::link(device)?.mtu;
        // From here on dropping it removes what was made.
        let trunk = Self {
            bridge,
            frames: tap(&port)?,
        };
        // A bridge with addresses would answer neighbour discovery.
        let off = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", trunk.bridge);
        fs::write(&off, "1").map_err(|source| LabError::os(format!("write {off}"), source))?;
        netlink::set_tun_up(&port, mtu + TAGS, None)?;
        for end in [device, &port] {
            netlink::plug(end, &trunk.bridge)?;
            netlink::await_running(end, "of the client")?;
        }
        Ok(trunk)
    }

    /// Gives the Ethernet device back; to be called in the namespace of the client.
    pub(super) fn remove(&self) {
        if let Err(error) = netlink::delete_link(&self.bridge) {
            eprintln!("client end: bridge {} stays: {error}", self.bridge);
        }
    }
}

fn tun(name: &str) -> Result<File, ClientError> {
    let failed = |source| ClientError::os(format!("make TUN device {name}"), source);
    let tun = Interface::new(name)
        .and_then(Tun::create_named)
        .map_err(failed)?;
    tun.set_nonblocking(true).map_err(failed)?;
    owned(&tun).map_err(failed)
}

fn tap(name: &str) -> Result<File, ClientError> {
    let failed = |source| ClientError::os(format!("make TAP device {name}"), source);
    let tap = Interface::new(name)
        .and_then(Tap::create_named)
        .map_err(failed)?;
    tap.set_nonblocking(true).map_err(failed)?;
    owned(&tap).map_err(failed)
}

/// The device lives as long as one descriptor does: a File reads and writes without another wrapper.
fn owned(device: &impl AsFd) -> io::Result<File> {
    let fd: OwnedFd = device.as_fd().try_clone_to_owned()?;
    Ok(File::from(fd))
}
