//! Why a run counts for nothing.

use std::io;
use std::path::PathBuf;

/// Why a run counts for nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// Generator and forwarder would share a CPU.
    #[error("two CPUs are needed, one for the forwarder and one for the generator")]
    OneCpu,
    /// A program was not built.
    #[error("{} is missing: cargo build --release -p tp-control -p tpctl", .0.display())]
    Missing(PathBuf),
    /// The laboratory.
    #[error(transparent)]
    Namespace(#[from] tp_bench::NamespaceError),
    /// The generator.
    #[error("generator: {0}")]
    Generator(#[from] tp_bench::GeneratorError),
    /// The frames.
    #[error("template: {0}")]
    Template(#[from] tp_bench::TemplateError),
    /// The sink.
    #[error("sink: {0}")]
    Sink(#[from] tp_bench::SinkError),
    /// Files, pipes, processes.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The contender did not get as far as forwarding.
    #[error("{peer} ended, or was not ready within {seconds} s\n{said}")]
    NotReady {
        /// Who.
        peer: &'static str,
        /// How long it had.
        seconds: u64,
        /// What it wrote to its standard error.
        said: String,
    },
    /// The contender failed, or did not end when it was asked to.
    #[error("{peer} did not end well\n{said}")]
    BadEnd {
        /// Who.
        peer: &'static str,
        /// What it wrote to its standard error.
        said: String,
    },
    /// What a contender told of itself cannot be read.
    #[error("the counters of {peer}: {source}")]
    Counters {
        /// Whose.
        peer: &'static str,
        /// What is wrong with them.
        source: serde_json::Error,
    },
    /// A direction carried nothing.
    #[error("{peer}: nothing arrived at {side}; {books}")]
    Silent {
        /// Who forwarded.
        peer: &'static str,
        /// Where nothing arrived.
        side: &'static str,
        /// What was counted on the way.
        books: String,
    },
    /// Frames arrived that should not have, or damaged.
    #[error("{peer}: {packets} frames at {side} are not as expected: {what}")]
    Wrong {
        /// Who forwarded.
        peer: &'static str,
        /// Where they arrived.
        side: &'static str,
        /// How many.
        packets: u64,
        /// What is wrong with them.
        what: String,
    },
}

/// `map_err` for a step that says what was tried.
pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Broken {
    move |source| Broken::System { what, source }
}
