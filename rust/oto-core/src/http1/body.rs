//! Body framing: where a message ends (RFC 9112 §6, §7).

use super::headers::{is_token_byte, is_value};

/// How a body is delimited on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// No body at all.
    #[default]
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the sender closes (responses only).
    UntilClose,
}

/// A body that breaks its framing; the connection it came from is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// A chunk-size line that is no hexadecimal number, or too large a number.
    ChunkSize,
    /// Chunk data or a chunk line not ended by CR LF.
    ChunkEnd,
    /// Extensions or trailers over their bounds.
    TooLarge,
    /// A trailer line that is no field.
    Trailer,
}

impl BodyError {
    /// A sentence for the answer and the log.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::ChunkSize => "A chunk size is not a hexadecimal number",
            Self::ChunkEnd => "A chunk does not end in CR LF",
            Self::TooLarge => "The chunk extensions or trailers are too large",
            Self::Trailer => "A trailer is not a header field",
        }
    }
}

/// Bytes of chunk extensions that one body may carry in all: nothing reads them, so they only cost.
pub const MAX_EXTENSION_BYTES: usize = 4096;
/// Bytes of the trailer section.
pub const MAX_TRAILER_BYTES: usize = 8192;

/// What a decoder found at the start of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Body bytes, never empty.
    Data(&'a [u8]),
    /// The body is over; nothing after this belongs to it.
    End,
    /// All input is used up.
    More,
}

/// Cuts the bytes after a head into data and end.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    remaining: u64,
    extension_bytes: usize,
    line: Vec<u8>,
    /// Trailer lines as received, without the final empty line; filled as they are accepted.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Done,
    Length,
    UntilClose,
    ChunkSize {
        digits: u8,
    },
    ChunkExtension,
    ChunkSizeEnd,
    ChunkData,
    ChunkDataEnd,
    ChunkDataEndLf,
    TrailerLine,
}

impl Decoder {
    /// A decoder for one body.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let (state, remaining) = match framing {
            Framing::None | Framing::Length(0) => (State::Done, 0),
            Framing::Length(length) => (State::Length, length),
            Framing::Chunked => (State::ChunkSize { digits: 0 }, 0),
            Framing::UntilClose => (State::UntilClose, 0),
        };
        Self {
            state,
            remaining,
            ..Self::default()
        }
    }

    /// Whether the body is over.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the sender's close ends the body well.
    #[must_use]
    pub fn ends_at_close(&self) -> bool {
        self.state == State::UntilClose
    }

    /// The sender closed: whether the body ends well by that. It is over then.
    pub fn end_at_close(&mut self) -> bool {
        let ends = self.ends_at_close();
        if ends {
            self.state = State::Done;
        }
        ends
    }

    /// The trailer fields received, as lines ended by CR LF; empty when there were none.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Take the next piece off `input`. Call again until it says [`Piece::More`] or [`Piece::End`].
    ///
    /// # Errors
    /// [`BodyError`] when the bytes break the framing.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, BodyError> {
        loop {
            if self.state == State::Done {
                return Ok(Piece::End);
            }
            let Some(&byte) = input.first() else {
                return Ok(Piece::More);
            };
            match self.state {
                State::Done => return Ok(Piece::End),
                State::UntilClose => return Ok(Piece::Data(std::mem::take(input))),
                State::Length | State::ChunkData => return Ok(Piece::Data(self.take_data(input))),
                State::ChunkSize { digits } => self.read_size(byte, digits, input)?,
                State::ChunkExtension => {
                    *input = &input[1..];
                    self.extension_bytes += 1;
                    if self.extension_bytes > MAX_EXTENSION_BYTES {
                        return Err(BodyError::TooLarge);
                    }
                    match byte {
                        b'\r' => self.state = State::ChunkSizeEnd,
                        b'\n' => return Err(BodyError::ChunkEnd),
                        _ if is_value(&[byte]) => {}
                        _ => return Err(BodyError::ChunkSize),
                    }
                }
                State::ChunkSizeEnd => {
                    Self::expect(b'\n', byte, input)?;
                    self.state = if self.remaining == 0 {
                        State::TrailerLine
                    } else {
                        State::ChunkData
                    };
                }
                State::ChunkDataEnd => {
                    Self::expect(b'\r', byte, input)?;
                    self.state = State::ChunkDataEndLf;
                }
                State::ChunkDataEndLf => {
                    Self::expect(b'\n', byte, input)?;
                    self.state = State::ChunkSize { digits: 0 };
                }
                State::TrailerLine => self.read_trailer(input)?,
            }
        }
    }

    fn take_data<'a>(&mut self, input: &mut &'a [u8]) -> &'a [u8] {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let (data, rest) = input.split_at(input.len().min(most));
        *input = rest;
        self.remaining -= data.len() as u64;
        if self.remaining == 0 {
            self.state = match self.state {
                State::ChunkData => State::ChunkDataEnd,
                _ => State::Done,
            };
        }
        data
    }

    fn expect(wanted: u8, byte: u8, input: &mut &[u8]) -> Result<(), BodyError> {
        *input = &input[1..];
        if byte == wanted {
            Ok(())
        } else {
            Err(BodyError::ChunkEnd)
        }
    }

    fn read_size(&mut self, byte: u8, digits: u8, input: &mut &[u8]) -> Result<(), BodyError> {
        *input = &input[1..];
        self.state = match (char::from(byte).to_digit(16), byte) {
            // Fifteen digits keep every sum within 63 bits.
            (Some(_), _) if digits >= 15 => return Err(BodyError::ChunkSize),
            (Some(value), _) => {
                self.remaining = self.remaining << 4 | u64::from(value);
                State::ChunkSize { digits: digits + 1 }
            }
            (None, b'\r') if digits > 0 => State::ChunkSizeEnd,
            (None, b';') if digits > 0 => State::ChunkExtension,
            _ => return Err(BodyError::ChunkSize),
        };
        Ok(())
    }

    fn read_trailer(&mut self, input: &mut &[u8]) -> Result<(), BodyError> {
        let end = memchr::memchr(b'\n', input);
        let taken = end.map_or(input.len(), |at| at + 1);
        self.line.extend_from_slice(&input[..taken]);
        *input = &input[taken..];
        if self.line.len() + self.trailers.len() > MAX_TRAILER_BYTES {
            return Err(BodyError::TooLarge);
        }
        if end.is_none() {
            return Ok(());
        }
        let Some(line) = self.line.strip_suffix(b"\r\n") else {
            return Err(BodyError::ChunkEnd);
        };
        if line.is_empty() {
            self.state = State::Done;
            return Ok(());
        }
        let colon = memchr::memchr(b':', line).ok_or(BodyError::Trailer)?;
        if colon == 0
            || !line[..colon].iter().all(|byte| is_token_byte(*byte))
            || !is_value(&line[colon + 1..])
        {
            return Err(BodyError::Trailer);
        }
        self.trailers.extend_from_slice(&self.line);
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(
        framing: Framing,
        input: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, bool, usize), BodyError> {
        let mut decoder = Decoder::new(framing);
        let (mut data, mut used) = (Vec::new(), 0);
        for part in input.chunks(step) {
            let mut rest = part;
            while let Piece::Data(bytes) = decoder.next(&mut rest)? {
                data.extend_from_slice(bytes);
            }
            used += part.len() - rest.len();
        }
        Ok((data, decoder.is_done(), used))
    }

    #[test]
    fn bodies_are_cut_the_same_at_any_step() {
        let chunked = b"5\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\nNEXT";
        for step in 1..chunked.len() {
            let (data, done, used) = decode(Framing::Chunked, chunked, step).expect("valid");
            assert_eq!(data, b"hello0123456789");
            assert!(done);
            assert_eq!(used, chunked.len() - 4);
        }
        assert_eq!(
            decode(Framing::Length(3), b"abcd", 2),
            Ok((b"abc".to_vec(), true, 3))
        );
        assert_eq!(decode(Framing::None, b"abcd", 2), Ok((vec![], true, 0)));
    }

    #[test]
    fn broken_chunks_are_refused() {
        for input in [
            &b"\r\n"[..],
            b"x\r\n",
            b"+5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"ffffffffffffffff\r\n",
            b"0\r\nbad line\r\n\r\n",
            b"0\r\n: v\r\n\r\n",
            b"0\r\nX: 1\n\r\n",
            b"5;\n\r\nhello\r\n",
        ] {
            assert!(
                decode(Framing::Chunked, input, 1).is_err(),
                "{}",
                String::from_utf8_lossy(input)
            );
        }
        let mut long = b"5;".to_vec();
        long.resize(MAX_EXTENSION_BYTES + 10, b'a');
        assert_eq!(
            decode(Framing::Chunked, &long, 100).err(),
            Some(BodyError::TooLarge)
        );
    }
}
