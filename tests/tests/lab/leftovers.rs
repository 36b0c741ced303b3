//! What a laboratory leaves behind: nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write, stdout};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tp_tests::client::{ClientEnd, Kind};
use tp_tests::lab::{Lab, Ns};

use crate::client::{tunnel_east, tunnel_west_spec};
use crate::{Line, line};

/// Set in the environment of the process that a test kills.
const VICTIM: &str = "TP_LAB_VICTIM";

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
    let spec = tunnel_west_spec(Kind::Ipip).to_string();
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
