//! Files that belong to a bpffs. They cannot be within: a bpffs holds no plain files, and is not always mounted.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The file beside this bpffs with this behind its name: one file, however the path is spelled.
///
/// # Errors
/// A path without a name.
pub(crate) fn beside(bpffs: &Path, suffix: &str) -> io::Result<PathBuf> {
    let bpffs = bpffs.canonicalize().unwrap_or_else(|_| bpffs.to_owned());
    let Some(name) = bpffs.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a bpffs needs a name",
        ));
    };
    let mut name = OsString::from(name);
    name.push(suffix);
    Ok(bpffs.with_file_name(name))
}
