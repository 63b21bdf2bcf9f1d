//! Invariant: a head that is taken is taken the same however much of it is read at once, no prefix
//! of it is refused, and what is written for a backend is read back as the same request.

#![no_main]

mod rereading;

use libfuzzer_sys::fuzz_target;
use oto_core::http1::{HeadLimits, Parsed, Request, Version, request};
use rereading::reread;

fuzz_target!(|bytes: &[u8]| {
    let limits = HeadLimits::default();
    let mut head = Request::default();
    let Ok(Parsed::Complete(len)) = request::parse(bytes, &limits, &mut head) else {
        return;
    };
    assert!(len <= bytes.len());
    // Quadratic in the head: only for what is short enough to try many of.
    for end in (0..len).filter(|_| len <= 256) {
        let beginning = request::parse(&bytes[..end], &limits, &mut Request::default());
        assert_eq!(beginning, Ok(Parsed::Partial), "{end} of {len} bytes");
    }
    let mut alone = Request::default();
    assert_eq!(
        request::parse(&bytes[..len], &limits, &mut alone),
        Ok(Parsed::Complete(len)),
        "what follows a head does not change it"
    );
    assert!(head.path().starts_with('/'));
    assert!(head.domain().len() <= head.host().len());
    if head.host().is_empty() {
        assert_eq!(head.version, Version::Http10);
        return;
    }
    reread(&head, &limits);
});
