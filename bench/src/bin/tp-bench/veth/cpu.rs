//! CPU time as the scheduler accounts it: what was used, and what was waited for.
//!
//! On veth, what a sendto() sets off (the receiver's NAPI with its XDP program) runs on the sender's CPU
//! and is accounted to the sender.

use std::fs;
use std::io;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

/// CPU time of a thread, or of all threads of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Time on a CPU.
    pub(crate) used: Duration,
    /// Time ready to run while others had the CPU. On a machine that does nothing else it is almost none.
    pub(crate) waited: Duration,
}

impl CpuTime {
    /// Of the calling thread, since its start.
    pub(super) fn of_this_thread() -> io::Result<Self> {
        read(Path::new("/proc/thread-self/schedstat"))
    }

    /// Of the threads that a process has, since their start.
    pub(super) fn of_process(pid: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            match read(&thread?.path().join("schedstat")) {
                Ok(thread) => {
                    sum.used += thread.used;
                    sum.waited += thread.waited;
                }
                // It ended meanwhile; those that forward do not.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sum)
    }
}

impl Sub for CpuTime {
    type Output = Self;

    /// A thread that ended in between took its time with it: hence never below nothing.
    fn sub(self, earlier: Self) -> Self {
        Self {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

fn read(path: &Path) -> io::Result<CpuTime> {
    parse(&fs::read_to_string(path)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat": nanoseconds on a CPU, nanoseconds
/// waiting on a run queue, number of time slices.
fn parse(text: &str) -> Option<CpuTime> {
    let mut fields = text
        .split_ascii_whitespace()
        .map(|field| field.parse().ok());
    let mut next = || fields.next().flatten().map(Duration::from_nanos);
    Some(CpuTime {
        used: next()?,
        waited: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_has_used_and_waited() {
        let time = CpuTime {
            used: Duration::from_nanos(900_791_121),
            waited: Duration::from_nanos(503_485_091),
        };
        assert_eq!(parse("900791121 503485091 176\n"), Some(time));
        assert_eq!(parse("1\n"), None);
        assert_eq!(parse("a b c\n"), None);
    }

    #[test]
    fn a_busy_thread_uses_time_in_its_process_too() {
        let pid = std::process::id();
        let (thread, process) = (
            CpuTime::of_this_thread().unwrap(),
            CpuTime::of_process(pid).unwrap(),
        );
        let least = Duration::from_millis(20);
        while (CpuTime::of_this_thread().unwrap() - thread).used < least {
            std::hint::spin_loop();
        }
        assert!((CpuTime::of_process(pid).unwrap() - process).used >= least);
    }
}
