//! BGP over links of every kind: a router at the client's end and one in the portal's namespace talk to each other's
//! link address, as on a wire.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use tp_tests::bgp::{Bird, HOLD_TIME, Session, Speaker};
use tp_tests::carriers::{Carriers, Line};
use tp_tests::exchange::assert_counters_close;
use tp_tests::lab::Ns;
use tp_tests::traffic::Ping;

const PATIENCE: Duration = Duration::from_secs(30);
const PORTAL: u32 = 64500;
const CLIENT: u32 = 64600;
/// What each side announces over every session of a family.
const OF_PORTAL: [&str; 2] = ["203.0.113.0/24", "2001:db8:80::/48"];
const OF_CLIENT: [&str; 2] = ["198.51.100.0/24", "2001:db8:100::/48"];

/// Both routers, each with two sessions a line.
struct Routers {
    portal: Bird,
    client: Bird,
    names: Vec<[String; 2]>,
}

#[test]
fn sessions_come_up_over_each_kind_and_survive_a_restart() {
    let bed = Carriers::start("bgp", Line::all()).unwrap();
    let routers = Routers::start(&bed);
    let since = routers.established();
    routers.assert_learned();
    assert_pings(&bed);
    let bed = bed.restart().unwrap();
    // A session that got no message since the restart is lost within the hold time.
    thread::sleep(HOLD_TIME + Duration::from_secs(1));
    for ((name, before), (_, after)) in since.iter().zip(routers.established()) {
        // A session that was lost takes a second and more until it is up again.
        let moved = after.abs_diff(*before);
        assert!(moved < Duration::from_millis(500), "{name} was lost");
    }
    assert_pings(&bed);
    assert_counters_close(&bed.tpd.counters_at_rest().unwrap());
}

impl Routers {
    fn start(bed: &Carriers) -> Self {
        let mut portal = speaker(PORTAL, [192, 0, 2, 10], OF_PORTAL);
        let mut client = speaker(CLIENT, [10, 0, 0, 20], OF_CLIENT);
        let mut names = Vec::new();
        for line in &bed.lines {
            let of_line = ["v4", "v6"].map(|family| format!("{}_{family}", line.name));
            for (name, (at_portal, at_client)) in of_line.iter().zip(line.link()) {
                let session = Session::new(name, at_portal, (at_client, CLIENT));
                portal = portal.session(session.whatever_the_carrier());
                let session = Session::new(name, at_client, (at_portal, PORTAL));
                client = client.session(session.by(line.device()));
            }
            names.push(of_line);
        }
        Self {
            portal: Bird::start(&bed.lab, &bed.portal, "bird-portal", &portal).unwrap(),
            client: Bird::start(&bed.lab, &bed.client, "bird-client", &client).unwrap(),
            names,
        }
    }

    /// Since when each session is up, by each router.
    fn established(&self) -> Vec<(String, Duration)> {
        let sessions = self.names.iter().flatten();
        let both = sessions.flat_map(|name| {
            [&self.portal, &self.client].map(|bird| {
                let since = bird.wait_established(name, PATIENCE).unwrap();
                (name.clone(), since)
            })
        });
        both.collect()
    }

    fn assert_learned(&self) {
        for of_line in &self.names {
            let families = OF_CLIENT.into_iter().zip(OF_PORTAL);
            for (name, (of_client, of_portal)) in of_line.iter().zip(families) {
                for (bird, prefix) in [(&self.portal, of_client), (&self.client, of_portal)] {
                    bird.wait_route(name, prefix, PATIENCE).unwrap();
                }
            }
        }
    }
}

fn speaker(asn: u32, id: [u8; 4], prefixes: [&str; 2]) -> Speaker {
    let speaker = Speaker::new(asn, Ipv4Addr::from(id));
    prefixes.into_iter().fold(speaker, |speaker, prefix| {
        speaker.announce(prefix.parse::<IpNet>().unwrap())
    })
}

/// Both ends of each link answer each other.
#[track_caller]
fn assert_pings(bed: &Carriers) {
    let ping = |line: &Line, from: &Ns, source: IpAddr, to: IpAddr| {
        // One request waits for its answer a whole second; the last of several no longer than their interval.
        let report = Ping::new(to).source(source).count(1).run(from).unwrap();
        let drops = bed.tpd.tpctl(&["show", "drops"]).unwrap();
        let drops = String::from_utf8_lossy(&drops.stdout).into_owned();
        assert!(report.is_clean(), "{}: {report:#?}\n{drops}", line.name);
    };
    for line in &bed.lines {
        for (at_portal, at_client) in line.link() {
            ping(line, &bed.client, at_client, at_portal);
            ping(line, &bed.portal, at_portal, at_client);
        }
    }
}
