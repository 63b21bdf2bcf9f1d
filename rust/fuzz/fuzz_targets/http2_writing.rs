//! Invariant: what is written comes out in its order, each frame as large as may be and no larger; a head that was cut in
//! pieces is one block again, with nothing between them, and says what it said.

#![no_main]

use std::collections::VecDeque;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::fields::FieldBlock;
use oto_core::hpack::{Decoder, DecoderLimits, Encoder};
use oto_core::http2::FrameWriter;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Head {
        fields: Vec<(&'a [u8], &'a [u8], bool)>,
        stream: u32,
        ends: bool,
        largest: u8,
    },
    Data(&'a [u8], u32, bool),
    /// A frame of somebody else's making.
    Add(u8, u8, u32, &'a [u8]),
    Take,
    Table(u16),
}

enum Meant<'a> {
    Head(FieldBlock, u32, bool, usize),
    Frame(u8, u8, u32, &'a [u8]),
}

const STREAM: u32 = 0x7fff_ffff;

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut writer = FrameWriter::default();
    let mut encoder = Encoder::default();
    let mut wire = Vec::new();
    let mut meant = VecDeque::new();
    for step in &steps {
        match *step {
            Step::Head {
                ref fields,
                stream,
                ends,
                largest,
            } => {
                let mut block = FieldBlock::default();
                for (name, value, never_indexed) in fields {
                    match never_indexed {
                        true => block.push_never_indexed(name, value),
                        false => block.push(name, value),
                    }
                }
                let (stream, largest) = (stream & STREAM, usize::from(largest).max(1));
                writer.head(&mut encoder, &block, stream, ends, largest);
                meant.push_back(Meant::Head(block, stream, ends, largest));
            }
            Step::Data(data, stream, ends) => {
                writer.data(data, stream & STREAM, ends);
                meant.push_back(Meant::Frame(0, u8::from(ends), stream & STREAM, data));
            }
            Step::Add(kind, flags, stream, payload) => {
                // Neither a HEADERS frame nor what goes on in one: those are the writer's own.
                let (kind, stream) = (kind | 0x10, stream & STREAM);
                let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
                frame.extend([kind, flags]);
                frame.extend(stream.to_be_bytes());
                frame.extend(payload);
                writer.add(&frame);
                meant.push_back(Meant::Frame(kind, flags, stream, payload));
            }
            Step::Take => {
                wire.extend_from_slice(writer.written());
                writer.clear();
                assert!(writer.is_empty());
            }
            Step::Table(size) => encoder.set_table_size(usize::from(size)),
        }
    }
    assert_eq!(writer.is_empty(), writer.len() == 0);
    wire.extend_from_slice(writer.written());
    let mut decoder = Decoder::new(DecoderLimits {
        list_bytes: usize::MAX,
        fields: usize::MAX,
        table_bytes: usize::from(u16::MAX),
    });
    let mut rest = &*wire;
    for it in meant {
        match it {
            Meant::Frame(kind, flags, stream, payload) => {
                assert_eq!(frame(&mut rest), (kind, flags, stream, payload));
            }
            Meant::Head(block, stream, ends, largest) => {
                let said = head(&mut rest, stream, ends, largest);
                assert_eq!(decoder.decode(&said).as_ref(), Ok(&block));
            }
        }
    }
    assert!(rest.is_empty());
});

/// A frame's type, flags, stream and payload, read with RFC 9113 section 4.1 beside it.
fn frame<'a>(rest: &mut &'a [u8]) -> (u8, u8, u32, &'a [u8]) {
    let head = &rest[..9];
    let number = |octets: &[u8]| octets.iter().fold(0, |n, octet| n << 8 | u32::from(*octet));
    let (payload, behind) = rest[9..].split_at(number(&head[..3]) as usize);
    *rest = behind;
    (head[3], head[4], number(&head[5..]), payload)
}

/// The block of a head, from a HEADERS frame and those behind it that go on with it.
fn head(rest: &mut &[u8], stream: u32, ends: bool, largest: usize) -> Vec<u8> {
    let mut block = Vec::new();
    let (mut kind, mut flags) = (1, u8::from(ends));
    loop {
        let (is, with, on, piece) = frame(rest);
        assert_eq!((is, with & !4, on), (kind, flags, stream));
        block.extend_from_slice(piece);
        if with & 4 != 0 {
            assert!(piece.len() <= largest && (kind == 1 || !piece.is_empty()));
            return block;
        }
        assert_eq!(piece.len(), largest);
        (kind, flags) = (9, 0);
    }
}
