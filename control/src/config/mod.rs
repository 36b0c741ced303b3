//! The configuration file: TOML in, the validated [`Model`] out, or every problem with its place.
//!
//! Three layers: `shape` reads the file's sections, entry by entry, into the types of `raw`;
//! `text` and `rates` read single values; the files named like the sections build the model and check what
//! only several entries together can tell, `claims` and `addresses` for all links together. [`check_kernel`] compares the result with the machine.
//! `docs/configuration.md` is the reference of the format.

mod addresses;
mod attachment;
mod claims;
mod clients;
mod kernel;
mod portal;
mod rates;
mod raw;
mod report;
mod shape;
mod shown;
mod text;
mod tunnels;
mod upstreams;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, NamedSource};
use thiserror::Error;

use crate::model::Model;
pub use addresses::AddressProblem;
pub use attachment::{AttachmentProblem, LinkName};
pub use claims::ClaimProblem;
pub use clients::ClientProblem;
pub use kernel::{CHUNKS_OF_A_SOCKET, KernelCheck, KernelProblem, check_kernel, max_mtu};
pub use portal::PortalProblem;
pub use rates::RateProblem;
use report::Problems;
pub use report::{LinkSpans, Problem, Report, Spans};
pub use shape::ShapeProblem;
pub use shown::ShownProblem;
pub use text::ValueProblem;
pub use tunnels::TunnelProblem;
pub use upstreams::UpstreamProblem;

/// CPUs that a worker may be pinned to.
pub type Cpus = BTreeSet<usize>;

/// Why a configuration file gave no model.
#[derive(Debug, Error, Diagnostic)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    #[diagnostic(help("name a TOML file that this user may read"))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        error: std::io::Error,
    },
    /// The file's contents are refused.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(#[from] Report),
}

/// Reads and validates a configuration file for this machine.
///
/// # Errors
/// [`LoadError`]: the file is unreadable, or refused with all that is wrong in it.
pub fn load(path: &Path) -> Result<(Model, Spans), LoadError> {
    let text = std::fs::read_to_string(path).map_err(|error| LoadError::Read {
        path: path.to_owned(),
        error,
    })?;
    Ok(parse(
        &path.display().to_string(),
        &text,
        &cpus_of_this_process(),
    )?)
}

/// Validates the text of a configuration file; pure.
///
/// `file` names it in messages, `cpus` are those that a worker may have.
///
/// # Errors
/// [`Report`] with all that is wrong in it.
pub fn parse(file: &str, text: &str, cpus: &Cpus) -> Result<(Model, Spans), Report> {
    let source = Arc::new(NamedSource::new(file, text.to_owned()).with_language("TOML"));
    let mut problems = Problems::default();
    let mut spans = Spans::new(Arc::clone(&source));
    let raw = shape::read(text, &mut problems);
    let portal = portal::portal(raw.portal.as_ref(), cpus, &mut spans, &mut problems);
    let ports = portal::ports(&raw.ports, portal.as_ref(), &mut spans, &mut problems);
    let clients = clients::clients(&raw, &mut problems);
    let owners = clients::Owners::new(&clients);
    let mut links = claims::Claims::new(&owners);
    let mut addresses = addresses::Claims::new(&owners);
    let upstreams =
        upstreams::upstreams(&raw, &mut links, &mut addresses, &mut spans, &mut problems);
    let tunnels = tunnels::tunnels(
        &raw,
        &clients,
        &mut links,
        &mut addresses,
        &mut spans,
        &mut problems,
    );
    addresses.finish(&mut problems);
    match (portal, problems.into_report(&source)) {
        (_, Some(report)) => Err(report),
        (Some(portal), None) => Ok((
            Model {
                portal,
                ports,
                upstreams,
                clients,
                tunnels,
            },
            spans,
        )),
        (None, None) => unreachable!("a portal that is not valid leaves a problem"),
    }
}

/// The CPUs that the scheduler may run this process on; a worker cannot be pinned elsewhere.
fn cpus_of_this_process() -> Cpus {
    use rustix::thread::{CpuSet, sched_getaffinity};
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU)
            .filter(|&cpu| set.is_set(cpu))
            .collect(),
        // The call fails only on machines with more CPUs than the set holds: all of them count then.
        Err(_) => (0..CpuSet::MAX_CPU).collect(),
    }
}
