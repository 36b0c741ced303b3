//! Where frames were counted on their way, from generator to sink.

use std::fmt;

/// Frames by place, in the order in which they come by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books(Vec<(String, u64)>);

impl Books {
    /// Adds to what was counted at a place, which is entered behind the others if it is new.
    pub(super) fn add(&mut self, place: impl Into<String>, frames: u64) {
        let place = place.into();
        match self.0.iter_mut().find(|(known, _)| *known == place) {
            Some((_, sum)) => *sum += frames,
            None => self.0.push((place, frames)),
        }
    }

    /// Adds all of another round's.
    pub(super) fn merge(&mut self, other: &Self) {
        for (place, frames) in &other.0 {
            self.add(place, *frames);
        }
    }

    /// What was counted, by place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0
            .iter()
            .map(|(place, frames)| (place.as_str(), *frames))
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (place, frames)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{place} {frames}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_add_up_and_places_keep_their_order() {
        let (mut sum, mut second) = (Books::default(), Books::default());
        sum.add("offered", 10);
        sum.add("arrived", 9);
        second.add("offered", 5);
        second.add("lost", 1);
        second.add("arrived", 4);
        sum.merge(&second);
        assert_eq!(sum.to_string(), "offered 15, arrived 13, lost 1");
    }
}
