//! Compiles the counting sink's XDP program into an object file that the library embeds.
//!
//! No skeleton is generated: skeletons contain `unsafe`, and this crate has none.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use libbpf_cargo::SkeletonBuilder;

const SOURCE: &str = "src/bpf/sink.bpf.c";

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed={SOURCE}");
    let (Ok(out_dir), Ok(arch)) = (env::var("OUT_DIR"), env::var("CARGO_CFG_TARGET_ARCH")) else {
        eprintln!("cargo sets OUT_DIR and CARGO_CFG_TARGET_ARCH for build scripts");
        return ExitCode::FAILURE;
    };
    let built = SkeletonBuilder::new()
        .source(SOURCE)
        .obj(PathBuf::from(out_dir).join("sink.bpf.o"))
        // Debian keeps <asm/types.h> in the multiarch directory, where clang does not look for -target bpf.
        .clang_args([
            "-Wall",
            "-Werror",
            "-idirafter",
            &format!("/usr/include/{arch}-linux-gnu"),
        ])
        .build();
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
