//! A bare two-port forwarder on the xsk-rs crate: what comes in on one port leaves by the other, unchanged.
//!
//! It has the portal's ring sizes, bursts, TX budget and wake-ups and does nothing else, so its rate on
//! a machine is what AF_XDP gives there, and the portal's is set beside it.
//!
//! `xsk-rs-l2fwd PORT_A PORT_B CPU` prints "ready" when both ports are bound, forwards until its
//! standard input ends, and prints its counters as one JSON object.

mod port;

use std::error::Error;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use port::{Memory, Port};

type Failure = Box<dyn Error>;

static STOP: AtomicBool = AtomicBool::new(false);

/// Rounds without a packet before it sleeps, as of the portal's workers (`IDLE_TURNS`).
const IDLE_ROUNDS: u32 = 16;
/// Longest sleep: what it takes at most to see that it shall stop.
const SLEEP_MS: libc::c_int = 10;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xsk-rs-l2fwd: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [a, b, cpu] = &args[..] else {
        return Err("usage: xsk-rs-l2fwd PORT_A PORT_B CPU".into());
    };
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        STOP.store(true, Ordering::Relaxed);
    });
    pin(cpu.parse()?)?;
    let mut memory = Memory::new()?;
    let mut a = Port::open(a, &mut memory)?;
    let mut b = Port::open(b, &mut memory)?;
    println!("ready");
    io::stdout().flush()?;
    forward(&mut a, &mut b, &mut memory)?;
    let (losses_a, losses_b) = (a.ring_losses()?, b.ring_losses()?);
    println!(
        r#"{{"rx_dropped":{},"rx_ring_full":{},"received":{},"tx_ring_full":{},"tx_busy":{}}}"#,
        losses_a.0 + losses_b.0,
        losses_a.1 + losses_b.1,
        a.received + b.received,
        a.full + b.full,
        a.busy + b.busy
    );
    Ok(())
}

fn forward(a: &mut Port, b: &mut Port, memory: &mut Memory) -> Result<(), Failure> {
    let bed = bed([a.fd(), b.fd()])?;
    let mut idle = 0;
    while !STOP.load(Ordering::Relaxed) {
        let moved = a.forward_to(b, memory) + b.forward_to(a, memory);
        for port in [&mut *a, &mut *b] {
            port.flush()?;
            port.reclaim(memory);
        }
        idle = if moved > 0 { 0 } else { idle + 1 };
        if idle == IDLE_ROUNDS {
            sleep(&bed);
            idle = 0;
        }
    }
    Ok(())
}

/// What it sleeps on: epoll, as the portal's workers do.
fn bed(fds: [libc::c_int; 2]) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if epoll < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else has.
    let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
    for fd in fds {
        let mut event = libc::epoll_event {
            events: libc::EPOLLIN as u32,
            u64: 0,
        };
        // SAFETY: `event` lives across the call.
        match unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) } {
            0 => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
    Ok(epoll)
}

/// Until a frame arrives on one of the sockets, or for [`SLEEP_MS`].
fn sleep(bed: &OwnedFd) {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: `event` is room for one. A signal only ends the sleep early.
    unsafe { libc::epoll_wait(bed.as_raw_fd(), &mut event, 1, SLEEP_MS) };
}

fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: CPU_SET checks its index against the set's size.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set has the length that is given with it.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
