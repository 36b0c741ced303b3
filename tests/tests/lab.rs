//! The laboratory tested by itself: what it makes works, and nothing of it stays.
#![allow(
    clippy::unwrap_used,
    reason = "clippy exempts functions marked as tests, not the helpers that they share"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tp_tests::client::{ClientEnd, ClientReport, Kind, Refusal, TunnelSpec};
use tp_tests::lab::{End, Lab, Ns, Route};
use tp_tests::traffic::{Ping, TcpTransfer, UdpFlow};

const WEST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const EAST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const INNER_WEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const INNER_EAST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const MIB: u64 = 1 << 20;

/// west (192.0.2.2) - router - east (198.51.100.2)
struct Line {
    lab: Lab,
    west: Ns,
    router: Ns,
    east: Ns,
}

#[test]
fn the_kernel_routes_between_two_namespaces() {
    let line = line("route");
    let report = Ping::new(EAST).run(&line.west).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert!(line.router.snmp("Ip", "ForwDatagrams").unwrap() >= 6);

    line.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
    let report = Ping::new(EAST).count(1).run(&line.west).unwrap();
    assert_eq!(report.received, 0, "{report:?}");
}

#[test]
fn ends_are_as_they_were_asked_for() {
    let lab = Lab::new("ends").unwrap();
    let (left, right) = (
        lab.namespace("left").unwrap(),
        lab.namespace("right").unwrap(),
    );
    let mac = [2, 0, 0, 0, 0, 7];
    lab.veth(
        End::new(&left, "isp").mac(mac).mtu(2000).queues(2),
        End::new(&right, "port0").mtu(2000).queues(2),
    )
    .unwrap();
    let link = left.link("isp").unwrap();
    assert_eq!(
        (link.mac, link.mtu, link.up, link.running),
        (mac, 2000, true, true)
    );
    let features = left
        .command("ethtool")
        .args(["-k", "isp"])
        .output()
        .unwrap();
    let features = String::from_utf8(features.stdout).unwrap();
    for off in [
        "tx-checksumming",
        "tcp-segmentation-offload",
        "rx-vlan-offload",
        "generic-receive-offload",
    ] {
        assert!(
            features.contains(&format!("{off}: off")),
            "{off} in {features}"
        );
    }
    let channels = right
        .command("ethtool")
        .args(["-l", "port0"])
        .output()
        .unwrap();
    let channels = String::from_utf8(channels.stdout).unwrap();
    assert!(
        channels.contains("RX:\t\t2") && channels.contains("TX:\t\t2"),
        "{channels}"
    );

    right.link_down("port0").unwrap();
    assert!(!left.link("isp").unwrap().running);
    right.link_delete("port0").unwrap();
    assert!(left.link("isp").is_err(), "the other end of a pair stays");
}

#[test]
fn a_bridge_joins_its_ends_into_one_lan() {
    let lab = Lab::new("lan").unwrap();
    let bridge = lab.bridge("ixp").unwrap();
    let hosts: Vec<Ns> = (1..=3)
        .map(|host| lab.namespace(&format!("host{host}")).unwrap())
        .collect();
    for (host, number) in hosts.iter().zip(1..) {
        bridge.plug((host, "eth0")).unwrap();
        host.address("eth0", &format!("192.0.2.{number}/24"))
            .unwrap();
    }
    for number in [2, 3] {
        let report = Ping::new(Ipv4Addr::new(192, 0, 2, number))
            .run(&hosts[0])
            .unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[test]
fn checksums_and_sizes_on_the_wire_are_complete() {
    let line = line("udp");
    let flow = UdpFlow::new(&line.west, &line.east, EAST)
        .payload(1472)
        .packets_per_second(5000);
    let report = flow.lasting(Duration::from_millis(500)).run().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.received_ip_bytes, 2500 * 1500);
}

#[test]
fn gre_with_a_key_carries_traffic() {
    carries_traffic(
        "key",
        Kind::Gre {
            key: Some(0xcafe_0001),
        },
    );
}

#[test]
fn gre_without_a_key_carries_traffic() {
    carries_traffic("nokey", Kind::Gre { key: None });
}

#[test]
fn ipip_carries_traffic() {
    carries_traffic("ipip", Kind::Ipip);
}

#[test]
fn a_wrong_key_is_refused_and_counted() {
    let line = line("wrong");
    let west = tunnel_west(&line, Kind::Gre { key: Some(1) });
    let east = tunnel_east(&line, Kind::Gre { key: Some(2) });
    let report = Ping::new(INNER_EAST).count(5).run(&line.west).unwrap();
    assert_eq!((report.sent, report.received), (5, 0), "{report:?}");
    assert_eq!(east.report().refusals(Refusal::KeyWrong), 5);
    assert_eq!(east.report().tunnels["tun0"].received_packets, 0);
    assert_eq!(west.report().tunnels["tun0"].sent_packets, 5);
    assert_eq!(west.report().refused.len(), 0);
}

#[test]
fn tunnels_of_one_outer_pair_are_told_apart_by_their_keys() {
    let line = line("pair");
    let keys = [Some(1), Some(2), None];
    let specs = |local, remote, host| {
        let spec = |(number, key)| {
            TunnelSpec::new(&format!("tun{number}"), Kind::Gre { key }, local, remote)
                .address(format!("10.0.{number}.{host}/24").parse().unwrap())
        };
        (0..3).zip(keys).map(spec).collect()
    };
    let west = ClientEnd::start_in(&line.west, specs(WEST, EAST, 1)).unwrap();
    let east = ClientEnd::start_in(&line.east, specs(EAST, WEST, 2)).unwrap();
    for (number, count) in [(0, 1), (1, 2), (2, 3)] {
        let report = Ping::new(Ipv4Addr::new(10, 0, number, 2))
            .count(count)
            .run(&line.west)
            .unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
    for report in [west.report(), east.report()] {
        let counts = report
            .tunnels
            .values()
            .map(|tunnel| tunnel.received_packets);
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(report.refused.len(), 0);
    }
}

#[test]
fn the_client_end_runs_as_a_program() {
    let line = line("program");
    let _east = tunnel_east(&line, Kind::Ipip);
    let spec = format!("tun0,kind=ipip,local={WEST},remote={EAST},address={INNER_WEST}/30");
    let mut command = line.west.command(env!("CARGO_BIN_EXE_tp-client-end"));
    let west = line
        .lab
        .spawn("west", command.args(["--tunnel", &spec]))
        .unwrap();
    let ready = west
        .wait_for_output("{\"ready\":true}\n", Duration::from_secs(10))
        .unwrap();
    assert!(ready, "{}", west.stderr());

    let report = Ping::new(INNER_EAST).run(&line.west).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let status = west.stop(Duration::from_secs(5)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    let output = west.stdout();
    let report: ClientReport = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let tunnel = report.tunnels["tun0"];
    assert_eq!((tunnel.sent_packets, tunnel.received_packets), (3, 3));
    assert_eq!((tunnel.sent_bytes, tunnel.received_bytes), (3 * 84, 3 * 84));
}

#[test]
fn a_client_end_keeps_its_kernel_from_answering_with_icmp_errors() {
    let line = line("icmp");
    let _west = tunnel_west(&line, Kind::Gre { key: Some(1) });
    let east = tunnel_east(&line, Kind::Gre { key: Some(2) });
    let unreachable = || line.east.snmp("Icmp", "OutDestUnreachs").unwrap();
    let ping = Ping::new(INNER_EAST)
        .count(3)
        .timeout(Duration::from_millis(200));
    ping.run(&line.west).unwrap();
    assert_eq!(east.report().refusals(Refusal::KeyWrong), 3);
    assert_eq!(unreachable(), 0);

    drop(east);
    ping.run(&line.west).unwrap();
    assert!(
        unreachable() > 0,
        "the counter does not show what it is read for"
    );
}

#[test]
fn published_namespaces_have_names_until_the_laboratory_ends() {
    let lab = Lab::new("names").unwrap();
    lab.namespace("isp1").unwrap();
    lab.publish().unwrap();
    let name = format!("{}-isp1", lab.name());
    let listed = || {
        let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        names
            .lines()
            .any(|line| line.split(' ').next() == Some(&name))
    };
    assert!(listed());
    let entered = Command::new("ip")
        .args(["netns", "exec", &name, "true"])
        .status()
        .unwrap();
    assert!(entered.success());
    drop(lab);
    assert!(!listed());
}

#[test]
fn a_transfer_can_be_watched_and_survives_a_pause() {
    let line = line("pause");
    let transfer = TcpTransfer::new(&line.west, &line.east, EAST, 64 * MIB)
        .start()
        .unwrap();
    assert!(transfer.wait_for(MIB));
    line.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(transfer.received() < 64 * MIB);
    line.router.sysctl("net.ipv4.ip_forward", "1").unwrap();
    let report = transfer.finish().unwrap();
    assert!(report.is_intact() && report.bytes == 64 * MIB, "{report:?}");
}

#[test]
fn a_transfer_that_cannot_end_is_an_error_in_time() {
    let line = line("limit");
    let started = Instant::now();
    let transfer = TcpTransfer::new(&line.west, &line.east, EAST, 64 * MIB);
    let running = transfer.limit(Duration::from_secs(2)).start().unwrap();
    assert!(running.wait_for(MIB));
    line.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
    assert!(running.finish().is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn nothing_is_left_behind() {
    let witness = Witness::new();
    let (lab, _ends) = busy_lab(&witness);
    let traces = Traces::of(&lab);
    drop((lab, _ends));
    traces.assert_gone(&witness);
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let witness = Witness::new();
    let mut traces = None;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let (lab, _ends) = busy_lab(&witness);
        traces = Some(Traces::of(&lab));
        panic!("a test fails");
    }));
    assert!(panic.is_err());
    traces.unwrap().assert_gone(&witness);
}

#[test]
fn a_closure_that_panics_inside_a_namespace_panics_outside() {
    let lab = Lab::new("closure").unwrap();
    let ns = lab.namespace("ns").unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| ns.run(|| panic!("inside"))));
    assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "inside");
}

fn carries_traffic(name: &str, kind: Kind) {
    let line = line(name);
    let west = tunnel_west(&line, kind);
    let east = tunnel_east(&line, kind);
    let mtu = tunnel_spec(kind, WEST, EAST, INNER_WEST).inner_mtu();
    // The largest packet that fits, in one piece.
    let report = Ping::new(INNER_EAST)
        .size(mtu - 28)
        .run(&line.west)
        .unwrap();
    assert!(report.is_clean(), "{report:?}");

    let report = TcpTransfer::new(&line.west, &line.east, INNER_EAST, 64 * MIB)
        .run()
        .unwrap();
    assert!(report.is_intact() && report.bytes == 64 * MIB, "{report:?}");
    eprintln!("{name}: {:.0} Mbit/s", report.bits_per_second() / 1e6);

    // The last acknowledgement may be on its way when both sides have all bytes.
    let deadline = Instant::now() + Duration::from_secs(5);
    let packets = || {
        let sent = west.report().tunnels["tun0"].sent_packets;
        (sent, east.report().tunnels["tun0"].received_packets)
    };
    while packets().0 != packets().1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let (west, east) = (west.report(), east.report());
    let (sent, received) = (west.tunnels["tun0"], east.tunnels["tun0"]);
    assert_eq!(
        (west.refused.len(), east.refused.len()),
        (0, 0),
        "{west:?} {east:?}"
    );
    assert_eq!((sent.not_sent, received.not_delivered), (0, 0));
    assert_eq!(sent.sent_packets, received.received_packets);
    assert_eq!(sent.sent_bytes, received.received_bytes);
    assert!(received.received_bytes > 64 * MIB);
    // 64 from the other end, less one by the router between.
    assert_eq!((received.outer_ttl, received.outer_tos), (63, 0));
    for ns in [&line.west, &line.router, &line.east] {
        assert_eq!(
            ns.snmp("Icmp", "OutDestUnreachs").unwrap(),
            0,
            "{}",
            ns.name()
        );
    }
}

fn line(name: &str) -> Line {
    let lab = Lab::new(name).unwrap();
    let [west, router, east] = ["west", "router", "east"].map(|name| lab.namespace(name).unwrap());
    lab.veth((&west, "eth0"), (&router, "west")).unwrap();
    lab.veth((&east, "eth0"), (&router, "east")).unwrap();
    router.address("west", "192.0.2.1/24").unwrap();
    router.address("east", "198.51.100.1/24").unwrap();
    router.sysctl("net.ipv4.ip_forward", "1").unwrap();
    for (host, address, gateway) in [
        (&west, WEST, [192, 0, 2, 1]),
        (&east, EAST, [198, 51, 100, 1]),
    ] {
        host.address("eth0", &format!("{address}/24")).unwrap();
        let default = Route::to("0.0.0.0/0")
            .unwrap()
            .via(Ipv4Addr::from(gateway).into());
        host.route(&default).unwrap();
    }
    Line {
        lab,
        west,
        router,
        east,
    }
}

fn tunnel_spec(kind: Kind, local: Ipv4Addr, remote: Ipv4Addr, inner: Ipv4Addr) -> TunnelSpec {
    TunnelSpec::new("tun0", kind, local, remote).address(format!("{inner}/30").parse().unwrap())
}

fn tunnel_west(line: &Line, kind: Kind) -> ClientEnd {
    ClientEnd::start_in(&line.west, vec![tunnel_spec(kind, WEST, EAST, INNER_WEST)]).unwrap()
}

fn tunnel_east(line: &Line, kind: Kind) -> ClientEnd {
    ClientEnd::start_in(&line.east, vec![tunnel_spec(kind, EAST, WEST, INNER_EAST)]).unwrap()
}

/// A namespace of another laboratory, joined to the one that ends by a veth pair: the pair goes when the
/// kernel has removed the namespace at its other end, and not before. (Inode numbers would not tell: the kernel
/// gives them to the next namespace.)
struct Witness {
    _lab: Lab,
    ns: Ns,
}

impl Witness {
    fn new() -> Self {
        let lab = Lab::new("witness").unwrap();
        let ns = lab.namespace("witness").unwrap();
        Self { _lab: lab, ns }
    }
}

/// What a laboratory must take with it.
struct Traces {
    directory: PathBuf,
    processes: Vec<u32>,
}

impl Traces {
    fn of(lab: &Lab) -> Self {
        let processes = lab.processes().unwrap();
        // The shell, its child and the client end.
        assert_eq!(processes.len(), 3, "{processes:?}");
        Self {
            directory: lab.directory().to_owned(),
            processes,
        }
    }

    fn assert_gone(&self, witness: &Witness) {
        for process in &self.processes {
            assert!(!is_running(*process), "process {process} is still there");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let directory = self.directory.to_str().unwrap();
        assert!(!mounts.contains(directory), "{directory} is still mounted");
        assert!(!self.directory.exists(), "{directory} is still there");
        // The kernel removes namespaces in the background.
        let deadline = Instant::now() + Duration::from_secs(20);
        while witness.ns.link("lab0").is_ok() || witness.ns.link("lab1").is_ok() {
            assert!(Instant::now() < deadline, "a namespace is still there");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A laboratory with something of everything: links, a client end as a program and one as threads, a shell that
/// leaves a child behind when it is killed, a mount.
fn busy_lab(witness: &Witness) -> (Lab, ClientEnd) {
    let line = line("busy");
    lab_links(&line, witness);
    let spec = tunnel_spec(Kind::Ipip, WEST, EAST, INNER_WEST).to_string();
    let mut command = line.west.command(env!("CARGO_BIN_EXE_tp-client-end"));
    let end = line
        .lab
        .spawn("end", command.args(["--tunnel", &spec]))
        .unwrap();
    assert!(
        end.wait_for_output("ready", Duration::from_secs(10))
            .unwrap()
    );
    let script = "mount -t tmpfs none \"$0\" && sleep 1000 & sleep 0.1; echo started; wait";
    let mount = line.lab.directory().join("mount");
    fs::create_dir(&mount).unwrap();
    let mut command = line.east.command("sh");
    let shell = line
        .lab
        .spawn("shell", command.args(["-c", script]).arg(&mount))
        .unwrap();
    assert!(
        shell
            .wait_for_output("started", Duration::from_secs(10))
            .unwrap()
    );
    let east = tunnel_east(&line, Kind::Ipip);
    // Only the laboratory is left to end them.
    std::mem::forget((end, shell));
    (line.lab, east)
}

fn lab_links(line: &Line, witness: &Witness) {
    line.lab
        .veth((&line.west, "wit0"), (&witness.ns, "lab0"))
        .unwrap();
    line.lab
        .veth((&line.east, "wit1"), (&witness.ns, "lab1"))
        .unwrap();
}

/// Whether a process exists and is more than an entry that its parent has not read yet.
fn is_running(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/status"))
        .is_ok_and(|status| !status.lines().any(|line| line.starts_with("State:\tZ")))
}
