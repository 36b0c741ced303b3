//! A portal with a thousand tunnels, each with link addresses on the slow path.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Instant;

use ipnet::Ipv4Net;
use tp_tests::client::{ClientEnd, Kind, TunnelSpec};
use tp_tests::exchange::{Client, ConfigText, Exchange, Isp, Tpd, assert_counters_close};
use tp_tests::traffic::Ping;

/// Tunnels besides those of the laboratory.
const TUNNELS: u16 = 1000;
/// Their first GRE key: the laboratory has 1 and 2.
const FIRST_KEY: u16 = 1000;

#[test]
fn a_thousand_tunnels_are_in_service_soon_and_all_work() {
    let mut exchange = Exchange::new("many", 1).unwrap();
    exchange.start_clients().unwrap();
    let (client, portal) = Client::B.ends(Isp::One);
    let mut config = ConfigText::default();
    for number in 0..TUNNELS {
        let [at_portal, at_client] = link(number);
        let key = FIRST_KEY + number;
        write!(
            config.more,
            "\n[tunnels.many-{number}]\nclient = \"b\"\nupstream = \"isp1\"\nkind = \"gre\"\nkey = {key}\n\
             local = \"{portal}\"\nremote = \"{client}\"\n\
             link = [{{ portal = \"{at_portal}\", client = \"{at_client}\" }}]\n"
        )
        .unwrap();
    }
    let config = config.text(exchange.lab.directory());
    let started = Instant::now();
    let tpd = Tpd::start(&exchange.lab, &exchange.portal, &config).unwrap();
    println!("in service after {:?}", started.elapsed());

    // The first, the last and one between, by a client that has those.
    let sample = [0, TUNNELS / 2, TUNNELS - 1];
    let specs = sample.map(|number| {
        let kind = Kind::gre(Some((FIRST_KEY + number).into()));
        let [_, at_client] = link(number);
        TunnelSpec::new(&format!("many{number}"), kind, client, portal)
            .address(Ipv4Net::new(at_client, 31).unwrap())
    });
    let end = ClientEnd::start_in(exchange.client(Client::B), specs.to_vec()).unwrap();
    for number in sample {
        let [at_portal, at_client] = link(number);
        for (ns, source, to) in [
            (exchange.client(Client::B), at_client, at_portal),
            (&exchange.portal, at_portal, at_client),
        ] {
            let report = Ping::new(to).source(source).run(ns).unwrap();
            assert!(report.is_clean(), "{number}: {report:#?}");
        }
    }
    assert_eq!(end.report_when_quiet().refused.len(), 0);
    assert_counters_close(&tpd.counters_at_rest().unwrap());
    let stopping = Instant::now();
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    println!("stopped after {:?}", stopping.elapsed());
}

/// Link addresses of a tunnel, the portal's and the client's.
fn link(number: u16) -> [Ipv4Addr; 2] {
    let base = u32::from(Ipv4Addr::new(100, 64, 0, 0)) + 2 * u32::from(number);
    [base, base + 1].map(Ipv4Addr::from)
}
