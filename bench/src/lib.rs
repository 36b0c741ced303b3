//! Measuring: a generator of frames, a sink that counts what arrives, and the benches.
#![forbid(unsafe_code)]

mod device;
mod sink;
mod template;

pub use device::DeviceError;
pub use sink::{Counts, FlowTally, OuterSignature, Signature, Sink, SinkError, Tally};
pub use template::{
    FrameSpec, INNER_OF_64, LINK_LEN, MAX_TEMPLATES, MIN_INNER, Outer, Template, TemplateError,
    TunnelKind,
};
