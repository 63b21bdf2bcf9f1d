//! What the gateway itself has to know of gRPC: whether a request is a call, until when its caller waits, and how
//! to say an error (the gRPC protocol over HTTP/2, and its mapping of HTTP statuses).

use crate::http1::{Request, ResponseHead, Version};

/// The content type of calls and answers.
pub const CONTENT_TYPE: &[u8] = b"application/grpc";

/// Whether a request is a gRPC call: over HTTP/2 or HTTP/3, with its content type.
#[must_use]
pub fn is_call(request: &Request) -> bool {
    matches!(request.version, Version::Http2 | Version::Http3)
        && request
            .headers
            .find(b"content-type")
            .and_then(|value| value.strip_prefix(CONTENT_TYPE))
            // `application/grpc-web` is another protocol.
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// How long the caller waits, in seconds; none when it does not say, or says it wrongly.
#[must_use]
pub fn patience_s(request: &Request) -> Option<f64> {
    let value = request.headers.find(b"grpc-timeout")?;
    let (unit, digits) = value.split_last()?;
    let unit_s = match unit {
        b'H' => 3600.0,
        b'M' => 60.0,
        b'S' => 1.0,
        b'm' => 1e-3,
        b'u' => 1e-6,
        b'n' => 1e-9,
        _ => return None,
    };
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(f64::from(number) * unit_s)
}

/// The code of gRPC for an error of the gateway. A limit is one of the caller's, and told as such: gRPC's own
/// table, which is for proxies that know nothing of it, makes of it that the server is away.
#[must_use]
pub fn code_of(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        408 | 504 => 4,
        413 | 429 => 8,
        502 | 503 => 14,
        _ => 2,
    }
}

/// The head that says an error of the gateway to a caller; nothing follows it.
#[must_use]
pub fn refused(head: &ResponseHead, content_type: &[u8], message: &str) -> ResponseHead {
    let mut told = ResponseHead {
        status: 200,
        ..ResponseHead::default()
    };
    for (name, value, _) in head.headers.iter() {
        if !name.eq_ignore_ascii_case(b"content-type") {
            told.headers.add(name, value);
        }
    }
    told.headers.add(b"content-type", content_type);
    let code = code_of(head.status).to_string();
    told.headers.add(b"grpc-status", code.as_bytes());
    told.headers.add(b"grpc-message", &escaped(message));
    told
}

/// Percent-encode what `grpc-message` may not hold.
fn escaped(message: &str) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(message.len());
    for byte in message.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(byte);
        } else {
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::HeadLimits;

    fn request(version: Version, kind: &[u8], timeout: &[u8]) -> Request {
        let fields: [(&[u8], &[u8]); 3] = [
            (b"host", b"a"),
            (b"content-type", kind),
            (b"grpc-timeout", timeout),
        ];
        let limits = HeadLimits::default();
        Request::from_parts(b"POST", b"/a.B/C", fields.into_iter(), version, &limits)
            .expect("valid")
    }

    #[test]
    fn calls_are_told_from_other_requests() {
        for (kind, is_one) in [
            (&b"application/grpc"[..], true),
            (b"application/grpc+proto", true),
            (b"application/grpc; charset=utf-8", true),
            (b"application/grpc-web", false),
            (b"application/grpc-web+proto", false),
            (b"application/json", false),
        ] {
            assert_eq!(is_call(&request(Version::Http2, kind, b"1S")), is_one);
        }
        assert!(!is_call(&request(
            Version::Http11,
            b"application/grpc",
            b"1S"
        )));
    }

    #[test]
    fn a_timeout_is_up_to_eight_digits_and_a_unit() {
        for (text, seconds) in [
            (&b"1H"[..], Some(3600.0)),
            (b"2M", Some(120.0)),
            (b"99999999S", Some(99_999_999.0)),
            (b"250m", Some(0.25)),
            (b"1000u", Some(0.001)),
            (b"0n", Some(0.0)),
            (b"", None),
            (b"S", None),
            (b"1", None),
            (b"123456789S", None),
            (b"-1S", None),
            (b"1.5S", None),
            (b"1x", None),
        ] {
            let request = request(Version::Http2, b"application/grpc", text);
            assert_eq!(patience_s(&request), seconds, "{text:?}");
        }
    }

    #[test]
    fn an_error_keeps_its_fields_and_says_its_code() {
        let mut head = ResponseHead {
            status: 429,
            ..ResponseHead::default()
        };
        head.headers.add(b"Content-Type", b"text/html");
        head.headers.add(b"Retry-After", b"3");
        let told = refused(&head, CONTENT_TYPE, "50% too much\u{e9}\r\n");
        assert_eq!(told.status, 200);
        let of = |name: &[u8]| told.headers.find(name).map(<[u8]>::to_vec);
        assert_eq!(of(b"content-type"), Some(b"application/grpc".to_vec()));
        assert_eq!(of(b"retry-after"), Some(b"3".to_vec()));
        assert_eq!(of(b"grpc-status"), Some(b"8".to_vec()));
        assert_eq!(
            of(b"grpc-message"),
            Some(b"50%25 too much%C3%A9%0D%0A".to_vec())
        );
    }
}
