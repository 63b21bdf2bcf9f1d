//! The dynamic table (RFC 7541 section 2.3.2): the newest field first, bounded in bytes.

use std::collections::VecDeque;

use crate::fields::FIELD_OVERHEAD;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// What the encoder looks for; the decoder leaves it 0.
    pub(super) tag: Tag,
    at: usize,
    name: usize,
    value: usize,
}

/// Hashes of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) name: u32,
    pub(super) field: u32,
}

/// The fields, their bytes one behind the other in one buffer of at most twice the table's size.
#[derive(Debug)]
pub(super) struct DynamicTable {
    bytes: Vec<u8>,
    /// The newest at the front.
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
}

impl DynamicTable {
    pub(super) fn new(max_size: usize) -> Self {
        Self {
            bytes: Vec::new(),
            entries: VecDeque::new(),
            size: 0,
            max_size,
        }
    }

    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    /// Set the size; entries that no longer fit are dropped.
    pub(super) fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(0);
    }

    /// The field at a place, 0 being the newest.
    pub(super) fn get(&self, place: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(place)?;
        let value_at = entry.at + entry.name;
        Some((
            self.bytes.get(entry.at..value_at)?,
            self.bytes.get(value_at..value_at + entry.value)?,
        ))
    }

    /// The entries, the newest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Add a field. One that is larger than the table empties it, and is not kept (section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], tag: Tag) {
        let length = name.len() + value.len();
        self.evict(length + FIELD_OVERHEAD);
        if length + FIELD_OVERHEAD > self.max_size {
            return;
        }
        if self.bytes.len() + length > 2 * self.max_size {
            self.close_ranks();
        }
        self.entries.push_front(Entry {
            tag,
            at: self.bytes.len(),
            name: name.len(),
            value: value.len(),
        });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += length + FIELD_OVERHEAD;
    }

    /// Drop the oldest until there is room for so many bytes.
    fn evict(&mut self, room: usize) {
        while self.size + room > self.max_size {
            let Some(oldest) = self.entries.pop_back() else {
                break;
            };
            self.size -= oldest.name + oldest.value + FIELD_OVERHEAD;
        }
        if self.entries.is_empty() {
            self.bytes.clear();
        }
    }

    /// Move the bytes that are still needed to the front.
    fn close_ranks(&mut self) {
        let Some(start) = self.entries.back().map(|oldest| oldest.at) else {
            self.bytes.clear();
            return;
        };
        self.bytes.drain(..start);
        for entry in &mut self.entries {
            entry.at -= start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DynamicTable, Tag};

    fn names(table: &DynamicTable) -> Vec<Vec<u8>> {
        (0..)
            .map_while(|place| table.get(place))
            .map(|(name, _)| name.to_vec())
            .collect()
    }

    #[test]
    fn the_newest_is_first_and_the_oldest_leaves() {
        let mut table = DynamicTable::new(3 * 34);
        for name in [b"a", b"b", b"c", b"d"] {
            table.insert(name, b"1", Tag::default());
        }
        assert_eq!(names(&table), [b"d", b"c", b"b"]);
        table.resize(2 * 34);
        assert_eq!(names(&table), [b"d", b"c"]);
        table.resize(0);
        assert!(names(&table).is_empty());
        table.resize(34);
        table.insert(b"e", b"1", Tag::default());
        assert_eq!(names(&table), [b"e"]);
        table.insert(b"larger", b"than the table", Tag::default());
        assert!(names(&table).is_empty());
    }

    #[test]
    fn many_insertions_stay_in_a_bounded_buffer() {
        let mut table = DynamicTable::new(4096);
        for round in 0..5000_usize {
            let value = vec![b'v'; round % 300];
            table.insert(b"name", &value, Tag::default());
            assert_eq!(table.get(0), Some((&b"name"[..], &value[..])));
            assert!(table.bytes.len() <= 2 * 4096 && table.size <= 4096);
            let kept = table.entries.len();
            for place in 0..kept {
                let length = (round - place) % 300;
                assert_eq!(table.get(place).unwrap().1.len(), length);
            }
        }
    }
}
