//! `[portal]` and `[ports]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use miette::{Diagnostic, SourceSpan};
use thiserror::Error;
use toml::Spanned;
use tp_pipeline::abi::MAX_QUEUES;

use super::Cpus;
use super::rates::rate;
use super::raw::{RawMemory, RawPort, RawPortal, RawSlowPath, Section, Text, span};
use super::report::{Problems, Spans};
use super::shape::is_device_name;
use super::text::number;
use crate::model::{BindMode, HugePages, Memory, Name, Port, Portal, SlowPath, XdpMode};

/// Frames that a portal may have: a few rings' worth to 16 GiB of the largest chunks.
const FRAMES: std::ops::RangeInclusive<u32> = 1024..=4_194_304;
const DEFAULT_MEMORY: Memory = Memory {
    frames: 16_384,
    chunk: 2048,
    huge_pages: HugePages::Try,
};
/// Longest path of a unix socket (`sun_path` of unix(7), without the terminator).
const SOCKET_PATH: usize = 107;

/// `[portal]` or `[ports]` asks for what cannot be.
#[derive(Debug, Error, Diagnostic)]
pub enum PortalProblem {
    /// No worker.
    #[error("there is no worker")]
    #[diagnostic(help("name at least one CPU: workers = [0]"))]
    NoWorker {
        /// Its place.
        #[label("empty")]
        at: SourceSpan,
    },
    /// Too many workers.
    #[error("{count} workers are more than the {limit} queues that a port may have")]
    #[diagnostic(help("each worker serves a queue of every port"))]
    TooManyWorkers {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
        /// Its place.
        #[label("too many")]
        at: SourceSpan,
    },
    /// A CPU that is not there.
    #[error("CPU {cpu} is not one that this process may use")]
    #[diagnostic(help("the CPUs are {available}"))]
    NoCpu {
        /// As written.
        cpu: i64,
        /// In words.
        available: String,
        /// Its place.
        #[label("no such CPU")]
        at: SourceSpan,
    },
    /// A CPU listed twice.
    #[error("CPU {cpu} is listed twice")]
    #[diagnostic(help("a worker has its CPU for itself"))]
    SameCpu {
        /// As written.
        cpu: i64,
        /// Its place.
        #[label(primary, "again")]
        at: SourceSpan,
        /// The place of the other.
        #[label("first here")]
        first: SourceSpan,
    },
    /// A path that means something else elsewhere.
    #[error("`{path}` is no absolute path for {what}")]
    #[diagnostic(help("start it with /"))]
    Path {
        /// As written.
        path: String,
        /// The key.
        what: &'static str,
        /// Its place.
        #[label("not absolute")]
        at: SourceSpan,
    },
    /// A socket path that the kernel cannot bind.
    #[error("the path of the API socket has {length} bytes")]
    #[diagnostic(help("a unix socket's path has at most {SOCKET_PATH} bytes (unix(7))"))]
    SocketPath {
        /// Bytes.
        length: usize,
        /// Its place.
        #[label("too long")]
        at: SourceSpan,
    },
    /// A chunk size that AF_XDP does not have.
    #[error("{size} is no chunk size")]
    #[diagnostic(help("chunk = 2048, or 4096 for ports with a larger MTU"))]
    Chunk {
        /// As written.
        size: i64,
        /// Its place.
        #[label("2048 or 4096")]
        at: SourceSpan,
    },
    /// A name that no device can have.
    #[error("`{name}` is no name of a device")]
    #[diagnostic(help("a device's name has 1 to 15 of A-Z a-z 0-9 . _ -"))]
    DeviceName {
        /// As written.
        name: String,
        /// Its place.
        #[label("bad name")]
        at: SourceSpan,
    },
    /// One device for both ways of the slow path.
    #[error("the slow path has one device {name} for IP packets and for Ethernet frames")]
    #[diagnostic(help(
        "a TUN device and a TAP device: slow_path = {{ tun = \"tp-tun\", tap = \"tp-tap\" }}"
    ))]
    OneDevice {
        /// Both.
        name: String,
        /// Its place.
        #[label("the same")]
        at: SourceSpan,
    },
    /// A port that is the slow path's device.
    #[error("port {port} is a device of the slow path")]
    #[diagnostic(help(
        "the portal makes it, for packets between the kernel and its links: rename it in slow_path of [portal]"
    ))]
    PortOfSlowPath {
        /// The port.
        port: Name,
        /// Its place.
        #[label("the portal's own")]
        at: SourceSpan,
    },
    /// Zero-copy without the driver.
    #[error("port {port} cannot be zero-copy with xdp = \"generic\"")]
    #[diagnostic(help("zero-copy is the driver's: xdp = \"native\", or mode = \"copy\""))]
    GenericZeroCopy {
        /// The port.
        port: Name,
        /// Its place.
        #[label("needs native XDP")]
        at: SourceSpan,
    },
}

pub(super) fn portal(
    raw: Option<&RawPortal>,
    cpus: &Cpus,
    spans: &mut Spans,
    problems: &mut Problems,
) -> Option<Portal> {
    let raw = raw?;
    spans.workers = span(&raw.workers);
    let workers = workers(&raw.workers, cpus, problems);
    let api = path(raw.api.as_ref(), "api", "/run/tpd/api.sock", problems);
    if let (Some(text), true) = (&raw.api, api.as_os_str().len() > SOCKET_PATH) {
        let length = api.as_os_str().len();
        problems.push(PortalProblem::SocketPath {
            length,
            at: span(text),
        });
    }
    Some(Portal {
        workers,
        busy_poll: raw.busy_poll,
        on_stop: raw.on_stop,
        api,
        bpffs: path(raw.bpffs.as_ref(), "bpffs", "/run/tpd/bpf", problems),
        state: path(raw.state.as_ref(), "state", "/var/lib/tpd", problems),
        memory: memory(raw, spans, problems),
        slow_path: slow_path(&raw.slow_path, problems),
    })
}

fn workers(raw: &Spanned<Vec<Spanned<i64>>>, cpus: &Cpus, problems: &mut Problems) -> Vec<usize> {
    let (list, at) = (raw.get_ref(), span(raw));
    if list.is_empty() {
        problems.push(PortalProblem::NoWorker { at });
    }
    if list.len() > MAX_QUEUES {
        problems.push(PortalProblem::TooManyWorkers {
            count: list.len(),
            limit: MAX_QUEUES,
            at,
        });
    }
    let mut seen: BTreeMap<i64, SourceSpan> = BTreeMap::new();
    let mut workers = Vec::new();
    for entry in list {
        let (cpu, at) = (*entry.get_ref(), span(entry));
        if let Some(&first) = seen.get(&cpu) {
            problems.push(PortalProblem::SameCpu { cpu, at, first });
            continue;
        }
        seen.insert(cpu, at);
        match usize::try_from(cpu).ok().filter(|cpu| cpus.contains(cpu)) {
            Some(cpu) => workers.push(cpu),
            None => problems.push(PortalProblem::NoCpu {
                cpu,
                available: ranges(cpus),
                at,
            }),
        }
    }
    workers
}

/// Numbers as the kernel lists CPUs: `0-3, 6`.
fn ranges(cpus: &BTreeSet<usize>) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let words: Vec<String> = runs
        .iter()
        .map(|(a, b)| {
            if a == b {
                a.to_string()
            } else {
                format!("{a}-{b}")
            }
        })
        .collect();
    words.join(", ")
}

fn path(
    text: Option<&Text>,
    what: &'static str,
    default: &str,
    problems: &mut Problems,
) -> PathBuf {
    let Some(text) = text else {
        return PathBuf::from(default);
    };
    let path = PathBuf::from(text.get_ref());
    if !path.is_absolute() {
        let (path, at) = (text.get_ref().clone(), span(text));
        problems.push(PortalProblem::Path { path, what, at });
    }
    path
}

fn memory(raw: &RawPortal, spans: &mut Spans, problems: &mut Problems) -> Memory {
    let Some(RawMemory {
        frames,
        chunk,
        huge_pages,
    }) = &raw.memory
    else {
        return DEFAULT_MEMORY;
    };
    spans.frames = frames.as_ref().map(span);
    let frames = frames
        .as_ref()
        .and_then(|n| problems.keep(number(n, "frames", FRAMES)));
    let mut size = DEFAULT_MEMORY.chunk;
    if let Some(chunk) = chunk {
        spans.chunk = Some(span(chunk));
        match *chunk.get_ref() {
            2048 => size = 2048,
            4096 => size = 4096,
            other => problems.push(PortalProblem::Chunk {
                size: other,
                at: span(chunk),
            }),
        }
    }
    Memory {
        frames: frames.unwrap_or(DEFAULT_MEMORY.frames),
        chunk: size,
        huge_pages: *huge_pages,
    }
}

fn slow_path(raw: &RawSlowPath, problems: &mut Problems) -> SlowPath {
    let default = SlowPath::default();
    let mut device = |text: Option<&Text>, default: Name| match text {
        Some(text) if is_device_name(text.get_ref()) => text.get_ref().clone(),
        Some(text) => {
            let (name, at) = (text.get_ref().clone(), span(text));
            problems.push(PortalProblem::DeviceName { name, at });
            default
        }
        None => default,
    };
    let tun = device(raw.tun.as_ref(), default.tun);
    let tap = device(raw.tap.as_ref(), default.tap);
    if let (true, Some(text)) = (tun == tap, raw.tap.as_ref().or(raw.tun.as_ref())) {
        let (name, at) = (tap.clone(), span(text));
        problems.push(PortalProblem::OneDevice { name, at });
    }
    let rate = rate(
        raw.rate.as_ref(),
        raw.burst.as_ref(),
        default.rate,
        problems,
    );
    SlowPath { tun, tap, rate }
}

pub(super) fn ports(
    raw: &Section<RawPort>,
    portal: Option<&Portal>,
    spans: &mut Spans,
    problems: &mut Problems,
) -> BTreeMap<Name, Port> {
    let mut ports = BTreeMap::new();
    for (name, entry) in &raw.entries {
        let mode = entry
            .value
            .mode
            .as_ref()
            .map_or(BindMode::Auto, |mode| mode.get_ref().0);
        let xdp = entry.value.xdp;
        if let (Some(at), BindMode::ZeroCopy, XdpMode::Generic) = (&entry.value.mode, mode, xdp) {
            problems.push(PortalProblem::GenericZeroCopy {
                port: name.clone(),
                at: span(at),
            });
        }
        if portal.is_some_and(|portal| portal.slow_path.owns(name)) {
            let (port, at) = (name.clone(), entry.name_at);
            problems.push(PortalProblem::PortOfSlowPath { port, at });
        }
        spans.ports.insert(name.clone(), entry.name_at);
        ports.insert(name.clone(), Port { mode, xdp });
    }
    ports
}
