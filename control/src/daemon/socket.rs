//! The API's unix socket: whose path it may take, and that it goes with the daemon.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use tokio::net::{UnixListener, UnixStream};

/// Why there is no socket.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(super) enum SocketError {
    /// Something else has the path.
    #[error("the API socket {}: there is a file that is no socket", path.display())]
    #[diagnostic(help("remove it, or give `api` another path"))]
    NoSocket {
        /// Which.
        path: PathBuf,
    },
    /// Another process has the path.
    #[error("the API socket {}: another process serves it", path.display())]
    #[diagnostic(help("stop that process, or give `api` another path"))]
    Served {
        /// Which.
        path: PathBuf,
    },
    /// The kernel refuses.
    #[error("the API socket {}", path.display())]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// The socket's file: removed when this is dropped, so that nobody finds a dead one.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already; and what still is there the next daemon removes.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds the socket, replacing one that nobody serves any more. Only its owner and group may connect.
pub(super) async fn bind(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let refused = |error| SocketError::Refused {
        path: path.to_owned(),
        error,
    };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(refused)?;
    }
    make_room(path).await?;
    let listener = UnixListener::bind(path).map_err(refused)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(refused)?;
    Ok((listener, file))
}

/// Removes a socket that nobody serves, and nothing else.
async fn make_room(path: &Path) -> Result<(), SocketError> {
    let path = || path.to_owned();
    let refused = |error| SocketError::Refused {
        path: path(),
        error,
    };
    match std::fs::symlink_metadata(path()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NoSocket { path: path() });
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path()).await {
        // Nobody has the socket open: its process has ended.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path()).map_err(refused)
        }
        // Too many wait to be accepted (unix(7)), but somebody is there.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(SocketError::Served { path: path() })
        }
        Err(error) => Err(refused(error)),
        Ok(_) => Err(SocketError::Served { path: path() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let path = std::env::temp_dir().join(format!("tpd-socket-{}/api", std::process::id()));
        let (listener, file) = bind(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let live = bind(&path).await;
        assert!(matches!(live, Err(SocketError::Served { .. })), "{live:?}");
        UnixStream::connect(&path).await.unwrap();

        // A killed process leaves its socket's file.
        std::mem::forget(file);
        drop(listener);
        let (_listener, file) = bind(&path).await.unwrap();
        UnixStream::connect(&path).await.unwrap();
        drop(file);
        assert!(!path.exists());

        std::fs::write(&path, "precious").unwrap();
        let taken = bind(&path).await;
        assert!(
            matches!(taken, Err(SocketError::NoSocket { .. })),
            "{taken:?}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        std::os::unix::fs::symlink("api", path.with_file_name("link")).unwrap();
        let link = bind(&path.with_file_name("link")).await;
        assert!(
            matches!(link, Err(SocketError::NoSocket { .. })),
            "{link:?}"
        );
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
