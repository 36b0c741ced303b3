//! The process of a contender.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tp_bench::Namespace;

use super::cpu::CpuTime;
use super::{Broken, system};

const READY: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// A running program, stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    peer: &'static str,
    child: Child,
    lines: Receiver<String>,
    errors: PathBuf,
}

impl Process {
    /// Starts program and arguments in a network namespace. What it says of errors goes to this file.
    pub(super) fn start(
        peer: &'static str,
        command: &[String],
        namespace: &Namespace,
        errors: &Path,
    ) -> Result<Self, Broken> {
        let said = File::create(errors).map_err(system("make a log file"))?;
        // setns and then exec: the process that is started is the program itself.
        let mut child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", namespace.name()))
            .args(command)
            // libxdp would put a dispatcher in front of the program, which costs and needs a bpffs.
            .env("LIBXDP_SKIP_DISPATCHER", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .map_err(system("start a contender"))?;
        let lines = lines(child.stdout.take());
        Ok(Self {
            peer,
            child,
            lines,
            errors: errors.to_owned(),
        })
    }

    /// Asks again and again until the answer is yes.
    pub(super) fn wait_until_ready(
        &mut self,
        mut is_ready: impl FnMut(&Self) -> Result<bool, Broken>,
    ) -> Result<(), Broken> {
        let until = Instant::now() + READY;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            if is_ready(self)? {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        Err(Broken::NotReady {
            peer: self.peer,
            seconds: READY.as_secs(),
            said: self.said(),
        })
    }

    /// A line that it wrote to its standard output since the last one that was taken.
    pub(super) fn line(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// CPU time that its threads have used and waited for.
    pub(super) fn cpu_time(&self) -> Result<CpuTime, Broken> {
        CpuTime::of_process(self.child.id()).map_err(system("read a contender's CPU time"))
    }

    /// Ends its standard input, waits for its end and returns its last line.
    pub(super) fn end_input(mut self) -> Result<String, Broken> {
        drop(self.child.stdin.take());
        self.wait()?;
        // It has ended, so its lines do.
        self.lines.iter().last().ok_or_else(|| self.bad_end())
    }

    /// Asks it to end by a signal, and waits for that.
    pub(super) fn terminate(mut self) -> Result<(), Broken> {
        self.signal();
        self.wait()
    }

    fn signal(&self) {
        // It fails only if the process has ended, and that is what is wanted.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    fn wait(&mut self) -> Result<(), Broken> {
        let until = Instant::now() + STOP;
        while Instant::now() < until {
            match self
                .child
                .try_wait()
                .map_err(system("wait for a contender"))?
            {
                Some(status) if status.success() => return Ok(()),
                Some(_) => break,
                None => thread::sleep(PAUSE),
            }
        }
        Err(self.bad_end())
    }

    fn bad_end(&self) -> Broken {
        Broken::BadEnd {
            peer: self.peer,
            said: self.said(),
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.signal();
        if self.wait().is_err() {
            // Both calls fail only if it has ended meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Takes lines out of the pipe as they come, so that the program never waits for a reader.
fn lines(output: Option<ChildStdout>) -> Receiver<String> {
    let (taken, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output?).lines().map_while(Result::ok) {
            taken.send(line).ok()?;
        }
        Some(())
    });
    lines
}
