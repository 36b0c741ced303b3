//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 the daemon refused, 2 wrong usage, \
     3 no daemon to be reached, 4 an answer that is not understood or cannot be written.";

/// Shows and steers the Transit Portal daemon tpd.
#[derive(Debug, Parser)]
#[command(name = "tpctl", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Unix socket of the daemon's control API.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/run/tpd/api.sock"
    )]
    pub(crate) socket: PathBuf,
    /// Print the API's answer as JSON instead of a table.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the daemon's state.
    Show {
        #[command(subcommand)]
        what: Show,
    },
    /// Show where a client's packet to an address would go.
    Lookup {
        /// Virtual FIB: the name of its upstream.
        vfib: String,
        /// Destination.
        address: IpAddr,
    },
    /// Have the daemon read its configuration file again and apply it.
    Reload,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write manual pages.
    #[command(hide = true)]
    Man {
        /// Where to write them.
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Show {
    /// How the daemon and its workers are.
    Status,
    /// Devices, and the mode of each queue's socket.
    Ports,
    /// ISPs.
    Upstreams,
    /// Hosted networks.
    Clients,
    /// Links of clients to upstreams.
    Tunnels,
    /// All virtual FIBs, or the routes of one.
    Vfib {
        /// Name of its upstream.
        name: Option<String>,
    },
    /// Underlay next hops.
    Neighbours,
    /// All counters, each term of the equations by itself.
    Counters,
    /// What was dropped, by reason.
    Drops,
}
