//! Regions on reserved huge pages. Changes `vm.nr_hugepages` for its duration; needs root.

use std::fs;

use tp_xsk::{ChunkSize, PageKind, Pages, Region, RegionConfig, RegionError};

const RESERVED: &str = "/proc/sys/vm/nr_hugepages";

/// Puts the setting back, also when the test fails.
struct Reserve {
    before: String,
}

impl Reserve {
    fn more(pages: u32) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: run it with sudo"
        );
        let before = fs::read_to_string(RESERVED).expect("a Linux with huge pages");
        let now = before.trim().parse::<u32>().expect("a number") + pages;
        fs::write(RESERVED, now.to_string()).expect("root may reserve pages");
        Self { before }
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let _ = fs::write(RESERVED, self.before.trim());
    }
}

fn config(chunks: u32, pages: Pages) -> RegionConfig {
    RegionConfig {
        chunks,
        chunk_size: ChunkSize::B4096,
        pages,
    }
}

#[test]
fn reserved_pages_are_used_and_their_want_is_an_error() {
    let absurd = config(u32::MAX, Pages::Require);
    let refused = Region::new(&absurd).map(drop);
    assert!(
        matches!(refused, Err(RegionError::HugePages { .. })),
        "{refused:?}"
    );

    let _reserve = Reserve::more(8);
    for pages in [Pages::Require, Pages::Try] {
        let region = Region::new(&config(2048, pages)).expect("8 MiB of reserved pages");
        assert_eq!(region.page_kind(), PageKind::Reserved);
        assert_eq!(region.chunk_size() * region.chunks() as usize, 8 << 20);
        assert_eq!(region.max_packet(), 3840);
        let mut magazine = region.depot().magazine();
        let mut last = None;
        while let Some(mut frame) = magazine.alloc() {
            region.chunk_mut(&mut frame).fill(0xa5);
            last = Some(frame);
        }
        let last = last.expect("2048 frames");
        assert!(region.chunk(&last).iter().all(|b| *b == 0xa5));
    }
    let plain = Region::new(&config(2048, Pages::Never)).expect("8 MiB of memory");
    assert_eq!(plain.page_kind(), PageKind::Plain);
}

#[test]
fn an_empty_region_is_refused() {
    let refused = Region::new(&config(0, Pages::Never)).map(drop);
    assert!(matches!(refused, Err(RegionError::Empty)), "{refused:?}");
}
