//! Invariant: a request of HTTP/2 that is taken is, written for a backend of any version, read there as the same request:
//! no field of it becomes framing, another field or another request. So for answers, and for trailers.

#![no_main]

mod rereading;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::fields::FieldBlock;
use oto_core::http1::body::{Decoder, Piece};
use oto_core::http1::encode::{self, ResponseShape};
use oto_core::http1::{
    Framing, HeadLimits, Method, Parsed, Request, ResponseHead, Version, response,
};
use oto_core::streamed;
use rereading::reread;

/// Names that mean something to somebody, some of them nothing that a stream may say.
const NAMES: &[&[u8]] = &[
    b":method",
    b":scheme",
    b":authority",
    b":path",
    b":protocol",
    b":status",
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"upgrade",
    b"te",
    b"expect",
    b"cookie",
    b"trailer",
    b"keep-alive",
    b"sec-websocket-key",
    b"sec-websocket-accept",
    b"Host",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    ends: bool,
    is_head: bool,
    /// What a request has to begin with; nothing leaves it to the fields.
    begins: Option<(Method3, &'a [u8], &'a [u8])>,
    status: Option<u16>,
    fields: Vec<(u8, &'a [u8], &'a [u8])>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Method3 {
    Get,
    Post,
    Socket,
}

fuzz_target!(|input: Input<'_>| {
    let limits = HeadLimits::default();
    let mut fields = FieldBlock::default();
    for (which, name, value) in &input.fields {
        let known = NAMES.get(usize::from(*which)).copied();
        fields.push(known.unwrap_or(name), value);
    }
    asked(&input, &fields, &limits);
    answered(&input, &fields, &limits);
    trailed(&fields);
});

fn behind(begin: &[(&[u8], &[u8])], fields: &FieldBlock) -> FieldBlock {
    let mut block = FieldBlock::default();
    for (name, value) in begin.iter().copied().chain(fields.iter()) {
        block.push(name, value);
    }
    block
}

fn asked(input: &Input<'_>, fields: &FieldBlock, limits: &HeadLimits) {
    let mut begin: Vec<(&[u8], &[u8])> = Vec::new();
    if let Some((method, authority, path)) = input.begins {
        begin.extend([
            (&b":authority"[..], authority),
            (b":path", path),
            (b":scheme", b"https"),
        ]);
        match method {
            Method3::Get => begin.push((b":method", b"GET")),
            Method3::Post => begin.push((b":method", b"POST")),
            Method3::Socket => {
                begin.extend([
                    (&b":method"[..], &b"CONNECT"[..]),
                    (b":protocol", b"websocket"),
                ]);
            }
        }
    }
    let block = behind(&begin, fields);
    let Ok(request) = streamed::request(&block, input.ends, Version::Http2, limits, 7) else {
        return;
    };
    if input.ends && request.upgrade().is_none() {
        assert_eq!(request.framing, Framing::None);
    }
    if request.host().is_empty() {
        return;
    }
    reread(&request, limits);
    restreamed(&request, input.ends, limits);
}

/// Send the request over HTTP/2, and read it as another gateway would.
fn restreamed(request: &Request, ends: bool, limits: &HeadLimits) {
    let mut target = match request.is_asterisk {
        true => b"*".to_vec(),
        false => request.path().as_bytes().to_vec(),
    };
    if let Some(query) = request.query() {
        target.push(b'?');
        target.extend_from_slice(query.as_bytes());
    }
    let host = request.host().as_bytes();
    let block = match streamed::is_websocket(request) {
        true => streamed::socket_call(request, &target, host, true),
        false => streamed::call(request, &target, host, true),
    };
    let again = match streamed::request(&block, ends, Version::Http2, limits, 7) {
        Ok(again) => again,
        // Written out it is longer than it came.
        Err(streamed::StreamError::Refused(error)) => {
            assert!(target.len() > 1000 || block.list_size() > 1000, "{error:?}");
            return;
        }
        Err(error) => panic!("{error:?}: {:?}", block.iter().collect::<Vec<_>>()),
    };
    assert_eq!(again.method_text(), request.method_text());
    assert_eq!(again.path(), request.path());
    assert_eq!(again.query(), request.query());
    assert_eq!(again.host(), request.host());
    assert_eq!(again.framing, request.framing);
    assert_eq!(again.upgrade(), request.upgrade());
}

fn answered(input: &Input<'_>, fields: &FieldBlock, limits: &HeadLimits) {
    let method = if input.is_head {
        Method::Head
    } else {
        Method::Get
    };
    let status = input.status.map(|status| (status % 1000).to_string());
    let begin: Vec<(&[u8], &[u8])> = status
        .iter()
        .map(|status| (&b":status"[..], status.as_bytes()))
        .collect();
    let block = behind(&begin, fields);
    let mut head = ResponseHead::default();
    if streamed::response_head(&block, method, limits, &mut head).is_err() {
        return;
    }
    let framing = match head.framing {
        Framing::UntilClose => Framing::Chunked,
        framing => framing,
    };
    let mut out = Vec::new();
    let shape = ResponseShape {
        framing,
        keep_alive: true,
        version: Version::Http11,
    };
    encode::response_head(&head, shape, &mut out);
    let mut again = ResponseHead::default();
    let read = response::parse(&out, method, limits, &mut again);
    let fits = head.headers.len() + 2 <= limits.fields;
    if fits && out.len() <= limits.head_bytes {
        let shown = String::from_utf8_lossy(&out);
        assert_eq!(read, Ok(Parsed::Complete(out.len())), "{shown}");
        assert_eq!(again.status, head.status);
        assert_eq!(again.framing, framing);
        assert_eq!(again.headers.len(), head.headers.len());
    }
    let told = streamed::response(&head, framing);
    let mut again = ResponseHead::default();
    let read = streamed::response_head(&told, method, limits, &mut again);
    if fits && told.list_size() <= limits.head_bytes {
        assert_eq!(read, Ok(()), "{:?}", told.iter().collect::<Vec<_>>());
        assert_eq!(again.status, head.status);
        assert_eq!(again.headers.len(), head.headers.len());
    }
}

fn trailed(fields: &FieldBlock) {
    let Ok(lines) = streamed::trailer_lines(fields) else {
        return;
    };
    let mut out = Vec::new();
    encode::last_chunk(&lines, &mut out);
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut rest = out.as_slice();
    let read = decoder.next(&mut rest);
    if out.len() < 4000 {
        assert_eq!(read, Ok(Piece::End), "{}", String::from_utf8_lossy(&out));
        assert!(rest.is_empty(), "what ends a body is nothing else besides");
    }
    if let Some(block) = streamed::trailer_block(&lines) {
        assert!(block.len() <= fields.len());
        assert!(streamed::trailer_lines(&block).is_ok());
    }
}
