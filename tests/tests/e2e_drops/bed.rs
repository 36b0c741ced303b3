//! The portal between two wires, and what a frame does to its counters.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;
use tp_tests::exchange::{
    Client, ConfigText, Exchange, Isp, Site, Wire, assert_counters_close, moved,
};
use tp_tests::lab::Route;

/// A client whose far end does not answer ARP.
const SILENT_CLIENT: &str = r#"
[clients.silent]
prefixes = ["198.51.99.0/24"]

[tunnels.silent-isp2]
client = "silent"
upstream = "isp2"
kind = "ipip"
local = "10.0.0.1"
remote = "10.0.0.99"
routes = ["198.51.99.0/24"]
"#;

/// The portal between two wires.
pub(crate) struct Bed {
    pub(crate) site: Site,
    /// The far ends of the ports.
    pub(crate) ix: Wire,
    pub(crate) cl: Wire,
}

impl Bed {
    pub(crate) fn new(name: &str) -> Self {
        let exchange = Exchange::new(name, 1).unwrap();
        silence(&exchange);
        // The first link that is plugged into a bridge is the portal's port.
        let ix = Wire::open(exchange.lan().ns(), "p0").unwrap();
        let cl = Wire::open(exchange.access().ns(), "p0").unwrap();
        let site =
            Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
        // Only now, since its neighbour is waited for in vain.
        let config = ConfigText {
            more: SILENT_CLIENT.to_owned(),
            ..ConfigText::default()
        };
        let reloaded = site
            .tpd
            .reload(&config.text(site.exchange.lab.directory()))
            .unwrap();
        assert!(reloaded.status.success(), "{reloaded:?}");
        Self { site, ix, cl }
    }

    /// Sends a frame from an upstream's side and asserts which counters move.
    pub(crate) fn lan(&self, frame: &[u8], expected: &[&str]) {
        self.assert_moves(&self.ix, frame, expected);
    }

    pub(crate) fn access(&self, frame: &[u8], expected: &[&str]) {
        self.assert_moves(&self.cl, frame, expected);
    }

    fn assert_moves(&self, wire: &Wire, frame: &[u8], expected: &[&str]) {
        let before = self.site.tpd.counters_at_rest().unwrap();
        wire.send(frame).unwrap();
        self.site
            .wait_until(&["show", "counters"], "a frame has its verdict", |now| {
                let moved = moved(&before, now);
                let is_at_worker = moved.keys().any(|name| name.ends_with(" redirected"));
                let waits = is_at_worker && !moved.contains_key("worker rx");
                // A packet whose neighbour is unresolved waits in the worker for a second.
                !moved.is_empty() && !waits && is_empty_handed(now)
            })
            .unwrap_or_else(|error| panic!("{expected:?}: {error}"));
        let after = self.site.tpd.counters_at_rest().unwrap();
        let expected: BTreeMap<String, i128> = expected
            .iter()
            .map(|name| ((*name).to_owned(), 1))
            .collect();
        assert_eq!(moved(&before, &after), expected, "{frame:02x?}");
    }

    pub(crate) fn finish(self) {
        let counters = self.site.tpd.counters_at_rest().unwrap();
        assert_counters_close(&counters);
        let status = self.site.tpd.stop().unwrap();
        assert!(status.is_some_and(|status| status.success()));
    }
}

/// Whether no worker holds a packet.
fn is_empty_handed(counters: &Value) -> bool {
    let mut workers = counters["workers"].as_array().expect("a list").iter();
    workers.all(|worker| worker["held"] == 0)
}

/// Nobody answers what the portal forwards: an ICMP error would move counters too.
fn silence(exchange: &Exchange) {
    for client in Client::ALL {
        let mut command = exchange.client(client).command("ip");
        command.args(["route", "add", "blackhole", "10.0.0.0/30"]);
        assert!(command.status().unwrap().success());
    }
    let to_clients = Route::to("198.51.100.0/24").unwrap();
    for isp in Isp::ALL {
        let via = to_clients.clone().via(Ipv4Addr::new(192, 0, 2, 10).into());
        exchange.isp(isp).route_delete(&via).unwrap();
    }
}
