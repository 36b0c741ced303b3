//! The MAC addresses by which upstreams are shown to clients side by side.

use std::collections::{BTreeMap, BTreeSet};

use tp_wire::MacAddr;

use crate::model::Name;

/// How many MAC addresses there are: the lower half of 02:54:50:xx:xx:xx ("TP", locally administered).
const SPACE: u32 = 1 << 24;

/// A MAC address for each upstream: 02:54:50 and the low 24 bits of the FNV-1a hash of its name, or the next one
/// that none before it in the order of names has. So it is the same on every portal and after every change, as far
/// as names are, and clients may write it down.
pub(super) fn macs<'a>(upstreams: impl Iterator<Item = &'a Name>) -> BTreeMap<Name, MacAddr> {
    let mut taken = BTreeSet::new();
    let mut macs = BTreeMap::new();
    for name in upstreams {
        let mut value = fnv_1a(name) % SPACE;
        // Upstreams are far fewer than addresses (`MAX_UPSTREAMS`): one is free.
        while !taken.insert(value) {
            value = (value + 1) % SPACE;
        }
        let [_, a, b, c] = value.to_be_bytes();
        macs.insert(name.clone(), MacAddr::new([0x02, 0x54, 0x50, a, b, c]));
    }
    macs
}

/// FNV-1a with 32 bits (draft-eastlake-fnv section 2).
fn fnv_1a(text: &str) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    text.bytes().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the model has them: by name.
    fn of(names: &[&str]) -> BTreeMap<Name, MacAddr> {
        let names: BTreeSet<Name> = names.iter().map(|name| (*name).to_owned()).collect();
        macs(names.iter())
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // Test vectors of draft-eastlake-fnv appendix C.
        assert_eq!(fnv_1a(""), 0x811c_9dc5);
        assert_eq!(fnv_1a("a"), 0xe40c_292c);
        assert_eq!(fnv_1a("foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_mac_depends_on_the_name_alone() {
        let (few, many) = (of(&["foobar"]), of(&["a", "foobar", "z"]));
        assert_eq!(few["foobar"].octets(), [0x02, 0x54, 0x50, 0x9c, 0xf9, 0x68]);
        assert_eq!(few["foobar"], many["foobar"]);
    }

    #[test]
    fn the_second_of_two_whose_hashes_meet_has_the_next_mac() {
        let macs = of(&["xhky", "egzv"]);
        assert_eq!(macs["egzv"].octets(), [0x02, 0x54, 0x50, 0x2a, 0x57, 0x81]);
        assert_eq!(macs["xhky"].octets(), [0x02, 0x54, 0x50, 0x2a, 0x57, 0x82]);
        // Alone, each has the hash.
        assert_eq!(of(&["xhky"])["xhky"], macs["egzv"]);
    }
}
