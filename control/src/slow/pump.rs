//! The thread between the workers and the two devices. It waits for none of them: what finds no room is dropped and
//! counted.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use rustix::event::epoll;
use rustix::io::Errno;
use tp_pipeline::{Packet, PuntTo, Verdict, originate};
use tp_worker::{Bell, Punted, SlowEnds};
use tp_xsk::{Carries, Frame, Magazine, Region, TunTap};

use super::answer::{self, Answer, Outcome};
use super::counters::{Counters, FromKernel, ToKernel};
use super::demux::{self, To};
use super::directory::{Directory, Entry};

/// Packets taken from one source before the others have their turn.
const BURST: usize = 64;
/// Below the workers and whatever else forwards: a tenth of their share of a CPU that all want.
const NICE: i32 = 10;

/// What the thread works with.
pub(super) struct Parts {
    pub(super) region: Region,
    pub(super) ends: SlowEnds,
    pub(super) directory: Arc<ArcSwap<Directory>>,
    pub(super) counters: Arc<Counters>,
    pub(super) tun: TunTap,
    pub(super) tap: TunTap,
    /// CPUs of workers, which it leaves to them if there are others.
    pub(super) avoid: Vec<usize>,
}

/// The running thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Pump {
    stop: Arc<AtomicBool>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    pub(super) fn start(parts: Parts) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let bell = Arc::clone(parts.ends.bell());
        let sources = Sources::new(&bell, &parts)?;
        let mut body = Body {
            magazine: parts.region.depot().magazine(),
            answer: [0; size_of::<Answer>()],
            parts,
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("tp-slow-path".to_owned())
            .spawn(move || {
                body.step_aside();
                body.run(&sources, &stopped);
            })?;
        Ok(Self {
            stop,
            bell,
            thread: Some(thread),
        })
    }

    /// Whether it runs; it ends by itself when a device is taken away.
    pub(super) fn runs(&self) -> bool {
        self.thread.as_ref().is_some_and(|t| !t.is_finished())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so.
            let _ = thread.join();
        }
    }
}

/// What the thread sleeps on.
struct Sources(OwnedFd);

impl Sources {
    fn new(bell: &Bell, parts: &Parts) -> io::Result<Self> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let add = |fd: BorrowedFd<'_>| {
            let data = epoll::EventData::new_u64(0);
            epoll::add(&set, fd, data, epoll::EventFlags::IN)
        };
        add(bell.as_fd())?;
        add(parts.tun.file().as_fd())?;
        add(parts.tap.file().as_fd())?;
        Ok(Self(set))
    }

    fn sleep(&self) {
        let data = epoll::EventData::new_u64(0);
        let flags = epoll::EventFlags::empty();
        // EINTR is a waking like any other: the next turn looks at everything.
        let _ = epoll::wait(&self.0, &mut [epoll::Event { flags, data }], None);
    }
}

/// A device that is no more: somebody removed it.
struct Gone;

struct Body {
    parts: Parts,
    magazine: Magazine,
    answer: Answer,
}

impl Body {
    /// Gives way to the workers.
    fn step_aside(&self) {
        // Where this is not allowed it runs like any thread.
        let _ = rustix::process::setpriority_process(None, NICE);
        if let Ok(mut cpus) = rustix::thread::sched_getaffinity(None) {
            for cpu in &self.parts.avoid {
                cpus.unset(*cpu);
            }
            if cpus.count() > 0 {
                let _ = rustix::thread::sched_setaffinity(None, &cpus);
            }
        }
    }

    fn run(&mut self, sources: &Sources, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let Ok(moved) = self.turn() else { return };
            if moved > 0 {
                continue;
            }
            self.parts.ends.bell().arm();
            // What came before the bell was armed rang for nobody.
            if self.parts.ends.is_empty() && !stop.load(Ordering::Acquire) {
                sources.sleep();
            }
            self.parts.ends.bell().disarm();
        }
    }

    fn turn(&mut self) -> Result<usize, Gone> {
        let directory = self.parts.directory.load_full();
        let mut moved = 0;
        for worker in 0..self.parts.ends.workers() {
            for _ in 0..BURST {
                let Some(punted) = self.parts.ends.next_punt(worker) else {
                    break;
                };
                self.take(&directory, punted)?;
                moved += 1;
            }
        }
        for device in [Carries::Packets, Carries::Frames] {
            let mut taken = 0;
            while taken < BURST && self.fetch(&directory, device)? {
                taken += 1;
            }
            moved += taken;
        }
        Ok(moved)
    }

    /// Brings what a worker punted to the kernel, or answers it.
    fn take(&mut self, directory: &Directory, punted: Punted) -> Result<(), Gone> {
        let Punted { to, meta, frame } = punted;
        let device = match to {
            PuntTo::Tun => Carries::Packets,
            PuntTo::Tap => Carries::Frames,
        };
        let bytes = &self.parts.region.chunk(&frame)[frame.start()..frame.start() + frame.len()];
        let mut answered = None;
        let refused = if device == Carries::Frames && answer::is_neighbour_protocol(bytes) {
            match directory.source_of(&meta) {
                None => Some(ToKernel::StaleLink),
                Some(entry) => match answer::judge(bytes, &entry.shown, &mut self.answer) {
                    Outcome::Kernel => self.write(device, bytes)?,
                    Outcome::NotForUs => Some(ToKernel::NotForUs),
                    Outcome::Answered(length) => {
                        answered = Some((entry, length));
                        None
                    }
                },
            }
        } else {
            self.write(device, bytes)?
        };
        self.magazine.free(frame);
        match (refused, answered) {
            (Some(reason), _) => self.parts.counters.add_dropped_to_kernel(reason),
            (None, Some((entry, length))) => self.send_answer(entry, length),
            (None, None) => self.parts.counters.add_to_kernel(device),
        }
        Ok(())
    }

    /// Has the kernel receive a packet by a device.
    fn write(&self, device: Carries, bytes: &[u8]) -> Result<Option<ToKernel>, Gone> {
        match self.device(device).file().write(bytes) {
            Ok(_) => Ok(None),
            Err(error) if is_gone(&error) => Err(Gone),
            // The device is down, or the kernel has no memory.
            Err(_) => Ok(Some(ToKernel::Refused)),
        }
    }

    fn send_answer(&mut self, entry: &Entry, length: usize) {
        self.parts.counters.add_answered();
        let Some(mut frame) = self.magazine.alloc() else {
            let counters = &self.parts.counters;
            return counters.add_dropped_from_kernel(FromKernel::NoFrame);
        };
        frame.set_extent(frame.start(), length);
        let start = frame.start();
        let chunk = self.parts.region.chunk_mut(&mut frame);
        chunk[start..start + length].copy_from_slice(&self.answer[..length]);
        self.submit(entry, frame);
    }

    /// Takes one packet that the kernel sent; false if there is none.
    fn fetch(&mut self, directory: &Directory, device: Carries) -> Result<bool, Gone> {
        let Some(mut frame) = self.magazine.alloc() else {
            return self.throw_away(device);
        };
        let start = frame.start();
        let chunk = self.parts.region.chunk_mut(&mut frame);
        let length = match self.device(device).file().read(&mut chunk[start..]) {
            Ok(length) => length,
            Err(error) => {
                self.magazine.free(frame);
                return if is_gone(&error) {
                    Err(Gone)
                } else {
                    Ok(false)
                };
            }
        };
        let bytes = &chunk[start..start + length];
        let to = match device {
            Carries::Packets => demux::of_packet(bytes),
            Carries::Frames => demux::of_frame(bytes),
        };
        frame.set_extent(start, length);
        self.parts.counters.add_from_kernel(device);
        let entry = match to {
            To::Peer(peer) => directory.with_peer(peer).ok_or(FromKernel::NoSuchLink),
            To::Group => Err(FromKernel::Group),
            To::Unknown => Err(FromKernel::NoSuchLink),
        };
        match entry {
            Ok(entry) if entry.carries == device => self.submit(entry, frame),
            // A route of the operator's leads to the wrong one of the two devices.
            Ok(_) => self.refuse(frame, FromKernel::NoSuchLink),
            Err(reason) => self.refuse(frame, reason),
        }
        Ok(true)
    }

    /// Takes a packet that there is no frame for: it shall not wait, and become one of many.
    fn throw_away(&self, device: Carries) -> Result<bool, Gone> {
        match self.device(device).file().read(&mut [0; 1]) {
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Err(Gone),
            Err(_) => return Ok(false),
        }
        self.parts.counters.add_from_kernel(device);
        let counters = &self.parts.counters;
        counters.add_dropped_from_kernel(FromKernel::NoFrame);
        Ok(true)
    }

    /// Gives a packet the headers of its link and hands it to the link's worker.
    fn submit(&mut self, entry: &Entry, mut frame: Frame) {
        let snapshot = self.parts.ends.published();
        let Some(link) = entry.id.find(entry.tag, &snapshot.current) else {
            return self.refuse(frame, FromKernel::NoSuchLink);
        };
        let (start, length) = (frame.start(), frame.len());
        let chunk = self.parts.region.chunk_mut(&mut frame);
        let Some(mut packet) = Packet::new(chunk, start, length) else {
            unreachable!("a frame's extent is in its chunk");
        };
        let verdict = originate(link, &snapshot.current, &mut packet);
        let (start, length) = (packet.start(), packet.len());
        match verdict {
            Verdict::Transmit(port) => {
                frame.set_extent(start, length);
                let worker = entry.id.spread(self.parts.ends.workers());
                match self.parts.ends.submit(worker, port, frame) {
                    Ok(()) => self.parts.counters.add_originated(),
                    Err(frame) => self.refuse(frame, FromKernel::QueueFull),
                }
            }
            Verdict::Drop(reason) => self.refuse(frame, FromKernel::Pipeline(reason)),
            Verdict::Punt(_) | Verdict::Hold(_) => {
                unreachable!("what comes from the kernel leaves or is dropped")
            }
        }
    }

    fn refuse(&mut self, frame: Frame, reason: FromKernel) {
        self.magazine.free(frame);
        self.parts.counters.add_dropped_from_kernel(reason);
    }

    fn device(&self, device: Carries) -> &TunTap {
        match device {
            Carries::Packets => &self.parts.tun,
            Carries::Frames => &self.parts.tap,
        }
    }
}

/// The device was removed: its file is detached (`tun_chr_read_iter`, `tun_chr_write_iter` of drivers/net/tun.c).
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::BADFD.raw_os_error())
}
