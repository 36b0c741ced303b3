//! Refusals, with places in the configuration file where there are any.

use serde::{Deserialize, Serialize};

/// The body of every answer with a status of 400 or above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// What kind of refusal it is.
    pub kind: ErrorKind,
    /// In words.
    pub message: String,
    /// What would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// What is wrong in the configuration file, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The request names nothing that is there (404).
    NotFound,
    /// The request makes no sense (400).
    BadRequest,
    /// The configuration is refused; nothing was changed (422).
    Configuration,
    /// The configuration changes what only a restart can change; nothing was changed (409).
    NeedsRestart,
    /// The daemon failed; what was changed was undone (500).
    Internal,
}

impl ErrorKind {
    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::BadRequest => 400,
            Self::Configuration => 422,
            Self::NeedsRestart => 409,
            Self::Internal => 500,
        }
    }
}

/// A problem at a place of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}
