//! Invariant: a head that is taken is taken the same however much of it is read at once, no prefix
//! of it is refused, and what is written for a backend is read back as the same request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::http1::{Framing, HeadLimits, Parsed, Request, Version, encode, request};

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

/// Write the request for a backend and read that.
fn reread(head: &Request, limits: &HeadLimits) {
    let mut target = if head.is_asterisk {
        b"*".to_vec()
    } else {
        head.path().as_bytes().to_vec()
    };
    if let Some(query) = head.query() {
        target.push(b'?');
        target.extend_from_slice(query.as_bytes());
    }
    let mut out = Vec::new();
    encode::request_head(head, &target, head.host().as_bytes(), false, &mut out);
    if out.len() > limits.head_bytes || target.len() > limits.target_bytes {
        return; // Escaping made it longer than a client's may be.
    }
    let mut again = Request::default();
    let read = request::parse(&out, limits, &mut again);
    assert_eq!(
        read,
        Ok(Parsed::Complete(out.len())),
        "{}",
        String::from_utf8_lossy(&out)
    );
    assert_eq!(again.method_text(), head.method_text());
    assert_eq!(again.path(), head.path());
    assert_eq!(again.query(), head.query());
    assert_eq!(again.host(), head.host());
    assert_eq!(again.domain(), head.domain());
    assert_eq!(again.upgrade(), head.upgrade());
    assert_eq!(again.framing, head.framing);
    assert!(
        !matches!(head.framing, Framing::UntilClose),
        "a request ends by itself"
    );
    let fields = |request: &Request| -> Vec<(Vec<u8>, Vec<u8>)> {
        request
            .headers
            .iter()
            .filter(|(name, _, _)| !name.eq_ignore_ascii_case(b"host"))
            .map(|(name, value, _)| (name.to_vec(), value.to_vec()))
            .collect()
    };
    assert_eq!(fields(&again), fields(head));
}
