//! Sums by key, in the order of keys. Sessions have mostly the same tapes, so each is found where the one before it was.

/// A value for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums<Key, Value>(Vec<(Key, Value)>);

impl<Key, Value> Default for Sums<Key, Value> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<Key, Value> Sums<Key, Value> {
    /// How many keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys in their order, each with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<Key: Ord + Clone, Value: Default> Sums<Key, Value> {
    /// The value of a key, which is added where there is none. `near`: where the key before was found; it is 0 at first. Who
    /// goes through keys in their order finds each without a search.
    pub(crate) fn of(&mut self, key: &Key, near: &mut usize) -> &mut Value {
        let is_at = |place: &usize| self.0.get(*place).is_some_and(|(own, _)| own == key);
        let found = [*near, *near + 1].into_iter().find(is_at);
        *near = found.unwrap_or_else(|| self.searched(key));
        &mut self.0[*near].1
    }

    fn searched(&mut self, key: &Key) -> usize {
        let place = match self.0.last() {
            Some((last, _)) if last >= key => self.0.binary_search_by(|(own, _)| own.cmp(key)),
            _ => Err(self.0.len()),
        };
        place.unwrap_or_else(|place| {
            self.0.insert(place, (key.clone(), Value::default()));
            place
        })
    }
}

impl<Key, Value> IntoIterator for Sums<Key, Value> {
    type Item = (Key, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Keys may come in any order; of equal ones the last counts.
impl<Key: Ord + Clone, Value: Default> FromIterator<(Key, Value)> for Sums<Key, Value> {
    fn from_iter<All: IntoIterator<Item = (Key, Value)>>(all: All) -> Self {
        let (mut sums, mut near) = (Self::default(), 0);
        for (key, value) in all {
            *sums.of(&key, &mut near) = value;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn sums_are_those_of_a_map(rounds in prop::collection::vec(prop::collection::vec((0..30_u8, 1..9_u64), 0..40), 0..5)) {
            let (mut sums, mut map) = (Sums::default(), BTreeMap::new());
            for (number, mut round) in rounds.into_iter().enumerate() {
                if number % 2 == 0 {
                    round.sort_unstable();
                }
                let mut near = 0;
                for (key, value) in round {
                    *sums.of(&key, &mut near) += value;
                    *map.entry(key).or_insert(0) += value;
                }
            }
            prop_assert!(sums.iter().eq(&map));
            prop_assert_eq!((sums.len(), sums.is_empty()), (map.len(), map.is_empty()));
            prop_assert!(sums.values().eq(map.values()));
            prop_assert_eq!(&sums.clone().into_iter().collect::<Sums<u8, u64>>(), &sums);
        }
    }
}
