//! The region's memory: reserved huge pages, else transparent ones, else plain ones.

use core::ptr::NonNull;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use rustix::mm::{Advice, MapFlags};

use super::{Pages, RegionError};
use crate::mapping::Mapping;

/// On which kind of pages a region lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Reserved 2 MiB pages (`vm.nr_hugepages`).
    Reserved,
    /// 2 MiB pages that the kernel gave on request, for at least half of the region.
    Transparent,
    /// Pages of the base size.
    Plain,
}

const HUGE: usize = 2 << 20;

/// Zeroed, populated memory, aligned to a page at least.
#[derive(Debug)]
pub(super) struct Memory {
    mapping: Mapping,
    offset: usize,
    kind: PageKind,
}

impl Memory {
    pub(super) fn map(bytes: usize, pages: Pages) -> Result<Self, RegionError> {
        let memory = match pages {
            Pages::Require => {
                Self::reserved(bytes).map_err(|source| RegionError::HugePages { bytes, source })?
            }
            Pages::Try => Self::reserved(bytes)
                .or_else(|_| Self::transparent(bytes))
                .map_err(|source| RegionError::Map { bytes, source })?,
            Pages::Never => {
                Self::plain(bytes).map_err(|source| RegionError::Map { bytes, source })?
            }
        };
        // A child between fork and exec would share the pages, and copy-on-write would then move
        // ours away from those that the kernel has pinned.
        memory
            .mapping
            .advise(Advice::LinuxDontFork)
            .map_err(|source| RegionError::Map { bytes, source })?;
        Ok(memory)
    }

    pub(super) fn kind(&self) -> PageKind {
        self.kind
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        // `offset` is below the mapping's length by construction.
        self.mapping
            .base()
            .map_addr(|a| a.saturating_add(self.offset))
    }

    fn reserved(bytes: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::HUGETLB | MapFlags::HUGE_2MB | MapFlags::POPULATE;
        let mapping = Mapping::anonymous(bytes.next_multiple_of(HUGE), flags)?;
        Ok(Self {
            mapping,
            offset: 0,
            kind: PageKind::Reserved,
        })
    }

    fn transparent(bytes: usize) -> io::Result<Self> {
        if bytes < HUGE {
            return Self::plain(bytes);
        }
        // One huge page more than needed, so that the region can start on one.
        let mapping = Mapping::anonymous(bytes.next_multiple_of(HUGE) + HUGE, MapFlags::PRIVATE)?;
        let offset = mapping.base().align_offset(HUGE);
        // A kernel without transparent huge pages refuses the advice; the pages are plain then.
        let advised = mapping.advise(Advice::LinuxHugepage).is_ok();
        mapping.advise(Advice::LinuxPopulateWrite)?;
        let huge = advised && anon_huge_bytes(mapping.base()).unwrap_or(0) >= bytes / 2;
        let kind = if huge {
            PageKind::Transparent
        } else {
            PageKind::Plain
        };
        Ok(Self {
            mapping,
            offset,
            kind,
        })
    }

    fn plain(bytes: usize) -> io::Result<Self> {
        let mapping = Mapping::anonymous(bytes, MapFlags::PRIVATE)?;
        // Where "always" is configured, the kernel would give huge pages unasked.
        let _ = mapping.advise(Advice::LinuxNoHugepage);
        mapping.advise(Advice::LinuxPopulateWrite)?;
        Ok(Self {
            mapping,
            offset: 0,
            kind: PageKind::Plain,
        })
    }
}

/// How many bytes of the mapping that holds `address` lie on transparent huge pages
/// (`AnonHugePages` of /proc/self/smaps).
fn anon_huge_bytes(address: NonNull<u8>) -> io::Result<usize> {
    let address = address.addr().get();
    let mut ours = false;
    for line in BufReader::new(File::open("/proc/self/smaps")?).lines() {
        let line = line?;
        if let Some(range) = address_range(&line) {
            ours = range.contains(&address);
        } else if ours && let Some(kib) = line.strip_prefix("AnonHugePages:") {
            let kib = kib.trim().trim_end_matches(" kB").parse::<usize>();
            return Ok(kib.map_or(0, |kib| kib << 10));
        }
    }
    Ok(0)
}

/// The range of a mapping's first line in smaps, `start-end perms …`.
fn address_range(line: &str) -> Option<core::ops::Range<usize>> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let parse = |hex| usize::from_str_radix(hex, 16).ok();
    Some(parse(start)?..parse(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_memory_is_plain() {
        let m = Memory::map(8 << 20, Pages::Never).unwrap();
        assert_eq!(m.kind(), PageKind::Plain);
        assert_eq!(anon_huge_bytes(m.base()).unwrap(), 0);
        assert_eq!(m.base().align_offset(4096), 0);
    }

    #[test]
    fn tried_memory_says_what_it_is() {
        let m = Memory::map(8 << 20, Pages::Try).unwrap();
        let huge = anon_huge_bytes(m.base()).unwrap();
        assert_eq!(m.kind() == PageKind::Transparent, huge >= 4 << 20);
        if m.kind() == PageKind::Transparent {
            assert_eq!(m.base().align_offset(HUGE), 0);
        }
    }

    #[test]
    fn smaps_header_lines_are_told_from_fields() {
        assert_eq!(
            address_range("7f00-7fff rw-p 00000000 00:00 0"),
            Some(0x7f00..0x7fff)
        );
        assert_eq!(address_range("AnonHugePages:      2048 kB"), None);
        assert_eq!(address_range("VmFlags: rd wr mr mw me dc ac"), None);
    }
}
