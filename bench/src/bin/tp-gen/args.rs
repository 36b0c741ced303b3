//! The command line, and the frames that it asks for.

use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use tp_bench::{
    FrameSpec, GeneratorConfig, LINK_LEN, Outer, Rate, Template, TemplateError, TunnelKind,
};
use tp_wire::MacAddr;

/// Sends frames with sequence numbers over AF_XDP, or counts those that arrive.
///
/// Works in the network namespace in which it is started, and needs root. Prints one JSON object.
#[derive(Debug, Parser)]
#[command(name = "tp-gen", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send UDP frames, plain or encapsulated.
    Send(SendArgs),
    /// Count what the generator sent, by its look, and drop it; all else goes on to the kernel.
    Sink(SinkArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SinkArgs {
    /// Device to count on.
    #[arg(long)]
    pub(crate) interface: String,
    /// For how long.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub(crate) seconds: f64,
}

/// How frames are encapsulated.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Tunnel {
    /// IP in IP.
    Ipip,
    /// GRE, with --key or without.
    Gre,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SendArgs {
    /// Device to send on.
    #[arg(long)]
    interface: String,
    /// Its queue.
    #[arg(long, default_value_t = 0)]
    queue: u32,
    /// Source MAC of the frames.
    #[arg(long)]
    src_mac: MacAddr,
    /// Destination MAC of the frames.
    #[arg(long)]
    dst_mac: MacAddr,
    /// Source of the (inner) packets.
    #[arg(long)]
    src: Ipv4Addr,
    /// Destination of the (inner) packets of the first flow.
    #[arg(long)]
    dst: Ipv4Addr,
    /// Number of flows; each next one has the next destination address and template number.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    flows: u32,
    /// Bytes of a frame, tunnel header and frame check sequence not counted.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(58..=1700))]
    size: u16,
    /// Encapsulate.
    #[arg(long, requires = "outer_src", requires = "outer_dst")]
    tunnel: Option<Tunnel>,
    /// GRE key; no key is not key 0.
    #[arg(long, requires = "tunnel")]
    key: Option<u32>,
    /// Source of the outer packets.
    #[arg(long, requires = "tunnel")]
    outer_src: Option<Ipv4Addr>,
    /// Destination of the outer packets.
    #[arg(long, requires = "tunnel")]
    outer_dst: Option<Ipv4Addr>,
    /// Packets a second over all flows; without it as fast as the device takes them.
    #[arg(long)]
    rate: Option<NonZeroU64>,
    /// Most packets sent at once.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=64))]
    burst: u32,
    /// End after so many packets.
    #[arg(long, required_unless_present = "seconds")]
    packets: Option<u64>,
    /// End after this time.
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
    /// CPU to run on.
    #[arg(long, value_parser = clap::value_parser!(u16).range(..1024))]
    pub(crate) cpu: Option<u16>,
}

impl SendArgs {
    pub(crate) fn config(&self) -> Result<GeneratorConfig, TemplateError> {
        let templates = (0..self.flows)
            .map(|id| Template::new(id, &self.spec(id)))
            .collect::<Result<_, _>>()?;
        Ok(GeneratorConfig {
            queue: self.queue,
            rate: self.rate.map_or(Rate::FlatOut, Rate::PacketsPerSecond),
            burst: self.burst,
            packets: self.packets,
            duration: self.seconds.map(Duration::from_secs_f64),
            ..GeneratorConfig::new(&self.interface, templates)
        })
    }

    fn spec(&self, flow: u32) -> FrameSpec {
        let destination = Ipv4Addr::from_bits(self.dst.to_bits().wrapping_add(flow));
        FrameSpec {
            outer: self.outer(),
            inner_len: usize::from(self.size) - LINK_LEN,
            ..FrameSpec::new(self.src_mac, self.dst_mac, self.src, destination)
        }
    }

    /// clap lets `tunnel` and its addresses come together only.
    fn outer(&self) -> Option<Outer> {
        let kind = match self.tunnel? {
            Tunnel::Ipip => TunnelKind::Ipip,
            Tunnel::Gre => TunnelKind::Gre { key: self.key },
        };
        Some(Outer {
            kind,
            source: self.outer_src?,
            destination: self.outer_dst?,
            ttl: 64,
        })
    }
}

/// A time of up to a day.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        _ => Err("a number of seconds from 0 to 86400 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(more: &str) -> Result<SendArgs, clap::Error> {
        let line = "tp-gen send --interface a --src-mac 02:00:00:00:00:01 \
            --dst-mac 02:00:00:00:00:02 --src 192.0.2.1 --dst 198.51.100.255 --seconds 1 ";
        let args = Args::try_parse_from(format!("{line}{more}").split_whitespace())?;
        match args.command {
            Command::Send(args) => Ok(args),
            Command::Sink(_) => unreachable!("asked to send"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn flows_count_destinations_and_numbers_up() {
        let config = parse("--flows 2 --rate 1000").unwrap().config().unwrap();
        assert_eq!(config.templates[0].len(), 64);
        assert_eq!(
            config
                .templates
                .iter()
                .map(Template::id)
                .collect::<Vec<_>>(),
            [0, 1]
        );
        let mut frame = [0; 64];
        config.templates[1].write(0, &mut frame).unwrap();
        assert_eq!(frame[30..34], [198, 51, 101, 0]);
        assert_eq!(
            config.rate,
            Rate::PacketsPerSecond(NonZeroU64::new(1000).unwrap())
        );
    }

    #[test]
    fn a_tunnel_needs_its_addresses_and_a_key_a_tunnel() {
        let whole = "--tunnel gre --key 5 --outer-src 203.0.113.1 --outer-dst 203.0.113.2";
        let config = parse(whole).unwrap().config().unwrap();
        assert_eq!(config.templates[0].len(), 64 + 28);
        assert!(parse("--tunnel gre --outer-src 203.0.113.1").is_err());
        assert!(parse("--key 5").is_err());
    }
}
