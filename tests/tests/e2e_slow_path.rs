//! The portal's kernel and the far ends of its links talk: by a link that carries IP packets, by one that carries
//! Ethernet frames, and by a port.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tp_tests::client::ClientEnd;
use tp_tests::exchange::{Tpd, assert_counters_close, binary};
use tp_tests::lab::{Lab, Ns};
use tp_tests::traffic::{Ping, TcpTransfer, UdpFlow};

/// How long a connection may rest.
const PATIENCE: Duration = Duration::from_secs(20);
/// The links: name, the portal's addresses, the client's.
const LINKS: [(&str, [&str; 2], [&str; 2]); 3] = [
    (
        "gre",
        ["169.254.1.1", "fd00:1::1"],
        ["169.254.1.2", "fd00:1::2"],
    ),
    (
        "egre",
        ["169.254.2.1", "fd00:2::1"],
        ["169.254.2.2", "fd00:2::2"],
    ),
    (
        "port",
        ["169.254.3.1", "fd00:3::1"],
        ["169.254.3.2", "fd00:3::2"],
    ),
];

/// A portal with an ISP's router, and a client with a link of each of these kinds.
struct Bed {
    tpd: Tpd,
    _end: ClientEnd,
    portal: Ns,
    client: Ns,
    isp: Ns,
    config: String,
    lab: Lab,
}

impl Bed {
    fn new(name: &str, portal_lines: &str) -> Self {
        let lab = Lab::new(name).unwrap();
        let [portal, client, isp] = ["portal", "client", "isp"].map(|n| lab.namespace(n).unwrap());
        for (near, far, there) in [
            ("ix0", "eth0", &isp),
            ("cl0", "eth0", &client),
            ("cl1", "port", &client),
        ] {
            lab.veth((&portal, near), (there, far)).unwrap();
        }
        client.enable_ipv6().unwrap();
        portal.address("ix0", "192.0.2.10/24").unwrap();
        isp.address("eth0", "192.0.2.1/24").unwrap();
        portal.address("cl0", "10.0.0.1/24").unwrap();
        client.address("eth0", "10.0.0.20/24").unwrap();
        client.address("lo", "198.51.100.1/32").unwrap();
        let addresses = |index: usize| {
            let [v4, v6] = LINKS[index].2;
            format!("address={v4}/30,address={v6}/64")
        };
        let spec = |index, kind, key| {
            let (local, addresses) = ("local=10.0.0.20,remote=10.0.0.1", addresses(index));
            format!("{kind},kind={kind},{local},key={key},{addresses}")
                .parse()
                .unwrap()
        };
        let specs = vec![spec(0, "gre", 1), spec(1, "egre", 2)];
        let end = ClientEnd::start_in(&client, specs).unwrap();
        for address in LINKS[2].2 {
            let length = if address.contains(':') { 64 } else { 30 };
            client
                .address("port", &format!("{address}/{length}"))
                .unwrap();
        }
        let config = config(lab.directory(), portal_lines);
        let tpd = Tpd::start(&lab, &portal, &config).unwrap();
        Self {
            tpd,
            _end: end,
            portal,
            client,
            isp,
            config,
            lab,
        }
    }

    fn counters(&self) -> Value {
        self.tpd.counters_at_rest().unwrap()
    }

    #[track_caller]
    fn assert_pings(&self, from: &Ns, to: &str) {
        let address: IpAddr = to.parse().unwrap();
        let report = Ping::new(address).count(3).run(from).unwrap();
        // The first one may wait for ARP or neighbour discovery.
        assert!(
            report.received >= 2,
            "{to}: {}\n{:#}\n{}",
            report.output,
            self.counters(),
            self.tpd.process().stderr()
        );
    }
}

fn config(directory: &Path, portal_lines: &str) -> String {
    let dir = directory.display();
    let mut text = format!(
        "[portal]\nworkers = [0]\non_stop = \"hold\"\napi = \"{dir}/api.sock\"\nbpffs = \"{dir}/bpf\"\nstate = \"{dir}/state\"\n\
         {portal_lines}\n[ports.ix0]\n[ports.cl0]\n[ports.cl1]\n\
         [upstreams.isp1]\nport = \"ix0\"\nnext_hop = \"192.0.2.1\"\n\
         [clients.a]\nprefixes = [\"198.51.100.0/25\"]\n"
    );
    let kinds = [
        "local = \"10.0.0.1\"\nremote = \"10.0.0.20\"\nkey = 1\n",
        "local = \"10.0.0.1\"\nremote = \"10.0.0.20\"\nkey = 2\n",
        "port = \"cl1\"\n",
    ];
    for ((name, portal, client), kind) in LINKS.iter().zip(kinds) {
        let pairs = portal.iter().zip(client);
        let pairs: Vec<String> = pairs
            .map(|(p, c)| format!("{{ portal = \"{p}\", client = \"{c}\" }}"))
            .collect();
        let routes = if *name == "gre" {
            "routes = [\"198.51.100.0/25\"]\n"
        } else {
            ""
        };
        text += &format!(
            "[tunnels.{name}]\nkind = \"{name}\"\nclient = \"a\"\nupstream = \"isp1\"\n{kind}{routes}link = [{}]\n",
            pairs.join(", ")
        );
    }
    text
}

#[test]
fn kernel_and_far_ends_reach_each_other_over_every_kind_of_device() {
    let bed = Bed::new("slow-ping", "");
    for (_, portal, client) in LINKS {
        for (p, c) in portal.iter().zip(client) {
            bed.assert_pings(&bed.client, p);
            bed.assert_pings(&bed.portal, c);
        }
    }
    for (_, portal, client) in LINKS {
        for (p, c) in portal.iter().zip(client) {
            for (from, to, destination) in [
                (&bed.client, &bed.portal, p),
                (&bed.portal, &bed.client, &c),
            ] {
                let address: IpAddr = destination.parse().unwrap();
                let transfer = TcpTransfer::new(from, to, address, 50_000).limit(PATIENCE);
                let report = transfer
                    .run()
                    .unwrap_or_else(|e| panic!("{destination}: {e}\n{:#}", bed.counters()));
                assert!(report.is_intact(), "{destination}");
            }
        }
    }
    let counters = bed.counters();
    assert_counters_close(&counters);
    let slow = &counters["slow_path"];
    for term in ["to_tun", "to_tap", "answered", "from_tun", "from_tap"] {
        assert!(slow[term].as_u64().unwrap() > 0, "{term}: {slow:#}");
    }
}

#[test]
fn a_session_outlives_the_daemon() {
    let Bed {
        tpd,
        _end,
        portal,
        client,
        isp: _,
        config,
        lab,
    } = Bed::new("slow-restart", "");
    let listener = portal
        .run(|| TcpListener::bind("169.254.2.1:179"))
        .unwrap()
        .unwrap();
    let mut near = client
        .run(|| TcpStream::connect("169.254.2.1:179"))
        .unwrap()
        .unwrap();
    let (mut far, _) = listener.accept().unwrap();
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut talk = |text: &[u8]| {
        let mut heard = vec![0; text.len()];
        near.write_all(text).unwrap();
        far.read_exact(&mut heard).unwrap();
        assert_eq!(heard, text);
        far.write_all(text).unwrap();
        near.read_exact(&mut heard).unwrap();
        assert_eq!(heard, text);
    };
    talk(b"open");
    tpd.kill().unwrap();
    let tpd = Tpd::start(&lab, &portal, &config).unwrap();
    talk(b"after a crash");
    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    let tpd = Tpd::start(&lab, &portal, &config).unwrap();
    talk(b"after a stop");

    assert!(tpd.stop().unwrap().is_some_and(|status| status.success()));
    assert!(portal.link("tp-tun").is_ok() && portal.link("tp-tap").is_ok());
    let mut command = portal.command(&binary("tpd").unwrap());
    command
        .arg("--release")
        .arg("--bpffs")
        .arg(lab.directory().join("bpf"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("tp-tun") && said.contains("tp-tap"),
        "{output:?}"
    );
    assert!(portal.link("tp-tun").is_err() && portal.link("tp-tap").is_err());
}

#[test]
fn a_device_that_somebody_removes_comes_again() {
    let bed = Bed::new("slow-removed", "");
    bed.assert_pings(&bed.client, "169.254.1.1");
    bed.portal.link_delete("tp-tun").unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while bed.portal.link("tp-tun").is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "{}",
            bed.tpd.process().stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    for to in ["169.254.1.1", "fd00:1::1", "169.254.2.1"] {
        bed.assert_pings(&bed.client, to);
    }
}

/// What a link may send to its portal is bounded, and nothing else pays for it.
#[test]
fn a_flood_to_the_portal_costs_what_its_meter_admits() {
    // 64 kbit/s are 8,000 bytes a second.
    let bed = Bed::new(
        "slow-flood",
        "slow_path = { rate = \"64 kbit/s\", burst = \"8 KiB\" }\n",
    );
    bed.isp.address("lo", "203.0.113.80/32").unwrap();
    let via = |ns: &Ns, to: &str, via: &str| {
        let route = tp_tests::lab::Route::to(to)
            .unwrap()
            .via(via.parse().unwrap());
        ns.route(&route).unwrap();
    };
    via(&bed.isp, "198.51.100.0/24", "192.0.2.10");
    let default = tp_tests::lab::Route::to("0.0.0.0/0").unwrap().dev("gre");
    bed.client
        .route(&default.src("198.51.100.1".parse().unwrap()))
        .unwrap();

    let before = bed.counters();
    let portal: IpAddr = "169.254.1.1".parse().unwrap();
    let server: IpAddr = "203.0.113.80".parse().unwrap();
    let start = std::time::Instant::now();
    let flood = UdpFlow::new(&bed.client, &bed.portal, portal)
        .payload(400)
        .packets_per_second(5000)
        .lasting(Duration::from_secs(3))
        .start()
        .unwrap();
    let through = UdpFlow::new(&bed.client, &bed.isp, server)
        .source("198.51.100.1".parse::<IpAddr>().unwrap())
        .packets_per_second(500)
        .lasting(Duration::from_secs(2))
        .run()
        .unwrap();
    let flood = flood.finish().unwrap();
    let lasted = start.elapsed().as_secs_f64();
    let after = bed.counters();
    assert_counters_close(&after);
    let worker = |counters: &Value, term: &str| counters["workers"][0][term].as_u64().unwrap();
    let dropped = |reason: &str| after["workers"][0]["dropped"][reason].as_u64().unwrap();
    let punted = worker(&after, "punted") - worker(&before, "punted");
    // 428 bytes each; a burst, and the rate for as long as it lasted.
    let admitted = (8192.0 + 8000.0 * lasted) / 428.0;
    assert!(
        punted as f64 <= admitted + 1.0,
        "{punted} of {admitted}, of {flood:?}"
    );
    assert!(punted >= 19, "a burst of them at least: {punted}");
    assert!(dropped("rate-slow-path") > 0);
    // Whatever the machine loses elsewhere, the flood costs forwarded packets nothing.
    let rings: u64 = after["ports"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|p| p["rings"].as_array().unwrap())
        .map(|r| r["rx_ring_full"].as_u64().unwrap() + r["rx_dropped"].as_u64().unwrap())
        .sum();
    assert!(
        through.lost() <= rings,
        "{through:?}, {rings} lost in rings\n{after:#}"
    );
}
