//! The control API on its unix socket: axum routes that ask the desk.

use std::net::IpAddr;

use axum::extract::{Path as Segments, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tp_api::{ApiError, ErrorKind, Reload, paths};

use super::desk::Desk;
use crate::portal::{Portal, PortalError, chain};

/// A question about the running portal, answered between two changes.
pub(super) type Question = Box<dyn FnOnce(&Desk) + Send>;

/// Where the outcome of reading the configuration file again goes.
pub(super) type Reloaded = oneshot::Sender<Result<Reload, ApiError>>;

/// Where requests go.
#[derive(Clone)]
pub(super) struct Requests {
    questions: mpsc::Sender<Question>,
    reloads: mpsc::Sender<Reloaded>,
}

/// Where they come out, each kind for itself: questions are answered even while a reload waits for something.
pub(super) struct Inbox {
    pub(super) questions: mpsc::Receiver<Question>,
    pub(super) reloads: mpsc::Receiver<Reloaded>,
}

/// Both ends of what the API asks of the daemon's loop; so many requests of a kind may wait.
pub(super) fn requests(waiting: usize) -> (Requests, Inbox) {
    let (questions, asked) = mpsc::channel(waiting);
    let (reloads, ordered) = mpsc::channel(waiting);
    let inbox = Inbox {
        questions: asked,
        reloads: ordered,
    };
    (Requests { questions, reloads }, inbox)
}

/// Serves the API until the daemon ends.
pub(super) async fn serve(listener: UnixListener, requests: Requests) -> std::io::Result<()> {
    axum::serve(listener, router(requests)).await
}

fn router(requests: Requests) -> Router {
    Router::new()
        .route(paths::STATUS, get(|s| look(s, |desk| Ok(desk.status()))))
        .route(
            paths::PORTS,
            get(|s| look(s, |desk| Ok(desk.portal.ports()))),
        )
        .route(
            paths::UPSTREAMS,
            get(|s| look(s, |desk| Ok(desk.portal.upstreams()))),
        )
        .route(
            paths::CLIENTS,
            get(|s| look(s, |desk| Ok(desk.portal.clients()))),
        )
        .route(
            paths::TUNNELS,
            get(|s| look(s, |desk| Ok(desk.portal.tunnels()))),
        )
        .route(
            paths::NEIGHBOURS,
            get(|s| look(s, |desk| Ok(desk.portal.neighbours()))),
        )
        .route(
            paths::COUNTERS,
            get(|s| look(s, |desk| counted(desk, Portal::counters))),
        )
        .route(
            paths::DROPS,
            get(|s| look(s, |desk| counted(desk, Portal::drops))),
        )
        .route(
            paths::VFIBS,
            get(|s| look(s, |desk| Ok(desk.portal.vfibs()))),
        )
        .route(paths::VFIB, get(vfib))
        .route(paths::LOOKUP, get(lookup))
        .route(paths::RELOAD, post(reload))
        .fallback(|| async { refuse(not_found("there is no such path".to_owned())) })
        .with_state(requests)
}

async fn vfib(state: State<Requests>, Segments(name): Segments<String>) -> Response {
    look(state, move |desk| desk.portal.vfib(&name)).await
}

async fn lookup(
    state: State<Requests>,
    Segments((name, address)): Segments<(String, String)>,
) -> Response {
    match address.parse::<IpAddr>() {
        Ok(address) => look(state, move |desk| desk.portal.lookup(&name, address)).await,
        Err(_) => refuse(ApiError {
            kind: ErrorKind::BadRequest,
            message: format!("{address:?} is no IP address"),
            help: Some("write it as in 198.51.100.1".to_owned()),
            places: Vec::new(),
        }),
    }
}

async fn reload(State(requests): State<Requests>) -> Response {
    let (answer, answered) = oneshot::channel();
    if requests.reloads.send(answer).await.is_err() {
        return refuse(stopping());
    }
    answered.await.map_or_else(|_| refuse(stopping()), respond)
}

/// Has the desk answer between two changes.
async fn look<T: Serialize + Send + 'static>(
    State(requests): State<Requests>,
    question: impl FnOnce(&Desk) -> Result<T, ApiError> + Send + 'static,
) -> Response {
    let (answer, answered) = oneshot::channel();
    // Who asked may have hung up: then nobody misses the answer.
    let question = Box::new(move |desk: &Desk| drop(answer.send(question(desk))));
    if requests.questions.send(question).await.is_err() {
        return refuse(stopping());
    }
    answered.await.map_or_else(|_| refuse(stopping()), respond)
}

fn counted<T>(
    desk: &Desk,
    count: impl FnOnce(&Portal) -> Result<T, PortalError>,
) -> Result<T, ApiError> {
    count(&desk.portal).map_err(|error| internal(chain(&error)))
}

fn respond<T: Serialize>(answer: Result<T, ApiError>) -> Response {
    match answer {
        Ok(body) => Json(body).into_response(),
        Err(error) => refuse(error),
    }
}

fn refuse(error: ApiError) -> Response {
    let status = StatusCode::from_u16(error.kind.status());
    (
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Json(error),
    )
        .into_response()
}

fn not_found(message: String) -> ApiError {
    ApiError {
        kind: ErrorKind::NotFound,
        message,
        help: None,
        places: Vec::new(),
    }
}

pub(super) fn internal(message: String) -> ApiError {
    ApiError {
        kind: ErrorKind::Internal,
        message,
        help: None,
        places: Vec::new(),
    }
}

fn stopping() -> ApiError {
    internal("the daemon is stopping".to_owned())
}
