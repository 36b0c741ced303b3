//! The daemon: what its three ways of being called do.

mod desk;
mod instance;
mod last_good;
mod server;

use std::path::Path;

use miette::{IntoDiagnostic as _, WrapErr as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::desk::Desk;
use self::instance::Instance;
use self::server::Request;
use crate::config::{self, KernelCheck, Spans};
use crate::kernel::{Mirror as _, NetlinkMirror, Tuning, Wanted, release_neighbours};
use crate::model::{KernelView, Model};
use crate::portal::Portal;

/// Requests that may wait while a change is under way.
const WAITING: usize = 64;

/// `tpd --check F`: reads the file, compares it with this machine, changes nothing.
///
/// # Errors
/// All that is wrong, with its places.
pub async fn check(file: &Path) -> miette::Result<()> {
    let (model, spans) = load(file)?;
    // A daemon may run here: the neighbour entries are its own.
    let tuning = Tuning {
        resolve_neighbours: false,
        ..Tuning::default()
    };
    let mirror = mirror(tuning).await?;
    let check = examine(&mirror, &model, &spans).await?.0;
    if let Some(warnings) = check.warnings {
        eprintln!("{:?}", miette::Report::new(warnings));
    }
    check.errors.map_or(Ok(()), |errors| Err(errors.into()))
}

/// `tpd --config F`: serves until SIGTERM or SIGINT; SIGHUP reads the file again.
///
/// # Errors
/// Why it could not start, or had to end.
pub async fn run(file: &Path) -> miette::Result<()> {
    let (model, spans) = load(file)?;
    let _instance = Instance::only(&model.portal.state)?;
    let mirror = mirror(Tuning::default()).await?;
    let (check, view) = examine(&mirror, &model, &spans).await?;
    if let Some(errors) = check.errors {
        mirror.release().await.into_diagnostic()?;
        return Err(errors.into());
    }
    let listener = server::bind(&model.portal.api)
        .into_diagnostic()
        .wrap_err_with(|| format!("the API socket {}", model.portal.api.display()))?;
    let portal = tokio::task::block_in_place(|| Portal::start(model, view))
        .into_diagnostic()
        .wrap_err("the portal could not start")?;
    let desk = Desk::new(portal, mirror, file, spans, check.warnings.as_ref());
    let (requests, inbox) = mpsc::channel(WAITING);
    tokio::spawn(server::serve(listener, requests));
    tracing::info!(configuration = %file.display(), "serving");
    notify(&[sd_notify::NotifyState::Ready]);
    let socket = desk.portal.model().portal.api.clone();
    let ended = serve(desk, inbox).await;
    // The socket is ours: nobody else shall find a dead one.
    let _ = std::fs::remove_file(socket);
    ended
}

/// `tpd --release`: removes what a daemon left, whether it stopped or died; answers which ports it held.
///
/// # Errors
/// What could not be removed.
pub async fn release(bpffs: &Path) -> miette::Result<Vec<String>> {
    let ports = crate::portal::release(bpffs).into_diagnostic()?;
    release_neighbours().await.into_diagnostic()?;
    Ok(ports)
}

fn load(file: &Path) -> miette::Result<(Model, Spans)> {
    Ok(config::load(file)?)
}

async fn mirror(tuning: Tuning) -> miette::Result<NetlinkMirror> {
    NetlinkMirror::start(tuning).await.into_diagnostic()
}

/// Compares the model with the kernel, after the kernel was asked for what the model needs.
async fn examine(
    mirror: &NetlinkMirror,
    model: &Model,
    spans: &Spans,
) -> miette::Result<(KernelCheck, KernelView)> {
    mirror.resolve(Wanted::of(model)).await.into_diagnostic()?;
    let view = (*mirror.view()).clone();
    Ok((config::check_kernel(model, &view, spans), view))
}

/// One thing after the other: a request, a change of the kernel, a signal.
async fn serve(mut desk: Desk, mut inbox: mpsc::Receiver<Request>) -> miette::Result<()> {
    let mut hangup = signal(SignalKind::hangup()).into_diagnostic()?;
    let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
    let mut interrupt = signal(SignalKind::interrupt()).into_diagnostic()?;
    let mut pulse = tokio::time::interval(PULSE);
    loop {
        tokio::select! {
            request = inbox.recv() => match request {
                Some(Request::Look(question)) => question(&desk),
                Some(Request::Reload(answer)) => drop(answer.send(desk.reload().await)),
                None => return stop(desk).await,
            },
            changed = desk.mirror.changed() => {
                changed.into_diagnostic()?;
                desk.follow();
            }
            _ = hangup.recv() => reload(&mut desk).await,
            _ = terminate.recv() => return stop(desk).await,
            _ = interrupt.recv() => return stop(desk).await,
            _ = pulse.tick() => {
                if !desk.portal.healthy() {
                    // The program goes on dropping: better closed than half working.
                    return Err(miette::miette!("a worker thread has ended"));
                }
                desk.catch_up();
                notify(&[sd_notify::NotifyState::Watchdog]);
            }
        }
    }
}

/// How often the workers are looked after.
const PULSE: std::time::Duration = std::time::Duration::from_secs(1);

async fn reload(desk: &mut Desk) {
    notify(&[sd_notify::NotifyState::Reloading]);
    match desk.reload().await {
        Ok(answer) => tracing::info!(
            generation = answer.generation,
            changed = answer.changed,
            "reloaded"
        ),
        Err(refused) => {
            tracing::error!(message = refused.message, "the configuration is refused");
            for place in refused.places {
                let (line, column) = (place.line, place.column);
                tracing::error!(
                    file = place.file,
                    line,
                    column,
                    message = place.message,
                    help = place.help
                );
            }
        }
    }
    notify(&[sd_notify::NotifyState::Ready]);
}

async fn stop(desk: Desk) -> miette::Result<()> {
    notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping");
    desk.stop().await.into_diagnostic()
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    // Without a service manager nobody listens, and that is no error.
    let _ = sd_notify::notify(state);
}
