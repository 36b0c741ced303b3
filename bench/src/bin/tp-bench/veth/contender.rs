//! Programs that forward between the laboratory's two ports.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tp_bench::{FrameSpec, Namespace, Signature, Template};

use super::laboratory::{A_MAC, B_MAC, PORT_A, PORT_A_MAC, PORT_B, PORT_B_MAC};
use super::{Broken, system};

/// CPU of the forwarder; the generator has another.
pub(super) const FORWARDER_CPU: usize = 0;
const READY: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(5);

/// One side of the laboratory as a contender sees it.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// What is sent from here.
    pub(crate) sent: Vec<Template>,
    /// What may arrive here.
    pub(crate) arrives: BTreeSet<Signature>,
}

/// A program that forwards, and the traffic that it should.
#[derive(Debug)]
pub(crate) struct Contender {
    /// Its name in the output.
    pub(crate) peer: &'static str,
    /// Program and arguments. It prints "ready" when it forwards, and ends with its standard input.
    pub(crate) command: Vec<String>,
    /// At a, and at b.
    pub(crate) traffic: [Traffic; 2],
}

impl Contender {
    /// The bare forwarder: frames leave as they came.
    pub(crate) fn bare(program: &Path) -> Result<Self, Broken> {
        let (host_a, host_b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1));
        let to_b = FrameSpec::new(A_MAC, PORT_A_MAC, host_a, host_b);
        let to_a = FrameSpec::new(B_MAC, PORT_B_MAC, host_b, host_a);
        let cpu = FORWARDER_CPU.to_string();
        Ok(Self {
            peer: "xsk-rs-l2fwd",
            command: vec![
                program.display().to_string(),
                PORT_A.into(),
                PORT_B.into(),
                cpu,
            ],
            traffic: [
                Traffic {
                    sent: vec![Template::new(0, &to_b)?],
                    arrives: BTreeSet::from([unchanged(1, &to_a)]),
                },
                Traffic {
                    sent: vec![Template::new(1, &to_a)?],
                    arrives: BTreeSet::from([unchanged(0, &to_b)]),
                },
            ],
        })
    }

    /// Starts it in the namespace that holds the ports, and waits until it forwards.
    pub(super) fn start(&self, namespace: &Namespace) -> Result<Running, Broken> {
        // setns and then exec: the process that is started is the forwarder itself.
        let mut child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", namespace.name()))
            .args(&self.command)
            // libxdp would put a dispatcher in front of the program, which costs and needs a bpffs.
            .env("LIBXDP_SKIP_DISPATCHER", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(system("start the forwarder"))?;
        let output = child.stdout.take();
        let running = Running { child };
        let (ready, waits) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output?).lines();
            for line in lines.map_while(Result::ok) {
                if line == "ready" {
                    // Nobody waits any more if it took too long.
                    let _ = ready.send(());
                }
            }
            Some(())
        });
        match waits.recv_timeout(READY) {
            Ok(()) => Ok(running),
            Err(_) => Err(Broken::NotReady {
                peer: self.peer,
                seconds: READY.as_secs(),
            }),
        }
    }
}

/// The look of a plain frame that nobody changed.
fn unchanged(template: u32, spec: &FrameSpec) -> Signature {
    Signature {
        template,
        dst_mac: spec.dst_mac,
        src_mac: spec.src_mac,
        vlans: [0, 0],
        outer: None,
        source: spec.source,
        destination: spec.destination,
        ttl: spec.ttl,
    }
}

/// A forwarder that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
}

impl Running {
    /// CPU time that it has used, in user space and in the kernel.
    pub(super) fn cpu_time(&self) -> Result<Duration, Broken> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .map_err(system("read the forwarder's CPU time"))?;
        Ok(cpu_time(&stat).unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        for _ in 0..STOP.as_millis() / 10 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        // It did not end with its input. Both calls fail only if it has ended meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Fields 14 and 15, utime and stime (proc(5)), in ticks of 1/100 s on every architecture.
fn cpu_time(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(10 * (user + system)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 10 0 0 0 123 45 6 7 20 0 1 0 100 0 0";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1680)));
        assert_eq!(cpu_time("7 (a) S 1"), None);
    }
}
