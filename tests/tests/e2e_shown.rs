//! One link to several upstreams: the destination MAC address of what a client sends chooses the upstream, the source
//! MAC address of what it gets tells it.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use tp_tests::client::{ClientEnd, Kind, TunnelSpec};
use tp_tests::exchange::{
    Client, ConfigText, Exchange, Isp, SERVER, Site, Wire, assert_counters_close,
};
use tp_tests::lab::{Ns, Route};
use tp_tests::traffic::Ping;

/// The client's device, its address on the link and its router's MAC address.
const DEVICE: &str = "shown";
const ON_LINK: Ipv4Addr = Ipv4Addr::new(100, 65, 0, 10);
const ROUTER: [u8; 6] = [2, 0, 0, 0, 3, 1];
/// What the portal speaks from on the link, and the next hops that stand for the upstreams.
const PORTAL: Ipv4Addr = Ipv4Addr::new(100, 65, 0, 254);
/// The prefix of the client, and an address of it.
const PREFIX: &str = "198.51.101.0/24";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 101, 1);

#[test]
fn the_next_hop_chooses_the_upstream_and_the_source_mac_tells_it() {
    let mut exchange = Exchange::new("shown", 1).unwrap();
    exchange.start_clients().unwrap();
    let ns = exchange.client(Client::B).clone();
    let (local, remote) = Client::B.ends(Isp::One);
    let spec = TunnelSpec::new(DEVICE, Kind::egre(None), local, remote).mac(ROUTER);
    let spec = spec.address(Ipv4Net::new(ON_LINK, 24).unwrap());
    let end = ClientEnd::start_in(&ns, vec![spec]).unwrap();
    ns.address("lo", &format!("{ADDRESS}/32")).unwrap();
    for isp in Isp::ALL {
        let to_client = Route::to(PREFIX).unwrap();
        let to_client = to_client.via(Ipv4Addr::new(192, 0, 2, 10).into());
        exchange.isp(isp).route(&to_client).unwrap();
    }
    let config = ConfigText {
        more: format!(
            "\n[clients.c]\nprefixes = [\"{PREFIX}\"]\n\n[tunnels.c]\nclient = \"c\"\nkind = \"egre\"\n\
             local = \"{remote}\"\nremote = \"{local}\"\n\
             upstreams = {{ isp1 = [\"{}\"], isp2 = [\"{}\"] }}\n\
             link = [{{ portal = \"{PORTAL}\", client = \"{ON_LINK}\" }}]\nroutes = [\"{PREFIX}\"]\n",
            next_hop(Isp::One),
            next_hop(Isp::Two)
        ),
        ..ConfigText::default()
    };
    let site = Site::start(exchange, |directory| config.text(directory)).unwrap();
    // The link itself, on which the one session runs.
    let report = Ping::new(PORTAL).source(ON_LINK).run(&ns).unwrap();
    assert!(report.is_clean(), "{report:#?}");
    for sends in Isp::ALL {
        for receives in Isp::ALL {
            assert_chosen(&site, &ns, sends, receives);
        }
    }
    assert_eq!(end.report_when_quiet().refused.len(), 0);
    assert_counters_close(&site.tpd.counters_at_rest().unwrap());
}

/// Echo requests by one upstream and replies by maybe another.
fn assert_chosen(site: &Site, ns: &Ns, sends: Isp, receives: Isp) {
    let exchange = &site.exchange;
    let default = Route::to("0.0.0.0/0").unwrap();
    let default = default.via(next_hop(sends).into()).dev(DEVICE);
    ns.route(&default.src(ADDRESS.into())).unwrap();
    exchange.receive_prefix_through(PREFIX, receives).unwrap();
    let wire = Wire::open(ns, DEVICE).unwrap();
    let before = Isp::ALL.map(|isp| exchange.server_packets(isp).unwrap());
    let ping = Ping::new(SERVER).source(ADDRESS).count(5);
    let ping = ping.interval(Duration::from_millis(50)).run(ns).unwrap();
    let told = || String::from_utf8(site.tpd.tpctl(&["show", "drops"]).unwrap().stdout).unwrap();
    assert!(
        ping.is_clean(),
        "{sends:?} {receives:?}: {ping:#?}\n{}",
        told()
    );
    let after = Isp::ALL.map(|isp| exchange.server_packets(isp).unwrap());
    for (number, isp) in Isp::ALL.into_iter().enumerate() {
        let requests = after[number].0 - before[number].0;
        let replies = after[number].1 - before[number].1;
        assert_eq!(requests >= 5, isp == sends, "{isp:?}: {requests} requests");
        assert_eq!(replies >= 5, isp == receives, "{isp:?}: {replies} replies");
    }
    let frames = wire.frames().unwrap();
    let of = |frame: &&Vec<u8>, source: &[u8]| frame.len() > 34 && &frame[26..30] == source;
    let requests = frames.iter().filter(|frame| of(frame, &ADDRESS.octets()));
    let requests: Vec<_> = requests.map(|frame| &frame[..6]).collect();
    assert_eq!(
        requests,
        [shown_mac(sends); 5].each_ref().map(|mac| &mac[..])
    );
    let replies = frames.iter().filter(|frame| of(frame, &SERVER.octets()));
    let replies: Vec<_> = replies.map(|frame| &frame[..12]).collect();
    let expected = [ROUTER, shown_mac(receives)].concat();
    assert_eq!(replies, [&expected[..]; 5]);
}

/// The address that stands for an upstream on the link.
fn next_hop(isp: Isp) -> Ipv4Addr {
    match isp {
        Isp::One => Ipv4Addr::new(100, 65, 0, 1),
        Isp::Two => Ipv4Addr::new(100, 65, 0, 2),
    }
}

/// docs/configuration.md, "One link to several upstreams": 02:54:50 and the low 24 bits of FNV-1a of the name.
fn shown_mac(isp: Isp) -> [u8; 6] {
    let hash = isp.name().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let [_, a, b, c] = hash.to_be_bytes();
    [0x02, 0x54, 0x50, a, b, c]
}
