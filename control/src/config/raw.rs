//! The file's entries as serde reads them; [`super::shape`] reads the sections around them.

use std::collections::BTreeMap;

use miette::SourceSpan;
use serde::Deserialize;
use toml::Spanned;

use crate::model::{BindMode, HugePages, Name, OnStop, XdpMode};

/// A string with its place.
pub(super) type Text = Spanned<String>;

/// Where a value stands.
pub(super) fn span<T>(value: &Spanned<T>) -> SourceSpan {
    value.span().into()
}

/// `[portal]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPortal {
    pub(super) workers: Spanned<Vec<Spanned<i64>>>,
    #[serde(default)]
    pub(super) busy_poll: bool,
    #[serde(default = "on_stop_default", with = "OnStopText")]
    pub(super) on_stop: OnStop,
    pub(super) api: Option<Text>,
    pub(super) bpffs: Option<Text>,
    pub(super) state: Option<Text>,
    pub(super) memory: Option<RawMemory>,
    #[serde(default)]
    pub(super) slow_path: RawSlowPath,
}

/// `slow_path` of `[portal]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSlowPath {
    pub(super) tun: Option<Text>,
    pub(super) tap: Option<Text>,
    pub(super) rate: Option<Text>,
    pub(super) burst: Option<Text>,
}

/// `memory` of `[portal]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMemory {
    pub(super) frames: Option<Spanned<i64>>,
    pub(super) chunk: Option<Spanned<i64>>,
    #[serde(default = "huge_pages_default", with = "HugePagesText")]
    pub(super) huge_pages: HugePages,
}

/// An entry of `[ports]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPort {
    pub(super) mode: Option<Spanned<ModeOf>>,
    #[serde(default = "xdp_default", with = "XdpModeText")]
    pub(super) xdp: XdpMode,
}

/// An entry of `[upstreams]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUpstream {
    /// Without one it is on a port.
    pub(super) kind: Option<Spanned<RawCarrier>>,
    pub(super) port: Option<Text>,
    pub(super) vlans: Option<Vlans>,
    pub(super) local: Option<Text>,
    pub(super) remote: Option<Text>,
    pub(super) key: Option<Spanned<i64>>,
    pub(super) udp_port: Option<Spanned<i64>>,
    pub(super) udp_remote_port: Option<Spanned<i64>>,
    pub(super) udp_checksum: Option<Spanned<bool>>,
    pub(super) ttl: Option<Spanned<i64>>,
    pub(super) dscp: Option<Spanned<i64>>,
    pub(super) next_hop: Option<Text>,
    pub(super) source_macs: Option<Spanned<Vec<Text>>>,
    #[serde(default)]
    pub(super) link: Vec<RawRouterPair>,
}

/// VLAN tags, outermost first.
pub(super) type Vlans = Spanned<Vec<Spanned<RawVlan>>>;

/// A pair of link addresses of an upstream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRouterPair {
    pub(super) portal: Text,
    pub(super) router: Text,
}

/// A pair of link addresses of a tunnel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClientPair {
    pub(super) portal: Text,
    pub(super) client: Text,
}

/// A VLAN tag: a VID, or a table.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a VLAN is a VID, or { vid = 100, service = true }"
)]
pub(super) enum RawVlan {
    Vid(i64),
    Tag(RawTag),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTag {
    pub(super) vid: i64,
    #[serde(default)]
    pub(super) service: bool,
}

/// An entry of `[clients]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClient {
    pub(super) asn: Option<Spanned<i64>>,
    pub(super) prefixes: Spanned<Vec<Text>>,
    pub(super) rate: Option<RawRates>,
}

/// `rate` of a client or tunnel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRates {
    pub(super) from_client: Option<Text>,
    pub(super) to_client: Option<Text>,
    pub(super) burst: Option<Text>,
}

/// An entry of `[tunnels]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTunnel {
    pub(super) client: Text,
    pub(super) upstream: Option<Text>,
    pub(super) upstreams: Option<Spanned<BTreeMap<Text, Spanned<Vec<Text>>>>>,
    pub(super) kind: Spanned<RawKind>,
    pub(super) port: Option<Text>,
    pub(super) vlans: Option<Vlans>,
    pub(super) mac: Option<Text>,
    pub(super) local: Option<Text>,
    pub(super) remote: Option<Text>,
    pub(super) key: Option<Spanned<i64>>,
    pub(super) udp_port: Option<Spanned<i64>>,
    pub(super) udp_remote_port: Option<Spanned<i64>>,
    pub(super) udp_checksum: Option<Spanned<bool>>,
    pub(super) ttl: Option<Spanned<i64>>,
    pub(super) dscp: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) link: Vec<RawClientPair>,
    #[serde(default)]
    pub(super) routes: Vec<Text>,
    pub(super) rate: Option<RawRates>,
}

/// `kind` of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawKind {
    Ipip,
    Gre,
    Egre,
    Fou,
    Gue,
    Vlan,
    Port,
}

/// `kind` of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawCarrier {
    Ipip,
    Gre,
    Egre,
    Fou,
    Gue,
}

#[derive(Deserialize)]
#[serde(remote = "OnStop", rename_all = "kebab-case")]
enum OnStopText {
    Hold,
    Release,
}

#[derive(Deserialize)]
#[serde(remote = "HugePages", rename_all = "kebab-case")]
enum HugePagesText {
    Try,
    Require,
    Never,
}

#[derive(Deserialize)]
#[serde(remote = "XdpMode", rename_all = "kebab-case")]
enum XdpModeText {
    Native,
    Generic,
}

#[derive(Deserialize)]
#[serde(remote = "BindMode", rename_all = "kebab-case")]
enum BindModeText {
    Auto,
    ZeroCopy,
    Copy,
}

/// A bind mode that a [`Spanned`] can hold.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct ModeOf(#[serde(with = "BindModeText")] pub(super) BindMode);

const fn on_stop_default() -> OnStop {
    OnStop::Hold
}

const fn huge_pages_default() -> HugePages {
    HugePages::Try
}

const fn xdp_default() -> XdpMode {
    XdpMode::Native
}

/// The entries that have the right shape; the others left a problem.
#[derive(Debug, Default)]
pub(super) struct RawFile {
    pub(super) portal: Option<RawPortal>,
    pub(super) ports: Section<RawPort>,
    pub(super) upstreams: Section<RawUpstream>,
    pub(super) clients: Section<RawClient>,
    pub(super) tunnels: Section<RawTunnel>,
}

/// The entries of one section by name.
#[derive(Debug)]
pub(super) struct Section<T> {
    pub(super) entries: BTreeMap<Name, Entry<T>>,
    /// Names of entries that have problems of their own: references to them are no further problem.
    pub(super) broken: Vec<Name>,
}

impl<T> Default for Section<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            broken: Vec::new(),
        }
    }
}

impl<T> Section<T> {
    /// Whether the file has an entry of this name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.entries.contains_key(name) || self.broken.iter().any(|n| n == name)
    }

    /// The names in words, for help.
    pub(super) fn known(&self) -> String {
        let names: Vec<&str> = self.entries.keys().map(String::as_str).collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        }
    }
}

/// An entry with the place of its name.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) name_at: SourceSpan,
    pub(super) value: T,
}
