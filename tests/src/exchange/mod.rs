//! The laboratory of the demo and of the end-to-end tests: two ISPs on one exchange LAN, two clients.
//!
//! ```text
//!            server 203.0.113.80
//!            /                 \
//!      10.1.0.0/30         10.2.0.0/30
//!          isp1               isp2            third (a router on the LAN, no upstream)
//!       192.0.2.1          192.0.2.2         192.0.2.3
//!            \_________________|________________/
//!                     exchange LAN (one bridge)
//!                              |
//!                        ix0  192.0.2.10
//!                           portal
//!                        cl0  10.0.0.1, 10.0.0.2
//!                              |
//!                     access LAN (one bridge)
//!                      /                \
//!             gateway 10.0.0.254      client b 10.0.0.20: IPIP, one tunnel to each of
//!                    |                  the portal's addresses; inner 198.51.100.129
//!            client a 10.9.0.2: GRE
//!              with keys 1 and 2; inner 198.51.100.1
//! ```
//!
//! Client a has 198.51.100.0/25, client b 198.51.100.128/25; each has a tunnel to both ISPs. A client chooses
//! the ISP of what it sends by the tunnel that its default route names, and of what it receives by what it
//! announces: here, since there is no BGP yet, by the server's route to its prefix.

mod bypass;
mod config;
mod daemon;
pub mod equations;
mod moved;
mod scenario;
mod site;
pub(crate) mod toml;
mod wire;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub use bypass::Bypass;
pub use config::ConfigText;
pub use daemon::{Tpd, binary};
pub use equations::assert_counters_close;
pub use moved::moved;
pub use scenario::{Row, Scenario, StepError};
pub use site::Site;
pub use wire::Wire;

use crate::client::{Kind, TunnelSpec};
use crate::lab::{Bridge, End, Lab, LabError, Ns, Process, Route};

/// Address of the server behind both ISPs.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 80);

/// One of the two ISPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isp {
    /// 192.0.2.1.
    One,
    /// 192.0.2.2.
    Two,
}

impl Isp {
    /// Both.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];

    /// Its name as an upstream.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "isp1",
            Self::Two => "isp2",
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two => Self::One,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// Its router's MAC address on the exchange LAN.
    #[must_use]
    pub fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 1, self.number()]
    }

    /// Its router's address on the link to the server.
    fn server_side(self) -> IpAddr {
        Ipv4Addr::new(10, self.number(), 0, 1).into()
    }

    /// The server's device towards it.
    fn server_device(self) -> String {
        format!("eth{}", self.number())
    }
}

/// One of the two clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// GRE with keys, behind a gateway.
    A,
    /// IPIP, one tunnel to each portal address.
    B,
}

impl Client {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The address that its programs use.
    #[must_use]
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::A => Ipv4Addr::new(198, 51, 100, 1),
            Self::B => Ipv4Addr::new(198, 51, 100, 129),
        }
    }

    /// Its prefix.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::A => "198.51.100.0/25",
            Self::B => "198.51.100.128/25",
        }
    }

    /// The name of its tunnel to an ISP.
    #[must_use]
    pub fn tunnel(self, isp: Isp) -> String {
        format!("{}-{}", self.name(), isp.name())
    }

    /// Outer addresses of its tunnel to an ISP: its own and the portal's.
    #[must_use]
    pub fn ends(self, isp: Isp) -> (Ipv4Addr, Ipv4Addr) {
        let (a, b) = (Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(10, 0, 0, 20));
        match self {
            Self::A => (a, Ipv4Addr::new(10, 0, 0, 1)),
            Self::B => (b, Ipv4Addr::new(10, 0, 0, isp.number())),
        }
    }

    /// Its end of the tunnel to an ISP.
    #[must_use]
    pub fn tunnel_spec(self, isp: Isp) -> TunnelSpec {
        let kind = match self {
            Self::A => Kind::gre(Some(isp.number().into())),
            Self::B => Kind::IPIP,
        };
        let (client, portal) = self.ends(isp);
        TunnelSpec::new(isp.name(), kind, client, portal)
    }
}

/// The laboratory, without the portal's daemon.
#[derive(Debug)]
pub struct Exchange {
    /// What holds it all.
    pub lab: Lab,
    /// The portal's namespace, with its ports `ix0` and `cl0`.
    pub portal: Ns,
    /// The server behind both ISPs.
    pub server: Ns,
    /// A router on the exchange LAN that is no upstream, 192.0.2.3.
    pub third: Ns,
    isps: [Ns; 2],
    clients: [Ns; 2],
    lan: Bridge,
    access: Bridge,
    ends: Vec<Process>,
}

impl Exchange {
    /// Builds the laboratory, with `queues` queues on each of the portal's ports.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn new(name: &str, queues: u32) -> Result<Self, LabError> {
        let lab = Lab::new(name)?;
        let portal = lab.namespace("portal")?;
        let (lan, access) = (lab.bridge("lan")?, lab.bridge("access")?);
        lan.plug(
            End::new(&portal, "ix0")
                .mac([2, 0, 0, 0, 0, 1])
                .queues(queues),
        )?;
        access.plug(
            End::new(&portal, "cl0")
                .mac([2, 0, 0, 0, 0, 2])
                .queues(queues),
        )?;
        portal.address("ix0", "192.0.2.10/24")?;
        portal.address("cl0", "10.0.0.1/24")?;
        portal.address("cl0", "10.0.0.2/24")?;
        portal.route(&Route::to("10.9.0.0/24")?.via(Ipv4Addr::new(10, 0, 0, 254).into()))?;

        let server = lab.namespace("server")?;
        server.address("lo", "203.0.113.80/32")?;
        let isps = [
            isp(&lab, &lan, &server, Isp::One)?,
            isp(&lab, &lan, &server, Isp::Two)?,
        ];
        let third = lab.namespace("third")?;
        lan.plug(End::new(&third, "eth0").mac([2, 0, 0, 0, 1, 3]))?;
        third.address("eth0", "192.0.2.3/24")?;
        let clients = clients(&lab, &access)?;
        let exchange = Self {
            lab,
            portal,
            server,
            third,
            isps,
            clients,
            lan,
            access,
            ends: Vec::new(),
        };
        for client in Client::ALL {
            exchange.receive_through(client, Isp::One)?;
        }
        Ok(exchange)
    }

    /// Starts the clients' ends of their tunnels; each client sends through its first ISP.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn start_clients(&mut self) -> Result<(), LabError> {
        for client in Client::ALL {
            let ns = self.client(client).clone();
            let mut command = ns.command(&binary("tp-client-end")?);
            for isp in Isp::ALL {
                command
                    .arg("--tunnel")
                    .arg(client.tunnel_spec(isp).to_string());
            }
            let name = format!("client-{}", client.name());
            let end = self.lab.spawn(&name, &command)?;
            end.wait_for_output("ready", Duration::from_secs(10))?;
            self.ends.push(end);
            self.send_through(client, Isp::One)?;
        }
        Ok(())
    }

    /// The namespace of an ISP's router.
    #[must_use]
    pub fn isp(&self, isp: Isp) -> &Ns {
        &self.isps[usize::from(isp.number()) - 1]
    }

    /// The namespace of a client.
    #[must_use]
    pub fn client(&self, client: Client) -> &Ns {
        match client {
            Client::A => &self.clients[0],
            Client::B => &self.clients[1],
        }
    }

    /// The exchange LAN's bridge.
    #[must_use]
    pub fn lan(&self) -> &Bridge {
        &self.lan
    }

    /// The access LAN's bridge.
    #[must_use]
    pub fn access(&self) -> &Bridge {
        &self.access
    }

    /// The client sends through this ISP from now on.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn send_through(&self, client: Client, isp: Isp) -> Result<(), LabError> {
        let route = Route::to("0.0.0.0/0")?
            .dev(isp.name())
            .src(client.address().into());
        self.client(client).route(&route)
    }

    /// The client receives through this ISP from now on: what its BGP announcements would bring about.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn receive_through(&self, client: Client, isp: Isp) -> Result<(), LabError> {
        self.receive_prefix_through(client.prefix(), isp)
    }

    /// The server reaches a prefix through this ISP from now on.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn receive_prefix_through(&self, prefix: &str, isp: Isp) -> Result<(), LabError> {
        self.server
            .route(&Route::to(prefix)?.via(isp.server_side()))
    }

    /// Packets that the server received from an ISP and sent to it, as its kernel counts them.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn server_packets(&self, isp: Isp) -> Result<(u64, u64), LabError> {
        let link = self.server.link(&isp.server_device())?;
        Ok((link.rx_packets, link.tx_packets))
    }
}

fn isp(lab: &Lab, lan: &Bridge, server: &Ns, isp: Isp) -> Result<Ns, LabError> {
    let ns = lab.namespace(isp.name())?;
    let n = isp.number();
    lan.plug(End::new(&ns, "eth0").mac(isp.mac()))?;
    ns.address("eth0", &format!("192.0.2.{n}/24"))?;
    lab.veth((&ns, "eth1"), (server, isp.server_device().as_str()))?;
    ns.address("eth1", &format!("10.{n}.0.1/30"))?;
    server.address(&isp.server_device(), &format!("10.{n}.0.2/30"))?;
    ns.sysctl("net.ipv4.ip_forward", "1")?;
    ns.route(&Route::to("198.51.100.0/24")?.via(Ipv4Addr::new(192, 0, 2, 10).into()))?;
    ns.route(&Route::to("203.0.113.80/32")?.via(Ipv4Addr::new(10, n, 0, 2).into()))?;
    Ok(ns)
}

fn clients(lab: &Lab, access: &Bridge) -> Result<[Ns; 2], LabError> {
    let gateway = lab.namespace("gateway")?;
    access.plug(End::new(&gateway, "eth0"))?;
    gateway.address("eth0", "10.0.0.254/24")?;
    gateway.sysctl("net.ipv4.ip_forward", "1")?;

    let a = lab.namespace("client-a")?;
    lab.veth((&gateway, "eth1"), (&a, "eth0"))?;
    gateway.address("eth1", "10.9.0.1/24")?;
    a.address("eth0", "10.9.0.2/24")?;
    a.route(&Route::to("10.0.0.0/24")?.via(Ipv4Addr::new(10, 9, 0, 1).into()))?;
    a.address("lo", "198.51.100.1/32")?;

    let b = lab.namespace("client-b")?;
    access.plug(End::new(&b, "eth0"))?;
    b.address("eth0", "10.0.0.20/24")?;
    b.address("lo", "198.51.100.129/32")?;
    Ok([a, b])
}
