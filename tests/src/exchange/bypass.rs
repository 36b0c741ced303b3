//! The way past the portal: what the kernel does with client packets when nobody keeps them from it.

use std::net::Ipv4Addr;

use super::{Client, Exchange, Isp};
use crate::lab::{LabError, Route};
use crate::traffic::UdpFlow;

/// Another address of the server, to which client b sends without a tunnel.
const PAST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 81);

/// A laboratory whose portal's kernel would forward client b's packets in both directions: forwarding is on, and
/// it has routes to client b and to the internet.
#[derive(Debug)]
pub struct Bypass {
    forwarded: u64,
}

impl Bypass {
    /// Opens it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn open(exchange: &Exchange) -> Result<Self, LabError> {
        let portal = &exchange.portal;
        portal.sysctl("net.ipv4.ip_forward", "1")?;
        let b = Ipv4Addr::new(10, 0, 0, 20);
        portal.route(&Route::to(Client::B.prefix())?.via(b.into()))?;
        portal.route(&Route::to("0.0.0.0/0")?.via(Ipv4Addr::new(192, 0, 2, 1).into()))?;
        let past = format!("{PAST}/32");
        exchange.server.address("lo", &past)?;
        let server = Ipv4Addr::new(10, 1, 0, 2);
        exchange
            .isp(Isp::One)
            .route(&Route::to(&past)?.via(server.into()))?;
        let gateway = Ipv4Addr::new(10, 0, 0, 1);
        exchange
            .client(Client::B)
            .route(&Route::to(&past)?.via(gateway.into()))?;
        let mut bypass = Self { forwarded: 0 };
        bypass.forget(exchange)?;
        Ok(bypass)
    }

    /// From client b to the internet without a tunnel: no portal forwards it.
    #[must_use]
    pub fn outward(&self, exchange: &Exchange) -> UdpFlow {
        UdpFlow::new(exchange.client(Client::B), &exchange.server, PAST).source(Client::B.address())
    }

    /// From the internet to client b: the portal's way is the tunnel, the kernel's is not.
    #[must_use]
    pub fn inward(&self, exchange: &Exchange) -> UdpFlow {
        let b = Client::B;
        UdpFlow::new(&exchange.server, exchange.client(b), b.address())
    }

    /// Packets that the portal's kernel has forwarded since this was opened or [`Self::forget`] called.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn forwarded(&self, exchange: &Exchange) -> Result<u64, LabError> {
        Ok(exchange.portal.snmp("Ip", "ForwDatagrams")? - self.forwarded)
    }

    /// Counts from here on.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn forget(&mut self, exchange: &Exchange) -> Result<(), LabError> {
        self.forwarded = exchange.portal.snmp("Ip", "ForwDatagrams")?;
        Ok(())
    }
}
