//! Workers and their queues, busy-polling, larger chunks, and the rates that they hold.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;
use tp_bench::{
    FrameSpec, Generator, GeneratorConfig, Outer, Rate, Sent, Sink, Template, TunnelKind,
    run_in_turn,
};
use tp_tests::exchange::{
    Client, ConfigText, Exchange, Isp, SERVER, Site, Wire, assert_counters_close, binary, moved,
};
use tp_tests::lab::{Bridge, Ns};
use tp_tests::packet::{Frame, Gre, Ipv4, Udp};
use tp_tests::traffic::UdpFlow;
use tp_wire::MacAddr;

const IX: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
const CL: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 2]);
const ANYBODY: MacAddr = MacAddr::new([2, 0, 0, 0, 9, 9]);
const A: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const PORTAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Far below what two workers on a machine full of other work forward.
const PACKETS_PER_SECOND: u64 = 4000;
const PACKETS: u64 = 4000;

fn two_workers() -> ConfigText {
    ConfigText {
        workers: vec![0, 1],
        ..ConfigText::default()
    }
}

fn finish(site: Site) {
    assert_counters_close(&site.tpd.counters_at_rest().unwrap());
    assert!(
        site.tpd
            .stop()
            .unwrap()
            .is_some_and(|status| status.success())
    );
}

/// One generator for each queue of the portal's port on this bridge: what the far end of a veth sends by its queue q
/// arrives in queue q.
fn generators(bridge: &Bridge, spec: &FrameSpec) -> [Generator; 2] {
    [0, 1].map(|queue| {
        let config = GeneratorConfig {
            queue,
            rate: Rate::PacketsPerSecond(NonZeroU64::new(PACKETS_PER_SECOND).expect("not 0")),
            burst: 16,
            packets: Some(PACKETS),
            ..GeneratorConfig::new("p0", vec![Template::new(queue, spec).unwrap()])
        };
        bridge
            .ns()
            .run(|| Generator::open(&config))
            .unwrap()
            .unwrap()
    })
}

fn run(generators: &mut [Generator; 2]) -> [u64; 2] {
    let [first, second] = generators;
    let sent = run_in_turn([first, second], &AtomicBool::new(false));
    sent.map(|sent: Sent| sent.delivered())
}

fn sink(bridge: &Bridge) -> Sink {
    bridge.ns().run(|| Sink::attach("p0")).unwrap().unwrap()
}

fn inward() -> FrameSpec {
    FrameSpec::new(
        MacAddr::new(Isp::Two.mac()),
        IX,
        SERVER,
        Client::A.address(),
    )
}

fn outward() -> FrameSpec {
    let kind = TunnelKind::Gre { key: Some(1) };
    FrameSpec {
        outer: Some(Outer {
            kind,
            source: A,
            destination: PORTAL,
            ttl: 64,
        }),
        ..FrameSpec::new(ANYBODY, CL, Client::A.address(), SERVER)
    }
}

/// Counts of each worker by itself.
fn workers(counters: &Value, term: &str) -> Vec<u64> {
    let workers = counters["workers"].as_array().expect("a list");
    workers
        .iter()
        .map(|worker| worker[term].as_u64().expect("a count"))
        .collect()
}

#[test]
fn two_workers_forward_a_queue_each() {
    let exchange = Exchange::new("workers-two", 2).unwrap();
    let site = Site::start(exchange, |directory| two_workers().text(directory)).unwrap();
    for name in ["ix0", "cl0"] {
        let ports = site.tpd.json(&["show", "ports"]).unwrap();
        let port = ports
            .as_array()
            .unwrap()
            .iter()
            .find(|port| port["name"] == name)
            .unwrap();
        let served = |queue: usize| {
            (
                port["queues"][queue]["queue"].clone(),
                port["queues"][queue]["worker"].clone(),
            )
        };
        assert_eq!(
            [served(0), served(1)],
            [(0.into(), 0.into()), (1.into(), 1.into())],
            "{port:#}"
        );
    }
    let (lan, access) = (site.exchange.lan(), site.exchange.access());
    for (from, to, spec) in [(lan, access, inward()), (access, lan, outward())] {
        let sink = sink(to);
        let mut generators = generators(from, &spec);
        let before = site.tpd.counters_at_rest().unwrap();
        let delivered = run(&mut generators);
        let after = site.tpd.counters_at_rest().unwrap();
        let arrived = sink.read().unwrap();
        for (queue, delivered) in delivered.into_iter().enumerate() {
            assert!(
                delivered > PACKETS / 2,
                "the generator is held up: {delivered}"
            );
            let received = workers(&after, "rx")[queue] - workers(&before, "rx")[queue];
            let lost = lost_in_rings(&after, queue) - lost_in_rings(&before, queue);
            assert_eq!(received + lost, delivered, "worker {queue}");
            assert!(received > 0, "worker {queue}");
            let sent = workers(&after, "tx")[queue] - workers(&before, "tx")[queue];
            let flow = arrived.flows[&u32::try_from(queue).unwrap()];
            assert_eq!(flow.packets, sent, "queue {queue}: {arrived:?}");
        }
        assert_no_loss_but_full_rings(
            &before,
            &after,
            delivered.iter().sum(),
            arrived.total().packets,
        );
    }
    finish(site);
}

/// What the rings of this queue lost, of all ports.
fn lost_in_rings(counters: &Value, queue: usize) -> u64 {
    let ports = counters["ports"].as_array().expect("a list");
    let rings = ports.iter().map(|port| &port["rings"][queue]);
    let lost = |ring: &Value, term: &str| ring[term].as_u64().expect("a count");
    rings
        .map(|ring| lost(ring, "rx_dropped") + lost(ring, "rx_ring_full"))
        .sum()
}

/// A machine full of other work lets queues run full, which the portal counts: no other packet is missing.
fn assert_no_loss_but_full_rings(before: &Value, after: &Value, delivered: u64, arrived: u64) {
    let moved = moved(before, after);
    let is_full = |name: &str| {
        let full = ["rx_dropped", "rx_ring_full", "tx-busy", "tx-ring-full"];
        full.iter().any(|end| name.ends_with(end))
    };
    let lost = moved.iter().filter(|(name, _)| is_full(name));
    let lost: i128 = lost.map(|(_, packets)| packets).sum();
    assert_eq!(
        i128::from(delivered),
        i128::from(arrived) + lost,
        "{moved:#?}"
    );
    assert!(arrived > 0, "{moved:#?}");
}

#[test]
fn two_workers_take_over_changes_under_traffic() {
    let exchange = Exchange::new("workers-reload", 2).unwrap();
    let site = Site::start(exchange, |directory| two_workers().text(directory)).unwrap();
    let directory = site.exchange.lab.directory().to_owned();
    let sink = sink(site.exchange.access());
    let mut generators = generators(site.exchange.lan(), &inward());
    let before = site.tpd.counters_at_rest().unwrap();
    let delivered = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&mut generators));
        let mut generation = 0;
        while !running.is_finished() {
            let rate = format!("{{ from_client = \"{} Mbit/s\" }}", 10 + generation % 7);
            let config = ConfigText {
                rate_a: Some(rate),
                ..two_workers()
            };
            // Another key is another tunnel for steering: its maps change, and a slot is freed and used again.
            let key = 1000 + generation;
            let text = config
                .text(&directory)
                .replace("key = 1\n", &format!("key = {key}\n"));
            let output = site.tpd.reload(&text).unwrap();
            assert!(output.status.success(), "{output:?}");
            generation += 1;
        }
        assert!(generation >= 3, "{generation} changes");
        running.join().unwrap()
    });
    let after = site.tpd.counters_at_rest().unwrap();
    let status = site.tpd.json(&["show", "status"]).unwrap();
    for worker in status["workers"].as_array().unwrap() {
        assert_eq!(worker["generation"], status["generation"], "{status:#}");
    }
    let arrived = sink.read().unwrap().total().packets;
    assert_no_loss_but_full_rings(&before, &after, delivered.iter().sum(), arrived);
    finish(site);
}

#[test]
fn more_workers_than_queues_are_refused() {
    let exchange = Exchange::new("workers-many", 1).unwrap();
    let text = two_workers().text(exchange.lab.directory());
    let file = exchange.lab.directory().join("many.toml");
    std::fs::write(&file, text).unwrap();
    let mut tpd = exchange.portal.command(&binary("tpd").unwrap());
    let output = tpd.arg("--config").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("2 workers, but port"), "{said}");
}

#[test]
fn a_busy_polling_worker_never_sleeps_and_forwards() {
    let mut exchange = Exchange::new("workers-busy", 1).unwrap();
    exchange.start_clients().unwrap();
    let busy = |directory: &std::path::Path| {
        ConfigText::default()
            .text(directory)
            .replace("[portal]\n", "[portal]\nbusy_poll = true\n")
    };
    let site = Site::start(exchange, busy).unwrap();
    assert!(
        sleeps(&site) < SLEEPS_OF_THE_IDLE / 2,
        "a worker that polls sleeps"
    );
    site.assert_forwards();
    assert!(
        site.tpd
            .stop()
            .unwrap()
            .is_some_and(|status| status.success())
    );

    // The same without it: what is measured tells the difference.
    let text = ConfigText::default().text(site.exchange.lab.directory());
    let site = Site::start(site.exchange, |_| text).unwrap();
    assert!(
        sleeps(&site) >= SLEEPS_OF_THE_IDLE / 2,
        "an idle worker does not sleep"
    );
    site.assert_forwards();
    finish(site);
}

/// An idle worker sleeps for half a second at a time.
const SLEEPS_OF_THE_IDLE: u64 = 4;
const WATCH: Duration = Duration::from_secs(2);

/// How often the worker's thread gave up its CPU of its own will while it was watched (proc_pid_status(5)).
fn sleeps(site: &Site) -> u64 {
    let tasks = format!("/proc/{}/task", site.tpd.process().id());
    let worker = std::fs::read_dir(tasks)
        .unwrap()
        .map(|task| task.unwrap().path())
        .find(|task| {
            let name = std::fs::read_to_string(task.join("comm")).unwrap();
            name.starts_with("tp-worker")
        });
    let status = worker.expect("a worker's thread").join("status");
    let count = || {
        let text = std::fs::read_to_string(&status).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = count();
    std::thread::sleep(WATCH);
    count() - before
}

#[test]
fn chunks_of_4096_bytes_carry_an_mtu_of_3000() {
    let exchange = Exchange::new("workers-jumbo", 1).unwrap();
    for (device, bridge) in [("ix0", exchange.lan()), ("cl0", exchange.access())] {
        exchange.portal.link_mtu(device, 3000).unwrap();
        bridge.ns().link_mtu("p0", 3000).unwrap();
    }
    let (ix, cl) = (open(exchange.lan().ns()), open(exchange.access().ns()));
    let site = Site::start(exchange, |directory| {
        let memory = "[portal]\nmemory = { chunk = 4096 }\n";
        ConfigText::default()
            .text(directory)
            .replace("[portal]\n", memory)
    })
    .unwrap();
    let payload = |length: usize| {
        let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
        Udp::new(5000, 5001, bytes)
    };
    // As large as the way out allows: 3,000 bytes with the outer headers.
    let inner = Ipv4::new(SERVER, Client::A.address(), payload(3000 - 28 - 28));
    ix.send(&Frame::new(IX, MacAddr::new(Isp::Two.mac()), inner.clone()).build())
        .unwrap();
    let is_from = |port: MacAddr, length: usize| {
        move |frame: &[u8]| frame[6..12] == port.octets() && frame.len() == length
    };
    let seen = cl
        .wait_for(is_from(CL, 3014), Duration::from_secs(5))
        .unwrap()
        .expect("the packet");
    assert_eq!(seen[14 + 28..], Ipv4 { ttl: 63, ..inner }.build());

    let inner = Ipv4::new(Client::A.address(), SERVER, payload(3000 - 28 - 28));
    let outer = Gre::new(Some(1), inner.clone());
    cl.send(&Frame::new(CL, ANYBODY, Ipv4::new(A, PORTAL, outer)).build())
        .unwrap();
    let seen = ix
        .wait_for(is_from(IX, 3014 - 28), Duration::from_secs(5))
        .unwrap()
        .expect("the packet");
    assert_eq!(seen[14..], Ipv4 { ttl: 63, ..inner }.build());

    // One byte more does not fit the way out.
    let before = site.tpd.counters_at_rest().unwrap();
    let large = Ipv4::new(SERVER, Client::A.address(), payload(3000 - 28 - 28 + 1));
    ix.send(&Frame::new(IX, MacAddr::new(Isp::Two.mac()), large).build())
        .unwrap();
    site.wait_until(&["show", "counters"], "it is dropped", |now| {
        moved(&before, now).get("worker too-big") == Some(&1)
    })
    .unwrap();
    finish(site);
}

fn open(ns: &Ns) -> Wire {
    Wire::open(ns, "p0").unwrap()
}

/// Bits a second of inner IP packets.
const RATE: u32 = 8_000_000;
/// A second of the rate: a sender that is held up for less wastes none of it.
const BURST: u32 = RATE / 8;
/// Of each datagram's IP packet: twice the rate is sent.
const LENGTH: usize = 1000;
/// How often a rate is watched at most.
const WATCHES: usize = 4;

#[test]
fn rates_are_held_to_one_percent_of_inner_bytes() {
    let mut exchange = Exchange::new("workers-rates", 1).unwrap();
    exchange.start_clients().unwrap();
    let site = Site::start(exchange, |directory| ConfigText::default().text(directory)).unwrap();
    site.assert_forwards();
    let (a, server) = (
        site.exchange.client(Client::A).clone(),
        site.exchange.server.clone(),
    );
    let outward = || UdpFlow::new(&a, &server, SERVER).source(Client::A.address());
    let inward = || UdpFlow::new(&server, &a, Client::A.address()).source(SERVER);
    let good = ConfigText::default().text(site.exchange.lab.directory());
    let cases = [
        (
            "[clients.a]\n",
            "from_client",
            "worker rate-from-client",
            outward(),
        ),
        (
            "[clients.a]\n",
            "to_client",
            "worker rate-to-client",
            inward(),
        ),
        (
            "[tunnels.a-isp1]\n",
            "from_client",
            "worker rate-tunnel",
            outward(),
        ),
        (
            "[tunnels.a-isp1]\n",
            "to_client",
            "worker rate-tunnel",
            inward(),
        ),
    ];
    for (of, direction, counter, flow) in cases {
        let rate =
            format!("{of}rate = {{ {direction} = \"{RATE} bit/s\", burst = \"{BURST} B\" }}\n");
        let output = site.tpd.reload(&good.replace(of, &rate)).unwrap();
        assert!(output.status.success(), "{output:?}");
        let flow = flow.payload(LENGTH - 28).packets_per_second(2000);
        let mut off = Vec::new();
        // Whoever holds up sender, worker or receiver for long is measured instead: such a watch is repeated.
        while off.len() < WATCHES && off.last().is_none_or(|last: &f64| last.abs() > 0.01) {
            off.push(watch(&site, flow.clone(), counter));
        }
        println!("{of}{direction}: off by {off:?}");
        assert!(
            off.last().is_some_and(|last| last.abs() <= 0.01),
            "{of}{direction}: off by {off:?}"
        );
    }
    finish(site);
}

/// How far the bytes that arrive once the burst is used up are from what the rate allows in that time, as a fraction.
fn watch(site: &Site, flow: UdpFlow, counter: &str) -> f64 {
    let before = site.tpd.counters_at_rest().unwrap();
    let running = flow.lasting(Duration::from_secs(6)).start().unwrap();
    // The bucket holds what arrives in a second, and twice its rate is sent.
    std::thread::sleep(Duration::from_secs(2));
    let early = running.progress();
    let report = running.finish().unwrap();
    let moved = moved(&before, &site.tpd.counters_at_rest().unwrap());
    let lost = |name: &&String| {
        *name == counter || name.ends_with("rx_dropped") || name.ends_with("rx_ring_full")
    };
    let dropped: i128 = moved.keys().filter(lost).map(|name| moved[name]).sum();
    assert_eq!(dropped, i128::from(report.lost()), "{moved:#?}");
    assert!(moved.contains_key(counter), "{moved:#?}");
    let bytes = report.received_ip_bytes - early.received_ip_bytes;
    let allowed = f64::from(RATE / 8) * (report.elapsed - early.elapsed).as_secs_f64();
    let bytes = f64::from(u32::try_from(bytes).expect("megabytes"));
    bytes / allowed - 1.0
}
