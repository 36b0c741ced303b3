//! Programs that forward between the laboratory's two ports, and the traffic that each should carry.

mod bare;
mod portal;

use std::collections::BTreeSet;
use std::fmt;

use tp_bench::{FrameSpec, Namespace, OuterSignature, Signature, Template};

pub(crate) use bare::bare;
pub(crate) use portal::portal;

use super::Broken;
use super::books::Books;
use super::process::Process;

/// CPU of the forwarder; the generator has another.
pub(super) const FORWARDER_CPU: usize = 0;

/// One side of the laboratory as a contender sees it.
#[derive(Debug)]
pub(crate) struct Traffic {
    /// What is sent from here.
    pub(crate) sent: Vec<Template>,
    /// What may arrive here.
    pub(crate) arrives: BTreeSet<Signature>,
}

/// A program that forwards, and the traffic that it should.
#[derive(Debug)]
pub(crate) struct Contender {
    /// Its name in the output.
    pub(crate) peer: &'static str,
    /// At a, and at b.
    pub(crate) traffic: [Traffic; 2],
    program: Box<dyn Program>,
}

/// How a contender is started and stopped.
trait Program: fmt::Debug {
    /// Starts it in the namespace that holds the ports, and waits until it forwards.
    fn start(&self, namespace: &Namespace) -> Result<Process, Broken>;

    /// Stops it; returns what it has counted since its start.
    fn stop(&self, process: Process) -> Result<Books, Broken>;
}

impl Contender {
    /// Starts it in the namespace that holds the ports, and waits until it forwards.
    pub(super) fn start(&self, namespace: &Namespace) -> Result<Process, Broken> {
        self.program.start(namespace)
    }

    /// Stops it while no traffic flows; returns what it has counted since its start.
    pub(super) fn stop(&self, process: Process) -> Result<Books, Broken> {
        self.program.stop(process)
    }
}

/// The look of a frame that arrives as the specification says.
fn look(template: u32, spec: &FrameSpec) -> Signature {
    Signature {
        template,
        dst_mac: spec.dst_mac,
        src_mac: spec.src_mac,
        vlans: [0, 0],
        outer: spec.outer.map(|outer| OuterSignature {
            kind: outer.kind,
            source: outer.source,
            destination: outer.destination,
            ttl: outer.ttl,
            tos: 0,
        }),
        source: spec.source,
        destination: spec.destination,
        ttl: spec.ttl,
    }
}
