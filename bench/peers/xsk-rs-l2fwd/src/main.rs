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
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use port::{Memory, Port};

type Failure = Box<dyn Error>;

static STOP: AtomicBool = AtomicBool::new(false);

/// Rounds without a packet before it sleeps in poll.
const IDLE_ROUNDS: u32 = 100;
const POLL_MS: libc::c_int = 10;

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
    println!(
        r#"{{"a_received":{},"b_received":{},"tx_ring_full":{},"tx_busy":{}}}"#,
        a.received,
        b.received,
        a.full + b.full,
        a.busy + b.busy
    );
    Ok(())
}

fn forward(a: &mut Port, b: &mut Port, memory: &mut Memory) -> Result<(), Failure> {
    let mut idle = 0;
    while !STOP.load(Ordering::Relaxed) {
        let moved = a.forward_to(b, memory) + b.forward_to(a, memory);
        for port in [&mut *a, &mut *b] {
            port.flush()?;
            port.reclaim(memory);
        }
        idle = if moved > 0 { 0 } else { idle + 1 };
        if idle > IDLE_ROUNDS {
            wait([a.fd(), b.fd()]);
        }
    }
    Ok(())
}

/// Until a frame arrives on one of the sockets, or for [`POLL_MS`].
fn wait(fds: [libc::c_int; 2]) {
    let mut set = fds.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: `set` has two entries. A signal only ends the wait early.
    unsafe { libc::poll(set.as_mut_ptr(), 2, POLL_MS) };
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
