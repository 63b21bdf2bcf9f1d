//! What more than one target asks: that a request is what a backend reads.

use oto_core::http1::{Framing, HeadLimits, Parsed, Request, encode, request};

/// Write the request for a backend and read that: it is the same request.
pub fn reread(head: &Request, limits: &HeadLimits) {
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
    if out.len() > limits.head_bytes
        || target.len() > limits.target_bytes
        || head.headers.len() + 2 > limits.fields
    {
        return; // Escaping, or what is written besides, made it more than a client's may be.
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
