//! `ping` of iputils.

use std::net::IpAddr;
use std::time::Duration;

use super::TrafficError;
use crate::lab::{LabError, Ns};

/// Echo requests from a namespace.
#[derive(Clone, Debug)]
pub struct Ping {
    destination: IpAddr,
    source: Option<IpAddr>,
    count: u32,
    interval: Duration,
    timeout: Duration,
    size: Option<u16>,
    ttl: Option<u8>,
}

/// What `ping` reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingReport {
    /// Echo requests sent.
    pub sent: u32,
    /// Echo replies received, each counted once.
    pub received: u32,
    /// Replies received again.
    pub duplicates: u32,
    /// Replies whose payload was damaged, and ICMP errors.
    pub errors: u32,
    /// All that it printed.
    pub output: String,
}

impl Ping {
    /// Three requests, 100 ms apart, each answered within a second.
    pub fn new(destination: impl Into<IpAddr>) -> Self {
        Self {
            destination: destination.into(),
            source: None,
            count: 3,
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
            size: None,
            ttl: None,
        }
    }

    /// From this address.
    #[must_use]
    pub fn source(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// This many requests.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// This far apart.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long a reply is waited for after the last request if none came before; else `ping` waits for two round
    /// trips or the interval, whichever is longer (ping(8), `-W`).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With this many bytes of ICMP payload, and DF set.
    #[must_use]
    pub fn size(mut self, size: u16) -> Self {
        self.size = Some(size);
        self
    }

    /// With this TTL.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Runs it to its end. Loss is no error: the report tells.
    pub fn run(&self, ns: &Ns) -> Result<PingReport, TrafficError> {
        let mut command = ns.command("ping");
        command
            // Messages are read: they must be in one language.
            .env("LC_ALL", "C")
            .args(["-n", "-c", &self.count.to_string()])
            .args(["-i", &self.interval.as_secs_f64().to_string()])
            .args(["-W", &self.timeout.as_secs_f64().to_string()]);
        if let Some(source) = self.source {
            command.args(["-I", &source.to_string()]);
        }
        if let Some(size) = self.size {
            command.args(["-M", "do", "-s", &size.to_string()]);
        }
        if let Some(ttl) = self.ttl {
            command.args(["-t", &ttl.to_string()]);
        }
        command.arg(self.destination.to_string());
        let output = command.output().map_err(|error| LabError::Program {
            program: "ping",
            package: "package iputils-ping",
            reason: error.to_string(),
        })?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        parse(&text).ok_or(TrafficError::Output {
            program: "ping",
            output: text,
        })
    }
}

impl PingReport {
    /// Every request was answered once, and nothing else came.
    pub fn is_clean(&self) -> bool {
        self.sent > 0 && self.received == self.sent && self.duplicates == 0 && self.errors == 0
    }
}

/// Reads the summary: "3 packets transmitted, 2 received, +1 duplicates, +1 errors, 33% packet loss, time 2ms".
fn parse(output: &str) -> Option<PingReport> {
    let summary = output
        .lines()
        .find(|line| line.contains(" packets transmitted, "))?;
    let value = |label: &str| -> Option<u32> {
        let field = summary.split(", ").find(|field| field.ends_with(label))?;
        field
            .trim_start_matches('+')
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    Some(PingReport {
        sent: value(" packets transmitted")?,
        received: value(" received")?,
        duplicates: value(" duplicates").unwrap_or(0),
        errors: value(" errors").unwrap_or(0),
        output: output.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_ping_are_read() {
        let read = |summary: &str| {
            let report = parse(&format!("PING x\n\n--- x ping statistics ---\n{summary}\n"))?;
            Some((
                report.sent,
                report.received,
                report.duplicates,
                report.errors,
            ))
        };
        assert_eq!(
            read("3 packets transmitted, 3 received, 0% packet loss, time 2004ms"),
            Some((3, 3, 0, 0))
        );
        assert_eq!(
            read(
                "5 packets transmitted, 4 received, +2 duplicates, +1 errors, 20% packet loss, time 9ms"
            ),
            Some((5, 4, 2, 1))
        );
        assert_eq!(read("ping: connect: Network is unreachable"), None);
    }
}
