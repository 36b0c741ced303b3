//! Compiles the steering program and generates its skeleton.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use libbpf_cargo::SkeletonBuilder;

const SOURCES: &str = "src/bpf";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed={SOURCES}");
    let (Ok(out_dir), Ok(arch)) = (env::var("OUT_DIR"), env::var("CARGO_CFG_TARGET_ARCH")) else {
        eprintln!("cargo sets OUT_DIR and CARGO_CFG_TARGET_ARCH for build scripts");
        return ExitCode::FAILURE;
    };
    if !clang_runs() {
        eprintln!("clang compiles the steering program, and is not installed: run scripts/setup");
        return ExitCode::FAILURE;
    }
    let built = SkeletonBuilder::new()
        .source(Path::new(SOURCES).join("steer.bpf.c"))
        .clang_args(clang_args(&arch))
        .build_and_generate(PathBuf::from(out_dir).join("steer.skel.rs"));
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With all its causes: clang's own messages are the innermost.
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn clang_runs() -> bool {
    let mut clang = Command::new("clang");
    clang.arg("--version").stdout(Stdio::null());
    clang.status().is_ok_and(|status| status.success())
}

/// Debian and its kin keep `<asm/types.h>` in the multiarch directory, where clang does not
/// look for another target than the host's; elsewhere there is no such directory.
fn clang_args(arch: &str) -> Vec<String> {
    let mut args = ["-Wall", "-Wextra", "-Werror"].map(String::from).to_vec();
    let multiarch = format!("/usr/include/{arch}-linux-gnu");
    if Path::new(&multiarch).is_dir() {
        args.extend([String::from("-idirafter"), multiarch]);
    }
    args
}
