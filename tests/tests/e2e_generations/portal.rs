//! The portal whose configuration changes.

use std::time::Duration;

use tp_api::ApiClient;
use tp_tests::exchange::{Tpd, assert_counters_close};

use crate::bed::Bed;
use crate::plan::{Plan, Step};

/// Reasons for which a worker drops packets of these flows without anything being wrong with a change: of a client
/// that is not there, and of a device whose other end did not get its CPU in time.
const INNOCENT: [&str; 3] = ["no-client-route", "tx-busy", "tx-ring-full"];

/// The daemon, and the configuration in force.
pub(crate) struct Portal<'a> {
    bed: &'a Bed,
    tpd: Tpd,
    plan: Plan,
    api: ApiClient,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Portal<'a> {
    pub(crate) fn start(bed: &'a Bed) -> Self {
        let plan = Plan::default();
        let directory = bed.lab.directory();
        Self {
            tpd: Tpd::start(&bed.lab, &bed.portal, &plan.text(directory)).unwrap(),
            plan,
            api: ApiClient::new(directory.join("api.sock")),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            bed,
        }
    }

    /// Puts the configuration with this step taken into force; answers how long that took.
    pub(crate) fn reconfigure(&mut self, step: Step) -> Duration {
        self.plan.take(step);
        let answer = self.reload();
        assert!(answer.changed, "{step:?}");
        assert!(
            answer.warnings.is_empty(),
            "{step:?}: {:?}",
            answer.warnings
        );
        Duration::from_micros(answer.took_us)
    }

    /// Why workers dropped packets that no generation drops and no lack of CPU explains, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let drops = self.runtime.block_on(self.api.drops()).unwrap().drops;
        let faults = drops.into_iter().filter(|drop| {
            drop.stage == tp_api::DropStage::Worker && !INNOCENT.contains(&&*drop.reason)
        });
        faults
            .map(|drop| format!("{} dropped as {}", drop.packets, drop.reason))
            .collect()
    }

    /// How long the worker has been ready to run, and another thread had its CPU (proc_pid_schedstat(5), field 2).
    pub(crate) fn waited_for_cpu(&self) -> Duration {
        let tasks = format!("/proc/{}/task", self.tpd.process().id());
        let waits = std::fs::read_dir(tasks).unwrap().filter_map(|task| {
            let task = task.unwrap().path();
            // A thread may end while one looks.
            let name = std::fs::read_to_string(task.join("comm")).ok()?;
            let times = std::fs::read_to_string(task.join("schedstat")).ok()?;
            let nanos: u64 = times.split(' ').nth(1)?.parse().ok()?;
            name.starts_with("tp-worker").then_some(nanos)
        });
        Duration::from_nanos(waits.sum())
    }

    /// Asserts that the books close.
    pub(crate) fn assert_counters_close(&mut self) {
        self.plan = self.plan.clone().with_all_ports();
        self.reload();
        assert_counters_close(&self.tpd.counters_at_rest().unwrap());
    }

    fn reload(&self) -> tp_api::Reload {
        let directory = self.bed.lab.directory();
        std::fs::write(directory.join("tpd.toml"), self.plan.text(directory)).unwrap();
        self.runtime.block_on(self.api.reload()).unwrap()
    }
}
