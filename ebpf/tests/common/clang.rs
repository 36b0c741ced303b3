//! BPF objects of the tests' own, compiled when the test runs: the crate needs none of them.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `tests/bpf/NAME.bpf.c`.
pub(crate) fn compile(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/bpf/{name}.bpf.c"));
    let object = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.bpf.o"));
    let multiarch = format!("/usr/include/{ARCH}-linux-gnu");
    let clang = Command::new("clang")
        .args(["-target", "bpf", "-g", "-O2", "-Wall", "-Wextra", "-Werror"])
        .args(["-idirafter", &multiarch, "-c"])
        .arg(source)
        .arg("-o")
        .arg(&object)
        .output()
        .expect("clang runs: scripts/setup installs it");
    assert!(
        clang.status.success(),
        "{}",
        String::from_utf8_lossy(&clang.stderr)
    );
    object
}
