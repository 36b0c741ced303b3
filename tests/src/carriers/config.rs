//! The portal's configuration for the laboratory of all links.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::Line;

/// What a test may vary in the configuration.
#[derive(Clone, Debug)]
pub struct ConfigText<'a> {
    lines: &'a [Line],
    /// Inline table of each tunnel's rate, such as `{ from_client = "1 Mbit/s" }`.
    pub rate: Option<String>,
}

impl<'a> ConfigText<'a> {
    /// With these lines, at no rate.
    #[must_use]
    pub fn new(lines: &'a [Line]) -> Self {
        Self { lines, rate: None }
    }

    /// The file's text; sockets, state and bpffs are below `directory`.
    #[must_use]
    pub fn text(&self, directory: &Path) -> String {
        let mut text = format!(
            "[portal]\nworkers = [0]\napi = \"{dir}/api.sock\"\nbpffs = \"{dir}/bpf\"\nstate = \"{dir}/state\"\n\n\
             [ports.ix0]\n[ports.cl0]\n[ports.cl1]\n[ports.cl2]\n\n\
             [upstreams.isp1]\nport = \"ix0\"\nnext_hop = \"192.0.2.1\"\n\n\
             [clients.c]\nprefixes = [\"198.51.100.0/24\", \"2001:db8:100::/48\"]\n",
            dir = directory.display()
        );
        for line in self.lines {
            self.tunnel(line, &mut text);
        }
        text
    }

    fn tunnel(&self, line: &Line, text: &mut String) {
        let pairs = line
            .link()
            .map(|(portal, client)| format!("{{ portal = \"{portal}\", client = \"{client}\" }}"));
        let routes = line.routes().map(|route| format!("\"{route}\""));
        push(
            text,
            format_args!(
                "\n[tunnels.{}]\nclient = \"c\"\nupstream = \"isp1\"\n{}link = [{}]\nroutes = [{}]\n",
                line.name,
                line.portal_end(),
                pairs.join(", "),
                routes.join(", ")
            ),
        );
        if let Some(rate) = &self.rate {
            push(text, format_args!("rate = {rate}\n"));
        }
    }
}

fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(arguments);
}
