//! The file's shape: sections of named entries, read one by one, so that one bad entry does not
//! hide another.

use miette::{Diagnostic, SourceSpan};
use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::raw::{Entry, RawFile, Section, span};
use super::report::Problems;

/// The file does not have the shape of a configuration.
#[derive(Debug, Error, Diagnostic)]
pub enum ShapeProblem {
    /// Not TOML.
    #[error("not TOML: {error}", error = error.message())]
    #[diagnostic(help("see https://toml.io; strings stand in quotes, keys before \" = \""))]
    Syntax {
        /// What the parser said.
        error: toml::de::Error,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// An unknown section.
    #[error("unknown section `{name}`")]
    #[diagnostic(help("the sections are portal, ports, upstreams, clients and tunnels"))]
    Section {
        /// As written.
        name: String,
        /// Its place.
        #[label("no such section")]
        at: SourceSpan,
    },
    /// A section that is not a table.
    #[error("`{section}` is not a table")]
    #[diagnostic(help("{example}"))]
    NotATable {
        /// The section.
        section: &'static str,
        /// What would be right.
        example: &'static str,
        /// Its place.
        #[label("should be a table")]
        at: SourceSpan,
    },
    /// An unknown or missing key, or a value of the wrong type.
    #[error("{entry}: {error}", error = error.message())]
    #[diagnostic(help("{example}"))]
    Entry {
        /// Section and name.
        entry: String,
        /// What the decoder said.
        error: toml::de::Error,
        /// What would be right.
        example: &'static str,
        /// Its place.
        #[label("here")]
        at: SourceSpan,
    },
    /// No `[portal]`.
    #[error("there is no [portal]")]
    #[diagnostic(help("{PORTAL}"))]
    NoPortal {
        /// Its place.
        #[label("[portal] is missing")]
        at: SourceSpan,
    },
    /// A name that cannot be one.
    #[error("`{name}` is no name for {section}")]
    #[diagnostic(help(
        "a name has 1 to {limit} of A-Z a-z 0-9 . _ - and is neither \".\" nor \"..\""
    ))]
    Name {
        /// As written.
        name: String,
        /// The section.
        section: &'static str,
        /// Most characters.
        limit: usize,
        /// Its place.
        #[label("bad name")]
        at: SourceSpan,
    },
    /// More entries than the data plane holds.
    #[error("{count} {section} are more than the {limit} that one portal holds")]
    #[diagnostic(help("split the clients over several portals"))]
    TooMany {
        /// The section.
        section: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
        /// Its place.
        #[label("the first above the limit")]
        at: SourceSpan,
    },
}

/// What a section's reader needs to know of it.
struct SectionKind {
    name: &'static str,
    /// Most characters of a name.
    name_limit: usize,
    /// Most entries.
    limit: usize,
    example: &'static str,
}

/// Most characters of a device's name (`IFNAMSIZ` of linux/if.h, without the terminator).
const DEVICE_NAME: usize = 15;
const NAME: usize = 32;

const PORTS: SectionKind = SectionKind {
    name: "ports",
    name_limit: DEVICE_NAME,
    limit: tp_pipeline::abi::MAX_PORTS,
    example: "[ports.DEVICE]  optional: mode = \"auto\" | \"zero-copy\" | \"copy\", xdp = \"native\" | \"generic\"",
};
const UPSTREAMS: SectionKind = SectionKind {
    name: "upstreams",
    name_limit: NAME,
    limit: crate::compile::MAX_UPSTREAMS,
    example: "[upstreams.NAME]  port = \"ix0\", next_hop = \"192.0.2.1\"; optional: vlans = [100], source_macs = [\"02:00:00:00:00:01\"], link = [{ portal = \"..\", router = \"..\" }]; or kind = \"ipip\" | \"gre\" | \"egre\" | \"fou\" | \"gue\", local = \"192.0.2.10\", remote = \"203.0.113.5\", ..",
};
const CLIENTS: SectionKind = SectionKind {
    name: "clients",
    name_limit: NAME,
    limit: crate::compile::MAX_CLIENTS,
    example: "[clients.NAME]  prefixes = [\"198.51.100.0/24\"]; optional: asn = 64600, rate = { from_client = \"100 Mbit/s\", to_client = \"1 Gbit/s\", burst = \"64 KiB\" }",
};
const TUNNELS: SectionKind = SectionKind {
    name: "tunnels",
    name_limit: NAME,
    limit: tp_pipeline::abi::MAX_TUNNELS,
    example: "[tunnels.NAME]  client = \"acme\", upstream = \"isp1\", kind = \"ipip\" | \"gre\" | \"egre\" | \"fou\" | \"gue\", local = \"192.0.2.10\", remote = \"203.0.113.5\", or kind = \"vlan\" | \"port\", port = \"lan0\"; optional: key = 1, link = [{ portal = \"..\", client = \"..\" }], routes = [\"198.51.100.0/24\"], ttl = 64, dscp = 0, rate = { .. }",
};
const PORTAL: &str = "[portal]  workers = [0]; optional: busy_poll = false, on_stop = \"hold\" | \"release\", api, bpffs and state = \"/absolute/path\", memory = { frames = 16384, chunk = 2048, huge_pages = \"try\" | \"require\" | \"never\" }, slow_path = { tun = \"tp-tun\", tap = \"tp-tap\", rate = \"10 Mbit/s\", burst = \"64 KiB\" }";

/// Reads the file's entries; what has the wrong shape becomes a problem and is left out.
pub(super) fn read(text: &str, problems: &mut Problems) -> RawFile {
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        // What follows a syntax error is guesswork: further problems would be none.
        Err(error) => {
            let at = error.span().unwrap_or(0..0).into();
            problems.push(ShapeProblem::Syntax { error, at });
            return RawFile::default();
        }
    };
    let mut file = RawFile::default();
    if !document.contains_key("portal") {
        problems.push(ShapeProblem::NoPortal { at: (0..0).into() });
    }
    for (key, value) in document {
        match key.get_ref().as_ref() {
            "portal" => file.portal = entry("portal", value, PORTAL, problems),
            "ports" => file.ports = section(&PORTS, value, problems),
            "upstreams" => file.upstreams = section(&UPSTREAMS, value, problems),
            "clients" => file.clients = section(&CLIENTS, value, problems),
            "tunnels" => file.tunnels = section(&TUNNELS, value, problems),
            other => problems.push(ShapeProblem::Section {
                name: other.to_owned(),
                at: span(&key),
            }),
        }
    }
    file
}

fn section<T: DeserializeOwned>(
    kind: &SectionKind,
    value: Spanned<DeValue<'_>>,
    problems: &mut Problems,
) -> Section<T> {
    let mut section = Section::default();
    let at = span(&value);
    let DeValue::Table(table) = value.into_inner() else {
        problems.push(ShapeProblem::NotATable {
            section: kind.name,
            example: kind.example,
            at,
        });
        return section;
    };
    let count = table.len();
    for (index, (key, value)) in table.into_iter().enumerate() {
        let (name, name_at) = (key.get_ref().to_string(), span(&key));
        if index == kind.limit {
            let (section, limit) = (kind.name, kind.limit);
            problems.push(ShapeProblem::TooMany {
                section,
                count,
                limit,
                at: name_at,
            });
        }
        if !is_name(&name, kind.name_limit) {
            let (section, limit) = (kind.name, kind.name_limit);
            problems.push(ShapeProblem::Name {
                name: name.clone(),
                section,
                limit,
                at: name_at,
            });
        }
        let described = format!("{}.{name}", kind.name);
        match entry(&described, value, kind.example, problems) {
            Some(value) => {
                section.entries.insert(name, Entry { name_at, value });
            }
            None => section.broken.push(name),
        }
    }
    section
}

fn entry<T: DeserializeOwned>(
    described: &str,
    value: Spanned<DeValue<'_>>,
    example: &'static str,
    problems: &mut Problems,
) -> Option<T> {
    let whole = value.span();
    problems.keep(
        T::deserialize(ValueDeserializer::from(value)).map_err(|error| {
            let at = error.span().unwrap_or(whole).into();
            ShapeProblem::Entry {
                entry: described.to_owned(),
                error,
                example,
                at,
            }
        }),
    )
}

/// Whether a device could have this name, and the file could name it.
pub(super) fn is_device_name(name: &str) -> bool {
    is_name(name, DEVICE_NAME)
}

fn is_name(name: &str, limit: usize) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=limit).contains(&name.len()) && name.chars().all(allowed) && !matches!(name, "." | "..")
}
