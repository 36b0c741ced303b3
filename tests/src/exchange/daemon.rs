//! `tpd` and `tpctl` in a laboratory, as an operator runs them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Lab, LabError, Ns, Process};

/// How long a start or stop may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a waiting function looks again.
const POLL: Duration = Duration::from_millis(20);

/// Path of a binary of this workspace, built beside the running one.
///
/// # Errors
/// It is not there.
pub fn binary(name: &str) -> Result<String, LabError> {
    let missing = |what: String| LabError::Program {
        program: "cargo",
        package: "the workspace's binaries (cargo build --workspace --bins)",
        reason: what,
    };
    let here = std::env::current_exe().map_err(|e| missing(e.to_string()))?;
    here.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .map(|path| path.display().to_string())
        .ok_or_else(|| missing(format!("{name} is not beside {}", here.display())))
}

/// A running daemon.
#[derive(Debug)]
pub struct Tpd {
    process: Process,
    ns: Ns,
    directory: PathBuf,
}

impl Tpd {
    /// Writes the configuration, starts the daemon in the namespace and waits until it serves.
    ///
    /// # Errors
    /// It ended, or was not ready in time; the message has what it wrote.
    pub fn start(lab: &Lab, ns: &Ns, config: &str) -> Result<Self, LabError> {
        let directory = lab.directory().to_owned();
        write(&directory, config)?;
        let mut command = ns.command(&binary("tpd")?);
        command.arg("--config").arg(directory.join("tpd.toml"));
        let process = lab.spawn("tpd", &command)?;
        let tpd = Self {
            process,
            ns: ns.clone(),
            directory,
        };
        tpd.wait_ready()?;
        Ok(tpd)
    }

    fn wait_ready(&self) -> Result<(), LabError> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && self.process.exited()?.is_none() {
            if self.tpctl(&["show", "status"])?.status.success() {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Err(LabError::Program {
            program: "tpd",
            package: "this workspace",
            reason: format!(
                "not ready:\n{}{}",
                self.process.stdout(),
                self.process.stderr()
            ),
        })
    }

    /// Runs `tpctl` with these arguments.
    ///
    /// # Errors
    /// It could not be started.
    pub fn tpctl(&self, arguments: &[&str]) -> Result<Output, LabError> {
        let mut command = self.ns.command(&binary("tpctl")?);
        command
            .arg("--socket")
            .arg(self.directory.join("api.sock"))
            .args(arguments);
        command.output().map_err(|error| LabError::Program {
            program: "tpctl",
            package: "this workspace",
            reason: error.to_string(),
        })
    }

    /// What `tpctl ... --json` answers.
    ///
    /// # Errors
    /// It failed, or the answer is no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, LabError> {
        let output = self.tpctl(&[arguments, &["--json"]].concat())?;
        serde_json::from_slice(&output.stdout).map_err(|error| LabError::Program {
            program: "tpctl",
            package: "this workspace",
            reason: format!("{error}\n{}", String::from_utf8_lossy(&output.stderr)),
        })
    }

    /// Waits until an answer of `tpctl ... --json` is as it should be.
    ///
    /// # Errors
    /// It is not in time; `what` names what was waited for.
    pub fn wait_until(
        &self,
        question: &[&str],
        what: &str,
        patience: Duration,
        good: impl Fn(&Value) -> bool,
    ) -> Result<(), LabError> {
        let deadline = Instant::now() + patience;
        loop {
            let answer = self.json(question)?;
            if good(&answer) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(LabError::Program {
                    program: "tpctl",
                    package: "this workspace",
                    reason: format!("{question:?}: not yet that {what}: {answer:#}"),
                });
            }
            std::thread::sleep(POLL);
        }
    }

    /// Packets that the workers dropped for this reason.
    ///
    /// # Errors
    /// `tpctl` failed.
    pub fn dropped(&self, reason: &str) -> Result<u64, LabError> {
        let counters = self.json(&["show", "counters"])?;
        let workers = counters["workers"].as_array().cloned().unwrap_or_default();
        let counts = workers.iter().filter_map(|w| w["dropped"][reason].as_u64());
        Ok(counts.sum())
    }

    /// Puts another configuration into force by `tpctl reload`.
    ///
    /// # Errors
    /// `tpctl` could not be started; its refusal is in the output.
    pub fn reload(&self, config: &str) -> Result<Output, LabError> {
        write(&self.directory, config)?;
        self.tpctl(&["reload"])
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    /// The kernel refuses the signal.
    pub fn kill(self) -> Result<(), LabError> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(PATIENCE)?;
        Ok(())
    }

    /// Asks it to stop, and waits for its end.
    ///
    /// # Errors
    /// The kernel refuses the signal.
    pub fn stop(self) -> Result<Option<std::process::ExitStatus>, LabError> {
        self.process.stop(PATIENCE)
    }
}

fn write(directory: &Path, config: &str) -> Result<(), LabError> {
    let path = directory.join("tpd.toml");
    std::fs::write(&path, config)
        .map_err(|source| LabError::os(format!("write {}", path.display()), source))
}
