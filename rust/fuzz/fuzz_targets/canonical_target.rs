//! Invariant: a canonical path is a fixed point, has no dot segment, no repeated slash, no character
//! that a URI may not hold and none that another reader could decode into one of these.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::http1::canonical::{
    canonical_path, canonical_query, is_canonical_path, is_canonical_query,
};

fuzz_target!(|bytes: &[u8]| {
    path(bytes);
    query(bytes);
});

fn path(bytes: &[u8]) {
    let mut out = Vec::new();
    let taken = canonical_path(bytes, &mut out).is_ok();
    if is_canonical_path(bytes) {
        assert!(
            taken && out == bytes,
            "the quick check says what the rewriting does"
        );
    }
    if !taken {
        return;
    }
    let mut again = Vec::new();
    assert_eq!(canonical_path(&out, &mut again), Ok(()));
    assert_eq!(again, out);
    assert_eq!(out.first(), Some(&b'/'));
    assert!(!out.windows(2).any(|pair| pair == b"//"));
    let is_dots = |segment: &[u8]| segment == b"." || segment == b"..";
    assert!(!out.split(|byte| *byte == b'/').any(is_dots));
    assert!(
        out.iter()
            .all(|byte| (0x21..0x7f).contains(byte) && !b"\\#?\"<>".contains(byte))
    );
    for at in (0..out.len()).filter(|at| out[*at] == b'%') {
        let digits = std::str::from_utf8(&out[at + 1..at + 3]).expect("two digits");
        let value = u8::from_str_radix(digits, 16).expect("hexadecimal");
        assert!(
            value >= 0x20 && value != 0x7f,
            "no control character, however it is written"
        );
        assert!(
            !value.is_ascii_alphanumeric() && !b"-._~".contains(&value),
            "decoded where it can be"
        );
        assert_eq!(digits, digits.to_ascii_uppercase());
    }
}

fn query(bytes: &[u8]) {
    let mut out = Vec::new();
    let taken = canonical_query(bytes, &mut out).is_ok();
    if is_canonical_query(bytes) {
        assert!(
            taken && out == bytes,
            "the quick check says what the rewriting does"
        );
    }
    if taken {
        assert!(is_canonical_query(&out));
    }
}
