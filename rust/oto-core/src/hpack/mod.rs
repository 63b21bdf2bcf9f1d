//! HPACK, the field codec of HTTP/2 (RFC 7541).
//!
//! A decoder and an encoder belong to one connection each. What a peer sends is bounded while it is
//! decoded: the list a block may grow to, the number of its fields, the dynamic table. `huffman` and
//! `integer` are what QPACK needs too.

mod decoder;
mod dynamic;
mod encoder;
pub mod huffman;
pub mod integer;
mod statics;

use std::fmt;

pub use decoder::{Decoder, DecoderLimits};
pub use encoder::Encoder;

/// The size of a dynamic table before anything is said about it (RFC 9113 section 6.5.2).
pub const DEFAULT_TABLE_SIZE: usize = 4096;

/// Why a field block is refused. The state of the coder is of no use then: the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HpackError {
    /// The block ends within a field.
    Truncated,
    /// An integer has more octets than any sane value needs.
    IntegerTooLong,
    /// No entry has this index.
    BadIndex(usize),
    /// A string in Huffman code holds the end of string, or its padding is wrong.
    BadHuffman,
    /// A dynamic table larger than `SETTINGS_HEADER_TABLE_SIZE` allows.
    TableTooLarge {
        /// What was asked for, in bytes.
        wanted: usize,
        /// What is allowed.
        allowed: usize,
    },
    /// A change of the table's size behind the first field.
    LateTableSize,
    /// The list is larger than `SETTINGS_MAX_HEADER_LIST_SIZE`.
    ListTooLarge {
        /// The bound, in bytes with 32 for each field.
        limit: usize,
    },
    /// More fields than a message may have.
    TooManyFields {
        /// The bound.
        limit: usize,
    },
    /// More text than the caller of `huffman::decode` has room for.
    OutOfRoom,
}

impl HpackError {
    /// Whether a bound was passed, rather than a rule of the format broken.
    #[must_use]
    pub fn is_bound(self) -> bool {
        matches!(
            self,
            Self::ListTooLarge { .. } | Self::TooManyFields { .. } | Self::OutOfRoom
        )
    }
}

impl fmt::Display for HpackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => out.write_str("the field block ends within a field"),
            Self::IntegerTooLong => out.write_str("an integer has too many octets"),
            Self::BadIndex(index) => write!(out, "no field has the index {index}"),
            Self::BadHuffman => out.write_str("a string is not in the Huffman code"),
            Self::TableTooLarge { wanted, allowed } => write!(
                out,
                "the dynamic table has {wanted} bytes; SETTINGS_HEADER_TABLE_SIZE allows {allowed}"
            ),
            Self::LateTableSize => {
                out.write_str("the table size changes behind the first field of a block")
            }
            Self::ListTooLarge { limit } => write!(
                out,
                "the fields are larger than SETTINGS_MAX_HEADER_LIST_SIZE, {limit} bytes"
            ),
            Self::TooManyFields { limit } => {
                write!(
                    out,
                    "there are more fields than a message may have, {limit}"
                )
            }
            Self::OutOfRoom => out.write_str("the text is longer than there is room"),
        }
    }
}

impl std::error::Error for HpackError {}
