//! What workers hand to the kernel.

use crossbeam_queue::ArrayQueue;
use tp_pipeline::PuntTo;
use tp_pipeline::abi::Meta;
use tp_xsk::Frame;

/// A packet for the kernel; whoever takes it out of the queue gives the frame back to the depot.
#[derive(Debug)]
pub struct Punted {
    /// By which device.
    pub to: PuntTo,
    /// What steering said of it: by which link it came.
    pub meta: Meta,
    /// Its bytes.
    pub frame: Frame,
}

/// A worker's packets for the kernel.
pub type Punts = ArrayQueue<Punted>;
