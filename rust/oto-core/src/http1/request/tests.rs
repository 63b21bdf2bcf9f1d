use super::*;

fn read(bytes: &[u8]) -> Result<(Request, usize), HeadError> {
    let mut request = Request::default();
    match parse(bytes, &HeadLimits::default(), &mut request)? {
        Parsed::Complete(len) => Ok((request, len)),
        Parsed::Partial => Err(HeadError::Malformed),
    }
}

#[test]
fn a_plain_request_is_read() {
    let bytes = b"GET /a/b?x=1 HTTP/1.1\r\nHost: Api.Example:8080\r\nX-A:  1 \r\n\r\nrest";
    let (request, len) = read(bytes).expect("valid");
    assert_eq!(len, bytes.len() - 4);
    assert_eq!(request.method_text(), "GET");
    assert_eq!((request.path(), request.query()), ("/a/b", Some("x=1")));
    assert_eq!(
        (request.host(), request.domain()),
        ("Api.Example:8080", "api.example")
    );
    assert_eq!(request.headers.find(b"x-a"), Some(&b"1"[..]));
    assert!(request.keep_alive && !request.has_body());
}

#[test]
fn absolute_form_brings_the_host() {
    let (request, _) =
        read(b"GET http://a.b:80?q HTTP/1.1\r\nHost: a.b:80\r\n\r\n").expect("valid");
    assert_eq!(
        (request.path(), request.query(), request.domain()),
        ("/", Some("q"), "a.b")
    );
    assert_eq!(
        read(b"GET http://a.b/ HTTP/1.1\r\nHost: c.d\r\n\r\n").err(),
        Some(HeadError::Host)
    );
}

#[test]
fn hop_by_hop_fields_go() {
    let (request, _) = read(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close, x-b\r\nX-B: 1\r\nTE: trailers\r\nContent-Length: 3\r\n\r\n",
    )
    .expect("valid");
    assert_eq!(request.headers.iter().count(), 1, "only Host stays");
    assert!(!request.keep_alive);
    assert_eq!(request.framing, Framing::Length(3));
}

#[test]
fn refused_heads() {
    for (head, error) in [
        (
            &b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"[..],
            HeadError::Host,
        ),
        (b"GET / HTTP/1.1\r\n\r\n", HeadError::Host),
        (b"GET / HTTP/1.1\nHost: a\n\n", HeadError::LineEnd),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", HeadError::Version),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", HeadError::Malformed),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
            HeadError::Malformed,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            HeadError::AmbiguousFraming,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            HeadError::AmbiguousFraming,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            HeadError::ContentLength,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            HeadError::TransferEncoding,
        ),
        (
            b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            HeadError::TransferEncoding,
        ),
        (
            b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            HeadError::Connect,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n",
            HeadError::Connection,
        ),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HeadError::Host),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HeadError::Host),
        (
            b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
            HeadError::Target(TargetError::NotAbsolute),
        ),
        (
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            HeadError::LineEnd,
        ),
    ] {
        assert_eq!(
            read(head).err(),
            Some(error),
            "{}",
            String::from_utf8_lossy(head)
        );
    }
}

#[test]
fn a_name_that_reads_like_one_of_ours_is_refused() {
    for name in [
        "Content_Length",
        "TRANSFER_encoding",
        "X_Forwarded-For",
        "otoroshi_claim",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: 1\r\n\r\n");
        assert_eq!(
            read(head.as_bytes()).err(),
            Some(HeadError::Lookalike),
            "{name}"
        );
    }
    assert!(read(b"GET /_ HTTP/1.1\r\nHost: a_b\r\napi_key: 1\r\n\r\n").is_ok());
}

#[test]
fn only_a_wish_for_one_opaque_protocol_is_kept() {
    let upgrade = |fields: &str| {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n{fields}\r\n\r\n");
        let (request, _) = read(head.as_bytes()).expect("valid");
        request.upgrade().map(<[u8]>::to_vec)
    };
    assert_eq!(upgrade("Upgrade: websocket"), Some(b"websocket".to_vec()));
    for fields in [
        "X: 1",
        "Upgrade: h2c",
        "Upgrade: websocket\r\nUpgrade: websocket",
        "Upgrade: websocket\r\nContent-Length: 1",
        "Upgrade: websocket\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(upgrade(fields), None, "{fields}");
    }
}

#[test]
fn what_is_too_large_has_one_status_however_it_is_read() {
    let limits = HeadLimits {
        head_bytes: 64,
        target_bytes: 32,
        fields: 4,
    };
    let refused = |head: &[u8]| parse(head, &limits, &mut Request::default()).err();
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70));
    let field = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(70));
    for end in 64..line.len() {
        assert_eq!(
            refused(&line.as_bytes()[..end]),
            Some(HeadError::TargetTooLong),
            "{end}"
        );
    }
    for end in 64..=field.len() {
        assert_eq!(
            refused(&field.as_bytes()[..end]),
            Some(HeadError::HeadTooLarge),
            "{end}"
        );
    }
}
