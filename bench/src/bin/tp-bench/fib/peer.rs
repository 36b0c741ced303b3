//! DPDK's `dpdk-test-fib` on the same routes and addresses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generate::Load;
use super::{Broken, Family, files};

/// The peer, with its files.
pub(super) struct Dpdk {
    dir: PathBuf,
    arguments: Vec<String>,
}

/// Of the 2 MiB pages that it is told to use, in MiB.
const HUGE_MIB: u64 = 2048;

const PROGRAM: &str = "dpdk-test-fib";

impl Dpdk {
    /// As figures name it.
    pub(super) const NAME: &'static str = PROGRAM;

    /// Writes its files, if it is installed.
    pub(super) fn find<A: Family>(load: &Load<A>) -> Result<Option<Self>, Broken> {
        let mut version = Command::new(PROGRAM);
        if version.arg("--version").output().is_err() {
            eprintln!("{PROGRAM} is not installed: no peer is measured");
            return Ok(None);
        }
        let dir = std::env::temp_dir().join(format!("tp-bench-fib-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let (routes, addresses) = (dir.join("routes"), dir.join("addresses"));
        files::write_routes(&routes, &load.routes)?;
        files::write_addresses(&addresses, &load.addresses)?;
        let pages = if free_huge_mib() >= HUGE_MIB {
            ["--in-memory".to_owned(), format!("-m{HUGE_MIB}")]
        } else {
            eprintln!("{PROGRAM}: no {HUGE_MIB} MiB of huge pages, so it does without");
            ["--no-huge".to_owned(), "-m8000".to_owned()]
        };
        let (routes, addresses) = (path(&routes), path(&addresses));
        let own = ["--no-pci", "-l", "0", "--", "-f", &routes, "-t", &addresses];
        let own = own.iter().chain(A::DPDK).map(|arg| (*arg).to_owned());
        let arguments = pages.into_iter().chain(own).collect();
        Ok(Some(Self { dir, arguments }))
    }

    /// Runs it: ticks of a look-up, its mean over all addresses.
    pub(super) fn ticks(&self) -> Result<f64, Broken> {
        let ran = Command::new(PROGRAM).args(&self.arguments).output()?;
        let output = String::from_utf8_lossy(&ran.stdout);
        lookup(&output).ok_or_else(|| Broken::Peer {
            program: PROGRAM,
            status: ran.status,
            output: format!("{output}{}", String::from_utf8_lossy(&ran.stderr)),
        })
    }
}

impl Drop for Dpdk {
    fn drop(&mut self) {
        // Files of a run that has ended: nothing depends on their going.
        let _: io::Result<()> = fs::remove_dir_all(&self.dir);
    }
}

fn lookup(output: &str) -> Option<f64> {
    let line = |line: &str| line.strip_prefix("AVG FIB lookup ")?.trim().parse().ok();
    output.lines().find_map(line)
}

fn free_huge_mib() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name| {
        let value = meminfo.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
    };
    let pages = field("HugePages_Free:").unwrap_or_default();
    pages * field("Hugepagesize:").unwrap_or_default() / 1024
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_figure_is_read() {
        let output = "AVG FIB add 8084\nAVG FIB lookup 29.3\nAVG FIB delete 18511\n";
        assert_eq!(lookup(output), Some(29.3));
        assert_eq!(lookup("EAL: Error - exiting with code: -22\n"), None);
    }
}
