//! Invariant: whatever is added in whatever pieces, no frame is taken beyond its end or its bound, what is in it is what
//! was added there, and nothing is lost.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::http2::{FrameReader, HEAD_BYTES};

fuzz_target!(|input: (Vec<&[u8]>, u16)| {
    let (pieces, largest) = input;
    let largest = usize::from(largest);
    let mut reader = FrameReader::default();
    let mut added = Vec::new();
    let mut taken = 0;
    for piece in pieces {
        reader.add(piece);
        added.extend_from_slice(piece);
        loop {
            match reader.take(largest) {
                Ok(Some(frame)) => {
                    assert!(frame.payload.len() <= largest);
                    let from = taken + HEAD_BYTES;
                    taken = from + frame.payload.len();
                    assert_eq!(frame.payload, &added[from..taken]);
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(error.size > largest);
                    return;
                }
            }
        }
        assert_eq!(reader.len(), added.len() - taken);
        assert!(reader.len() < HEAD_BYTES + largest);
    }
});
