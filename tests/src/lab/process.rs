//! Processes of a laboratory: started with their output in files, ended and reaped with it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::LabError;

/// How often a waiting function looks again.
const POLL: Duration = Duration::from_millis(10);

/// A process that ends with its value, or with the laboratory, whichever is dropped first.
#[derive(Debug)]
pub struct Process {
    shared: Arc<Shared>,
}

/// What the handle and the laboratory both hold.
#[derive(Debug)]
pub(crate) struct Shared {
    name: String,
    child: Mutex<Child>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts the command with its output in `NAME.out` and `NAME.err` of the directory.
    pub(crate) fn start(
        spawner: &Spawner,
        directory: &Path,
        name: &str,
        command: &Command,
    ) -> Result<Self, LabError> {
        let stdout = directory.join(format!("{name}.out"));
        let stderr = directory.join(format!("{name}.err"));
        let create = |path: &Path| {
            File::create(path)
                .map_err(|source| LabError::os(format!("make {}", path.display()), source))
        };
        let mut command = bound_to_this_process(command);
        command
            .stdin(Stdio::null())
            .stdout(create(&stdout)?)
            .stderr(create(&stderr)?);
        let child = spawner
            .spawn(command)
            .map_err(|source| LabError::os(format!("start {name}"), source))?;
        let shared = Shared {
            name: name.to_owned(),
            child: Mutex::new(child),
            stdout,
            stderr,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.shared.child().id()
    }

    /// What it wrote to standard output until here.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.shared.stdout).unwrap_or_default()
    }

    /// What it wrote to standard error until here.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.shared.stderr).unwrap_or_default()
    }

    /// Waits until standard output contains a text; false when the time is over or the process has ended
    /// without writing it.
    pub fn wait_for_output(&self, text: &str, timeout: Duration) -> Result<bool, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            // Looked at before the output: what was written before the end must be seen.
            let over = self.exited()?.is_some() || Instant::now() >= deadline;
            if self.stdout().contains(text) {
                return Ok(true);
            }
            if over {
                return Ok(false);
            }
            thread::sleep(POLL);
        }
    }

    /// Sends a signal; nothing happens when the process has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), LabError> {
        self.shared.signal(signal)
    }

    /// How it ended, if it did.
    pub fn exited(&self) -> Result<Option<ExitStatus>, LabError> {
        self.shared.exited()
    }

    /// Waits for its end; `None` when the time is over.
    pub fn wait(&self, timeout: Duration) -> Result<Option<ExitStatus>, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.exited()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }

    /// Asks it to end with SIGTERM; `None` when it did not within the time and was killed.
    pub fn stop(&self, timeout: Duration) -> Result<Option<ExitStatus>, LabError> {
        self.signal(Signal::SIGTERM)?;
        let status = self.wait(timeout)?;
        if status.is_none() {
            self.shared.end();
        }
        Ok(status)
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Shared {
    /// Kills and reaps; harmless when that was done before.
    pub(crate) fn end(&self) {
        let mut child = self.child();
        // Child::kill sends nothing once the child is reaped, so a reused id cannot be hit.
        if let Err(error) = child.kill().and_then(|()| child.wait()) {
            eprintln!("laboratory: {} could not be ended: {error}", self.name);
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let mut child = self.child();
        // Holding the lock and having seen it unreaped, the id is still the child's.
        let ended = child
            .try_wait()
            .map_err(|source| LabError::os(format!("wait for {}", self.name), source))?
            .is_some();
        if ended {
            return Ok(());
        }
        kill(pid(child.id()), signal)
            .map_err(|source| LabError::os(format!("signal {}", self.name), source))
    }

    fn exited(&self) -> Result<Option<ExitStatus>, LabError> {
        self.child()
            .try_wait()
            .map_err(|source| LabError::os(format!("wait for {}", self.name), source))
    }

    /// A panic of another thread leaves a `Child` as usable as it was.
    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that starts processes. It lives as long as the laboratory because a parent death signal comes when
/// the *thread* that forked ends (prctl(2), `PR_SET_PDEATHSIG`).
#[derive(Debug)]
pub(crate) struct Spawner {
    jobs: mpsc::Sender<Job>,
}

type Job = (Command, mpsc::Sender<io::Result<Child>>);

impl Spawner {
    pub(crate) fn start() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        // Ends when the sender is dropped.
        thread::spawn(move || {
            for (mut command, answer) in queue {
                // The asker waits for the answer, so it is there to take it.
                let _ = answer.send(command.spawn());
            }
        });
        Self { jobs }
    }

    fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, answered) = mpsc::channel();
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.jobs
            .send((command, answer))
            .map_err(|_| gone(mpsc::RecvError))?;
        answered.recv().map_err(gone)?
    }
}

/// The same command, killed by the kernel when this process dies without a chance to clean up.
fn bound_to_this_process(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        bound.current_dir(directory);
    }
    bound
}

/// Ids of the processes whose main thread is in one of the network namespaces, this one excepted.
pub(crate) fn processes_in(namespaces: &[(u64, u64)]) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| *id != std::process::id())
        .filter(|id| {
            fs::metadata(format!("/proc/{id}/ns/net"))
                .is_ok_and(|ns| namespaces.contains(&(ns.dev(), ns.ino())))
        })
        .collect()
}

/// Kills every process that is in one of the network namespaces: grandchildren that their parents left there.
/// Nobody but the laboratory puts a process there, so none of somebody else's is hit.
pub(crate) fn kill_processes_in(namespaces: &[(u64, u64)]) {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let left = processes_in(namespaces);
        if left.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            eprintln!("laboratory: processes {left:?} stay");
            return;
        }
        for id in left {
            // ESRCH: it ended by itself.
            let _ = kill(pid(id), Signal::SIGKILL);
        }
        thread::sleep(POLL);
    }
}

fn pid(id: u32) -> Pid {
    // Linux process ids are below 2^22 (PID_MAX_LIMIT of linux/threads.h).
    Pid::from_raw(i32::try_from(id).unwrap_or(i32::MAX))
}
