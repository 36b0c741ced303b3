//! Two BIRDs on a plain wire.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tp_tests::bgp::{Bird, Session, Speaker};
use tp_tests::lab::Lab;
use tp_tests::traffic::Ping;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn two_birds_exchange_prefixes_of_both_families() {
    let lab = Lab::new("bird").unwrap();
    let routers = ["west", "east"].map(|name| lab.namespace(name).unwrap());
    let [west, east] = &routers;
    lab.veth((west, "eth0"), (east, "eth0")).unwrap();
    let mut birds = Vec::new();
    for (number, ns) in [(1_u8, west), (2, east)] {
        let peer = 3 - number;
        ns.enable_ipv6().unwrap();
        ns.address("eth0", &format!("192.0.2.{number}/24")).unwrap();
        ns.address("eth0", &format!("2001:db8::{number}/64"))
            .unwrap();
        let prefixes = [
            format!("10.{number}.0.0/24"),
            format!("2001:db8:{number}::/48"),
        ];
        let mut speaker = Speaker::new(
            65000 + u32::from(number),
            Ipv4Addr::from([192, 0, 2, number]),
        );
        for prefix in prefixes {
            speaker = speaker.announce(prefix.parse::<IpNet>().unwrap());
        }
        ns.address("lo", &format!("10.{number}.0.1/32")).unwrap();
        ns.address("lo", &format!("2001:db8:{number}::1/128"))
            .unwrap();
        let ends = |host: u8| -> [IpAddr; 2] {
            [
                [192, 0, 2, host].into(),
                format!("2001:db8::{host}").parse().unwrap(),
            ]
        };
        for (family, (local, remote)) in ["v4", "v6"]
            .iter()
            .zip(ends(number).into_iter().zip(ends(peer)))
        {
            let peer = (remote, 65000 + u32::from(peer));
            speaker = speaker.session(Session::new(family, local, peer).by("eth0"));
        }
        birds.push(Bird::start(&lab, ns, ns.name(), &speaker).unwrap());
    }
    for bird in &birds {
        for session in ["v4", "v6"] {
            bird.wait_established(session, PATIENCE).unwrap();
        }
    }
    // What is learned is used: both sides' kernels have the routes.
    for (to, from) in [("10.2.0.1", "10.1.0.1"), ("2001:db8:2::1", "2001:db8:1::1")] {
        let ping = Ping::new(to.parse::<IpAddr>().unwrap()).source(from.parse::<IpAddr>().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while !ping.run(west).is_ok_and(|report| report.is_clean()) {
            assert!(Instant::now() < deadline, "{to} is not reached");
        }
    }
}
