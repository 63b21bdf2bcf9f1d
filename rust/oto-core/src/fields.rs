//! The fields of one message as HTTP/2 and HTTP/3 carry them.
//!
//! A block stands between a field codec and the exchange: pseudo-fields such as `:status` first, names
//! in lower case. All bytes lie in one buffer, so a block costs two allocations however many fields it has.

/// The size a field is counted with beside its bytes (RFC 9113 section 6.5.2).
pub const FIELD_OVERHEAD: usize = 32;

/// One field of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, as it was pushed.
    pub name: &'a [u8],
    /// The value, as it was pushed.
    pub value: &'a [u8],
    /// No coder on the way may keep the field in a table (RFC 7541 section 7.1.3).
    pub never_indexed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    name_end: usize,
    end: usize,
    never_indexed: bool,
}

/// An ordered list of fields. Equal blocks have equal names and values in the same order.
#[derive(Debug, Clone, Default)]
pub struct FieldBlock {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl FieldBlock {
    /// An empty block with room for so many fields of so many bytes together.
    #[must_use]
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            spans: Vec::with_capacity(fields),
        }
    }

    /// Add a field at the end.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_field(Field {
            name,
            value,
            never_indexed: false,
        });
    }

    /// Add a field that no coder may keep in a table.
    pub fn push_never_indexed(&mut self, name: &[u8], value: &[u8]) {
        self.push_field(Field {
            name,
            value,
            never_indexed: true,
        });
    }

    /// Add a field at the end, with its flag.
    pub fn push_field(&mut self, field: Field<'_>) {
        self.bytes.extend_from_slice(field.name);
        let name_end = self.bytes.len();
        self.bytes.extend_from_slice(field.value);
        self.end_field(name_end, field.never_indexed);
    }

    /// Where a decoder writes the name and then the value of the next field; `end_field` makes it one.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes written to `tail` since the last field become a field whose name ends at `name_end`.
    pub(crate) fn end_field(&mut self, name_end: usize, never_indexed: bool) {
        self.spans.push(Span {
            name_end,
            end: self.bytes.len(),
            never_indexed,
        });
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The size of the block as `SETTINGS_MAX_HEADER_LIST_SIZE` counts it: 32 bytes a field beside its own.
    #[must_use]
    pub fn list_size(&self) -> usize {
        self.bytes.len() + self.spans.len() * FIELD_OVERHEAD
    }

    /// The field at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<Field<'_>> {
        let span = self.spans.get(position)?;
        let start = match position {
            0 => 0,
            _ => self.spans.get(position - 1)?.end,
        };
        Some(Field {
            name: self.bytes.get(start..span.name_end)?,
            value: self.bytes.get(span.name_end..span.end)?,
            never_indexed: span.never_indexed,
        })
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields().map(|field| (field.name, field.value))
    }

    /// The fields in order, with their flags.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        (0..self.spans.len()).filter_map(|position| self.get(position))
    }

    /// The value of the first field of a name; the name in lower case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|(have, _)| *have == name)
            .map(|(_, value)| value)
    }

    /// What `:status` says when the block begins with it and it is three digits.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let first = self.get(0)?;
        match first.value {
            [a, b, c] if first.name == b":status" && first.value.iter().all(u8::is_ascii_digit) => {
                Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
            }
            _ => None,
        }
    }
}

impl PartialEq for FieldBlock {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for FieldBlock {}

#[cfg(test)]
mod tests {
    use super::FieldBlock;

    #[test]
    fn fields_keep_their_order_and_their_borders() {
        let mut block = FieldBlock::default();
        block.push(b":status", b"204");
        block.push(b"a", b"");
        block.push_never_indexed(b"set-cookie", b"x=y");
        assert_eq!(
            block.iter().collect::<Vec<_>>(),
            [
                (&b":status"[..], &b"204"[..]),
                (b"a", b""),
                (b"set-cookie", b"x=y")
            ]
        );
        assert_eq!(
            block
                .fields()
                .map(|field| field.never_indexed)
                .collect::<Vec<_>>(),
            [false, false, true]
        );
        assert_eq!(block.status(), Some(204));
        assert_eq!(block.find(b"set-cookie"), Some(&b"x=y"[..]));
        assert_eq!(block.find(b"b"), None);
        assert_eq!(block.list_size(), 3 * 32 + 10 + 1 + 13);
        assert!(block.get(3).is_none());
    }

    #[test]
    fn a_border_is_part_of_what_is_equal() {
        let mut one = FieldBlock::default();
        one.push(b"ab", b"c");
        let mut other = FieldBlock::default();
        other.push(b"a", b"bc");
        assert_ne!(one, other);
        let mut flagged = FieldBlock::default();
        flagged.push_never_indexed(b"ab", b"c");
        assert_eq!(one, flagged);
    }

    #[test]
    fn a_status_is_three_digits_at_the_beginning() {
        for (name, value) in [
            (&b":status"[..], &b"20"[..]),
            (b":status", b"2000"),
            (b":status", b"2x0"),
            (b"status", b"200"),
        ] {
            let mut block = FieldBlock::default();
            block.push(name, value);
            assert_eq!(block.status(), None);
        }
        assert_eq!(FieldBlock::default().status(), None);
    }
}
