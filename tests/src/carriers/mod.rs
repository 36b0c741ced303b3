//! The laboratory of all links: one client that has a link of every kind, over each outer family, to one ISP.
//!
//! ```text
//!  server 203.0.113.80, 2001:db8:80::80
//!    |  10.1.0.0/30, fd01::/64
//!  isp1  192.0.2.1, 2001:db8:2::1
//!    |
//!   ix0  192.0.2.10, 2001:db8:2::10
//!  portal
//!   cl0  10.0.0.1, fd10::1       cl1 (VLANs)    cl2 (a port of one client)
//!    |                             |              |
//!   eth0 10.0.0.20, fd10::20     eth1           eth2
//!  client: a line n has 198.51.100.n, 2001:db8:100:n::1, and the link addresses 100.64.n.1 and 2, fd00:0:0:n::1 and 2
//! ```
//!
//! The client's kernel chooses the line of a packet by its source address, so all lines may be in use at once.

mod config;
mod line;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub use config::ConfigText;
pub use line::Line;

use crate::client::ClientEnd;
use crate::exchange::Tpd;
use crate::lab::{End, Lab, LabError, Ns, Route};
use crate::traffic::TrafficError;

/// Addresses of the server behind the ISP.
pub const SERVER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 80)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x80, 0, 0, 0, 0, 0x80)),
];

/// How long the portal may take to know all neighbours.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why the laboratory could not be built.
#[derive(Debug, thiserror::Error)]
pub enum CarriersError {
    /// The laboratory itself, or the daemon.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The client's ends.
    #[error(transparent)]
    Client(#[from] crate::client::ClientError),
    /// Traffic.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
}

/// The laboratory, with its portal in service and the client's ends of all lines.
#[derive(Debug)]
pub struct Carriers {
    /// The portal's daemon; ended first.
    pub tpd: Tpd,
    /// The client's ends, of all lines that need one.
    pub end: ClientEnd,
    /// The lines.
    pub lines: Vec<Line>,
    /// What holds it all.
    pub lab: Lab,
    /// The portal's namespace.
    pub portal: Ns,
    /// The client's.
    pub client: Ns,
    /// The server's behind the ISP.
    pub server: Ns,
}

impl Carriers {
    /// Builds it; returns when every neighbour is resolved.
    ///
    /// # Errors
    /// What the kernel or the portal refuses.
    pub fn start(name: &str, lines: Vec<Line>) -> Result<Self, CarriersError> {
        let lab = Lab::new(name)?;
        let [portal, server, client] = spaces(&lab, ["portal", "server", "client"])?;
        connect_isp(&lab, &portal, &server)?;
        connect_client(&lab, &portal, &client)?;
        let specs = lines.iter().filter_map(Line::spec).collect();
        let end = ClientEnd::start_in(&client, specs)?;
        for line in &lines {
            line.set_up(&client)?;
        }
        let config = ConfigText::new(&lines).text(lab.directory());
        let tpd = Tpd::start(&lab, &portal, &config)?;
        tpd.wait_until(
            &["show", "neighbours"],
            "all are resolved",
            PATIENCE,
            |all| {
                let all = all.as_array();
                all.is_some_and(|all| !all.is_empty() && all.iter().all(|n| n["mac"].is_string()))
            },
        )?;
        Ok(Self {
            tpd,
            end,
            lines,
            lab,
            portal,
            client,
            server,
        })
    }

    /// Stops the portal's daemon and starts another, with the same configuration.
    ///
    /// # Errors
    /// It does not stop or start.
    pub fn restart(mut self) -> Result<Self, CarriersError> {
        self.tpd.stop()?;
        let config = ConfigText::new(&self.lines).text(self.lab.directory());
        self.tpd = Tpd::start(&self.lab, &self.portal, &config)?;
        wait_for_neighbours(&self.tpd)?;
        Ok(self)
    }
}

/// Waits until every neighbour that the portal knows of is resolved.
fn wait_for_neighbours(tpd: &Tpd) -> Result<(), LabError> {
    tpd.wait_until(
        &["show", "neighbours"],
        "all are resolved",
        PATIENCE,
        |all| {
            let all = all.as_array();
            all.is_some_and(|all| !all.is_empty() && all.iter().all(|n| n["mac"].is_string()))
        },
    )
}

/// Namespaces with both address families.
fn spaces<const N: usize>(lab: &Lab, names: [&str; N]) -> Result<[Ns; N], LabError> {
    let made = names.map(|name| {
        let ns = lab.namespace(name)?;
        ns.enable_ipv6()?;
        Ok(ns)
    });
    let mut spaces = Vec::with_capacity(N);
    for ns in made {
        spaces.push(ns?);
    }
    // As many as there were names.
    spaces
        .try_into()
        .map_err(|_| unreachable!("one for each name"))
}

fn connect_isp(lab: &Lab, portal: &Ns, server: &Ns) -> Result<(), LabError> {
    let [isp] = spaces(lab, ["isp1"])?;
    lab.veth(
        End::new(portal, "ix0").mac([2, 0, 0, 0, 0, 1]),
        End::new(&isp, "eth0").mac([2, 0, 0, 0, 1, 1]),
    )?;
    lab.veth((&isp, "eth1"), (server, "eth0"))?;
    isp.enable_forwarding()?;
    for (ns, device, address) in [
        (portal, "ix0", "192.0.2.10/24"),
        (portal, "ix0", "2001:db8:2::10/64"),
        (&isp, "eth0", "192.0.2.1/24"),
        (&isp, "eth0", "2001:db8:2::1/64"),
        (&isp, "eth1", "10.1.0.1/30"),
        (&isp, "eth1", "fd01::1/64"),
        (server, "eth0", "10.1.0.2/30"),
        (server, "eth0", "fd01::2/64"),
        (server, "lo", "203.0.113.80/32"),
        (server, "lo", "2001:db8:80::80/128"),
    ] {
        ns.address(device, address)?;
    }
    for (ns, destination, gateway) in [
        (server, "0.0.0.0/0", "10.1.0.1"),
        (server, "::/0", "fd01::1"),
        (&isp, "203.0.113.80/32", "10.1.0.2"),
        (&isp, "2001:db8:80::/48", "fd01::2"),
        (&isp, "198.51.100.0/24", "192.0.2.10"),
        (&isp, "2001:db8:100::/48", "2001:db8:2::10"),
    ] {
        ns.route(&Route::to(destination)?.via(line::address(gateway)?))?;
    }
    Ok(())
}

fn connect_client(lab: &Lab, portal: &Ns, client: &Ns) -> Result<(), LabError> {
    // Frames with two tags are a tag longer than a veth passes at their packets' MTU (`VLAN_HLEN`, one tag, in
    // __is_skb_forwardable of include/linux/netdevice.h).
    for (number, mtu) in [(0_u8, 1500), (1, 1504), (2, 1500)] {
        let at_portal = End::new(portal, &format!("cl{number}")).mtu(mtu);
        let at_client = End::new(client, &format!("eth{number}")).mtu(mtu);
        lab.veth(
            at_portal.mac([2, 0, 0, 0, 0, 2 + number]),
            at_client.mac([2, 0, 0, 0, 2, number]),
        )?;
    }
    portal.address("cl0", "10.0.0.1/24")?;
    portal.address("cl0", "fd10::1/64")?;
    client.address("eth0", "10.0.0.20/24")?;
    client.address("eth0", "fd10::20/64")
}
