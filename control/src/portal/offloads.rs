//! Offloads that are off while their devices are ports. They are remembered in a file beside the bpffs, like the
//! links in it: whoever releases the ports of a daemon that died knows what was on before, and so does the daemon
//! that follows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::chain;
use crate::bpffs;
use crate::kernel::{OffloadError, Offloads};
use crate::model::Name;

/// Why what was switched off is not known, or not given back.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("the record of offloads {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not a device, its index and features.
    #[error("line {line} of the record of offloads {} is not one of ours; \
         set the devices' offloads by ethtool and remove the file", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A device does not take its offloads back.
    #[error("offloads are not restored")]
    Device(#[from] OffloadError),
}

/// What each port had on, until it is given back.
#[derive(Debug)]
pub(super) struct OffloadRecord {
    file: PathBuf,
    devices: BTreeMap<Name, Offloads>,
}

impl OffloadRecord {
    /// What was switched off for the ports that are held, or were to be held, by this bpffs.
    pub(super) fn open(bpffs: &Path) -> Result<Self, RecordError> {
        let file = bpffs::beside(bpffs, ".offloads").map_err(|source| RecordError::File {
            path: bpffs.to_owned(),
            source,
        })?;
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(RecordError::File { path: file, source }),
        };
        match parse(&text) {
            Ok(devices) => Ok(Self { file, devices }),
            Err(line) => Err(RecordError::Line { path: file, line }),
        }
    }

    /// Switches off what must be off on a port, after it was written down.
    pub(super) fn switch_off(&mut self, port: &str, ifindex: u32) -> Result<(), OffloadError> {
        let on = Offloads::that_are_on(port, ifindex)?;
        let known = self.devices.get(port).filter(|k| k.ifindex() == ifindex);
        // What a predecessor, or an earlier attempt, switched off is not on any more, and was on before.
        let before = known.into_iter().flat_map(Offloads::features);
        let all = on.features().chain(before).map(str::to_owned);
        let all = Offloads::known(port, ifindex, all);
        if known != Some(&all) {
            self.devices.insert(port.to_owned(), all);
            self.keep();
        }
        on.switch_off()
    }

    /// Gives a device back what it had on. One that is gone needs nothing.
    pub(super) fn give_back(&mut self, port: &str) -> Result<(), OffloadError> {
        let Some(offloads) = self.devices.get(port) else {
            return Ok(());
        };
        match offloads.switch_on() {
            Err(error) if !error.is_of_no_device() => return Err(error),
            _ => {}
        }
        self.devices.remove(port);
        self.keep();
        Ok(())
    }

    /// Gives all devices back what they had on.
    ///
    /// # Errors
    /// The first that does not take it, once all were tried.
    pub(super) fn give_back_all(&mut self) -> Result<(), OffloadError> {
        let ports: Vec<Name> = self.ports().cloned().collect();
        let given: Vec<_> = ports.iter().map(|port| self.give_back(port)).collect();
        given.into_iter().collect()
    }

    /// The ports that something is remembered for.
    pub(super) fn ports(&self) -> impl Iterator<Item = &Name> {
        self.devices.keys()
    }

    /// Writes the file whole or not at all, or removes it. A portal that cannot write it forwards all the same.
    fn keep(&self) {
        let text = self.text();
        let kept = if text.is_empty() {
            match std::fs::remove_file(&self.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            }
        } else {
            let new = self.file.with_extension("offloads.new");
            // Not forced to the disk: a machine that restarts has its offloads as they were anyway.
            std::fs::write(&new, text).and_then(|()| std::fs::rename(new, &self.file))
        };
        if let Err(error) = kept {
            let (file, error) = (self.file.display(), chain(&error));
            tracing::warn!(%file, error, "offloads that are off are not written down");
        }
    }

    /// One line a device: its name, its index, and the features that it had on.
    fn text(&self) -> String {
        let mut text = String::new();
        for (port, offloads) in &self.devices {
            let features: Vec<&str> = offloads.features().collect();
            if !features.is_empty() {
                let (index, features) = (offloads.ifindex(), features.join(" "));
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{port} {index} {features}");
            }
        }
        text
    }
}

/// The devices of a file's text, or the number of the line that is none. Names of devices have no white space
/// (net/core/dev.c, `dev_valid_name`).
fn parse(text: &str) -> Result<BTreeMap<Name, Offloads>, usize> {
    let device = |(line, text): (usize, &str)| {
        let mut words = text.split_whitespace();
        let port = words.next().ok_or(line)?;
        let index = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or(line)?;
        let offloads = Offloads::known(port, index, words.map(str::to_owned));
        Ok((port.to_owned(), offloads))
    };
    (1..).zip(text.lines()).map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> (PathBuf, OffloadRecord) {
        let name = format!("tpd-offloads-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let record = OffloadRecord::open(&directory.join("bpf")).unwrap();
        (directory, record)
    }

    #[test]
    fn the_file_has_a_line_for_each_device_with_something_to_restore() {
        let (directory, mut record) = record("text");
        let on = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        for (port, index, features) in [
            ("ix0", 7, on(&["rx-lro", "rx-vlan-hw-parse"])),
            ("eth1.5", 9, on(&["rx-lro"])),
            ("cl0", 8, on(&[])),
        ] {
            let offloads = Offloads::known(port, index, features);
            record.devices.insert(port.to_owned(), offloads);
        }
        record.keep();
        let file = directory.join("bpf.offloads");
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "eth1.5 9 rx-lro\nix0 7 rx-lro rx-vlan-hw-parse\n");
        let again = OffloadRecord::open(&directory.join("bpf")).unwrap();
        record.devices.remove("cl0");
        assert_eq!(again.devices, record.devices);

        record.devices.clear();
        record.keep();
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_line_of_another_kind_is_named() {
        for (text, line) in [("ix0", 1), ("ix0 1 a\nix1 b\n", 2), ("ix0 1\n\n", 2)] {
            assert_eq!(parse(text), Err(line), "{text:?}");
        }
    }
}
