//! The last good configuration: what to start from when the file itself was broken meanwhile.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

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
    std::fs::rename(beside, target)
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
}
