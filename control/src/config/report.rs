//! Problems with their places, and the report that shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, Severity, SourceSpan};
use thiserror::Error;
use tp_api::Place;

use super::addresses::AddressProblem;
use super::attachment::{AttachmentProblem, LinkName};
use super::claims::ClaimProblem;
use super::clients::ClientProblem;
use super::kernel::KernelProblem;
use super::portal::PortalProblem;
use super::rates::RateProblem;
use super::shape::ShapeProblem;
use super::shown::ShownProblem;
use super::text::ValueProblem;
use super::tunnels::TunnelProblem;
use super::upstreams::UpstreamProblem;
use crate::model::Name;

/// One thing that is wrong, at one place of the file.
#[derive(Debug, Error, Diagnostic)]
#[error(transparent)]
#[diagnostic(transparent)]
pub enum Problem {
    /// The file's shape: syntax, keys, types.
    Shape(#[from] ShapeProblem),
    /// A single value.
    Value(#[from] ValueProblem),
    /// A rate or burst.
    Rate(#[from] RateProblem),
    /// `[portal]` and `[ports]`.
    Portal(#[from] PortalProblem),
    /// How a link is attached.
    Attachment(#[from] AttachmentProblem),
    /// Link addresses.
    Address(#[from] AddressProblem),
    /// What two links claim.
    Claim(#[from] ClaimProblem),
    /// Upstreams that are shown on a link.
    Shown(#[from] ShownProblem),
    /// `[upstreams]`.
    Upstream(#[from] UpstreamProblem),
    /// `[clients]`.
    Client(#[from] ClientProblem),
    /// `[tunnels]`.
    Tunnel(#[from] TunnelProblem),
    /// Does not fit the machine.
    Kernel(#[from] KernelProblem),
}

impl Problem {
    /// Byte offset of what the problem points at.
    fn offset(&self) -> usize {
        self.labels()
            .and_then(|mut labels| labels.next())
            .map_or(0, |label| label.offset())
    }
}

/// All that is wrong with a file: renders with source excerpts by miette, or as [`Report::places`].
#[derive(Debug, Error, Diagnostic)]
#[error("{} in {}", self.headline(), source_code.name())]
pub struct Report {
    #[source_code]
    source_code: Arc<NamedSource<String>>,
    #[related]
    problems: Vec<Problem>,
}

impl Report {
    /// The problems, in the order of their places.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problems as the control API answers them.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        self.problems
            .iter()
            .map(|problem| {
                let (line, column) = line_and_column(self.source_code.inner(), problem.offset());
                Place {
                    file: self.source_code.name().to_owned(),
                    line,
                    column,
                    message: problem.to_string(),
                    help: problem.help().map(|help| help.to_string()),
                }
            })
            .collect()
    }

    fn headline(&self) -> String {
        let of = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let warnings = self
            .problems
            .iter()
            .filter(|p| p.severity() == Some(Severity::Warning))
            .count();
        match self.problems.len() - warnings {
            0 => of(warnings, "warning"),
            errors => of(errors, "error"),
        }
    }
}

/// Line and column of a byte offset, both from 1; a column is a character.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// Problems as they are found.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: impl Into<Problem>) {
        self.0.push(problem.into());
    }

    pub(super) fn extend(&mut self, problems: impl IntoIterator<Item = impl Into<Problem>>) {
        self.0.extend(problems.into_iter().map(Into::into));
    }

    /// The value, or a problem and nothing.
    pub(super) fn keep<T>(&mut self, result: Result<T, impl Into<Problem>>) -> Option<T> {
        result.map_err(|problem| self.push(problem)).ok()
    }

    /// Those that `pick` takes, and the others.
    pub(super) fn split(self, pick: impl Fn(&Problem) -> bool) -> (Self, Self) {
        let (taken, others) = self.0.into_iter().partition(pick);
        (Self(taken), Self(others))
    }

    /// The report of what was found, if anything was.
    pub(super) fn into_report(mut self, source: &Arc<NamedSource<String>>) -> Option<Report> {
        self.0.sort_by_key(Problem::offset);
        (!self.0.is_empty()).then(|| Report {
            source_code: Arc::clone(source),
            problems: self.0,
        })
    }
}

/// Where the model's parts stand in the file, for problems that only the machine shows.
#[derive(Clone, Debug)]
pub struct Spans {
    pub(super) source: Arc<NamedSource<String>>,
    /// The list of worker CPUs.
    pub workers: SourceSpan,
    /// The size of chunks, where it is given.
    pub chunk: Option<SourceSpan>,
    /// The number of frames, where it is given.
    pub frames: Option<SourceSpan>,
    /// Names of ports.
    pub ports: BTreeMap<Name, SourceSpan>,
    /// Upstreams and tunnels.
    pub links: BTreeMap<LinkName, LinkSpans>,
}

/// Where the parts of an upstream or a tunnel stand in the file.
#[derive(Clone, Copy, Debug)]
pub struct LinkSpans {
    /// Its name.
    pub name: SourceSpan,
    /// The portal's outer address, if it has one.
    pub local: Option<SourceSpan>,
    /// The far end's outer address, if it has one.
    pub remote: Option<SourceSpan>,
    /// What an upstream's packets are sent to, if that is said.
    pub next_hop: Option<SourceSpan>,
}

impl Spans {
    /// The text of the file that these places are in.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.inner()
    }

    pub(super) fn new(source: Arc<NamedSource<String>>) -> Self {
        let nowhere = SourceSpan::from(0..0);
        Self {
            source,
            workers: nowhere,
            chunk: None,
            frames: None,
            ports: BTreeMap::new(),
            links: BTreeMap::new(),
        }
    }
}
