//! Which cases are measured, and what they are called.

use std::fmt;

/// Which way the packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the upstream, encapsulated for the client.
    ToClient,
    /// From the client's tunnel, decapsulated for the upstream.
    FromClient,
}

/// How tunnels encapsulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// IP in IP.
    Ipip,
    /// GRE, without a key.
    Gre,
    /// Ethernet over GRE, without a key.
    Egre,
    /// IP in UDP, without a checksum.
    Fou,
    /// Generic UDP Encapsulation, without a checksum.
    Gue,
}

/// What is in what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encapsulation {
    pub(crate) kind: Kind,
    /// Outer headers are IPv6.
    pub(crate) outer_v6: bool,
    /// What clients send and receive is IPv6.
    pub(crate) inner_v6: bool,
}

impl Encapsulation {
    /// IPv4 in this kind over IPv4.
    const fn v4(kind: Kind) -> Self {
        Self {
            kind,
            outer_v6: false,
            inner_v6: false,
        }
    }

    /// All of them.
    fn all() -> impl Iterator<Item = Self> {
        let kinds = [Kind::Ipip, Kind::Gre, Kind::Egre, Kind::Fou, Kind::Gue];
        let families = [(false, false), (false, true), (true, false), (true, true)];
        kinds.into_iter().flat_map(move |kind| {
            families.map(|(outer_v6, inner_v6)| Self {
                kind,
                outer_v6,
                inner_v6,
            })
        })
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Ipip => "ipip",
            Kind::Gre => "gre",
            Kind::Egre => "egre",
            Kind::Fou => "fou",
            Kind::Gue => "gue",
        })?;
        f.write_str(if self.outer_v6 { "6" } else { "4" })?;
        f.write_str(if self.inner_v6 { "-ipv6" } else { "" })
    }
}

/// How long packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Frames of 64 bytes without their tunnel header.
    Small,
    /// Of 12 frames, 7 of 64, 4 of 594 and 1 of 1414 bytes without their tunnel header.
    Imix,
}

/// How recently the memory of a frame was in use when the worker reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// The last frame given back is the next one used.
    Hot,
    /// Frames go round through 16 MiB.
    Cold,
}

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) encapsulation: Encapsulation,
    pub(crate) direction: Direction,
    pub(crate) routes: u32,
    pub(crate) tunnels: u32,
    pub(crate) mix: Mix,
    pub(crate) burst: usize,
    pub(crate) memory: Memory,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encapsulation = self.encapsulation;
        let direction = match self.direction {
            Direction::ToClient => "to-client",
            Direction::FromClient => "from-client",
        };
        let (routes, tunnels) = (thousands(self.routes), thousands(self.tunnels));
        let mix = match self.mix {
            Mix::Small => "64B",
            Mix::Imix => "imix",
        };
        let burst = self.burst;
        write!(
            f,
            "{encapsulation}/{direction}/routes={routes}/tunnels={tunnels}/{mix}/burst={burst}"
        )?;
        match self.memory {
            Memory::Hot => Ok(()),
            Memory::Cold => f.write_str("/cold"),
        }
    }
}

fn thousands(n: u32) -> String {
    if n >= 1000 && n.is_multiple_of(1000) {
        format!("{}k", n / 1000)
    } else {
        n.to_string()
    }
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for encapsulation in [Encapsulation::v4(Kind::Gre), Encapsulation::v4(Kind::Ipip)] {
        for direction in [Direction::ToClient, Direction::FromClient] {
            for (routes, tunnels) in [(1, 1), (1000, 1), (1000, 1000)] {
                for (mix, burst, memory) in [
                    (Mix::Small, 64, Memory::Hot),
                    (Mix::Small, 32, Memory::Hot),
                    (Mix::Small, 4, Memory::Hot),
                    (Mix::Small, 64, Memory::Cold),
                    (Mix::Imix, 64, Memory::Hot),
                ] {
                    cases.push(Case {
                        encapsulation,
                        direction,
                        routes,
                        tunnels,
                        mix,
                        burst,
                        memory,
                    });
                }
            }
        }
    }
    let measured = |e: &Encapsulation| cases.iter().any(|case| case.encapsulation == *e);
    let others: Vec<Encapsulation> = Encapsulation::all().filter(|e| !measured(e)).collect();
    for encapsulation in others {
        for direction in [Direction::ToClient, Direction::FromClient] {
            cases.push(Case {
                encapsulation,
                direction,
                routes: 1000,
                tunnels: 1000,
                mix: Mix::Small,
                burst: 64,
                memory: Memory::Hot,
            });
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_say_what_differs() {
        let names: Vec<String> = all().iter().map(Case::to_string).collect();
        assert_eq!(names[0], "gre4/to-client/routes=1/tunnels=1/64B/burst=64");
        assert_eq!(
            names[8],
            "gre4/to-client/routes=1k/tunnels=1/64B/burst=64/cold"
        );
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
