use super::*;
use crate::http1::Method;

type Pairs<'a> = &'a [(&'a str, &'a str)];

const GET: Pairs<'static> = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "api.oto.tools"),
    (":path", "/a?b=c"),
];

fn block(parts: &[Pairs<'_>]) -> FieldBlock {
    let mut block = FieldBlock::default();
    for (name, value) in parts.iter().flat_map(|part| part.iter()) {
        block.push(name.as_bytes(), value.as_bytes());
    }
    block
}

fn read(parts: &[Pairs<'_>], ends: bool) -> Result<Request, StreamError> {
    super::request(
        &block(parts),
        ends,
        Version::Http2,
        &HeadLimits::default(),
        7,
    )
}

#[test]
fn a_request_is_read() {
    let request = read(
        &[GET, &[("x-a", "1"), ("cookie", "a=b"), ("cookie", "c=d")]],
        true,
    )
    .expect("valid");
    assert_eq!(request.method, Method::Get);
    assert_eq!((request.path(), request.query()), ("/a", Some("b=c")));
    assert_eq!(
        (request.host(), request.domain()),
        ("api.oto.tools", "api.oto.tools")
    );
    assert_eq!(request.headers.find(b"x-a"), Some(&b"1"[..]));
    let cookies: Vec<_> = request.headers.find_all(b"cookie").collect();
    assert_eq!(cookies, [b"a=b; c=d"]);
    assert_eq!(request.framing, Framing::None);
    assert_eq!(request.version, Version::Http2);
}

#[test]
fn a_body_is_framed_by_its_length_or_its_end() {
    assert_eq!(
        read(&[GET], false).expect("valid").framing,
        Framing::Chunked
    );
    let with_length = read(&[GET, &[("content-length", "3")]], false).expect("valid");
    assert_eq!(with_length.framing, Framing::Length(3));
    assert_eq!(with_length.headers.find(b"content-length"), None);
    let empty = read(&[GET, &[("content-length", "0")]], true).expect("valid");
    assert_eq!(empty.framing, Framing::None);
    assert!(matches!(
        read(&[GET, &[("content-length", "3")]], true),
        Err(StreamError::Malformed(_))
    ));
}

#[test]
fn malformed_messages_are_told_apart_from_refused_ones() {
    let malformed: &[&[Pairs<'_>]] = &[
        &[&[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "a"),
        ]],
        &[&[(":method", "GET"), (":path", "/"), (":authority", "a")]],
        &[&[(":scheme", "https"), (":path", "/"), (":authority", "a")]],
        &[&[
            (":method", "GET"),
            (":scheme", "ftp"),
            (":path", "/"),
            (":authority", "a"),
        ]],
        &[&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", ""),
            (":authority", "a"),
        ]],
        &[&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "a"),
            (":authority", "a"),
        ]],
        &[&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "http://b/"),
            (":authority", "a"),
        ]],
        &[&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "*"),
            (":authority", "a"),
        ]],
        &[&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/"),
            (":authority", ""),
        ]],
        &[GET, &[(":method", "GET")]],
        &[GET, &[(":status", "200")]],
        &[GET, &[(":protocol", "websocket")]],
        &[GET, &[("x-a", "1"), (":foo", "1")]],
        &[&[("x-a", "1")], GET],
        &[GET, &[("X-A", "1")]],
        &[GET, &[("x a", "1")]],
        &[GET, &[("", "1")]],
        &[GET, &[("x:a", "1")]],
        &[GET, &[("x-a", "1\r\nx-b: 2")]],
        &[GET, &[("x-a", "1\0")]],
        &[GET, &[("x-a", " 1")]],
        &[GET, &[("x-a", "1\t")]],
        &[GET, &[("connection", "close")]],
        &[GET, &[("keep-alive", "1")]],
        &[GET, &[("proxy-connection", "close")]],
        &[GET, &[("transfer-encoding", "chunked")]],
        &[GET, &[("upgrade", "h2c")]],
        &[GET, &[("te", "gzip")]],
        &[GET, &[("host", "other.oto.tools")]],
    ];
    for parts in malformed {
        assert!(
            matches!(read(parts, true), Err(StreamError::Malformed(_))),
            "{:?}",
            block(parts)
        );
    }
    let refused: &[(&[Pairs<'_>], u16)] = &[
        (&[&[(":method", "CONNECT"), (":authority", "a:1")]], 405),
        (
            &[&[(":method", "GET"), (":scheme", "http"), (":path", "/")]],
            400,
        ),
        (
            &[
                &[(":method", "GET"), (":scheme", "http"), (":path", "/")],
                &[("host", "a"), ("host", "a")],
            ],
            400,
        ),
        (&[GET, &[("expect", "more")]], 417),
        (&[GET, &[("x_forwarded_for", "1.2.3.4")]], 400),
        (
            &[GET, &[("content-length", "1"), ("content-length", "2")]],
            400,
        ),
        (&[GET, &[("content-length", "+1")]], 400),
    ];
    for (parts, status) in refused {
        match read(parts, false) {
            Err(StreamError::Refused(error)) => assert_eq!(error.status(), *status),
            other => panic!("{other:?} for {:?}", block(parts)),
        }
    }
}

#[test]
fn the_same_host_twice_is_one() {
    let request = read(
        &[GET, &[("host", "API.oto.tools"), ("te", "trailers")]],
        true,
    )
    .expect("valid");
    assert_eq!(request.headers.find_all(b"host").count(), 1);
    assert_eq!(request.headers.find(b"te"), None);
}

#[test]
fn an_extended_connect_is_an_upgrade() {
    let connect: Pairs<'_> = &[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "api.oto.tools"),
        (":path", "/chat"),
        ("sec-websocket-version", "13"),
    ];
    let request = read(&[connect], false).expect("valid");
    assert_eq!(request.method, Method::Get);
    assert_eq!(request.upgrade(), Some(&b"websocket"[..]));
    let key = request.headers.find(b"sec-websocket-key");
    assert_eq!(key, Some(&b"AAAAAAAAAAAAAAAAAAAABw=="[..]));
    assert_eq!(request.framing, Framing::None);
}

#[test]
fn a_response_becomes_fields() {
    let mut head = ResponseHead {
        status: 201,
        ..ResponseHead::default()
    };
    head.headers.add(b"X-Upper", b"Value");
    head.headers.add(b"set-cookie", b"a=b");
    let block = super::response(&head, Framing::Length(12));
    let fields: Vec<_> = block.iter().collect();
    assert_eq!(
        fields,
        [
            (&b":status"[..], &b"201"[..]),
            (b"x-upper", b"Value"),
            (b"set-cookie", b"a=b"),
            (b"content-length", b"12"),
        ]
    );
    assert_eq!(
        super::response(&head, Framing::UntilClose).find(b"content-length"),
        None
    );
    head.announced_length = Some(7);
    let announced = super::response(&head, Framing::None);
    assert_eq!(announced.find(b"content-length"), Some(&b"7"[..]));
    head.status = 101;
    head.headers.add(b"Upgrade", b"websocket");
    head.headers.add(b"Sec-WebSocket-Accept", b"x");
    let joined = super::response(&head, Framing::None);
    assert_eq!(joined.status(), Some(200));
    assert_eq!(joined.find(b"upgrade"), None);
    assert_eq!(joined.find(b"sec-websocket-accept"), None);
}

#[test]
fn trailers_go_both_ways() {
    let mut given = FieldBlock::default();
    given.push(b"grpc-status", b"0");
    given.push(b"x-a", b"b");
    let lines = trailer_lines(&given).expect("valid");
    assert_eq!(lines, b"grpc-status: 0\r\nx-a: b\r\n");
    assert_eq!(trailer_block(&lines), Some(given));
    assert_eq!(
        trailer_block(b"Content-Length: 5\r\nAuthorization: x\r\n"),
        None
    );
    let mut bad = FieldBlock::default();
    bad.push(b":status", b"200");
    assert!(trailer_lines(&bad).is_err());
}
