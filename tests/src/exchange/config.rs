//! The portal's configuration for the laboratory, as the operator would write it.

use std::fmt::Write as _;
use std::path::Path;

use super::{Client, Isp};

/// What a test may vary in the configuration.
#[derive(Clone, Debug)]
pub struct ConfigText {
    /// CPUs of the workers.
    pub workers: Vec<usize>,
    /// What a clean stop leaves: "hold" or "release".
    pub on_stop: &'static str,
    /// Inline table of client a's rate, such as `{ from_client = "10 Mbit/s" }`.
    pub rate_a: Option<String>,
    /// Appended as it is.
    pub more: String,
}

impl Default for ConfigText {
    fn default() -> Self {
        Self {
            workers: vec![0],
            on_stop: "hold",
            rate_a: None,
            more: String::new(),
        }
    }
}

impl ConfigText {
    /// The file's text; sockets, state and bpffs are below `directory`.
    #[must_use]
    pub fn text(&self, directory: &Path) -> String {
        let mut text = format!(
            "[portal]\nworkers = {:?}\non_stop = \"{}\"\napi = \"{dir}/api.sock\"\n\
             bpffs = \"{dir}/bpf\"\nstate = \"{dir}/state\"\n\n[ports.ix0]\n[ports.cl0]\n",
            self.workers,
            self.on_stop,
            dir = directory.display()
        );
        for isp in Isp::ALL {
            // One upstream by its router's address, the other by its MAC: both ways are used.
            let next_hop = match isp {
                Isp::One => "192.0.2.1",
                Isp::Two => "02:00:00:00:01:02",
            };
            let name = isp.name();
            push(
                &mut text,
                format_args!("\n[upstreams.{name}]\nport = \"ix0\"\nnext_hop = \"{next_hop}\"\n"),
            );
        }
        for client in Client::ALL {
            let (name, prefix) = (client.name(), client.prefix());
            push(
                &mut text,
                format_args!("\n[clients.{name}]\nprefixes = [\"{prefix}\"]\n"),
            );
            if let (Client::A, Some(rate)) = (client, &self.rate_a) {
                push(&mut text, format_args!("rate = {rate}\n"));
            }
            for isp in Isp::ALL {
                tunnel(&mut text, client, isp);
            }
        }
        text.push_str(&self.more);
        text
    }
}

fn tunnel(text: &mut String, client: Client, isp: Isp) {
    // What is local to the client's end is remote to the portal's.
    let link = super::toml::link(&client.tunnel_spec(isp), "cl0");
    push(
        text,
        format_args!(
            "\n[tunnels.{}]\nclient = \"{}\"\nupstream = \"{}\"\n{link}routes = [\"{}\"]\n",
            client.tunnel(isp),
            client.name(),
            isp.name(),
            client.prefix()
        ),
    );
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
}
