//! Sets and maps filled one by one. To `collect()` sorts first, which is 4 kB of program for every type, and leaves no
//! room unused: that is for what is held long.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) trait Ordered: Iterator + Sized {
    fn into_set(self) -> BTreeSet<Self::Item>
    where
        Self::Item: Ord,
    {
        let mut set = BTreeSet::new();
        set.extend(self);
        set
    }

    /// Of several values for a key the last one counts.
    fn into_map<K: Ord, V>(self) -> BTreeMap<K, V>
    where
        Self: Iterator<Item = (K, V)>,
    {
        let mut map = BTreeMap::new();
        map.extend(self);
        map
    }
}

impl<I: Iterator> Ordered for I {}
