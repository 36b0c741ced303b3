//! Network namespaces of a test's own: made with ip(8), removed when dropped.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "no test needs all of it, and a failure here says where"
)]

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A network namespace that lives as long as this.
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    /// A new namespace with its loopback up.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces: run as root"
        );
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tp-control-{}-{count}", std::process::id());
        checked(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// The name that ip(8) knows it by.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip -n NAME` with these words.
    pub(crate) fn ip(&self, words: &str) -> String {
        let mut command = Command::new("ip");
        command
            .args(["-n", &self.name])
            .args(words.split_whitespace());
        String::from_utf8(checked(&mut command).stdout).unwrap()
    }

    /// Runs `ip -n NAME -batch` with these lines.
    pub(crate) fn ip_batch(&self, lines: &str) {
        let file = std::env::temp_dir().join(format!("{}.batch", self.name));
        std::fs::write(&file, lines).unwrap();
        checked(
            Command::new("ip")
                .args(["-n", &self.name, "-batch"])
                .arg(&file),
        );
        std::fs::remove_file(&file).unwrap();
    }

    /// Runs a program in the namespace.
    pub(crate) fn exec(&self, words: &str) -> String {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .args(words.split_whitespace());
        String::from_utf8(checked(&mut command).stdout).unwrap()
    }

    /// Sets a sysctl of the namespace by its path below /proc/sys.
    pub(crate) fn sysctl(&self, path: &str, value: &str) {
        self.exec(&format!("sysctl -q -w {path}={value}"));
    }

    /// Runs `work` in a thread within the namespace; a panic is passed on.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), network).unwrap();
                work()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `work` within the namespace and a tokio runtime, for at most a minute.
    pub(crate) fn block_on<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let limit = std::time::Duration::from_secs(60);
            runtime
                .block_on(async { tokio::time::timeout(limit, work).await })
                .expect("in time")
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // A failure here must not hide the test's own.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .output();
    }
}

fn checked(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
