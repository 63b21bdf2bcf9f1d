//! Invariant: the decoder finds the same data, the same trailers and the same end, or the same
//! fault, however the bytes are cut; and what it finds, written as chunks, it finds again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::http1::body::{BodyError, Decoder, Framing, Piece};
use oto_core::http1::encode;

#[derive(Debug, PartialEq)]
struct Found {
    data: Vec<u8>,
    trailers: Vec<u8>,
    used: usize,
    is_done: bool,
    fault: Option<BodyError>,
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = decode(bytes, bytes.len().max(1));
    let single = decode(bytes, 1);
    assert_eq!(single, whole);
    assert_eq!(decode(bytes, usize::from(step).max(1)), whole);
    assert!(whole.data.len() <= whole.used && whole.used <= bytes.len());
    if !whole.is_done {
        return;
    }
    let mut written = Vec::new();
    for chunk in whole.data.chunks(usize::from(step).max(1)) {
        encode::chunk_size(chunk.len(), &mut written);
        written.extend_from_slice(chunk);
        written.extend_from_slice(b"\r\n");
    }
    encode::last_chunk(&whole.trailers, &mut written);
    let again = decode(&written, written.len());
    assert!(again.is_done && again.used == written.len(), "{again:?}");
    assert_eq!(again.data, whole.data);
});

fn decode(bytes: &[u8], step: usize) -> Found {
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut found = Found {
        data: Vec::new(),
        trailers: Vec::new(),
        used: 0,
        is_done: false,
        fault: None,
    };
    for part in bytes.chunks(step) {
        let mut rest = part;
        loop {
            match decoder.next(&mut rest) {
                Ok(Piece::Data(data)) => {
                    assert!(!data.is_empty());
                    found.data.extend_from_slice(data);
                }
                Ok(Piece::More | Piece::End) => break,
                Err(fault) => {
                    found.fault = Some(fault);
                    found.used = bytes.len();
                    return found;
                }
            }
        }
        found.used += part.len() - rest.len();
    }
    found.is_done = decoder.is_done();
    found.trailers = decoder.trailers().to_vec();
    found
}
