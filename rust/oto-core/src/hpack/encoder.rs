//! Writing field blocks.
//!
//! A field goes into the dynamic table when it is written the second time: what differs in every message
//! (identifiers, dates, paths) does not push out what repeats.

use super::dynamic::{DynamicTable, Tag};
use super::{DEFAULT_TABLE_SIZE, huffman, integer, statics};
use crate::fields::Field;

/// Fields seen lately, by hash.
const SEEN: usize = 128;

/// A literal that is not kept.
const PLAIN: u8 = 0x00;
/// A literal that nobody on the way may keep.
const NEVER: u8 = 0x10;
/// A literal that goes into the table.
const KEPT: u8 = 0x40;

/// Fields that hold secrets: they never go into a table, where their length could be guessed
/// (RFC 7541 section 7.1).
fn is_secret(name: &[u8]) -> bool {
    match name.len() {
        6 => name == b"cookie",
        9 => name == b"x-api-key",
        10 => name == b"set-cookie",
        13 => name == b"authorization",
        19 => name == b"proxy-authorization" || name == b"authentication-info",
        22 => name == b"otoroshi-client-secret",
        _ => false,
    }
}

/// The encoder of one direction of one connection.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    /// Table sizes that the next block has to tell: the smallest, and the last.
    resized: Option<(usize, usize)>,
    seen: [u32; SEEN],
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
            resized: None,
            seen: [0; SEEN],
        }
    }
}

impl Encoder {
    /// The size of the dynamic table in use, in bytes.
    #[must_use]
    pub fn table_size(&self) -> usize {
        self.table.max_size()
    }

    /// Take the peer's `SETTINGS_HEADER_TABLE_SIZE`. No more than 4096 bytes are used, whatever is allowed.
    pub fn set_table_size(&mut self, allowed: usize) {
        let size = allowed.min(DEFAULT_TABLE_SIZE);
        if size == self.table.max_size() {
            return;
        }
        self.table.resize(size);
        let smallest = self
            .resized
            .map_or(size, |(smallest, _)| smallest.min(size));
        self.resized = Some((smallest, size));
    }

    /// Write one block: changes of the table that are due, then the fields.
    pub fn encode<'a>(
        &mut self,
        fields: impl IntoIterator<Item = Field<'a>>,
        with_huffman: bool,
        out: &mut Vec<u8>,
    ) {
        if let Some((smallest, last)) = self.resized.take() {
            if smallest < last {
                integer::write(out, smallest, 5, 0x20);
            }
            integer::write(out, last, 5, 0x20);
        }
        for field in fields {
            self.field(field, with_huffman, out);
        }
    }

    fn field(&mut self, field: Field<'_>, with_huffman: bool, out: &mut Vec<u8>) {
        let Field { name, value, .. } = field;
        let name_hash = statics::hash(name);
        let known = statics::find(name, name_hash, value);
        let secret = field.never_indexed || is_secret(name);
        let mut name_at = match known {
            Some(statics::Found::Field(index)) if !secret => {
                integer::write(out, index, 7, 0x80);
                return;
            }
            Some(statics::Found::Field(index) | statics::Found::Name(index)) => index,
            None => 0,
        };
        let tag = Tag {
            name: name_hash,
            field: statics::hash(value) ^ name_hash.rotate_left(13),
        };
        let mut pattern = NEVER;
        if !secret {
            if let Some(place) = self.place(field, tag) {
                integer::write(out, statics::COUNT + 1 + place, 7, 0x80);
                return;
            }
            pattern = if self.has_seen(tag.field) {
                KEPT
            } else {
                PLAIN
            };
        }
        if name_at == 0 {
            name_at = self.place_of_name(name, name_hash);
        }
        let prefix = if pattern == KEPT { 6 } else { 4 };
        integer::write(out, name_at, prefix, pattern);
        if name_at == 0 {
            string(name, with_huffman, out);
        }
        string(value, with_huffman, out);
        if pattern == KEPT {
            self.table.insert(name, value, tag);
        }
    }

    fn place(&self, field: Field<'_>, tag: Tag) -> Option<usize> {
        self.table
            .entries()
            .enumerate()
            .filter(|(_, entry)| entry.tag == tag)
            .find(|(place, _)| self.table.get(*place) == Some((field.name, field.value)))
            .map(|(place, _)| place)
    }

    /// The index of a dynamic entry of this name; 0 when there is none.
    fn place_of_name(&self, name: &[u8], name_hash: u32) -> usize {
        self.table
            .entries()
            .enumerate()
            .filter(|(_, entry)| entry.tag.name == name_hash)
            .find(|(place, _)| self.table.get(*place).is_some_and(|have| have.0 == name))
            .map_or(0, |(place, _)| statics::COUNT + 1 + place)
    }

    /// Whether a field of this hash was written lately; remembers that one was.
    fn has_seen(&mut self, hash: u32) -> bool {
        // 0 marks an empty slot.
        let hash = hash | 1;
        let slot = (hash >> 1) as usize % SEEN;
        std::mem::replace(&mut self.seen[slot], hash) == hash
    }
}

fn string(text: &[u8], with_huffman: bool, out: &mut Vec<u8>) {
    let coded = if with_huffman {
        huffman::coded_len(text)
    } else {
        text.len()
    };
    if coded < text.len() {
        integer::write(out, coded, 7, 0x80);
        huffman::encode(text, out);
    } else {
        integer::write(out, text.len(), 7, 0);
        out.extend_from_slice(text);
    }
}
