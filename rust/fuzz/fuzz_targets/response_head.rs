//! Invariant: a head that is taken has one framing, no field of another connection, and is read by a
//! client, as it is written for it, with the same status and fields. No prefix of it is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oto_core::http1::encode::{self, ResponseShape};
use oto_core::http1::{
    Framing, HeadLimits, Known, Method, Parsed, ResponseHead, Version, response,
};

fuzz_target!(|input: (bool, &[u8])| {
    let (is_head, bytes) = input;
    let method = if is_head { Method::Head } else { Method::Get };
    let limits = HeadLimits::default();
    let mut head = ResponseHead::default();
    let Ok(Parsed::Complete(len)) = response::parse(bytes, method, &limits, &mut head) else {
        return;
    };
    for end in (0..len).filter(|_| len <= 256) {
        let beginning =
            response::parse(&bytes[..end], method, &limits, &mut ResponseHead::default());
        assert_eq!(beginning, Ok(Parsed::Partial), "{end} of {len} bytes");
    }
    assert!((100..=599).contains(&head.status));
    if is_head || matches!(head.status, 100..=199 | 204 | 304) {
        assert_eq!(head.framing, Framing::None);
    }
    assert!(head.framing != Framing::UntilClose || !head.keep_alive);
    for (_, _, known) in head.headers.iter() {
        assert!(known != Known::ContentLength);
        assert!(!known.is_hop_by_hop() || (head.status == 101 && known == Known::Upgrade));
    }
    if head.status == 101 {
        return;
    }
    let framing = match head.framing {
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    };
    let shape = ResponseShape {
        framing,
        keep_alive: true,
        version: Version::Http11,
    };
    let mut out = Vec::new();
    encode::response_head(&head, shape, &mut out);
    let mut again = ResponseHead::default();
    let read = response::parse(&out, method, &limits, &mut again);
    // What is written besides may make it more than a client's reader takes.
    if out.len() <= limits.head_bytes && head.headers.len() + 2 <= limits.fields {
        assert_eq!(
            read,
            Ok(Parsed::Complete(out.len())),
            "{}",
            String::from_utf8_lossy(&out)
        );
        assert_eq!(again.status, head.status);
        assert_eq!(again.framing, framing);
        assert_eq!(again.headers.len(), head.headers.len());
    }
});
