//! A client of the control API: one connection a request, over the unix socket.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use crate::{
    ApiError, Client as HostedClient, Counters, Drops, Lookup, Neighbour, Port, Reload, Status,
    Tunnel, Upstream, Vfib, VfibSummary, paths,
};

/// Longest answer; a virtual FIB with a million routes has about 100 MB.
const LONGEST_ANSWER: usize = 256 << 20;
/// How long a request may take; a reload waits for workers and devices.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a request got no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon listens on {}", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket is not this user's to use.
    #[error("no permission to use {}", socket.display())]
    Permission {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket cannot be connected for another reason.
    #[error("cannot connect to {}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("the daemon's answer to {path} broke off")]
    Http {
        /// What was asked.
        path: String,
        /// What hyper said.
        #[source]
        error: hyper::Error,
    },
    /// The answer is longer than any should be.
    #[error("the daemon's answer to {path} is longer than {LONGEST_ANSWER} bytes or broke off")]
    Body {
        /// What was asked.
        path: String,
    },
    /// No answer in time.
    #[error("the daemon did not answer {path} within {} s", PATIENCE.as_secs())]
    TimedOut {
        /// What was asked.
        path: String,
    },
    /// The daemon refused.
    #[error("{}", error.message)]
    Refused {
        /// The answer's status.
        status: u16,
        /// Why.
        error: ApiError,
    },
    /// The answer is not of the type: another version of the daemon.
    #[error("the daemon's answer to {path} ({status}) is not understood")]
    Answer {
        /// What was asked.
        path: String,
        /// The answer's status.
        status: u16,
        /// What serde said.
        #[source]
        error: serde_json::Error,
    },
}

/// A client of the control API.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident: $path:expr => $answer:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`ClientError`].
        pub async fn $name(&self) -> Result<$answer, ClientError> {
            self.get($path).await
        }
    )*};
}

impl Client {
    /// A client of the daemon that listens on this socket; connects at each request.
    #[must_use]
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self {
            socket: socket.as_ref().to_owned(),
        }
    }

    getters! {
        /// How the daemon is.
        status: paths::STATUS => Status;
        /// Devices.
        ports: paths::PORTS => Vec<Port>;
        /// ISPs.
        upstreams: paths::UPSTREAMS => Vec<Upstream>;
        /// Hosted networks.
        clients: paths::CLIENTS => Vec<HostedClient>;
        /// Links of clients to upstreams.
        tunnels: paths::TUNNELS => Vec<Tunnel>;
        /// All virtual FIBs, without their routes.
        vfibs: paths::VFIBS => Vec<VfibSummary>;
        /// Underlay next hops.
        neighbours: paths::NEIGHBOURS => Vec<Neighbour>;
        /// All counters.
        counters: paths::COUNTERS => Counters;
        /// What was dropped, by reason.
        drops: paths::DROPS => Drops;
    }

    /// One virtual FIB.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn vfib(&self, name: &str) -> Result<Vfib, ClientError> {
        self.get(&paths::vfib(name)).await
    }

    /// Where a client's packet to this address would go.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn lookup(&self, vfib: &str, address: IpAddr) -> Result<Lookup, ClientError> {
        self.get(&paths::lookup(vfib, address)).await
    }

    /// Has the daemon read its configuration file again and apply it.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::Refused`] lists what is wrong in the file.
    pub async fn reload(&self) -> Result<Reload, ClientError> {
        self.post(paths::RELOAD).await
    }

    /// The answer to `GET` of a path of [`paths`], as any type: `serde_json::Value` for the answer
    /// itself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::GET, path).await
    }

    /// The answer to `POST` of a path of [`paths`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.ask(Method::POST, path).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(method, path));
        let timed_out = |_| ClientError::TimedOut {
            path: path.to_owned(),
        };
        let (status, body) = answer.await.map_err(timed_out)??;
        let unknown = |error| {
            let (path, status) = (path.to_owned(), status.as_u16());
            ClientError::Answer {
                path,
                status,
                error,
            }
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(unknown);
        }
        let error = serde_json::from_slice(&body).map_err(unknown)?;
        Err(ClientError::Refused {
            status: status.as_u16(),
            error,
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| self.no_connection(e))?;
        let broken = |error| ClientError::Http {
            path: path.to_owned(),
            error,
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Ends with the request; its error reaches the request too.
        tokio::spawn(connection);
        // Every part of the request is a constant or escaped by `paths`.
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "tpd")
            .body(Empty::<Bytes>::new())
            .unwrap_or_else(|error| unreachable!("a request for {path}: {error}"));
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|_| ClientError::Body {
            path: path.to_owned(),
        })?;
        Ok((status, body.to_bytes()))
    }

    fn no_connection(&self, error: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NotRunning { socket }
            }
            io::ErrorKind::PermissionDenied => ClientError::Permission { socket },
            _ => ClientError::Connect { socket, error },
        }
    }
}
