//! BIRD as a process of a laboratory.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::Speaker;
use crate::lab::{Lab, LabError, Ns, Process};

/// How often a waiting function looks again.
const POLL: Duration = Duration::from_millis(50);
/// How long its start may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running BIRD; it ends with the value.
#[derive(Debug)]
pub struct Bird {
    process: Process,
    ns: Ns,
    socket: PathBuf,
}

impl Bird {
    /// Starts it in a namespace and waits until it answers. The name is unique in the laboratory.
    ///
    /// # Errors
    /// It is not installed, or refuses its configuration; the message has what it wrote.
    pub fn start(lab: &Lab, ns: &Ns, name: &str, speaker: &Speaker) -> Result<Self, LabError> {
        let file = |suffix: &str| lab.directory().join(format!("{name}.{suffix}"));
        let (config, socket) = (file("conf"), file("ctl"));
        fs::write(&config, speaker.config())
            .map_err(|source| LabError::os(format!("write {}", config.display()), source))?;
        let mut command = ns.command("bird");
        command
            .arg("-f")
            .arg("-c")
            .arg(&config)
            .arg("-s")
            .arg(&socket);
        let process = lab.spawn(name, &command)?;
        let bird = Self {
            process,
            ns: ns.clone(),
            socket,
        };
        let deadline = Instant::now() + PATIENCE;
        while bird.query("show status").is_err() {
            if Instant::now() >= deadline || bird.process.exited()?.is_some() {
                return Err(failed(&bird.process.stderr()));
            }
            thread::sleep(POLL);
        }
        Ok(bird)
    }

    /// What it answers to a command of `birdc`.
    ///
    /// # Errors
    /// It does not answer.
    pub fn query(&self, question: &str) -> Result<String, LabError> {
        let mut command = self.ns.command("birdc");
        command.arg("-s").arg(&self.socket);
        let output = command.args(question.split(' ')).output();
        let output = output.map_err(|error| failed(&error.to_string()))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(failed(&String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Waits until a session is established; answers since when it is.
    ///
    /// # Errors
    /// It is not in time; the message has what BIRD says of it.
    pub fn wait_established(&self, session: &str, timeout: Duration) -> Result<Duration, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(since) = self.established(session)? {
                return Ok(since);
            }
            if Instant::now() >= deadline {
                let all = self.query(&format!("show protocols all {session}"))?;
                return Err(failed(&all));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until a session has brought a route to a prefix.
    ///
    /// # Errors
    /// It does not in time; the message has what it did bring.
    pub fn wait_route(
        &self,
        session: &str,
        prefix: &str,
        timeout: Duration,
    ) -> Result<(), LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            let routes = self.query(&format!("show route protocol {session}"))?;
            let mut words = routes.lines().filter_map(|line| line.split(' ').next());
            if words.any(|word| word == prefix) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(failed(&routes));
            }
            thread::sleep(POLL);
        }
    }

    /// Since when a session is established, as the time of day; `None` if it is not. BIRD reckons the time of day anew
    /// for each answer, from another clock: it moves by milliseconds.
    ///
    /// # Errors
    /// BIRD does not answer.
    pub fn established(&self, session: &str) -> Result<Option<Duration>, LabError> {
        let answer = self.query(&format!("show protocols {session}"))?;
        // "Name Proto Table State Since Info", as in "up BGP --- up 10:21:07.123 Established".
        let row = answer.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.first() == Some(&session)).then_some(words)
        });
        Ok(row
            .filter(|words| words.last() == Some(&"Established"))
            .and_then(|words| words.get(4).and_then(|since| time_of_day(since))))
    }
}

/// "10:21:07.123".
fn time_of_day(text: &str) -> Option<Duration> {
    let mut fields = text.split(':').map(|field| field.parse::<f64>().ok());
    let mut next = || fields.next().flatten();
    let (hours, minutes, seconds) = (next()?, next()?, next()?);
    Duration::try_from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds).ok()
}

fn failed(reason: &str) -> LabError {
    LabError::Program {
        program: "bird",
        package: "package bird2",
        reason: reason.to_owned(),
    }
}
