//! The configurations: what is the same in all, what differs between odd and even ones, and what comes and goes.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use tp_bench::TunnelKind;
use tp_wire::MacAddr;

use crate::bed::FarEnd;
use crate::flows::{ALT, AT_TIMES, MAIN, MOVING, TunnelLook};

/// Clients that come and go.
pub(crate) const EXTRAS: usize = 4;

/// Odd or even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Parity {
    #[default]
    Even,
    Odd,
}

impl Parity {
    pub(crate) const BOTH: [Self; 2] = [Self::Even, Self::Odd];

    fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }

    pub(crate) fn next_hop_of_main(self) -> MacAddr {
        MacAddr::new([2, 0, 0, 3, 0, self as u8])
    }

    pub(crate) fn next_hop_of_alt(self) -> MacAddr {
        MacAddr::new([2, 0, 0, 3, 1, self as u8])
    }
}

/// Addresses of clients.
pub(crate) mod client {
    use std::net::Ipv4Addr;

    pub(crate) const F: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    pub(crate) const S: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 65);
    pub(crate) const S_SPECIFIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 81);
    pub(crate) const W: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 129);
}

/// Address of a client that comes and goes.
pub(crate) fn extra(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, 193 + 16 * octet(number))
}

fn extra_prefix(number: usize) -> String {
    format!("198.51.100.{}/28", 192 + 16 * number)
}

/// Tunnels, as they look outside.
pub(crate) mod tunnel {
    use super::{EXTRAS, FarEnd, Ipv4Addr, Parity, TunnelKind, TunnelLook, octet};

    const PORTAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn plain(kind: TunnelKind, remote: [u8; 4]) -> TunnelLook {
        TunnelLook {
            kind,
            local: PORTAL,
            remote: remote.into(),
            ttl: 64,
            dscp: 0,
            end: FarEnd::Access,
        }
    }

    fn keyed(key: u32, remote: [u8; 4]) -> TunnelLook {
        plain(TunnelKind::Gre { key: Some(key) }, remote)
    }

    /// Client f's: key, outer source and egress differ between odd and even generations.
    pub(crate) fn flipping(parity: Parity) -> TunnelLook {
        match parity {
            Parity::Even => keyed(71, [10, 9, 0, 2]),
            Parity::Odd => TunnelLook {
                local: Ipv4Addr::new(10, 0, 0, 3),
                end: FarEnd::SecondAccess,
                ..keyed(72, [10, 9, 1, 2])
            },
        }
    }

    /// Client s's to main: never changes.
    pub(crate) fn steady() -> TunnelLook {
        keyed(5, [10, 9, 0, 5])
    }

    /// Client s's to the upstream that comes and goes.
    pub(crate) fn of_added_upstream() -> TunnelLook {
        keyed(6, [10, 9, 0, 5])
    }

    /// Client s's to alt: what workers alone read differs between odd and even generations.
    pub(crate) fn alt(parity: Parity) -> TunnelLook {
        marked(plain(TunnelKind::Gre { key: None }, [10, 0, 0, 21]), parity)
    }

    /// Client s's other one to alt, which has a more specific route at times.
    pub(crate) fn alt_specific(parity: Parity) -> TunnelLook {
        marked(plain(TunnelKind::Ipip, [10, 0, 0, 22]), parity)
    }

    fn marked(look: TunnelLook, parity: Parity) -> TunnelLook {
        let (ttl, dscp) = match parity {
            Parity::Even => (50, 10),
            Parity::Odd => (51, 11),
        };
        TunnelLook { ttl, dscp, ..look }
    }

    /// Client w's: its far end is behind a port that comes and goes, while that is there.
    pub(crate) fn wandering(spare: bool) -> TunnelLook {
        if spare {
            TunnelLook {
                end: FarEnd::Spare,
                ..keyed(9, [10, 2, 0, 2])
            }
        } else {
            keyed(9, [10, 0, 0, 23])
        }
    }

    /// Of a client that comes and goes.
    pub(crate) fn extra(number: usize) -> TunnelLook {
        assert!(number < EXTRAS);
        let remote = [10, 0, 0, 24 + octet(number)];
        match number % 2 {
            0 => plain(TunnelKind::Ipip, remote),
            _ => keyed(100, remote),
        }
    }
}

/// One kind of change; each comes with a change of one parity.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Touches the steering maps, as do all up to `Spare`: a client and its tunnel come or go.
    Extra(usize),
    /// A source MAC goes over to the other upstream.
    Move,
    /// A source MAC comes or goes.
    SourceMac,
    /// An upstream and a tunnel to it come or go.
    Upstream,
    /// A port comes or goes, and with it the way to a tunnel's far end.
    Spare,
    /// Read by workers alone, as all from here on: rates.
    Rates(u32),
    /// A more specific route comes or goes.
    Route,
    /// A client's tunnel leads to the other upstream.
    Rehome(usize),
}

/// Steps in random order: half of them touch the steering maps.
pub(crate) fn steps(count: usize, random: &mut fastrand::Rng) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..count)
        .map(|index| match (index % 2, (index / 2) % 8) {
            (0, 0..=3) => Step::Extra(random.usize(..EXTRAS)),
            (0, 4) => Step::Move,
            (0, 5) => Step::SourceMac,
            (0, 6) => Step::Upstream,
            // Sockets opened and closed: dearer than the others.
            (0, _) if index % 128 == 14 => Step::Spare,
            (0, _) => Step::Move,
            (1, 0..=2) => Step::Rates(random.u32(..)),
            (1, 3..=5) => Step::Route,
            (_, _) => Step::Rehome(random.usize(..EXTRAS)),
        })
        .collect();
    random.shuffle(&mut steps);
    steps
}

/// One configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// What steering knows and workers write: key, outer source, egress.
    steering: Parity,
    /// What workers alone know.
    tables: Parity,
    /// Whether each is there, and has alt for its upstream.
    extras: [(bool, bool); EXTRAS],
    moved: bool,
    source_mac: bool,
    upstream: bool,
    spare: bool,
    specific: bool,
    rates: u32,
}

impl Plan {
    /// Takes one step; parity says which generation the packet meets.
    pub(crate) fn take(&mut self, step: Step) {
        let flip = |flag: &mut bool| *flag = !*flag;
        match step {
            Step::Extra(number) => flip(&mut self.extras[number].0),
            Step::Move => flip(&mut self.moved),
            Step::SourceMac => flip(&mut self.source_mac),
            Step::Upstream => flip(&mut self.upstream),
            Step::Spare => flip(&mut self.spare),
            Step::Rates(rates) => self.rates = rates,
            Step::Route => flip(&mut self.specific),
            Step::Rehome(number) => flip(&mut self.extras[number].1),
        }
        match step {
            Step::Rates(_) | Step::Route | Step::Rehome(_) => self.tables = self.tables.other(),
            _ => self.steering = self.steering.other(),
        }
    }

    /// With every port, so that each port's counters are there to be read.
    pub(crate) fn with_all_ports(mut self) -> Self {
        self.spare = true;
        self
    }

    /// As the operator would write it.
    pub(crate) fn text(&self, directory: &Path) -> String {
        let mut text = format!(
            "[portal]\nworkers = [0]\napi = \"{dir}/api.sock\"\nbpffs = \"{dir}/bpf\"\nstate = \"{dir}/state\"\n\
             [ports.up0]\n[ports.cl0]\n[ports.cl1]\n{}",
            if self.spare { "[ports.sp0]\n" } else { "" },
            dir = directory.display(),
        );
        self.upstreams(&mut text);
        for (name, prefix) in [("f", "0/26"), ("s", "64/26"), ("w", "128/26")] {
            let rates = self.rate_of(name);
            add(
                &mut text,
                format_args!("[clients.{name}]\nprefixes = [\"198.51.100.{prefix}\"]\n{rates}"),
            );
        }
        for number in (0..EXTRAS).filter(|number| self.extras[*number].0) {
            let prefix = extra_prefix(number);
            add(
                &mut text,
                format_args!("[clients.x{number}]\nprefixes = [\"{prefix}\"]\n"),
            );
        }
        self.tunnels(&mut text);
        text
    }

    fn upstreams(&self, text: &mut String) {
        let (mut main, mut alt) = (vec![MAIN], vec![ALT]);
        if self.moved { &mut alt } else { &mut main }.push(MOVING);
        if self.source_mac {
            main.push(AT_TIMES);
        }
        let hops = [
            self.steering.next_hop_of_main(),
            self.tables.next_hop_of_alt(),
        ];
        for ((name, macs), hop) in [("main", main), ("alt", alt)].into_iter().zip(hops) {
            let macs: Vec<String> = macs.iter().map(ToString::to_string).collect();
            add(
                text,
                format_args!(
                    "[upstreams.{name}]\nport = \"up0\"\nnext_hop = \"{hop}\"\nsource_macs = {macs:?}\n"
                ),
            );
        }
        if self.upstream {
            text.push_str("[upstreams.added]\nport = \"up0\"\nnext_hop = \"192.0.2.1\"\n");
        }
    }

    fn tunnels(&self, text: &mut String) {
        let s = ["198.51.100.64/26"];
        let specific: &[&str] = if self.specific {
            &["198.51.100.80/28"]
        } else {
            &[]
        };
        let mut tunnel =
            |name: &str, [client, upstream]: [&str; 2], look: &TunnelLook, routes: &[&str]| {
                let rates = self.rate_of(name);
                let head =
                    format!("[tunnels.{name}]\nclient = \"{client}\"\nupstream = \"{upstream}\"\n");
                add(
                    text,
                    format_args!("{head}{}routes = {routes:?}\n{rates}", lines(look)),
                );
            };
        tunnel(
            "f-main",
            ["f", "main"],
            &tunnel::flipping(self.steering),
            &["198.51.100.0/26"],
        );
        tunnel("s-main", ["s", "main"], &tunnel::steady(), &s);
        tunnel("s-alt", ["s", "alt"], &tunnel::alt(self.tables), &s);
        tunnel(
            "s-specific",
            ["s", "alt"],
            &tunnel::alt_specific(self.tables),
            specific,
        );
        tunnel(
            "w-alt",
            ["w", "alt"],
            &tunnel::wandering(self.spare),
            &["198.51.100.128/26"],
        );
        if self.upstream {
            tunnel("s-added", ["s", "added"], &tunnel::of_added_upstream(), &s);
        }
        for (number, (there, alt)) in self.extras.iter().enumerate() {
            let (name, prefix) = (format!("x{number}"), extra_prefix(number));
            let upstream = if *alt { "alt" } else { "main" };
            if *there {
                tunnel(&name, [&name, upstream], &tunnel::extra(number), &[&prefix]);
            }
        }
    }

    /// Far above what is sent: a rate may change, and nothing is dropped for it. One of four is unlimited.
    fn rate_of(&self, name: &str) -> String {
        let seed = name
            .bytes()
            .fold(self.rates, |a, byte| a.rotate_left(3) ^ u32::from(byte));
        match seed % 4 {
            0 => String::new(),
            n => format!(
                "rate = {{ from_client = \"{n} Gbit/s\", to_client = \"{} Gbit/s\" }}\n",
                4 - n
            ),
        }
    }
}

fn lines(look: &TunnelLook) -> String {
    let kind = match look.kind {
        TunnelKind::Ipip => "kind = \"ipip\"\n".to_owned(),
        TunnelKind::Gre { key: None } => "kind = \"gre\"\n".to_owned(),
        TunnelKind::Gre { key: Some(key) } => format!("kind = \"gre\"\nkey = {key}\n"),
    };
    format!(
        "{kind}local = \"{}\"\nremote = \"{}\"\nttl = {}\ndscp = {}\n",
        look.local, look.remote, look.ttl, look.dscp
    )
}

fn octet(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

fn add(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap();
}
