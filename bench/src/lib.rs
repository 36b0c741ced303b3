//! Measuring: a generator of frames, a sink that counts what arrives, and the benches.
#![forbid(unsafe_code)]

mod device;
mod generator;
mod namespace;
mod sink;
mod template;

pub use device::DeviceError;
pub use generator::{Generator, GeneratorConfig, GeneratorError, Rate, Sent, run_in_turn};
pub use namespace::{End, Namespace, NamespaceError};
pub use sink::{Counts, FlowTally, OuterSignature, Signature, Sink, SinkError, Tally};
pub use template::{
    FrameSpec, INNER_OF_64, LINK_LEN, MAX_TEMPLATES, MIN_INNER, Outer, Template, TemplateError,
    TunnelKind,
};
