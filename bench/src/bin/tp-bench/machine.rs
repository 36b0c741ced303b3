//! Which machine a figure comes from.

use std::fs;
use std::thread;

/// Processor, number of CPUs, kernel: "AMD EPYC, 2 CPUs, Linux 6.18.0".
pub(crate) fn name() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cpus} CPUs, Linux {}", model(&cpuinfo), release.trim())
}

/// x86 names the model in cpuinfo; other architectures may not.
fn model(cpuinfo: &str) -> &str {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or(std::env::consts::ARCH, |(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_the_first_one_named() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: Other\n";
        assert_eq!(model(cpuinfo), "Some CPU @ 3 GHz");
        assert_eq!(model("processor : 0\n"), std::env::consts::ARCH);
    }
}
