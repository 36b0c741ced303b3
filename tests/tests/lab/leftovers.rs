//! What a laboratory leaves behind: nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tp_tests::client::{ClientEnd, Kind};
use tp_tests::lab::{Lab, Ns};

use crate::client::{tunnel_east, tunnel_west_spec};
use crate::line;

/// Set in the environment of the process that a test kills.
const VICTIM: &str = "TP_LAB_VICTIM";

#[test]
fn nothing_is_left_behind() {
    let witness = Witness::new();
    let busy = busy_lab(&witness);
    let traces = Traces::of(&busy);
    drop(busy);
    traces.assert_gone(&witness);
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let witness = Witness::new();
    let mut traces = None;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let busy = busy_lab(&witness);
        traces = Some(Traces::of(&busy));
        panic!("a test fails");
    }));
    assert!(panic.is_err());
    traces.unwrap().assert_gone(&witness);
}

#[test]
fn processes_die_with_a_process_that_is_killed() {
    if std::env::var_os(VICTIM).is_some() {
        return be_the_victim();
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "leftovers::processes_die_with_a_process_that_is_killed",
            "--nocapture",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let mut words = lines.map_while(Result::ok).filter_map(|line| {
        let (directory, process) = line.strip_prefix("victim ")?.split_once(' ')?;
        Some((PathBuf::from(directory), process.parse::<u32>().ok()?))
    });
    let (directory, process) = words.next().unwrap();
    assert!(is_running(process));
    victim.kill().unwrap();
    victim.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_running(process) {
        assert!(
            Instant::now() < deadline,
            "process {process} is still there"
        );
        thread::sleep(Duration::from_millis(10));
    }
    fs::remove_dir_all(directory).unwrap();
}

/// Starts a process and waits for the end.
fn be_the_victim() {
    let lab = Lab::new("victim").unwrap();
    let ns = lab.namespace("ns").unwrap();
    let sleep = lab.spawn("sleep", ns.command("sleep").arg("60")).unwrap();
    // Until nsenter has become sleep, the signal might be set or not.
    let comm = format!("/proc/{}/comm", sleep.id());
    while fs::read_to_string(&comm).unwrap() != "sleep\n" {
        thread::sleep(Duration::from_millis(1));
    }
    let report = format!("victim {} {}\n", lab.directory().display(), sleep.id());
    stdout().write_all(report.as_bytes()).unwrap();
    thread::sleep(Duration::from_secs(60));
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
    started: [u32; 3],
    inside: Vec<u32>,
}

impl Traces {
    fn of(busy: &Busy) -> Self {
        let inside = busy.lab.processes().unwrap();
        // The shell, its child and the client end.
        assert_eq!(inside.len(), 3, "{inside:?}");
        Self {
            directory: busy.lab.directory().to_owned(),
            started: busy.started,
            inside,
        }
    }

    fn assert_gone(&self, witness: &Witness) {
        for process in self.started {
            let entry = format!("/proc/{process}");
            assert!(
                !Path::new(&entry).exists(),
                "process {process} was not reaped"
            );
        }
        for process in &self.inside {
            assert!(!is_running(*process), "process {process} is still there");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let directory = self.directory.to_str().unwrap();
        assert!(
            !mounts.contains(&format!("{directory}/")),
            "{directory} is still mounted"
        );
        assert!(!self.directory.exists(), "{directory} is still there");
        // The kernel removes namespaces in the background.
        let deadline = Instant::now() + Duration::from_secs(20);
        while witness.ns.link("lab0").is_ok() || witness.ns.link("lab1").is_ok() {
            assert!(Instant::now() < deadline, "a namespace is still there");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Something of everything: links, a client end as a program and one as threads, a shell that leaves a child
/// behind when it is killed, a process outside the namespaces, a mount.
struct Busy {
    lab: Lab,
    _client: ClientEnd,
    started: [u32; 3],
}

fn busy_lab(witness: &Witness) -> Busy {
    let line = line("busy");
    for (ns, end) in [(&line.west, "lab0"), (&line.east, "lab1")] {
        line.lab.veth((ns, "witness"), (&witness.ns, end)).unwrap();
    }
    let spec = tunnel_west_spec(Kind::IPIP).to_string();
    let mut command = line.west.command(env!("CARGO_BIN_EXE_tp-client-end"));
    let end = line
        .lab
        .spawn("end", command.args(["--tunnel", &spec]))
        .unwrap();
    assert!(
        end.wait_for_output("ready", Duration::from_secs(10))
            .unwrap()
    );
    let script = "mount -t tmpfs none \"$0\"; sleep 1000 & echo started; wait";
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
    let mut command = Command::new("sleep");
    let outside = line.lab.spawn("outside", command.arg("1000")).unwrap();
    let started = [end.id(), shell.id(), outside.id()];
    let client = tunnel_east(&line, Kind::IPIP);
    // Only the laboratory is left to end them.
    std::mem::forget((end, shell, outside));
    Busy {
        lab: line.lab,
        _client: client,
        started,
    }
}

/// Whether a process exists and is more than an entry that its parent has not read yet.
fn is_running(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/status"))
        .is_ok_and(|status| !status.lines().any(|line| line.starts_with("State:\tZ")))
}
