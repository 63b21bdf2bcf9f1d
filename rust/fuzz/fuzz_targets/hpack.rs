//! Invariant: decoding never panics and never passes its bounds; what it gives is encoded to blocks that
//! decode to the same fields, on one connection, in either form of strings.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::hpack::{Decoder, DecoderLimits, Encoder, HpackError};

const LIMITS: DecoderLimits = DecoderLimits {
    list_bytes: 2000,
    fields: 40,
    table_bytes: 4096,
};

fuzz_target!(|blocks: Vec<&[u8]>| {
    let mut theirs = Decoder::new(LIMITS);
    let mut encoder = Encoder::default();
    let mut ours = Decoder::new(LIMITS);
    for (turn, block) in blocks.into_iter().enumerate() {
        let fields = match theirs.decode(block) {
            Ok(fields) => fields,
            Err(HpackError::OutOfRoom) => unreachable!("told as the bound that it is"),
            Err(_) => return,
        };
        assert!(fields.list_size() <= LIMITS.list_bytes && fields.len() <= LIMITS.fields);
        if turn % 3 == 2 {
            encoder.set_table_size(block.len() * 16);
        }
        let mut out = Vec::new();
        encoder.encode(fields.fields(), turn % 2 == 0, &mut out);
        let again = ours.decode(&out).expect("what is written can be read");
        assert_eq!(again, fields);
        assert!(
            fields
                .fields()
                .zip(again.fields())
                .all(|(was, is)| is.never_indexed || !was.never_indexed)
        );
    }
});
