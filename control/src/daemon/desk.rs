//! The daemon's one thread of decisions: it applies the configuration file, follows the kernel and answers
//! questions, one after the other.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tp_api::{ApiError, ErrorKind, Place, Reload, Status};

use super::last_good;
use super::server::{Question, internal};
use crate::config::{self, LoadError, Report, Spans};
use crate::kernel::{Mirror, MirrorError, NetlinkMirror, Wanted};
use crate::model::Model;
use crate::portal::{Portal, PortalError, chain};

/// How long a reload waits for neighbours that only the new configuration needs: the kernel asks thrice, a second
/// apart (`retrans_time_ms` of arp(7)), and who answers at all mostly answers the first time.
const RESOLUTION: Duration = Duration::from_millis(1500);

/// The running portal and what keeps it current.
pub(super) struct Desk {
    pub(super) portal: Portal,
    pub(super) mirror: NetlinkMirror,
    file: PathBuf,
    spans: Spans,
    warnings: Vec<Place>,
    /// The kernel's last change is not in force.
    behind: bool,
}

impl Desk {
    pub(super) fn new(
        portal: Portal,
        mirror: NetlinkMirror,
        file: &Path,
        spans: Spans,
        warnings: Option<&Report>,
    ) -> Self {
        let mut desk = Self {
            portal,
            mirror,
            file: file.to_owned(),
            spans,
            warnings: warnings.map(Report::places).unwrap_or_default(),
            behind: false,
        };
        desk.keep_last_good();
        desk
    }

    /// How the daemon is.
    pub(super) fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_s: self.portal.uptime().as_secs(),
            generation: self.portal.generation(),
            configuration: self.file.display().to_string(),
            workers: self.portal.worker_states(),
            kernel: self.mirror.feed(),
            warnings: self.warnings.clone(),
        }
    }

    /// Reads the configuration file again and puts it into force, or changes nothing. While it waits for the kernel,
    /// questions are answered as of before.
    pub(super) async fn reload(
        &mut self,
        questions: &mut mpsc::Receiver<Question>,
    ) -> Result<Reload, ApiError> {
        let start = Instant::now();
        let (model, spans) = config::load(&self.file).map_err(|error| refused(&error))?;
        if model == *self.portal.model() {
            self.spans = spans;
            return Ok(self.reloaded(false, start));
        }
        // Both configurations' far ends are followed until it is clear which one stays.
        let (old, new) = (Wanted::of(self.portal.model()), Wanted::of(&model));
        self.resolve(old.clone().and(new.clone())).await?;
        // What is forwarded now shall not be dropped for the time that ARP takes to find its new way.
        self.wait_for_neighbours(&new, &old, questions).await;
        let outcome = self.apply(model, spans);
        let resolved = self.resolve(if outcome.is_ok() { new } else { old }).await;
        // Why the file is refused is what was asked for; that the mirror ended, the next call says too.
        outcome?;
        self.keep_last_good();
        resolved?;
        Ok(self.reloaded(true, start))
    }

    async fn wait_for_neighbours(
        &self,
        wanted: &Wanted,
        known: &Wanted,
        questions: &mut mpsc::Receiver<Question>,
    ) {
        let mut neighbours = std::pin::pin!(self.mirror.neighbours(wanted, known, RESOLUTION));
        loop {
            tokio::select! {
                () = &mut neighbours => return,
                Some(question) = questions.recv() => question(self),
            }
        }
    }

    fn apply(&mut self, model: Model, spans: Spans) -> Result<(), ApiError> {
        let view = self.mirror.view();
        let check = config::check_kernel(&model, &view, &spans);
        if let Some(report) = check.errors {
            return Err(refused_report(&report));
        }
        tokio::task::block_in_place(|| self.portal.reconfigure(model, (*view).clone()))
            .map_err(|error| refused_change(&error))?;
        self.spans = spans;
        self.warnings = check
            .warnings
            .as_ref()
            .map(Report::places)
            .unwrap_or_default();
        Ok(())
    }

    async fn resolve(&self, wanted: Wanted) -> Result<(), ApiError> {
        self.mirror
            .resolve(wanted)
            .await
            .map_err(|error| internal(chain(&error)))
    }

    fn reloaded(&self, changed: bool, start: Instant) -> Reload {
        Reload {
            generation: self.portal.generation(),
            changed,
            took_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
            warnings: self.warnings.clone(),
        }
    }

    /// Follows what the kernel changed. What cannot be followed now is tried again by [`Self::catch_up`];
    /// until then what was in force stays.
    pub(super) fn follow(&mut self) {
        let view = self.mirror.view();
        let followed = tokio::task::block_in_place(|| self.portal.follow((*view).clone()));
        self.behind = followed.is_err();
        if let Err(error) = followed {
            tracing::error!(
                error = chain(&error),
                "the kernel's change is not in force yet"
            );
            return;
        }
        let check = config::check_kernel(self.portal.model(), &view, &self.spans);
        let places = |report: &Option<Report>| report.as_ref().map(Report::places);
        // What would refuse a new configuration is a warning for one in force: it goes on where it can.
        self.warnings = places(&check.errors)
            .into_iter()
            .chain(places(&check.warnings))
            .flatten()
            .collect();
        for (port, fault) in self.portal.faults() {
            tracing::error!(port, fault = chain(fault), "port is not in service");
        }
    }

    /// Follows what could not be followed when it came, and tries ports again that are not in service.
    pub(super) fn catch_up(&mut self) {
        if self.behind {
            self.follow();
        }
        tokio::task::block_in_place(|| {
            self.portal.retry_faults();
            self.portal.retry_slow_path();
        });
    }

    fn keep_last_good(&mut self) {
        let state = &self.portal.model().portal.state;
        if let Err(error) = last_good::keep(state, self.spans.text()) {
            tracing::warn!(
                error = chain(&error),
                "the last good configuration is not kept"
            );
        }
    }

    /// Ends forwarding after a failure, with the programs left on the ports; what the mirror made is still there.
    pub(super) fn abandon(self) -> NetlinkMirror {
        tokio::task::block_in_place(|| drop(self.portal));
        self.mirror
    }

    /// Stops serving; leaves what `on_stop` says.
    pub(super) async fn stop(self) -> Result<(), MirrorError> {
        tokio::task::block_in_place(|| self.portal.stop());
        self.mirror.release().await
    }
}

fn refused(error: &LoadError) -> ApiError {
    match error {
        LoadError::Refused(report) => refused_report(report),
        LoadError::Read { .. } => ApiError {
            kind: ErrorKind::Configuration,
            message: chain(error),
            help: Some("the configuration in force stays".to_owned()),
            places: Vec::new(),
        },
    }
}

fn refused_report(report: &Report) -> ApiError {
    ApiError {
        kind: ErrorKind::Configuration,
        message: report.to_string(),
        help: Some("the configuration in force stays".to_owned()),
        places: report.places(),
    }
}

fn refused_change(error: &PortalError) -> ApiError {
    let kind = match error {
        PortalError::NeedsRestart { .. } => ErrorKind::NeedsRestart,
        PortalError::Compile(_) | PortalError::Bind(_) => ErrorKind::Configuration,
        _ => ErrorKind::Internal,
    };
    ApiError {
        kind,
        message: chain(error),
        help: Some("the configuration in force stays".to_owned()),
        places: Vec::new(),
    }
}
