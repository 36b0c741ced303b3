//! Holds the rules between rooms that a compiler does not: who may depend on whom, where unsafe
//! code may be, how long a file may get (docs/ARCHITECTURE.md, docs/STYLE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each room and the rooms that it stands on; it may also use what those stand on.
const ROOMS: &[(&str, &[&str])] = &[
    ("tp-wire", &[]),
    ("tp-fib", &["tp-wire"]),
    ("tp-pipeline", &["tp-fib"]),
    ("tp-xsk", &[]),
    ("tp-worker", &["tp-pipeline", "tp-xsk"]),
    // For the Rust mirror of abi.h only.
    ("tp-ebpf", &["tp-pipeline"]),
    ("tp-api", &[]),
    ("tpctl", &["tp-api"]),
    ("tp-control", &["tp-worker", "tp-ebpf", "tp-api"]),
    ("tp-bench", &["tp-worker", "tp-ebpf"]),
    ("tp-tests", &["tp-control", "tp-bench"]),
];

/// Rooms in a packet's way, and the crates from outside that each may use. Whoever adds one says in
/// the commit why it does no I/O, allocates nothing in a packet's way and asks no clock.
const PURE: &[(&str, &[&str])] = &[
    ("tp-wire", &[]),
    ("tp-fib", &[]),
    ("tp-pipeline", &["arrayvec", "crossbeam-utils"]),
];

/// Rooms that may hold unsafe code, in the modules that allow it with a reason.
const UNSAFE: &[&str] = &["tp-xsk", "tp-ebpf", "tp-fib"];

const MOST_LINES: usize = 500;

#[test]
fn every_room_stands_only_on_its_own_foundations() {
    let stands_on: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    for package in packages() {
        assert!(
            stands_on.contains_key(&*package.name),
            "{} is no room: add it",
            package.name
        );
        let may = closure(&stands_on, &package.name);
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| stands_on.contains_key(&***d))
        {
            assert!(
                may.contains(&**dependency),
                "{} must not use {dependency}",
                package.name
            );
        }
    }
}

#[test]
fn the_packets_way_uses_nothing_impure() {
    let rooms: BTreeMap<&str, &[&str]> = PURE.iter().copied().collect();
    let packages = packages();
    for package in packages.iter().filter(|p| rooms.contains_key(&*p.name)) {
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| !rooms.contains_key(&***d))
        {
            assert!(
                rooms[&*package.name].contains(&&**dependency),
                "{} must not use {dependency}",
                package.name
            );
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_outside_its_rooms() {
    let mut open = Vec::new();
    for package in packages() {
        if !read(&package.manifest).contains("[lints]\nworkspace = true") {
            open.push(format!(
                "{} does not take the workspace's lints",
                package.name
            ));
        }
        let roots = package
            .roots
            .iter()
            .filter(|_| !UNSAFE.contains(&&*package.name));
        for root in roots.filter(|root| !forbids_unsafe_code(root)) {
            open.push(format!("{} does not forbid unsafe code", root.display()));
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}

fn forbids_unsafe_code(root: &Path) -> bool {
    read(root)
        .lines()
        .any(|line| line == "#![forbid(unsafe_code)]")
}

#[test]
fn no_source_file_is_too_long() {
    let mut long = Vec::new();
    visit(&workspace(), &mut |path| {
        let lines = read(path).lines().count();
        if lines > MOST_LINES {
            long.push(format!("{} has {lines} lines", path.display()));
        }
    });
    assert!(
        long.is_empty(),
        "more than {MOST_LINES} lines:\n{}",
        long.join("\n")
    );
}

struct Package {
    name: String,
    manifest: PathBuf,
    /// What it needs to build and to run; not what its tests need.
    dependencies: Vec<String>,
    /// Root files of its library and programs.
    roots: Vec<PathBuf>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    list(&metadata["packages"]).iter().map(package).collect()
}

fn package(value: &Value) -> Package {
    let needed = |d: &&Value| d["kind"] != "dev";
    let program = |t: &&Value| list(&t["kind"]).iter().any(|k| k == "lib" || k == "bin");
    Package {
        name: text(&value["name"]),
        manifest: text(&value["manifest_path"]).into(),
        dependencies: list(&value["dependencies"])
            .iter()
            .filter(needed)
            .map(|d| text(&d["name"]))
            .collect(),
        roots: list(&value["targets"])
            .iter()
            .filter(program)
            .map(|t| text(&t["src_path"]).into())
            .collect(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

fn closure<'a>(stands_on: &BTreeMap<&'a str, &'a [&'a str]>, room: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = stands_on[room].to_vec();
    while let Some(room) = next.pop() {
        if reached.insert(room) {
            next.extend(stands_on[room]);
        }
    }
    reached
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the workspace")
        .into()
}

fn visit(directory: &Path, each: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(directory).expect("the workspace can be read") {
        let path = entry.expect("the workspace can be read").path();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                visit(&path, each);
            }
        } else if [".rs", ".c", ".h"].iter().any(|end| name.ends_with(end)) {
            each(&path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
