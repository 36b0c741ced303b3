//! The portal's main job, step by step with real programs: what the demo shows and the end-to-end test asserts.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Client, ConfigText, Exchange, Isp, SERVER, Tpd};
use crate::lab::{LabError, Route, Signal};
use crate::traffic::{Ping, TcpTransfer, TrafficError, UdpFlow};

/// Bytes of a TCP transfer.
const TRANSFER: u64 = 64 << 20;
/// Received when the client changes its ISP in the middle of a transfer.
const MIDDLE: u64 = 16 << 20;
/// Client a's rate in the rate step, bits a second of inner IP packets.
const RATE: u64 = 8_000_000;
/// Its burst in bytes: 131 ms at that rate. A generator and a worker that share two CPUs with others may both be
/// kept waiting for tens of milliseconds, and what the bucket cannot hold meanwhile is lost to the sender.
const BURST: u64 = 128 << 10;
/// How long the rate is watched.
const WATCH: Duration = Duration::from_secs(6);

/// Why a step could not be done at all.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The laboratory.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The traffic.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The portal refused a configuration.
    #[error("tpctl reload: {0}")]
    Refused(String),
    /// Who watches wants no more of them.
    #[error("stopped by {0}")]
    Stopped(Signal),
}

/// One line of the demo's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was done.
    pub step: String,
    /// What should be seen.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Whether that is what should be.
    pub good: bool,
}

impl Row {
    fn new(step: String, expected: &str, seen: String, good: bool) -> Self {
        Self {
            step,
            expected: expected.to_owned(),
            seen,
            good,
        }
    }
}

/// A laboratory with clients and a running portal.
#[derive(Debug)]
pub struct Scenario {
    /// Where it happens.
    pub exchange: Exchange,
    /// The portal.
    pub tpd: Tpd,
}

impl Scenario {
    /// Builds the laboratory and starts the portal and the clients.
    ///
    /// # Errors
    /// What the kernel refuses, or a program that does not start.
    pub fn start(name: &str) -> Result<Self, StepError> {
        let mut exchange = Exchange::new(name, 1)?;
        let config = ConfigText::default().text(exchange.lab.directory());
        let tpd = Tpd::start(&exchange.lab, &exchange.portal, &config)?;
        exchange.start_clients()?;
        let scenario = Self { exchange, tpd };
        scenario.wait_for_neighbours()?;
        Ok(scenario)
    }

    /// Runs all steps, telling `tell` each row as it is there, until one is one too many for it.
    ///
    /// # Errors
    /// A step that could not be done, or what `tell` answers; what was done and came out otherwise is a row that is
    /// not good.
    pub fn run(
        &self,
        mut tell: impl FnMut(&Row) -> Result<(), StepError>,
    ) -> Result<Vec<Row>, StepError> {
        let choices = [(Client::A, Isp::One), (Client::B, Isp::Two)];
        let mut rows = Vec::new();
        let mut add = |row: Row| {
            let go_on = tell(&row);
            rows.push(row);
            go_on
        };
        for (client, isp) in choices {
            self.exchange.send_through(client, isp)?;
            self.exchange.receive_through(client, isp)?;
            add(self.ping(client, isp)?)?;
        }
        for (client, isp) in choices {
            add(self.transfer(client, isp)?)?;
        }
        add(self.change_of_isp()?)?;
        add(self.spoof()?)?;
        add(self.stranger()?)?;
        add(self.rate()?)?;
        add(self.books()?)?;
        Ok(rows)
    }

    /// The kernel resolves what forwarding needs in a moment; nothing is measured before.
    fn wait_for_neighbours(&self) -> Result<(), StepError> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            let neighbours = self.tpd.json(&["show", "neighbours"])?;
            let known = |n: &Value| n["mac"].is_string();
            if neighbours
                .as_array()
                .is_some_and(|all| !all.is_empty() && all.iter().all(known))
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn ping(&self, client: Client, isp: Isp) -> Result<Row, StepError> {
        let before = self.by_isp_at_rest()?;
        let ping = Ping::new(SERVER)
            .source(client.address())
            .count(10)
            .interval(Duration::from_millis(200))
            .run(self.exchange.client(client))?;
        let after = self.by_isp()?;
        let (mine, other) = delta(before, after, isp);
        Ok(Row::new(
            format!(
                "client {} pings the server through {}",
                client.name(),
                isp.name()
            ),
            "10 of 10 answered; none by the other ISP",
            format!(
                "{} of {} answered; {mine} packets by {}, {other} by the other",
                ping.received,
                ping.sent,
                isp.name()
            ),
            ping.is_clean() && mine >= 10 && other == 0,
        ))
    }

    fn transfer(&self, client: Client, isp: Isp) -> Result<Row, StepError> {
        let before = self.by_isp_at_rest()?;
        let ns = self.exchange.client(client);
        let transfer = TcpTransfer::new(ns, &self.exchange.server, SERVER, TRANSFER)
            .source(client.address())
            .run()?;
        let (mine, other) = delta(before, self.by_isp()?, isp);
        let rate = transfer.bits_per_second() / 1e6;
        Ok(Row::new(
            format!(
                "client {} sends 64 MiB by TCP through {}",
                client.name(),
                isp.name()
            ),
            "SHA-256 agrees; none by the other ISP",
            format!(
                "SHA-256 {}; {mine} packets by {}, {other} by the other; {rate:.0} Mbit/s",
                if transfer.is_intact() {
                    "agrees"
                } else {
                    "DIFFERS"
                },
                isp.name()
            ),
            transfer.is_intact() && mine > 0 && other == 0,
        ))
    }

    /// Client a moves from its first ISP to its second while a transfer runs.
    fn change_of_isp(&self) -> Result<Row, StepError> {
        let (client, from, to) = (Client::A, Isp::One, Isp::Two);
        let ns = self.exchange.client(client);
        let before = self.by_isp_at_rest()?;
        let running = TcpTransfer::new(ns, &self.exchange.server, SERVER, TRANSFER)
            .source(client.address())
            .start()?;
        running.wait_for(MIDDLE);
        let middle = self.by_isp()?;
        self.exchange.send_through(client, to)?;
        self.exchange.receive_through(client, to)?;
        let transfer = running.finish()?;
        let after = self.by_isp()?;
        self.exchange.send_through(client, from)?;
        self.exchange.receive_through(client, from)?;
        let (first, early) = delta(before, middle, from);
        let (second, late) = delta(middle, after, to);
        Ok(Row::new(
            format!(
                "client a changes from {} to {} during a transfer",
                from.name(),
                to.name()
            ),
            "SHA-256 agrees; first all by isp1, then by isp2",
            format!(
                "SHA-256 {}; before: {first} by isp1, {early} by isp2; after: {late} by isp1, {second} by isp2",
                if transfer.is_intact() {
                    "agrees"
                } else {
                    "DIFFERS"
                },
            ),
            // Some packets are on their way by the first ISP when the routes change.
            transfer.is_intact() && first > 0 && early == 0 && second > 20 * late.max(1),
        ))
    }

    /// Client a uses an address of client b.
    fn spoof(&self) -> Result<Row, StepError> {
        let stolen = Ipv4Addr::new(198, 51, 100, 200);
        let ns = self.exchange.client(Client::A);
        ns.address("lo", &format!("{stolen}/32"))?;
        let before = self.tpd.dropped("forged-source")?;
        let flow = UdpFlow::new(ns, &self.exchange.server, SERVER)
            .source(stolen)
            .count(500)
            .run()?;
        let dropped = self.tpd.dropped("forged-source")? - before;
        Ok(Row::new(
            format!(
                "client a sends {} packets from {stolen}, which is client b's",
                flow.sent
            ),
            "500 dropped as forged-source; none arrives",
            format!(
                "{dropped} dropped as forged-source; {} arrive",
                flow.received
            ),
            flow.sent == 500 && dropped == 500 && flow.received == 0,
        ))
    }

    /// A router on the exchange LAN that is no upstream sends packets for a client.
    fn stranger(&self) -> Result<Row, StepError> {
        let third = &self.exchange.third;
        third.route(&Route::to("198.51.100.0/24")?.via(Ipv4Addr::new(192, 0, 2, 10).into()))?;
        let before = self.steering("ix0", "unknown-source")?;
        let a = self.exchange.client(Client::A);
        let flow = UdpFlow::new(third, a, Client::A.address())
            .count(500)
            .run()?;
        let dropped = self.steering("ix0", "unknown-source")? - before;
        Ok(Row::new(
            format!(
                "a router that is no upstream sends client a {} packets",
                flow.sent
            ),
            "500 dropped as unknown-source; none arrives",
            format!(
                "{dropped} dropped as unknown-source; {} arrive",
                flow.received
            ),
            flow.sent == 500 && dropped == 500 && flow.received == 0,
        ))
    }

    /// Client a sends at twice its rate.
    fn rate(&self) -> Result<Row, StepError> {
        let limited = ConfigText {
            rate_a: Some(format!(
                "{{ from_client = \"{} Mbit/s\", burst = \"{} KiB\" }}",
                RATE / 1_000_000,
                BURST >> 10
            )),
            ..ConfigText::default()
        };
        self.reload(&limited)?;
        let before = self.tpd.dropped("rate-from-client")?;
        let flow = UdpFlow::new(
            self.exchange.client(Client::A),
            &self.exchange.server,
            SERVER,
        )
        .source(Client::A.address())
        .payload(972)
        .packets_per_second(2000)
        .lasting(WATCH)
        .run()?;
        let dropped = self.tpd.dropped("rate-from-client")? - before;
        self.reload(&ConfigText::default())?;
        // What arrived between the first packet and the last, which the burst is part of.
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let allowed = BURST as f64 + RATE as f64 / 8.0 * flow.elapsed.as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ratio = flow.received_ip_bytes as f64 / allowed;
        Ok(Row::new(
            format!(
                "client a sends 16 Mbit/s for {} s with a rate of 8 Mbit/s",
                WATCH.as_secs()
            ),
            "burst + rate x time within 1 %; the rest dropped",
            format!(
                "{:.2} % of it arrives ({} bytes in {:.2} s); {dropped} dropped as rate-from-client",
                100.0 * ratio,
                flow.received_ip_bytes,
                flow.elapsed.as_secs_f64()
            ),
            (0.99..=1.01).contains(&ratio) && dropped == flow.lost(),
        ))
    }

    /// The counters close: what came in is what went out, and what was dropped by reason.
    fn books(&self) -> Result<Row, StepError> {
        let counters = self.tpd.json(&["show", "counters"])?;
        let open = super::equations::open(&counters);
        Ok(Row::new(
            "the counters of steering, rings, workers and frames".to_owned(),
            "each equation closes",
            if open.is_empty() {
                "each equation closes".to_owned()
            } else {
                open.join("; ")
            },
            open.is_empty(),
        ))
    }

    /// Puts another configuration into force.
    ///
    /// # Errors
    /// The portal refused it.
    pub fn reload(&self, config: &ConfigText) -> Result<(), StepError> {
        let output = self
            .tpd
            .reload(&config.text(self.exchange.lab.directory()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(StepError::Refused(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }

    /// Packets that the server exchanged with each ISP.
    fn by_isp(&self) -> Result<[u64; 2], LabError> {
        let packets = |isp| self.exchange.server_packets(isp).map(|(rx, tx)| rx + tx);
        Ok([packets(Isp::One)?, packets(Isp::Two)?])
    }

    /// As [`Self::by_isp`], once the packets of the step before have arrived: the last acknowledgement of a
    /// transfer may be on its way when both ends have all bytes.
    fn by_isp_at_rest(&self) -> Result<[u64; 2], LabError> {
        let mut last = self.by_isp()?;
        for _ in 0..50 {
            thread::sleep(Duration::from_millis(60));
            let now = self.by_isp()?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }

    fn steering(&self, port: &str, counter: &str) -> Result<u64, LabError> {
        let counters = self.tpd.json(&["show", "counters"])?;
        let ports = counters["ports"].as_array().cloned().unwrap_or_default();
        Ok(ports
            .iter()
            .filter(|p| p["port"] == port)
            .filter_map(|p| p["steering"][counter].as_u64())
            .sum())
    }
}

/// Packets by the ISP that should carry them, and by the other.
fn delta(before: [u64; 2], after: [u64; 2], isp: Isp) -> (u64, u64) {
    let [one, two] = [after[0] - before[0], after[1] - before[1]];
    match isp {
        Isp::One => (one, two),
        Isp::Two => (two, one),
    }
}
