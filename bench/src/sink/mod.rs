//! A counting XDP program on the receiving end of a link: what arrived, by what it looks like.
//!
//! Counting in XDP costs no process: with two cores a third busy program would be measured instead
//! of the forwarder. The program drops what it counts and passes everything else (ARP, ICMP, other
//! UDP) to the kernel.

mod abi;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder};
use tp_wire::MacAddr;

use crate::device::{self, DeviceError};
use crate::template::{MAX_TEMPLATES, TunnelKind};

static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sink.bpf.o"));

/// Why a sink could not be attached or read.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The kernel refused the program, the attachment or a map operation.
    #[error("{what}: {source}")]
    Bpf {
        /// What was tried.
        what: &'static str,
        /// What libbpf said.
        source: libbpf_rs::Error,
    },
    /// The embedded object lacks a map or program, or one has another layout than its mirror.
    #[error("the sink's object has no {0} of the expected layout")]
    Layout(&'static str),
}

/// What a frame looked like when it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    /// Template that it was made from.
    pub template: u32,
    /// Destination MAC.
    pub dst_mac: MacAddr,
    /// Source MAC.
    pub src_mac: MacAddr,
    /// VIDs, outermost first; 0 where there is none.
    pub vlans: [u16; 2],
    /// The tunnel header, if there was one.
    pub outer: Option<OuterSignature>,
    /// Source of the inner packet.
    pub source: Ipv4Addr,
    /// Destination of the inner packet.
    pub destination: Ipv4Addr,
    /// TTL of the inner packet.
    pub ttl: u8,
}

/// The tunnel header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OuterSignature {
    /// How it was encapsulated, with the key.
    pub kind: TunnelKind,
    /// Outer source.
    pub source: Ipv4Addr,
    /// Outer destination.
    pub destination: Ipv4Addr,
    /// Outer TTL.
    pub ttl: u8,
    /// Outer DSCP and ECN.
    pub tos: u8,
}

/// How much arrived under one signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames.
    pub packets: u64,
    /// Their bytes, from the destination MAC on, without the frame check sequence.
    pub frame_bytes: u64,
    /// Total lengths of the inner IP packets.
    pub inner_bytes: u64,
    /// Frames whose inner IPv4 header checksum was wrong.
    pub bad_inner_checksum: u64,
    /// Frames whose outer IPv4 header checksum was wrong.
    pub bad_outer_checksum: u64,
}

/// How much of one template arrived, whatever it looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowTally {
    /// Frames.
    pub packets: u64,
    /// One above the greatest sequence number seen.
    pub next_sequence: u64,
    /// Frames that arrived after one with a greater sequence number, as each CPU by itself saw it.
    pub late: u64,
}

impl FlowTally {
    /// Frames missing up to the greatest sequence number seen, if the flow started at 0 and none
    /// was doubled. The generator's own count tells of losses behind it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.next_sequence.saturating_sub(self.packets)
    }
}

/// All that a sink has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By what the frames looked like.
    pub signatures: BTreeMap<Signature, Tally>,
    /// By template; those that arrived at all.
    pub flows: BTreeMap<u32, FlowTally>,
    /// Frames that are not the generator's, passed to the kernel.
    pub passed: u64,
    /// Frames of the generator that were counted nowhere else, because a table was full.
    pub overflow: u64,
}

impl Counts {
    /// Sum over all signatures.
    #[must_use]
    pub fn total(&self) -> Tally {
        self.signatures
            .values()
            .fold(Tally::default(), |a, b| Tally {
                packets: a.packets + b.packets,
                frame_bytes: a.frame_bytes + b.frame_bytes,
                inner_bytes: a.inner_bytes + b.inner_bytes,
                bad_inner_checksum: a.bad_inner_checksum + b.bad_inner_checksum,
                bad_outer_checksum: a.bad_outer_checksum + b.bad_outer_checksum,
            })
    }
}

/// The counting program, attached to a device until this is dropped.
///
/// The device is that of the network namespace in which the calling thread was; reading works
/// from everywhere.
#[derive(Debug)]
pub struct Sink {
    maps: Maps,
    _link: Link,
}

impl Sink {
    /// Attaches a fresh sink to the device of this name, in the driver where the driver can.
    ///
    /// # Errors
    /// When there is no such device, or the kernel refuses (rights, or another program is there).
    pub fn attach(device: &str) -> Result<Self, SinkError> {
        let index = device::index(device)?;
        let object = load()?;
        let program = object
            .progs_mut()
            .find(|p| p.name() == "count_frames")
            .ok_or(SinkError::Layout("program"))?;
        let index = i32::try_from(index).map_err(|_| SinkError::Layout("device index"))?;
        let link = program.attach_xdp(index).map_err(bpf("attach"))?;
        Ok(Self {
            maps: Maps::of(&object)?,
            _link: link,
        })
    }

    /// What arrived so far. Frames that arrive meanwhile may be counted in part of the result only.
    ///
    /// # Errors
    /// When the kernel refuses to read a map.
    pub fn read(&self) -> Result<Counts, SinkError> {
        self.maps.read()
    }

    /// Starts counting from 0. Frames that arrive meanwhile may be counted or not.
    ///
    /// # Errors
    /// When the kernel refuses to change a map.
    pub fn reset(&self) -> Result<(), SinkError> {
        self.maps.reset()
    }
}

fn load() -> Result<Object, SinkError> {
    // libelf wants the object at an aligned address, which an allocation has and a static need not.
    let bytes = OBJECT.to_vec();
    let open = ObjectBuilder::default()
        .open_memory(&bytes)
        .map_err(bpf("open"))?;
    open.load().map_err(bpf("load"))
}

fn bpf(what: &'static str) -> impl FnOnce(libbpf_rs::Error) -> SinkError {
    move |source| SinkError::Bpf { what, source }
}

#[derive(Debug)]
struct Maps {
    tallies: MapHandle,
    flows: MapHandle,
    others: MapHandle,
}

impl Maps {
    fn of(object: &Object) -> Result<Self, SinkError> {
        let find = |name: &'static str, key: usize, value: usize| {
            let map = object
                .maps()
                .find(|m| m.name() == name)
                .ok_or(SinkError::Layout(name))?;
            if map.key_size() as usize != key || map.value_size() as usize != value {
                return Err(SinkError::Layout(name));
            }
            MapHandle::try_from(&map).map_err(bpf("duplicate a map's descriptor"))
        };
        Ok(Self {
            tallies: find("tallies", abi::SIGNATURE_LEN, abi::TALLY_LEN)?,
            flows: find("flows", 4, abi::FLOW_LEN)?,
            others: find("others", 4, 8)?,
        })
    }

    fn read(&self) -> Result<Counts, SinkError> {
        let mut counts = Counts {
            passed: self.other(abi::PASSED)?,
            overflow: self.other(abi::OVERFLOW)?,
            ..Counts::default()
        };
        for key in self.tallies.keys() {
            let signature = abi::signature(&key).ok_or(SinkError::Layout("tallies"))?;
            let tally = counts.signatures.entry(signature).or_default();
            for share in shares(&self.tallies, &key)? {
                abi::add_tally(tally, &share).ok_or(SinkError::Layout("tallies"))?;
            }
        }
        for template in 0..MAX_TEMPLATES {
            let mut flow = FlowTally::default();
            for share in shares(&self.flows, &template.to_ne_bytes())? {
                abi::add_flow(&mut flow, &share).ok_or(SinkError::Layout("flows"))?;
            }
            if flow.packets > 0 {
                counts.flows.insert(template, flow);
            }
        }
        Ok(counts)
    }

    fn other(&self, which: u32) -> Result<u64, SinkError> {
        let mut sum = 0;
        for share in shares(&self.others, &which.to_ne_bytes())? {
            sum += abi::counter(&share).ok_or(SinkError::Layout("others"))?;
        }
        Ok(sum)
    }

    fn reset(&self) -> Result<(), SinkError> {
        // Collected first: deleting under an iteration restarts it.
        let keys: Vec<Vec<u8>> = self.tallies.keys().collect();
        for key in keys {
            self.tallies.delete(&key).map_err(bpf("delete a tally"))?;
        }
        for template in 0..MAX_TEMPLATES {
            zero(&self.flows, &template.to_ne_bytes(), abi::FLOW_LEN)?;
        }
        for which in [abi::PASSED, abi::OVERFLOW] {
            zero(&self.others, &which.to_ne_bytes(), 8)?;
        }
        Ok(())
    }
}

/// The value of each possible CPU; none if there is no such key.
fn shares(map: &MapHandle, key: &[u8]) -> Result<Vec<Vec<u8>>, SinkError> {
    let values = map
        .lookup_percpu(key, MapFlags::ANY)
        .map_err(bpf("read a map"))?;
    Ok(values.unwrap_or_default())
}

fn zero(map: &MapHandle, key: &[u8], len: usize) -> Result<(), SinkError> {
    let cpus = libbpf_rs::num_possible_cpus().map_err(bpf("count CPUs"))?;
    let values = vec![vec![0; len]; cpus];
    map.update_percpu(key, &values, MapFlags::ANY)
        .map_err(bpf("clear a map"))
}

#[cfg(test)]
mod tests;
