//! A persistent hash map from text to values that know their own key.
//!
//! Theory of operation. A hash array mapped trie (Bagwell, "Ideal Hash Trees", 2001) in its compressed
//! form: six bits of the key's hash choose one of 64 places at each level, a bitmap says which places
//! are taken, and only those are stored. 100,000 keys are three levels deep. A clone shares
//! everything; an edit copies the arrays on its own path that somebody else still holds, at most
//! 64 slots a level, and never the table.
//!
//! The bitmap of an array lies in the slot that points to it, so a lookup touches one cache line a
//! level; a map of one value needs no array at all. Both matter here: the router keeps one such map
//! in each node of its tree, and most nodes have one child.
//!
//! Hashes are not seeded: keys come from the configuration, requests only look them up, and every
//! hit is verified against the key.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use crate::ahead::fetch;

/// A value that carries the text it is stored under.
pub(crate) trait Keyed {
    /// The text; it must not change while the value is in a map.
    fn key(&self) -> &str;
}

impl<V: Keyed> Keyed for Arc<V> {
    fn key(&self) -> &str {
        V::key(self)
    }
}

/// The hash that [`Hamt`] expects beside a key.
#[inline]
pub(crate) fn hash_of(text: &str) -> u64 {
    hash_of_bytes(text.as_bytes())
}

/// The hash of a text that nobody has looked at yet.
#[inline]
pub(crate) fn hash_of_bytes(text: &[u8]) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    hasher.write(text);
    hasher.finish()
}

/// A persistent map; see the module's text.
#[derive(Clone)]
pub(crate) struct Hamt<V> {
    root: Slot<V>,
}

#[derive(Clone, Default)]
enum Slot<V> {
    #[default]
    Empty,
    Leaf {
        hash: u64,
        value: V,
    },
    Branch {
        bitmap: u64,
        slots: Arc<[Slot<V>]>,
    },
    /// Different keys with one and the same hash.
    Clash {
        hash: u64,
        values: Arc<[V]>,
    },
}

impl<V> Default for Hamt<V> {
    fn default() -> Self {
        Self { root: Slot::Empty }
    }
}

impl<V: Keyed + Clone> Hamt<V> {
    /// The value stored under `key`, whose [`hash_of`] is `hash`.
    #[inline]
    pub(crate) fn get(&self, hash: u64, key: &str) -> Option<&V> {
        let mut slot = &self.root;
        let mut rest = hash;
        loop {
            match slot {
                Slot::Branch { bitmap, slots } => {
                    let bit = bit_of(rest);
                    if bitmap & bit == 0 {
                        return None;
                    }
                    slot = slots.get(place_of(*bitmap, bit))?;
                    rest >>= BITS;
                }
                Slot::Leaf { hash: held, value } => {
                    return (*held == hash && value.key() == key).then_some(value);
                }
                Slot::Empty => return None,
                Slot::Clash { values, .. } => {
                    return values.iter().find(|value| value.key() == key);
                }
            }
        }
    }

    /// Begin to look for what a hash leads to, a level at a time.
    #[inline]
    pub(crate) fn search(&self, hash: u64) -> Search<'_, V> {
        Search {
            slot: &self.root,
            hash,
            rest: hash,
        }
    }

    /// Whether the map holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.root, Slot::Empty)
    }

    /// Edit the value under `key`, made first where it is missing.
    pub(crate) fn edit(
        &mut self,
        key: &str,
        make: &mut dyn FnMut() -> V,
        edit: &mut dyn FnMut(&mut V),
    ) {
        let hash = hash_of(key);
        edit_slot(&mut self.root, (hash, 0), key, make, edit);
    }

    /// Edit the value under `key` if there is one; it is removed when `edit` answers false.
    pub(crate) fn prune(&mut self, key: &str, edit: &mut dyn FnMut(&mut V) -> bool) {
        let hash = hash_of(key);
        // Looking first keeps a removal of nothing from copying anything.
        if self.get(hash, key).is_some() {
            prune_slot(&mut self.root, (hash, 0), key, edit);
        }
    }

    /// Store `value` under its own key, in the place of an earlier one.
    pub(crate) fn insert(&mut self, value: V) {
        let key = value.key().to_owned();
        self.edit(&key, &mut || value.clone(), &mut |held| {
            *held = value.clone()
        });
    }

    /// Visit every value, in the order of the hashes.
    pub(crate) fn for_each<'a>(&'a self, visit: &mut dyn FnMut(&'a V)) {
        visit_slot(&self.root, visit);
    }
}

/// A lookup that touches one line of memory at a time, so that others may go on meanwhile.
pub(crate) struct Search<'a, V> {
    slot: &'a Slot<V>,
    hash: u64,
    rest: u64,
}

/// What a level of a [`Search`] says.
pub(crate) enum Searched<'a, V> {
    /// Ask the next level, once its line is here.
    On(Search<'a, V>),
    /// A value with this hash; its key is not looked at.
    Found(&'a V),
    /// There is none.
    Missing,
}

impl<'a, V> Search<'a, V> {
    /// Look at the slot that was asked for, and ask memory for the next.
    #[inline]
    pub(crate) fn step(self) -> Searched<'a, V> {
        match self.slot {
            Slot::Branch { bitmap, slots } => {
                let bit = bit_of(self.rest);
                match slots.get(place_of(*bitmap, bit)) {
                    Some(slot) if bitmap & bit != 0 => {
                        fetch(slot);
                        Searched::On(Self {
                            slot,
                            rest: self.rest >> BITS,
                            ..self
                        })
                    }
                    _ => Searched::Missing,
                }
            }
            Slot::Leaf { hash, value } if *hash == self.hash => Searched::Found(value),
            Slot::Leaf { .. } | Slot::Empty | Slot::Clash { .. } => Searched::Missing,
        }
    }
}

fn edit_slot<V: Keyed + Clone>(
    slot: &mut Slot<V>,
    (hash, level): (u64, u32),
    key: &str,
    make: &mut dyn FnMut() -> V,
    edit: &mut dyn FnMut(&mut V),
) {
    make_room(slot, (hash, level), key);
    match slot {
        Slot::Empty => {
            let value = made(make, edit);
            *slot = Slot::Leaf { hash, value };
        }
        Slot::Leaf { value, .. } => edit(value),
        Slot::Clash { values, .. } => match values.iter().position(|value| value.key() == key) {
            Some(at) => edit(&mut Arc::make_mut(values)[at]),
            None => *values = values.iter().cloned().chain([made(make, edit)]).collect(),
        },
        Slot::Branch { bitmap, slots } => {
            let bit = bit_of(hash >> (BITS * level));
            let at = place_of(*bitmap, bit);
            if *bitmap & bit == 0 {
                let leaf = Slot::Leaf {
                    hash,
                    value: made(make, edit),
                };
                *slots = grown(slots, at, leaf);
                *bitmap |= bit;
            } else {
                let next = &mut Arc::make_mut(slots)[at];
                edit_slot(next, (hash, level + 1), key, make, edit);
            }
        }
    }
}

/// The slots with one more at `at`. Slots that nobody else holds are moved and not counted up, which
/// is what loading a whole table consists of.
fn grown<V: Clone>(slots: &mut Arc<[Slot<V>]>, at: usize, leaf: Slot<V>) -> Arc<[Slot<V>]> {
    if let Some(own) = Arc::get_mut(slots) {
        let (before, after) = own.split_at_mut(at);
        let (before, after) = (before.iter_mut(), after.iter_mut());
        let moved = before.map(std::mem::take).chain([leaf]);
        return moved.chain(after.map(std::mem::take)).collect();
    }
    let (before, after) = slots.split_at(at);
    let shared = before.iter().cloned().chain([leaf]);
    shared.chain(after.iter().cloned()).collect()
}

fn made<V>(make: &mut dyn FnMut() -> V, edit: &mut dyn FnMut(&mut V)) -> V {
    let mut value = make();
    edit(&mut value);
    value
}

/// Turn a slot that holds only other keys into one that can hold `key` as well.
fn make_room<V: Keyed + Clone>(slot: &mut Slot<V>, (hash, level): (u64, u32), key: &str) {
    let held = match slot {
        Slot::Leaf { hash: held, value } if *held != hash || value.key() != key => *held,
        Slot::Clash { hash: held, .. } if *held != hash => *held,
        _ => return,
    };
    *slot = match std::mem::take(slot) {
        Slot::Leaf { value, .. } if held == hash => Slot::Clash {
            hash,
            values: Arc::from([value]),
        },
        // Different hashes differ in some six bits, so this nests at most eleven times.
        other => Slot::Branch {
            bitmap: bit_of(held >> (BITS * level)),
            slots: Arc::from([other]),
        },
    };
}

fn prune_slot<V: Keyed + Clone>(
    slot: &mut Slot<V>,
    (hash, level): (u64, u32),
    key: &str,
    edit: &mut dyn FnMut(&mut V) -> bool,
) {
    match slot {
        Slot::Empty => {}
        Slot::Leaf { value, .. } => {
            if !edit(value) {
                *slot = Slot::Empty;
            }
        }
        Slot::Clash { hash, values } => {
            if let Some(at) = values.iter().position(|value| value.key() == key)
                && !edit(&mut Arc::make_mut(values)[at])
            {
                let kept: Vec<V> = without(values, at).cloned().collect();
                *slot = match <[V; 1]>::try_from(kept) {
                    Ok([value]) => Slot::Leaf { hash: *hash, value },
                    Err(kept) => Slot::Clash {
                        hash: *hash,
                        values: kept.into(),
                    },
                };
            }
        }
        Slot::Branch { bitmap, slots } => {
            let bit = bit_of(hash >> (BITS * level));
            let at = place_of(*bitmap, bit);
            let next = &mut Arc::make_mut(slots)[at];
            prune_slot(next, (hash, level + 1), key, edit);
            if matches!(next, Slot::Empty) {
                *slots = without(slots, at).cloned().collect();
                *bitmap &= !bit;
            }
            // One form for one content: a lone value needs no array above it.
            match slots.as_ref() {
                [] => *slot = Slot::Empty,
                [only @ (Slot::Leaf { .. } | Slot::Clash { .. })] => *slot = only.clone(),
                _ => {}
            }
        }
    }
}

fn without<X>(all: &[X], at: usize) -> impl Iterator<Item = &X> {
    all.iter()
        .enumerate()
        .filter_map(move |(place, item)| (place != at).then_some(item))
}

fn visit_slot<'a, V>(slot: &'a Slot<V>, visit: &mut dyn FnMut(&'a V)) {
    match slot {
        Slot::Empty => {}
        Slot::Leaf { value, .. } => visit(value),
        Slot::Clash { values, .. } => values.iter().for_each(visit),
        Slot::Branch { slots, .. } => slots.iter().for_each(|slot| visit_slot(slot, visit)),
    }
}

#[inline]
fn bit_of(rest: u64) -> u64 {
    1 << (rest & 63)
}

#[inline]
fn place_of(bitmap: u64, bit: u64) -> usize {
    (bitmap & (bit - 1)).count_ones() as usize
}

/// Bits of the hash that one level uses.
const BITS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Word(String, u32);

    impl Keyed for Word {
        fn key(&self) -> &str {
            &self.0
        }
    }

    fn find<'a>(map: &'a Hamt<Word>, key: &str) -> Option<&'a Word> {
        map.get(hash_of(key), key)
    }

    fn listed(map: &Hamt<Word>) -> Vec<Word> {
        let mut all = Vec::new();
        map.for_each(&mut |word| all.push(word.clone()));
        all
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        let mut map = Hamt::default();
        for number in 0..5_000u32 {
            map.insert(Word(format!("k{number}"), number));
        }
        for number in 0..5_000u32 {
            assert_eq!(find(&map, &format!("k{number}")).map(|w| w.1), Some(number));
        }
        assert!(find(&map, "k5000").is_none());
        assert_eq!(listed(&map).len(), 5_000);
    }

    #[test]
    fn a_search_finds_a_level_at_a_time_what_a_lookup_finds() {
        for count in [0, 1, 2, 70, 5_000u32] {
            let mut map = Hamt::default();
            for number in 0..count {
                map.insert(Word(format!("k{number}"), number));
            }
            for number in 0..count + 50 {
                let hash = hash_of(&format!("k{number}"));
                let mut searched = map.search(hash).step();
                let mut levels = 0;
                while let Searched::On(search) = searched {
                    searched = search.step();
                    levels += 1;
                }
                let found = match searched {
                    Searched::Found(word) => Some(word.1),
                    Searched::On(_) | Searched::Missing => None,
                };
                assert_eq!(found, (number < count).then_some(number));
                assert!(levels <= 11, "{levels}");
            }
        }
    }

    #[test]
    fn a_clone_does_not_see_later_edits() {
        let mut map = Hamt::default();
        for number in 0..300u32 {
            map.insert(Word(format!("k{number}"), number));
        }
        let before = map.clone();
        for number in 0..300u32 {
            map.prune(&format!("k{number}"), &mut |word| {
                word.1 += 1_000;
                number % 2 == 0
            });
        }
        for number in 0..300u32 {
            let key = format!("k{number}");
            assert_eq!(find(&before, &key).map(|w| w.1), Some(number));
            let after = (number % 2 == 0).then_some(number + 1_000);
            assert_eq!(find(&map, &key).map(|w| w.1), after);
        }
    }

    #[test]
    fn edits_in_any_order_end_in_the_same_shape() {
        let mut once = Hamt::default();
        (0..40u32).for_each(|n| once.insert(Word(format!("k{n}"), n)));
        let mut edited = Hamt::default();
        (0..900u32)
            .rev()
            .for_each(|n| edited.insert(Word(format!("k{n}"), n)));
        (40..900u32).for_each(|n| edited.prune(&format!("k{n}"), &mut |_| false));
        assert_eq!(listed(&once), listed(&edited));
        (0..40u32).for_each(|n| edited.prune(&format!("k{n}"), &mut |_| false));
        assert!(edited.is_empty());
    }

    #[test]
    fn keys_of_one_hash_live_side_by_side() {
        let mut slot = Slot::Empty;
        let put = |slot: &mut Slot<Word>, key: &str, hash: u64| {
            let make = &mut || Word(key.into(), 1);
            edit_slot(slot, (hash, 0), key, make, &mut |word| word.1 += 1);
        };
        for (key, hash) in [("a", 7), ("b", 7), ("c", 7 | 1 << 63), ("b", 7)] {
            put(&mut slot, key, hash);
        }
        let map = Hamt { root: slot };
        assert_eq!(map.get(7, "a").map(|w| w.1), Some(2));
        assert_eq!(map.get(7, "b").map(|w| w.1), Some(3));
        assert_eq!(map.get(7 | 1 << 63, "c").map(|w| w.1), Some(2));
        assert!(map.get(7, "c").is_none());
        let mut slot = map.root;
        prune_slot(&mut slot, (7, 0), "a", &mut |_| false);
        prune_slot(&mut slot, (7 | 1 << 63, 0), "c", &mut |_| false);
        assert!(matches!(&slot, Slot::Leaf { value, .. } if value.0 == "b"));
    }

    #[test]
    fn a_slot_is_half_a_cache_line() {
        assert_eq!(size_of::<Slot<Arc<Word>>>(), 32);
    }
}
