//! The daemon: what its three ways of being called do.

mod desk;
mod instance;
mod last_good;
mod server;
mod signals;
mod socket;

use std::path::Path;

use miette::{IntoDiagnostic as _, WrapErr as _};
use tp_ebpf::Pins;

use self::desk::Desk;
use self::instance::{Instance, Releasing};
use self::server::Inbox;
use self::signals::Signals;
use crate::config::{self, KernelCheck, LoadError, Report, Spans};
use crate::kernel::{Mirror as _, NetlinkMirror, Tuning, Wanted, release_neighbours};
use crate::model::{KernelView, Model};
use crate::portal::{self, Portal, chain};
use crate::slow::{self, SlowPath};

/// Requests of a kind that may wait while a change is under way.
const WAITING: usize = 64;

/// `tpd --check F`: reads the file, compares it with this machine, changes nothing.
///
/// # Errors
/// All that is wrong, with its places.
pub async fn check(file: &Path) -> miette::Result<()> {
    let (model, spans) = config::load(file)?;
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
    // First of all: a signal that comes during the start waits until it can be served, and does not end the process
    // where it would leave things behind.
    let signals = Signals::new().into_diagnostic()?;
    let (model, spans) = load_to_serve(file)?;
    let _instance = Instance::only(&model.portal.state, &model.portal.bpffs)?;
    // Before the mirror: who is refused because of a living daemon shall not touch that one's neighbour entries.
    let (listener, _socket) = socket::bind(&model.portal.api).await?;
    let bpffs = model.portal.bpffs.clone();
    // Before the mirror: its first view shall have the devices.
    let slow = SlowPath::open(&model.portal.slow_path, &bpffs).into_diagnostic()?;
    let mirror = mirror(Tuning::default()).await?;
    let (portal, warnings) = match start(&mirror, model, &spans, slow).await {
        Ok(started) => started,
        Err(refused) => {
            undo(mirror, &bpffs).await;
            return Err(refused);
        }
    };
    let mut desk = Desk::new(portal, mirror, file, spans, warnings.as_ref());
    let (requests, inbox) = server::requests(WAITING);
    tokio::spawn(server::serve(listener, requests));
    tracing::info!(configuration = %file.display(), "serving");
    notify(&[sd_notify::NotifyState::Ready]);
    match serve(&mut desk, inbox, signals).await {
        Ok(()) => stop(desk).await,
        Err(failed) => {
            // The programs stay on the ports and drop: better closed than half working.
            forget_neighbours(desk.abandon()).await;
            Err(failed)
        }
    }
}

/// Puts the model into force. What is left of this when it fails, [`undo`] takes away.
async fn start(
    mirror: &NetlinkMirror,
    model: Model,
    spans: &Spans,
    slow: SlowPath,
) -> miette::Result<(Portal, Option<Report>)> {
    let (check, view) = examine(mirror, &model, spans).await?;
    if let Some(errors) = check.errors {
        return Err(last_good::hint(errors, spans.text(), &model.portal.state));
    }
    let portal = tokio::task::block_in_place(|| Portal::start(model, view, slow))
        .into_diagnostic()
        .wrap_err("the portal could not start")?;
    Ok((portal, check.warnings))
}

/// Leaves nothing of a failed start but what a predecessor held: neighbour entries and the bpffs go.
async fn undo(mirror: NetlinkMirror, bpffs: &Path) {
    if let Err(error) = Pins::close_unused(bpffs) {
        tracing::warn!(error = chain(&error), "the bpffs is left");
    }
    forget_neighbours(mirror).await;
}

async fn forget_neighbours(mirror: NetlinkMirror) {
    let gone = match mirror.release().await {
        Ok(()) => Ok(()),
        // A mirror that has failed answers no more; its entries are found without it.
        Err(_) => release_neighbours().await,
    };
    if let Err(error) = gone {
        tracing::warn!(error = chain(&error), "neighbour entries are left");
    }
}

/// Reads the file to serve by it; where it is refused, tells of the one that was good.
fn load_to_serve(file: &Path) -> miette::Result<(Model, Spans)> {
    match config::load(file) {
        Ok(loaded) => Ok(loaded),
        Err(LoadError::Refused(report)) => {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let state = last_good::state_of(&text);
            Err(last_good::hint(report, &text, &state))
        }
        Err(unread) => Err(unread.into()),
    }
}

/// `tpd --release`: removes what a daemon left, whether it stopped or died; answers which devices it held or made.
///
/// # Errors
/// A daemon runs with this bpffs, or what could not be removed.
pub async fn release(bpffs: &Path) -> miette::Result<Vec<String>> {
    let _releasing = Releasing::of(bpffs)?;
    // Whatever became of the ports: one failure neither hides another nor keeps the rest from being released.
    let ports = portal::release(bpffs);
    let devices = slow::release(bpffs);
    let failures = [
        ports.as_ref().err().map(|error| chain(error)),
        devices.as_ref().err().map(|error| chain(error)),
        portal::restore_offloads(bpffs).err().map(|e| chain(&e)),
        release_neighbours().await.err().map(|e| chain(&e)),
    ];
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    match (ports, devices) {
        (Ok(ports), Ok(devices)) if failures.is_empty() => Ok([ports, devices].concat()),
        _ => Err(miette::miette!("{}", failures.join("; and "))),
    }
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

/// One thing after the other: a request, a change of the kernel, a signal; until it shall stop, or has to.
async fn serve(desk: &mut Desk, mut inbox: Inbox, mut signals: Signals) -> miette::Result<()> {
    let mut pulse = tokio::time::interval(PULSE);
    loop {
        tokio::select! {
            question = inbox.questions.recv() => match question {
                Some(question) => question(desk),
                None => return Ok(()),
            },
            Some(answer) = inbox.reloads.recv() => {
                // Who asked may have hung up: then nobody misses the answer.
                drop(answer.send(desk.reload(&mut inbox.questions).await));
            }
            changed = desk.mirror.changed() => {
                changed.into_diagnostic()?;
                desk.follow();
            }
            _ = signals.hangup.recv() => reload(desk, &mut inbox).await,
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            _ = pulse.tick() => {
                if !desk.portal.healthy() {
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

async fn reload(desk: &mut Desk, inbox: &mut Inbox) {
    notify(&[sd_notify::NotifyState::Reloading]);
    match desk.reload(&mut inbox.questions).await {
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
