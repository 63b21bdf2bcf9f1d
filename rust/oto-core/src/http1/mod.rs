//! HTTP/1.0 and HTTP/1.1 without sockets: heads, framing and encoding.
//!
//! Theory of operation. A connection hands its unread bytes to [`request::parse`] or
//! [`response::parse`]; they answer "more", a head, or an error that says whose fault it is.
//! A head fixes exactly one body framing ([`body::Framing`]); a [`body::Decoder`] then cuts the
//! following bytes into data and end, and [`encode`] writes heads and chunks for the other side.
//! The grammar is httparse's, tightened where smuggling lives (RFC 9112 §2.2, §3.2, §5.1, §6.3).

mod authority;
pub mod body;
pub mod canonical;
pub mod encode;
mod head_error;
pub mod headers;
pub mod names;
pub mod request;
pub mod response;
mod upgrade;

pub use body::{Decoder, Framing};
pub use headers::Headers;
pub use names::Known;
pub use request::{HeadLimits, Method, Request, Version};
pub use response::ResponseHead;

/// A range of bytes in the arena of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(crate) fn new(start: usize, len: usize) -> Self {
        // Heads are bounded far below 4 GiB by `HeadLimits`; saturating keeps a wrong caller visible
        // as an empty slice instead of as another header's bytes.
        Self {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u32::try_from(len).unwrap_or(0),
        }
    }

    pub(crate) fn of<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        arena.get(start..start + self.len as usize).unwrap_or(&[])
    }

    /// Whether the range holds no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What a parser makes of the bytes it was given.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is whole and took this many bytes.
    Complete(usize),
    /// The bytes are a valid beginning; more are needed.
    Partial,
}

/// Refuse lines that do not end in exactly CR LF (RFC 9112 §2.2): a bare CR or LF is where two
/// parsers disagree about where a header ends.
pub(crate) fn has_strict_line_ends(head: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', b'\n', head).all(|at| {
        if head[at] == b'\r' {
            head.get(at + 1) == Some(&b'\n')
        } else {
            at > 0 && head[at - 1] == b'\r'
        }
    })
}
