//! The whole command against a fake daemon: a unix socket that speaks HTTP by hand, and answers
//! with JSON written by hand.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

/// A daemon that knows some answers.
struct FakeDaemon {
    directory: PathBuf,
}

impl FakeDaemon {
    /// Listens, and answers each (request line without version) as listed: status and body.
    fn answering(answers: &[(&str, u16, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tpctl-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        let daemon = Self { directory };
        let listener = UnixListener::bind(daemon.socket()).unwrap();
        let answers: BTreeMap<String, (u16, String)> = answers
            .iter()
            .map(|(request, status, body)| ((*request).to_owned(), (*status, (*body).to_owned())))
            .collect();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &answers);
            }
        });
        daemon
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("api.sock")
    }

    /// Runs tpctl with these words; standard output, standard error, and whether it ended so.
    fn run(&self, words: &str) -> Ran {
        run(&format!("--socket {} {words}", self.socket().display()))
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn serve(mut stream: UnixStream, answers: &BTreeMap<String, (u16, String)>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let request = first.trim_end_matches(" HTTP/1.1");
    for line in lines {
        if line.unwrap().is_empty() {
            break;
        }
    }
    let unknown = r#"{"kind":"not-found","message":"the fake daemon does not know this"}"#;
    let (status, body) = answers
        .get(request)
        .map_or((404, unknown), |(s, b)| (*s, b.as_str()));
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
    // Until the client has read it all.
    let _ = stream.read(&mut [0]);
}

/// What a run of tpctl gave.
#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
    code: ExitCode,
}

impl Ran {
    fn out(self) -> String {
        assert_eq!((self.err.as_str(), self.code), ("", ExitCode::SUCCESS));
        self.out
    }

    fn refused_with(self, code: u8) -> String {
        assert_eq!(
            (self.out.as_str(), self.code),
            ("", ExitCode::from(code)),
            "{}",
            self.err
        );
        self.err
    }
}

fn run(words: &str) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["tpctl"]
        .into_iter()
        .chain(words.split_whitespace())
        .map(Into::into);
    let code = tpctl::run(arguments, &mut out, &mut err);
    let [out, err] = [out, err].map(|bytes| String::from_utf8(bytes).unwrap());
    Ran { out, err, code }
}

const STATUS: &str = r#"{"version":"0.1.0","pid":77,"uptime_s":3600,"generation":5,
    "configuration":"/etc/tpd.toml","workers":[{"worker":0,"cpu":2,"generation":5},
    {"worker":1,"cpu":10,"generation":4}],"kernel":{"overruns":1,"resyncs":2,"refusals":0},
    "warnings":[{"file":"/etc/tpd.toml","line":9,"column":3,"message":"there is no route to 203.0.113.5",
    "help":"ip route get 203.0.113.5"}],"later":"a field that this version does not know"}"#;
const PORTS: &str = r#"[{"name":"ix0","ifindex":3,"mac":"02:00:00:00:00:10","mtu":1500,"up":true,
    "xdp":"native","queues":[{"queue":0,"worker":0,"mode":"copy"},{"queue":1,"worker":1,"mode":"zero-copy"}]},
    {"name":"lan0","ifindex":null,"mac":null,"mtu":null,"up":false,"xdp":"generic","queues":[],
    "fault":"no such device"}]"#;
const UPSTREAMS: &str = r#"[{"name":"isp1","kind":"vlan","port":"ix0","vlans":[{"vid":100,"service":true},
    {"vid":7,"service":false}],"next_hop":"192.0.2.1","next_hop_mac":null,"source_macs":[],"link":[],
    "shown_mac":"02:54:50:00:00:01","tunnels":2},
    {"name":"isp2","kind":"gue","key":null,"udp":{"port":6080,"remote_port":6081,"checksum":false},
    "local":"2001:db8::10","remote":"2001:db8:1::1","ttl":64,"dscp":0,"reach":null,
    "next_hop":null,"next_hop_mac":null,"source_macs":[],"link":[{"portal":"fd00::1","peer":"fd00::2"}],
    "shown_mac":"02:54:50:00:00:02","tunnels":0}]"#;
const CLIENTS: &str = r#"[{"name":"acme","asn":64600,"prefixes":["198.51.100.0/25","203.0.113.0/24"],
    "rates":{"from_client":{"bits_per_second":100000000,"burst_bytes":65536},"to_client":null},
    "tunnels":["acme-isp1"]},{"name":"globex","asn":null,"prefixes":["198.51.100.128/25"],
    "rates":{"from_client":null,"to_client":null},"tunnels":[]}]"#;
const TUNNELS: &str = r#"[{"name":"acme-isp1","client":"acme","upstreams":[{"upstream":"isp1"}],"kind":"gre","key":1,
    "local":"192.0.2.10","remote":"203.0.113.5","ttl":64,"dscp":0,"routes":["198.51.100.0/25"],
    "rates":{"from_client":null,"to_client":null},"link":[],
    "reach":{"port":"lan0","gateway":"192.0.2.9","mac":"02:00:00:00:00:09"}},
    {"name":"globex","client":"globex","upstreams":[{"upstream":"isp1","next_hops":["100.65.0.1","fd00:65::1"]},
    {"upstream":"isp2","next_hops":["100.65.0.2"]}],"kind":"port","port":"lan0","vlans":[],
    "ethernet":{"own":"02:00:00:00:00:99","peer":null},"link":[{"portal":"100.65.0.254","peer":"100.65.0.10"},
    {"portal":"fd00:65::fe","peer":"fd00:65::10"}],"routes":[],
    "rates":{"from_client":null,"to_client":null}},
    {"name":"globex-isp1","client":"globex","upstreams":[{"upstream":"isp1"}],"kind":"ipip","key":null,
    "local":"192.0.2.11","remote":"203.0.113.77","ttl":32,"dscp":10,"link":[],"routes":[],
    "rates":{"from_client":null,"to_client":{"bits_per_second":8000,"burst_bytes":4096}},"reach":null}]"#;
const VFIB: &str = r#"{"name":"isp1","routes":[{"prefix":"0.0.0.0/0","to":"upstream","upstream":"isp1"},
    {"prefix":"198.51.100.0/25","to":"tunnel","tunnel":"acme-isp1","client":"acme"},
    {"prefix":"192.0.2.0/24","to":"kernel"},{"prefix":"10.0.0.0/8","to":"drop"},
    {"prefix":"2001:db8:ac::/48","to":"tunnel","tunnel":"acme-isp1","client":"acme"}]}"#;
const NEIGHBOURS: &str = r#"[{"port":"ix0","address":"192.0.2.1","mac":"02:00:00:00:00:01",
    "users":["isp1","acme-isp1"]},{"port":"lan0","address":"192.0.2.9","mac":null,"users":["acme-isp2"]}]"#;
const COUNTERS: &str = r#"{"ports":[{"port":"ix0","steering":{"seen":100,"passed":7,"redirected":90,
    "not-for-us":3},"rings":[{"queue":0,"rx_dropped":0,"rx_invalid_descs":0,"tx_invalid_descs":0,
    "rx_ring_full":4,"rx_fill_ring_empty_descs":1,"tx_ring_empty_descs":12,"suspects":0}]}],
    "no_port":{"seen":2,"no-port":2},
    "workers":[{"worker":0,"rx":50,"originated":0,"copies":0,"tx":40,"punted":1,"merged":0,"held":2,
    "dropped":{"no-route":6,"forged-source":1}},{"worker":1,"rx":36,"originated":0,"copies":0,"tx":36,
    "punted":0,"merged":0,"held":0,"dropped":{}}],
    "slow_path":{"to_tun":1,"to_tap":0,"answered":0,"dropped_to_kernel":{},"from_tun":5,"from_tap":0,"originated":0,
    "dropped_from_kernel":{"group":5}},
    "frames":{"total":16384,"owners":{"pool":16000,"fill":384}},
    "upstreams":[{"name":"isp1","rx_packets":36,"rx_bytes":3600,"tx_packets":40,"tx_bytes":4000,"dropped_packets":0}],
    "tunnels":[{"name":"acme-isp1","rx_packets":50,"rx_bytes":5000,"tx_packets":36,"tx_bytes":3600,"dropped_packets":7}]}"#;
const DROPS: &str = r#"{"drops":[{"stage":"steering","at":"ix0","reason":"not-for-us","packets":3},
    {"stage":"ring","at":"ix0/0","reason":"rx_ring_full","packets":4},
    {"stage":"worker","at":"0","reason":"no-route","packets":123456}]}"#;
const LOOKUP: &str = r#"{"vfib":"isp1","address":"198.51.100.7","route":{"prefix":"198.51.100.0/25",
    "to":"tunnel","tunnel":"acme-isp1","client":"acme"},"egress":{"port":"lan0","mac":"02:00:00:00:00:09",
    "vlans":[{"vid":7,"service":false}],"outer":{"kind":"gre","key":1,"source":"192.0.2.10",
    "destination":"203.0.113.5"}},"drop":null,"generation":5}"#;

const LOOKUP6: &str = r#"{"vfib":"isp1","address":"2001:db8:ac::7","route":{"prefix":"2001:db8:ac::/48",
    "to":"tunnel","tunnel":"acme","client":"acme"},"egress":{"port":"lan0","mac":"02:00:00:00:00:09",
    "vlans":[],"outer":{"kind":"egre","key":null,"source":"192.0.2.10","destination":"203.0.113.5"},
    "inner_mac":"02:00:00:00:00:77"},"drop":null,"generation":5}"#;

macro_rules! shown {
    ($($name:ident: $words:literal, $path:literal => $body:expr;)*) => {$(
        #[test]
        fn $name() {
            let daemon = FakeDaemon::answering(&[($path, 200, $body)]);
            insta::assert_snapshot!(stringify!($name), daemon.run($words).out());
            // And the API's own answer, what this version does not know included.
            let json = daemon.run(concat!($words, " --json")).out();
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(parsed, serde_json::from_str::<serde_json::Value>($body).unwrap());
            assert!(json.contains("\n  "), "pretty");
        }
    )*};
}

shown! {
    status: "show status", "GET /v1/status" => STATUS;
    ports: "show ports", "GET /v1/ports" => PORTS;
    upstreams: "show upstreams", "GET /v1/upstreams" => UPSTREAMS;
    clients: "show clients", "GET /v1/clients" => CLIENTS;
    tunnels: "show tunnels", "GET /v1/tunnels" => TUNNELS;
    vfibs: "show vfib", "GET /v1/vfib" => r#"[{"name":"isp1","routes":3},{"name":"isp2","routes":1000000}]"#;
    vfib: "show vfib isp1", "GET /v1/vfib/isp1" => VFIB;
    neighbours: "show neighbours", "GET /v1/neighbours" => NEIGHBOURS;
    counters: "show counters", "GET /v1/counters" => COUNTERS;
    drops: "show drops", "GET /v1/drops" => DROPS;
    lookup: "lookup isp1 198.51.100.7", "GET /v1/lookup/isp1/198.51.100.7" => LOOKUP;
    lookup_of_ipv6: "lookup isp1 2001:db8:ac::7", "GET /v1/lookup/isp1/2001:db8:ac::7" => LOOKUP6;
    lookup_without_route: "lookup isp1 10.0.0.1", "GET /v1/lookup/isp1/10.0.0.1" =>
        r#"{"vfib":"isp1","address":"10.0.0.1","route":null,"egress":null,"drop":"no-route","generation":5}"#;
    reload: "reload", "POST /v1/reload" => r#"{"generation":6,"changed":true,"took_us":1500,"warnings":[]}"#;
}

#[test]
fn a_refused_configuration_is_told_with_its_places() {
    let body = r#"{"kind":"configuration","message":"2 errors in /etc/tpd.toml; nothing was changed",
        "places":[{"file":"/etc/tpd.toml","line":3,"column":12,"message":"CPU 9 is not there","help":"the CPUs are 0-1"},
        {"file":"/etc/tpd.toml","line":20,"column":1,"message":"unknown field `prot`"}]}"#;
    let daemon = FakeDaemon::answering(&[("POST /v1/reload", 422, body)]);
    insta::assert_snapshot!(daemon.run("reload").refused_with(1));
    // With --json too, what is refused is an error.
    daemon.run("reload --json").refused_with(1);
}

#[test]
fn a_name_that_is_not_there_is_refused() {
    let body = r#"{"kind":"not-found","message":"there is no virtual FIB isp9","help":"there are: isp1, isp2"}"#;
    let daemon = FakeDaemon::answering(&[("GET /v1/vfib/isp9", 404, body)]);
    insta::assert_snapshot!(daemon.run("show vfib isp9").refused_with(1));
}

#[test]
fn no_daemon() {
    let message = run("--socket /run/tpctl-test/none.sock show status").refused_with(3);
    insta::assert_snapshot!(message);
}

#[test]
fn a_socket_that_nobody_listens_on() {
    let daemon = FakeDaemon::answering(&[]);
    let dead = daemon.directory.join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let message = run(&format!("--socket {} show status", dead.display())).refused_with(3);
    assert!(
        message.starts_with("tpctl: no daemon listens on /"),
        "{message}"
    );
}

#[test]
fn an_answer_of_another_version() {
    let daemon = FakeDaemon::answering(&[("GET /v1/status", 200, r#"{"version":"9"}"#)]);
    let message = daemon.run("show status").refused_with(4);
    assert!(message.contains("(200) is not understood"), "{message}");
    assert!(message.contains("missing field `pid`"), "{message}");
    assert!(
        message.contains("is the daemon of another version than tpctl"),
        "{message}"
    );
}

#[test]
fn wrong_usage() {
    for words in [
        "",
        "show",
        "show cake",
        "lookup isp1 nowhere",
        "lookup isp1",
        "show status extra",
    ] {
        let ran = run(words);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (ExitCode::from(2), ""),
            "{words}"
        );
        assert!(
            ran.err.contains("--help") || ran.err.contains("Usage"),
            "{words}: {}",
            ran.err
        );
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let help = run("--help").out();
    assert!(help.contains("3 no daemon to be reached"), "{help}");
    assert!(
        !help.contains("  man "),
        "the page generator is for packagers: {help}"
    );
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&format!("completions {shell}")).out();
        assert!(
            script.contains("neighbours") && script.contains("json"),
            "{shell}"
        );
    }
}

#[test]
fn manual_pages_are_written_for_each_command() {
    let daemon = FakeDaemon::answering(&[]);
    let directory = daemon.directory.join("man");
    std::fs::create_dir(&directory).unwrap();
    run(&format!("man {}", directory.display())).out();
    for page in [
        "tpctl.1",
        "tpctl-show.1",
        "tpctl-show-vfib.1",
        "tpctl-reload.1",
    ] {
        let text = std::fs::read_to_string(directory.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
}
