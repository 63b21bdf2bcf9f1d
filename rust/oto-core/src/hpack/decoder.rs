//! Reading field blocks.

use super::dynamic::{DynamicTable, Tag};
use super::{DEFAULT_TABLE_SIZE, HpackError, huffman, integer, statics};
use crate::fields::{FIELD_OVERHEAD, FieldBlock};

/// What a peer's blocks may hold.
#[derive(Debug, Clone, Copy)]
pub struct DecoderLimits {
    /// Bytes of a decoded list, 32 for each field beside its own.
    pub list_bytes: usize,
    /// Fields of a list.
    pub fields: usize,
    /// Bytes of the dynamic table: what `SETTINGS_HEADER_TABLE_SIZE` said, once it is acknowledged.
    pub table_bytes: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self {
            list_bytes: 64 * 1024,
            fields: 256,
            table_bytes: DEFAULT_TABLE_SIZE,
        }
    }
}

/// The decoder of one direction of one connection.
#[derive(Debug)]
pub struct Decoder {
    /// The bounds; they may change between blocks.
    pub limits: DecoderLimits,
    table: DynamicTable,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DecoderLimits::default())
    }
}

impl Decoder {
    /// A decoder with an empty table.
    #[must_use]
    pub fn new(limits: DecoderLimits) -> Self {
        Self {
            limits,
            table: DynamicTable::new(DEFAULT_TABLE_SIZE),
        }
    }

    /// The size of the dynamic table that the peer chose, in bytes.
    #[must_use]
    pub fn table_size(&self) -> usize {
        self.table.max_size()
    }

    /// Set the size of the dynamic table, as if the peer had chosen it.
    pub fn set_table_size(&mut self, size: usize) {
        self.table.resize(size);
    }

    /// Decode one whole block.
    ///
    /// # Errors
    /// The block is malformed, or passes a bound; it is left where that shows.
    pub fn decode(&mut self, block: &[u8]) -> Result<FieldBlock, HpackError> {
        // A field takes an octet or more; most decode to less than four times their size.
        let mut fields = FieldBlock::with_capacity(
            block.len().min(16),
            (block.len() * 2).min(self.limits.list_bytes).min(4096),
        );
        let mut rest = block;
        while let Some(&first) = rest.first() {
            if first & 0xe0 == 0x20 {
                rest = self.table_size_update(rest, &fields)?;
            } else {
                rest = self.field(first, rest, &mut fields)?;
            }
        }
        // A peer that was told of a smaller table has to have made its own smaller by now.
        self.check_table_size(self.table.max_size())?;
        Ok(fields)
    }

    fn check_table_size(&self, wanted: usize) -> Result<(), HpackError> {
        let allowed = self.limits.table_bytes;
        if wanted > allowed {
            return Err(HpackError::TableTooLarge { wanted, allowed });
        }
        Ok(())
    }

    fn table_size_update<'a>(
        &mut self,
        data: &'a [u8],
        fields: &FieldBlock,
    ) -> Result<&'a [u8], HpackError> {
        if !fields.is_empty() {
            return Err(HpackError::LateTableSize);
        }
        let (size, taken) = integer::read(data, 5)?;
        self.check_table_size(size)?;
        self.table.resize(size);
        Ok(&data[taken..])
    }

    fn field<'a>(
        &mut self,
        first: u8,
        data: &'a [u8],
        fields: &mut FieldBlock,
    ) -> Result<&'a [u8], HpackError> {
        if fields.len() >= self.limits.fields {
            let limit = self.limits.fields;
            return Err(HpackError::TooManyFields { limit });
        }
        let room = Room {
            left: self
                .limits
                .list_bytes
                .checked_sub(fields.list_size() + FIELD_OVERHEAD),
            limit: self.limits.list_bytes,
        };
        if first & 0x80 != 0 {
            let (index, taken) = integer::read(data, 7)?;
            let (name, value) = self.indexed(index)?;
            room.check(name.len() + value.len())?;
            fields.push(name, value);
            return Ok(&data[taken..]);
        }
        let kept = first & 0x40 != 0;
        let (index, taken) = integer::read(data, if kept { 6 } else { 4 })?;
        let mut rest = &data[taken..];
        let start = fields.tail().len();
        if index == 0 {
            rest = string(rest, room, 0, fields.tail())?;
        } else {
            let (name, _) = self.indexed(index)?;
            room.check(name.len())?;
            fields.tail().extend_from_slice(name);
        }
        let name_end = fields.tail().len();
        let rest = string(rest, room, name_end - start, fields.tail())?;
        if kept {
            let (name, value) = fields.tail()[start..].split_at(name_end - start);
            self.table.insert(name, value, Tag::default());
        }
        fields.end_field(name_end, first & 0xf0 == 0x10);
        Ok(rest)
    }

    fn indexed(&self, index: usize) -> Result<(&[u8], &[u8]), HpackError> {
        let found = match index.checked_sub(statics::COUNT + 1) {
            None => statics::get(index),
            Some(place) => self.table.get(place),
        };
        found.ok_or(HpackError::BadIndex(index))
    }
}

/// What is left of the list's bytes for the name and the value of one field.
#[derive(Clone, Copy)]
struct Room {
    left: Option<usize>,
    limit: usize,
}

impl Room {
    fn after(self, used: usize) -> Result<usize, HpackError> {
        self.left
            .and_then(|left| left.checked_sub(used))
            .ok_or(HpackError::ListTooLarge { limit: self.limit })
    }

    fn check(self, bytes: usize) -> Result<(), HpackError> {
        self.after(bytes).map(|_| ())
    }
}

/// Read a string; `used` bytes of the room are taken already.
fn string<'a>(
    data: &'a [u8],
    room: Room,
    used: usize,
    out: &mut Vec<u8>,
) -> Result<&'a [u8], HpackError> {
    let coded = *data.first().ok_or(HpackError::Truncated)? & 0x80 != 0;
    let (length, taken) = integer::read(data, 7)?;
    let rest = &data[taken..];
    let left = room.after(used)?;
    // Before the truncation is told: a length beyond the bound needs no more bytes to be refused.
    if !coded && length > left {
        return Err(HpackError::ListTooLarge { limit: room.limit });
    }
    let (text, rest) = rest.split_at_checked(length).ok_or(HpackError::Truncated)?;
    if coded {
        huffman::decode(text, left, out).map_err(|error| match error {
            HpackError::OutOfRoom => HpackError::ListTooLarge { limit: room.limit },
            other => other,
        })?;
    } else {
        out.extend_from_slice(text);
    }
    Ok(rest)
}
