//! Which slot a name has: kept while its identity stays, never shared by two generations that
//! may meet.

use std::collections::{BTreeMap, BTreeSet};

use tp_pipeline::{Tag, Tagged};

use super::{CompileError, Slot};
use crate::model::Name;

/// Gives each allocation a tag that the one before it did not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagSource {
    next: u32,
}

impl TagSource {
    /// Starts at this tag: a random one, so that frames which a predecessor's program marked do
    /// not match by chance.
    #[must_use]
    pub fn starting_at(tag: u32) -> Self {
        Self { next: tag }
    }

    fn take(&mut self) -> Tag {
        let tag = Tag(self.next);
        self.next = self.next.wrapping_add(1);
        tag
    }
}

/// A name's slot with tag, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocated<S, I> {
    /// The slot and the tag of its allocation.
    pub id: Tagged<S>,
    /// By what steering knows it: another identity takes another slot.
    pub identity: I,
}

/// The slots of one kind, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots<S, I> {
    by_name: BTreeMap<Name, Allocated<S, I>>,
}

impl<S, I> Default for Slots<S, I> {
    fn default() -> Self {
        Self {
            by_name: BTreeMap::new(),
        }
    }
}

impl<S: Slot, I: PartialEq> Slots<S, I> {
    /// Slots for `wanted`: a name whose identity is the same keeps slot and tag; every other gets
    /// the lowest slot that neither the predecessor nor this generation uses, since workers
    /// hold both while a change is under way.
    pub(crate) fn advance(
        previous: Option<&Self>,
        wanted: impl Iterator<Item = (Name, I)>,
        tags: &mut TagSource,
        (what, limit): (&'static str, usize),
    ) -> Result<Self, CompileError>
    where
        I: Clone,
    {
        let mut used: BTreeSet<usize> = previous
            .iter()
            .flat_map(|p| p.by_name.values().map(|a| a.id.slot.to_index()))
            .collect();
        let mut candidate = 0;
        let mut by_name = BTreeMap::new();
        for (name, identity) in wanted {
            let kept = previous
                .and_then(|p| p.by_name.get(&name))
                .filter(|allocated| allocated.identity == identity);
            let allocated = if let Some(kept) = kept {
                kept.clone()
            } else {
                while used.contains(&candidate) {
                    candidate += 1;
                }
                used.insert(candidate);
                let id = Tagged {
                    slot: S::from_index(candidate),
                    tag: tags.take(),
                };
                Allocated { id, identity }
            };
            by_name.insert(name, allocated);
        }
        if used.len() > limit {
            return Err(CompileError::TooMany {
                what,
                count: used.len(),
                limit,
            });
        }
        Ok(Self { by_name })
    }

    /// The slot of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Allocated<S, I>> {
        self.by_name.get(name)
    }

    /// The slot of a name that the model vouches for.
    ///
    /// # Panics
    /// If the name has none: the model named something that it does not contain.
    pub(super) fn expect(&self, name: &str) -> &Allocated<S, I> {
        self.by_name
            .get(name)
            .unwrap_or_else(|| unreachable!("the model names {name:?} and does not contain it"))
    }

    /// Names and slots, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Allocated<S, I>)> {
        self.by_name.iter()
    }

    /// The name that has this slot.
    #[must_use]
    pub fn name_of(&self, slot: S) -> Option<&Name> {
        self.by_name
            .iter()
            .find(|(_, a)| a.id.slot == slot)
            .map(|(name, _)| name)
    }

    /// Names and ids that are here and not, with the same id, in `successor`.
    #[must_use]
    pub fn retired_by(&self, successor: &Self) -> Vec<(Name, S)> {
        self.by_name
            .iter()
            .filter(|(name, a)| {
                successor
                    .by_name
                    .get(*name)
                    .is_none_or(|b| (a.id.slot, a.id.tag) != (b.id.slot, b.id.tag))
            })
            .map(|(name, a)| (name.clone(), a.id.slot))
            .collect()
    }

    /// One above the highest slot in use.
    pub(super) fn bound(&self) -> usize {
        self.by_name
            .values()
            .map(|a| a.id.slot.to_index() + 1)
            .max()
            .unwrap_or(0)
    }

    /// A table by slot.
    pub(super) fn table<T>(
        &self,
        mut entry: impl FnMut(&str, &Allocated<S, I>) -> T,
    ) -> Vec<Option<T>> {
        let mut table: Vec<Option<T>> = (0..self.bound()).map(|_| None).collect();
        for (name, allocated) in &self.by_name {
            table[allocated.id.slot.to_index()] = Some(entry(name, allocated));
        }
        table
    }

    /// A table by slot, of entries that may fail.
    pub(super) fn try_table<T, E>(
        &self,
        mut entry: impl FnMut(&str, &Allocated<S, I>) -> Result<T, E>,
    ) -> Result<Vec<Option<T>>, E> {
        self.table(|name, allocated| entry(name, allocated))
            .into_iter()
            .map(Option::transpose)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tp_pipeline::TunnelSlot;

    type Names = Slots<TunnelSlot, u8>;

    fn advance(previous: Option<&Names>, wanted: &[(&str, u8)], tags: &mut TagSource) -> Names {
        let wanted = wanted.iter().map(|(n, i)| ((*n).to_owned(), *i));
        Slots::advance(previous, wanted, tags, ("tunnels", 4)).expect("within the limit")
    }

    #[test]
    fn an_unchanged_name_keeps_slot_and_tag() {
        let mut tags = TagSource::starting_at(7);
        let one = advance(None, &[("a", 1), ("b", 2)], &mut tags);
        let two = advance(Some(&one), &[("b", 2), ("c", 3)], &mut tags);
        assert_eq!(one.get("b"), two.get("b"));
    }

    #[test]
    fn a_changed_identity_never_takes_a_slot_that_the_predecessor_uses() {
        let mut tags = TagSource::starting_at(u32::MAX);
        let one = advance(None, &[("a", 1), ("b", 2)], &mut tags);
        let two = advance(Some(&one), &[("a", 9), ("b", 2)], &mut tags);
        let before: BTreeSet<usize> = one.iter().map(|(_, a)| a.id.slot.index()).collect();
        assert!(!before.contains(&two.get("a").expect("named").id.slot.index()));
        assert_eq!(
            one.retired_by(&two),
            vec![("a".to_owned(), one.get("a").unwrap().id.slot)]
        );
    }

    #[test]
    fn a_freed_slot_is_used_again_under_another_tag() {
        let mut tags = TagSource::starting_at(0);
        let one = advance(None, &[("a", 1)], &mut tags);
        let two = advance(Some(&one), &[("b", 1)], &mut tags);
        let three = advance(Some(&two), &[("a", 1)], &mut tags);
        assert_eq!(
            one.get("a").unwrap().id.slot,
            three.get("a").unwrap().id.slot
        );
        assert_ne!(one.get("a").unwrap().id.tag, three.get("a").unwrap().id.tag);
    }

    #[test]
    fn both_generations_must_fit_the_limit() {
        let mut tags = TagSource::starting_at(0);
        let one = advance(None, &[("a", 1), ("b", 1), ("c", 1)], &mut tags);
        let wanted = [("d", 1), ("e", 1)].map(|(n, i)| (n.to_owned(), i));
        let result = Slots::advance(Some(&one), wanted.into_iter(), &mut tags, ("tunnels", 4));
        assert_eq!(
            result,
            Err(CompileError::TooMany {
                what: "tunnels",
                count: 5,
                limit: 4
            })
        );
    }
}
