//! Which changes of protocol are passed on.

use super::headers::is_name;

/// Names whose protocol is HTTP again, or hides it.
const HTTP_AGAIN: [&[u8]; 5] = [b"h2", b"h2c", b"h3", b"http", b"tls"];

/// Whether `Upgrade` names one protocol, and one whose bytes are not HTTP again: behind a change to
/// `h2c` the backend would serve requests that no route has seen (RFC 9110 §7.8).
pub(super) fn is_opaque_protocol(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |byte| *byte == b'/');
    let name = parts.next().unwrap_or(b"");
    is_name(name)
        && parts.next().is_none_or(is_name)
        && !HTTP_AGAIN
            .iter()
            .any(|http| http.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::is_opaque_protocol;

    #[test]
    fn one_protocol_that_is_not_http() {
        for wish in [&b"websocket"[..], b"WebSocket", b"irc/2.0", b"h2x"] {
            assert!(
                is_opaque_protocol(wish),
                "{}",
                String::from_utf8_lossy(wish)
            );
        }
        for wish in [
            &b""[..],
            b"h2c",
            b"H2C",
            b"HTTP/2.0",
            b"TLS/1.2",
            b"websocket, h2c",
            b"websocket/",
            b"a/b/c",
        ] {
            assert!(
                !is_opaque_protocol(wish),
                "{}",
                String::from_utf8_lossy(wish)
            );
        }
    }
}
