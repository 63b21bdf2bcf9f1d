//! The frames of HTTP/2 (RFC 9113 section 4): taken whole out of what a peer sent, and written.
//!
//! What frames mean is not known here. A reader holds no more than the largest frame beside what was
//! added last, for a frame that is larger is refused at its first nine octets.

use std::fmt;

use crate::fields::FieldBlock;
use crate::hpack::Encoder;

/// Octets before what is in a frame.
pub const HEAD_BYTES: usize = 9;
/// The bit above a stream's number means nothing and is read over.
const STREAM_BITS: u32 = 0x7fff_ffff;
/// A buffer that grew beyond this is given back when little is in it.
const KEPT_BYTES: usize = 4096;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// A frame of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What is in it, padding and all.
    pub payload: &'a [u8],
}

/// A frame is larger than was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTooLarge {
    /// Octets that it would have.
    pub size: usize,
    /// Octets that it may have.
    pub largest: usize,
}

impl fmt::Display for FrameTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, largest } = self;
        write!(f, "a frame of {size} octets, where {largest} are the most")
    }
}

impl std::error::Error for FrameTooLarge {}

/// Bytes of a peer, from which whole frames are taken.
#[derive(Debug, Default)]
pub struct FrameReader {
    data: Vec<u8>,
    start: usize,
}

impl FrameReader {
    /// Add what the peer sent.
    pub fn add(&mut self, data: &[u8]) {
        self.data.drain(..self.start);
        self.start = 0;
        self.data.extend_from_slice(data);
    }

    /// Octets that were added and not taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len() - self.start
    }

    /// Whether every frame that was begun is whole and taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Take the next frame; None while it is not there whole.
    ///
    /// # Errors
    ///
    /// It is larger than `largest` octets. It stays where it is.
    pub fn take(&mut self, largest: usize) -> Result<Option<Frame<'_>>, FrameTooLarge> {
        let rest = self.data.get(self.start..).unwrap_or_default();
        let there = rest.len();
        let Some(head) = rest.first_chunk::<HEAD_BYTES>().copied() else {
            self.give_back();
            return Ok(None);
        };
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let size = u32::from_be_bytes([0, a, b, c]) as usize;
        if size > largest {
            return Err(FrameTooLarge { size, largest });
        }
        if there < HEAD_BYTES + size {
            self.give_back();
            return Ok(None);
        }
        let from = self.start + HEAD_BYTES;
        self.start = from + size;
        Ok(Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([d, e, f, g]) & STREAM_BITS,
            payload: self.data.get(from..self.start).unwrap_or_default(),
        }))
    }

    /// Keep no more room than what waits needs.
    fn give_back(&mut self) {
        if self.start > 0 && self.data.capacity() > KEPT_BYTES.max(2 * self.len()) {
            self.data = self.data.split_off(self.start);
            self.start = 0;
        }
    }
}

/// Frames for a peer, one behind the other.
#[derive(Debug, Default)]
pub struct FrameWriter {
    out: Vec<u8>,
}

impl FrameWriter {
    /// Octets that were written and not taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Add frames as they are.
    pub fn add(&mut self, frames: &[u8]) {
        self.out.extend_from_slice(frames);
    }

    /// Write the frames of a head or of trailers: HEADERS, and CONTINUATION for what goes beyond `largest` octets.
    pub fn head(
        &mut self,
        encoder: &mut Encoder,
        fields: &FieldBlock,
        stream: u32,
        ends: bool,
        largest: usize,
    ) {
        let at = self.out.len();
        self.out.extend_from_slice(&[0; HEAD_BYTES]);
        let start = self.out.len();
        encoder.encode(fields.fields(), true, &mut self.out);
        let size = self.out.len() - start;
        let first = if ends { END_STREAM } else { 0 };
        if size <= largest {
            let head = frame_head(size, HEADERS, first | END_HEADERS, stream);
            self.out.splice(at..start, head);
            return;
        }
        let block = self.out.split_off(start);
        self.out.truncate(at);
        let mut pieces = block.chunks(largest.max(1)).peekable();
        let (mut kind, mut flags) = (HEADERS, first);
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                flags |= END_HEADERS;
            }
            let head = frame_head(piece.len(), kind, flags, stream);
            self.out.extend_from_slice(&head);
            self.out.extend_from_slice(piece);
            (kind, flags) = (CONTINUATION, 0);
        }
    }

    /// Write a DATA frame.
    pub fn data(&mut self, data: &[u8], stream: u32, ends: bool) {
        let flags = if ends { END_STREAM } else { 0 };
        let head = frame_head(data.len(), DATA, flags, stream);
        self.out.reserve(HEAD_BYTES + data.len());
        self.out.extend_from_slice(&head);
        self.out.extend_from_slice(data);
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.out
    }

    /// Begin again: what was written has gone.
    pub fn clear(&mut self) {
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
        self.out.clear();
    }
}

/// What every frame begins with; callers have checked that a size of 24 bits tells it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "sizes of frames have 24 bits"
)]
fn frame_head(size: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD_BYTES] {
    let [_, a, b, c] = (size as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind, flags, d, e, f, g]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpack::{Decoder, DecoderLimits};

    type Owned = (u8, u8, u32, Vec<u8>);

    fn all(reader: &mut FrameReader, largest: usize) -> Vec<Owned> {
        std::iter::from_fn(|| {
            let frame = reader.take(largest).unwrap()?;
            Some((
                frame.kind,
                frame.flags,
                frame.stream,
                frame.payload.to_vec(),
            ))
        })
        .collect()
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let sent: Vec<Owned> = vec![
            (DATA, 0, 1, b"body".to_vec()),
            (HEADERS, END_HEADERS, STREAM_BITS, vec![0x82]),
            (0xfe, 0xff, 0, Vec::new()),
            (DATA, END_STREAM, 3, vec![7; 40]),
        ];
        let mut wire = Vec::new();
        for (kind, flags, stream, payload) in &sent {
            // The bit above a stream's number is read over.
            wire.extend(frame_head(
                payload.len(),
                *kind,
                *flags,
                stream | !STREAM_BITS,
            ));
            wire.extend(payload);
        }
        for cut in 1..=wire.len() {
            let mut reader = FrameReader::default();
            let mut seen = Vec::new();
            for piece in wire.chunks(cut) {
                reader.add(piece);
                seen.extend(all(&mut reader, 40));
                assert!(reader.len() < HEAD_BYTES + 40);
            }
            assert_eq!(seen, sent);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_head_is_cut_where_frames_end_and_decodes_to_itself() {
        let mut block = FieldBlock::default();
        for index in 0..9_u8 {
            block.push(b"x-name", &[b'a' + index; 12]);
        }
        for largest in 1..120 {
            for ends in [false, true] {
                let mut writer = FrameWriter::default();
                writer.data(b"before", 1, false);
                writer.head(&mut Encoder::default(), &block, 7, ends, largest);
                let mut reader = FrameReader::default();
                reader.add(writer.written());
                let frames = all(&mut reader, largest.max(6));
                assert_eq!(frames[0], (DATA, 0, 1, b"before".to_vec()));
                let head = &frames[1..];
                let last = head.len() - 1;
                for (index, (kind, flags, stream, piece)) in head.iter().enumerate() {
                    assert_eq!(*kind, if index == 0 { HEADERS } else { CONTINUATION });
                    assert_eq!(flags & END_STREAM != 0, ends && index == 0);
                    assert_eq!(flags & END_HEADERS != 0, index == last);
                    assert_eq!(*stream, 7);
                    assert!(
                        piece.len() == largest
                            || (index == last && (1..largest).contains(&piece.len()))
                    );
                }
                let whole: Vec<u8> = head.iter().flat_map(|frame| frame.3.clone()).collect();
                let read = Decoder::new(DecoderLimits::default())
                    .decode(&whole)
                    .unwrap();
                assert_eq!(read, block);
            }
        }
    }

    #[test]
    fn a_frame_that_is_too_large_is_refused_at_its_head() {
        let mut reader = FrameReader::default();
        reader.add(&frame_head(17, DATA, 0, 1));
        let error = FrameTooLarge {
            size: 17,
            largest: 16,
        };
        assert_eq!(reader.take(16), Err(error));
        assert_eq!(reader.take(16), Err(error));
        assert_eq!(
            error.to_string(),
            "a frame of 17 octets, where 16 are the most"
        );
        assert_eq!(reader.take(17), Ok(None));
    }

    #[test]
    fn large_buffers_are_given_back() {
        let mut reader = FrameReader::default();
        let payload = vec![0; 9000];
        reader.add(&frame_head(9000, DATA, 0, 1));
        reader.add(&payload);
        assert_eq!(all(&mut reader, 9000).len(), 1);
        assert_eq!(reader.data.capacity(), 0);
        reader.add(&frame_head(9000, DATA, 0, 1));
        reader.add(&payload);
        reader.add(&[0]);
        assert_eq!(all(&mut reader, 9000).len(), 1);
        assert_eq!(reader.len(), 1);
        assert!(reader.data.capacity() < 16);
        let mut writer = FrameWriter::default();
        writer.data(&payload, 1, true);
        writer.clear();
        assert!(writer.is_empty() && writer.out.capacity() == 0);
    }
}
