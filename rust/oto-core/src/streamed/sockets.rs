//! WebSockets towards backends as streams: extended CONNECT (RFC 8441, RFC 9220).
//!
//! Everywhere else a WebSocket is what it is over HTTP/1.1: a GET with `Upgrade`, answered 101.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{WEBSOCKET, check_field, push_lower, response_head};
use crate::fields::FieldBlock;
use crate::http1::response::ResponseError;
use crate::http1::{HeadLimits, Known, Method, Request, ResponseHead, Version};

/// What a server puts behind a client's key before it hashes it (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request asks for a WebSocket.
#[must_use]
pub fn is_websocket(request: &Request) -> bool {
    request
        .upgrade()
        .is_some_and(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
}

/// The fields of an extended CONNECT for a request that asks for a WebSocket; `target` is path and query, `host` what
/// `Host` would say.
#[must_use]
pub fn socket_call(request: &Request, target: &[u8], host: &[u8], secured: bool) -> FieldBlock {
    let mut block = FieldBlock::with_capacity(request.headers.len() + 5, 512);
    block.push(b":method", b"CONNECT");
    block.push(b":protocol", WEBSOCKET);
    block.push(b":scheme", if secured { b"https" } else { b"http" });
    block.push(b":authority", host);
    block.push(b":path", target);
    for (name, value, known) in request.headers.iter() {
        // The key proves nothing here: a stream of HTTP/2 cannot be taken for one of HTTP/1.1.
        if known != Known::Host && !name.eq_ignore_ascii_case(b"sec-websocket-key") {
            push_lower(&mut block, name, value);
        }
    }
    block
}

/// Read the head of a backend's answer to an extended CONNECT into `head`, which must be clear. One that agrees becomes the
/// 101 that it stands for, with the proof for `key`, which the client sent.
///
/// # Errors
/// [`ResponseError`]: the stream is of no further use.
pub fn socket_head(
    block: &FieldBlock,
    key: Option<&[u8]>,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<(), ResponseError> {
    if !block
        .status()
        .is_some_and(|status| (200..300).contains(&status))
    {
        return response_head(block, Method::Get, limits, head);
    }
    if block.len() > limits.fields.saturating_add(1) || block.list_size() > limits.head_bytes {
        return Err(ResponseError::TooLarge);
    }
    head.headers.add(b"connection", b"upgrade");
    head.headers.add(b"upgrade", WEBSOCKET);
    if let Some(key) = key {
        head.headers.add(b"sec-websocket-accept", &proof(key));
    }
    for (name, value) in block.iter().skip(1) {
        check_field(name, value).map_err(|_| ResponseError::Malformed)?;
        // A length means nothing here (RFC 9110 section 9.3.6), and the proof is ours to give.
        if !matches!(name, b"content-length" | b"sec-websocket-accept") {
            head.headers.add(name, value);
        }
    }
    head.status = 101;
    head.version = Version::Http2;
    head.settle(Method::Get)
}

/// What shows a client that its key was read.
fn proof(key: &[u8]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    BASE64.encode(context.finish()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Framing;

    fn asked(text: &str) -> Request {
        let mut block = FieldBlock::default();
        for (name, value) in [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", "a.test"),
            (":path", "/chat?b"),
            ("sec-websocket-version", "13"),
            ("x-said", text),
        ] {
            block.push(name.as_bytes(), value.as_bytes());
        }
        super::super::request(&block, false, Version::Http2, &HeadLimits::default(), 7)
            .expect("well-formed")
    }

    fn answer(fields: &[(&str, &str)]) -> Result<ResponseHead, ResponseError> {
        let mut block = FieldBlock::default();
        for (name, value) in fields {
            block.push(name.as_bytes(), value.as_bytes());
        }
        let mut head = ResponseHead::default();
        let key = Some(&b"dGhlIHNhbXBsZSBub25jZQ=="[..]);
        socket_head(&block, key, &HeadLimits::default(), &mut head).map(|()| head)
    }

    #[test]
    fn a_get_with_an_upgrade_is_asked_for_by_connect() {
        let request = asked("hi");
        assert!(is_websocket(&request));
        assert!(request.headers.find(b"sec-websocket-key").is_some());
        let block = socket_call(&request, b"/there?b", b"b.test", true);
        let told: Vec<_> = block.iter().collect();
        assert_eq!(
            told,
            [
                (&b":method"[..], &b"CONNECT"[..]),
                (b":protocol", b"websocket"),
                (b":scheme", b"https"),
                (b":authority", b"b.test"),
                (b":path", b"/there?b"),
                (b"sec-websocket-version", b"13"),
                (b"x-said", b"hi"),
            ]
        );
    }

    #[test]
    fn an_answer_that_agrees_is_a_change_of_protocol() {
        let head = answer(&[
            (":status", "200"),
            ("sec-websocket-protocol", "chat"),
            ("sec-websocket-accept", "forged"),
            ("content-length", "3"),
        ])
        .expect("well-formed");
        assert_eq!((head.status, head.upgrade), (101, true));
        assert_eq!((head.framing, head.announced_length), (Framing::None, None));
        // The example of RFC 6455 section 1.3.
        let proofs: Vec<_> = head.headers.find_all(b"sec-websocket-accept").collect();
        assert_eq!(proofs, [&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]]);
        assert_eq!(head.headers.find(b"upgrade"), Some(&b"websocket"[..]));
        assert_eq!(head.headers.find(b"connection"), None);
        assert_eq!(
            head.headers.find(b"sec-websocket-protocol"),
            Some(&b"chat"[..])
        );
    }

    #[test]
    fn one_that_does_not_agree_is_any_answer() {
        let head = answer(&[(":status", "403"), ("content-length", "3")]).expect("well-formed");
        assert_eq!(
            (head.status, head.upgrade, head.framing),
            (403, false, Framing::Length(3))
        );
        assert!(answer(&[(":status", "101")]).is_err());
        assert!(answer(&[(":status", "200"), ("connection", "x")]).is_err());
        assert!(answer(&[(":status", "200"), ("upgrade", "h2c")]).is_err());
        assert!(answer(&[("x-a", "b")]).is_err());
    }
}
