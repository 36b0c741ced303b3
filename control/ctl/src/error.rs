//! What went wrong, why, and what would help.

use std::error::Error;
use std::fmt::Write;
use std::io;

use thiserror::Error;
use tp_api::{ClientError, Place};

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum CtlError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    #[error("cannot wait for the daemon's answer")]
    Runtime(#[source] io::Error),
}

impl CtlError {
    /// The exit code, as the help lists them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Client(ClientError::Refused { .. }) => 1,
            Self::Client(
                ClientError::NotRunning { .. }
                | ClientError::Permission { .. }
                | ClientError::Connect { .. }
                | ClientError::TimedOut { .. },
            ) => 3,
            Self::Client(
                ClientError::Http { .. } | ClientError::Body { .. } | ClientError::Answer { .. },
            )
            | Self::Output(_)
            | Self::Runtime(_) => 4,
        }
    }

    /// The error with its causes, places and remedy, as lines for people.
    pub(crate) fn explained(&self) -> String {
        let mut text = format!("tpctl: {self}\n");
        let mut cause = self.source();
        while let Some(error) = cause {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  because: {error}");
            cause = error.source();
        }
        if let Self::Client(ClientError::Refused { error, .. }) = self {
            text.push_str(&places(&error.places));
        }
        if let Some(remedy) = self.remedy() {
            let _ = writeln!(text, "  help: {remedy}");
        }
        text
    }

    fn remedy(&self) -> Option<String> {
        let Self::Client(error) = self else {
            return None;
        };
        Some(match error {
            ClientError::NotRunning { .. } => {
                "start the daemon (tpd --config FILE), or name its socket: --socket PATH".into()
            }
            ClientError::Permission { .. } => {
                "run tpctl as root, or as a member of the socket's group".into()
            }
            ClientError::TimedOut { .. } => {
                "see the daemon's log: a device or a worker may not answer".into()
            }
            ClientError::Http { .. } | ClientError::Body { .. } => {
                "the daemon may have stopped meanwhile: see its log".into()
            }
            ClientError::Answer { .. } => {
                format!(
                    "is the daemon of another version than tpctl {}?",
                    env!("CARGO_PKG_VERSION")
                )
            }
            ClientError::Refused { error, .. } => return error.help.clone(),
            ClientError::Connect { .. } => return None,
        })
    }
}

/// Problems of the configuration file, a line each, with what would be right below.
pub(crate) fn places(places: &[Place]) -> String {
    let mut text = String::new();
    for Place {
        file,
        line,
        column,
        message,
        help,
    } in places
    {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{file}:{line}:{column}: {message}");
        if let Some(help) = help {
            let _ = writeln!(text, "    help: {help}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_permission_names_the_socket_and_who_may_use_it() {
        // No test can be refused as root: the error is made here.
        let socket = "/run/tpd/api.sock".into();
        let error = CtlError::Client(ClientError::Permission { socket });
        let expected = "\
tpctl: no permission to use /run/tpd/api.sock
  help: run tpctl as root, or as a member of the socket's group
";
        assert_eq!(
            (error.explained().as_str(), error.exit_code()),
            (expected, 3)
        );
    }
}
