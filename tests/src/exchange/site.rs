//! The laboratory with its portal in service: how an end-to-end test begins, and what it asks again and again.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Client, Exchange, SERVER, Tpd};
use crate::lab::LabError;
use crate::traffic::{Ping, PingReport, TrafficError};

/// How long the kernel and the portal may take to follow a change.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between echo requests. Once a reply came, `ping` waits for the last one no longer than this, or two round trips
/// (ping(8), `-W`): on a machine full of other work a shorter interval makes losses of late replies.
const PING: Duration = Duration::from_secs(1);

/// A laboratory and its portal.
#[derive(Debug)]
pub struct Site {
    /// The portal's daemon; ended first.
    pub tpd: Tpd,
    /// Where it runs.
    pub exchange: Exchange,
}

impl Site {
    /// Starts the portal with the configuration that `config` writes for the laboratory's directory; returns when
    /// all neighbours are resolved.
    ///
    /// # Errors
    /// What the kernel refuses, or a portal that does not start.
    pub fn start(
        exchange: Exchange,
        config: impl FnOnce(&Path) -> String,
    ) -> Result<Self, LabError> {
        let config = config(exchange.lab.directory());
        let tpd = Tpd::start(&exchange.lab, &exchange.portal, &config)?;
        let site = Self { tpd, exchange };
        site.wait_for_neighbours()?;
        Ok(site)
    }

    /// Waits until every underlay next hop has its MAC address.
    ///
    /// # Errors
    /// One has none in time.
    pub fn wait_for_neighbours(&self) -> Result<(), LabError> {
        self.wait_until(&["show", "neighbours"], "all are resolved", |neighbours| {
            let neighbours = neighbours.as_array();
            neighbours
                .is_some_and(|all| !all.is_empty() && all.iter().all(|n| n["mac"].is_string()))
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
        good: impl Fn(&Value) -> bool,
    ) -> Result<(), LabError> {
        self.tpd.wait_until(question, what, PATIENCE, good)
    }

    /// Two echo requests of a client to the server.
    ///
    /// # Errors
    /// `ping` could not run; loss is no error.
    pub fn ping(&self, client: Client) -> Result<PingReport, TrafficError> {
        let ping = Ping::new(SERVER).source(client.address());
        ping.count(2)
            .interval(PING)
            .run(self.exchange.client(client))
    }

    /// Asserts that both clients reach the server, and that nothing is lost.
    ///
    /// # Panics
    /// If an echo request is not answered.
    #[track_caller]
    pub fn assert_forwards(&self) {
        for client in Client::ALL {
            match self.ping(client) {
                Ok(report) if report.is_clean() => {}
                other => panic!(
                    "client {}: {other:#?}\n{}{}{}",
                    client.name(),
                    self.told(&["show", "drops"]),
                    self.told(&["show", "counters"]),
                    self.tpd.process().stderr()
                ),
            }
        }
    }

    /// What `tpctl` says, for messages.
    fn told(&self, question: &[&str]) -> String {
        let output = self.tpd.tpctl(question);
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }

    /// Waits until both clients reach the server again.
    ///
    /// # Errors
    /// They do not in time.
    pub fn wait_until_it_forwards(&self) -> Result<(), TrafficError> {
        let deadline = Instant::now() + PATIENCE;
        for client in Client::ALL {
            loop {
                let report = self.ping(client)?;
                if report.is_clean() {
                    break;
                }
                if Instant::now() >= deadline {
                    return Err(TrafficError::Output {
                        program: "ping",
                        output: report.output,
                    });
                }
            }
        }
        Ok(())
    }
}
