//! The last good configuration: what to start from when the file itself was broken meanwhile.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use miette::{Diagnostic, LabeledSpan, Severity, SourceCode};
use toml::de::DeTable;

use crate::config::Report;

/// `state` where the file does not say (`docs/configuration.md`).
const STATE: &str = "/var/lib/tpd";

/// Where it is kept.
pub(super) fn path(state: &Path) -> PathBuf {
    state.join("last-good.toml")
}

/// Keeps this text, whole or not at all: written beside, then renamed.
pub(super) fn keep(state: &Path, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(state)?;
    let (target, beside) = (path(state), state.join("last-good.toml.new"));
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(beside, target)?;
    // The new name is on the disk only when the directory is (fsync(2)).
    std::fs::File::open(state)?.sync_all()
}

/// The state directory that a file names, as far as it can be read at all.
pub(super) fn state_of(text: &str) -> PathBuf {
    let (document, _) = DeTable::parse_recoverable(text);
    let portal = document.get_ref().get("portal");
    let state = portal
        .and_then(|portal| portal.get_ref().as_table())
        .and_then(|portal| portal.get("state"))
        .and_then(|state| state.get_ref().as_str());
    PathBuf::from(state.unwrap_or(STATE))
}

/// The refusal of a file with this text; where there is another that was good, it tells where.
pub(super) fn hint(report: Report, text: &str, state: &Path) -> miette::Report {
    let last_good = path(state);
    match std::fs::read_to_string(&last_good) {
        Ok(good) if good != text => Refused { report, last_good }.into(),
        _ => report.into(),
    }
}

/// A refused file, and one to start from instead.
#[derive(Debug)]
struct Refused {
    report: Report,
    last_good: PathBuf,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl Diagnostic for Refused {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(format!(
            "the configuration that was last in force is {}",
            self.last_good.display()
        )))
    }

    fn severity(&self) -> Option<Severity> {
        self.report.severity()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.report.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.report.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        self.report.related()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_text_replaces_the_first() {
        let state = std::env::temp_dir().join(format!("tpd-last-good-{}", std::process::id()));
        keep(&state, "first").unwrap();
        keep(&state, "second").unwrap();
        assert_eq!(std::fs::read_to_string(path(&state)).unwrap(), "second");
        assert_eq!(std::fs::read_dir(&state).unwrap().count(), 1);
        std::fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn a_broken_file_still_tells_its_state_directory() {
        let broken = "[portal\nworkers = [\n";
        for (text, state) in [
            ("[portal]\nstate = \"/a/b\"\nworkers = [0]\n", "/a/b"),
            ("[portal]\nstate = \"/a/b\"\n[clients\n", "/a/b"),
            ("[portal]\nworkers = [0]\n", STATE),
            ("[portal]\nstate = 1\n", STATE),
            (broken, STATE),
            ("", STATE),
        ] {
            assert_eq!(state_of(text), Path::new(state), "{text:?}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_configuration() {
        let cpus = [0].into();
        let (model, _) = crate::config::parse("f", "[portal]\nworkers = [0]\n", &cpus).unwrap();
        assert_eq!(model.portal.state, Path::new(STATE));
    }
}
