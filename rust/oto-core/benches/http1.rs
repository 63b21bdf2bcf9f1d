//! Reading and writing heads: what every request costs before anything is decided.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use oto_core::http1::{
    Decoder, Framing, HeadLimits, Method, Request, ResponseHead, Version, canonical, encode,
    request, response,
};

const SHORT: &[u8] = b"GET /users/42?full=1 HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
const BROWSER: &[u8] = b"GET /users/42?full=1 HTTP/1.1\r\nHost: api.example.com\r\n\
    Connection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"150\"\r\nsec-ch-ua-mobile: ?0\r\n\
    Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 1024\r\nCache-Control: no-store\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = criterion.benchmark_group("http1");
    for (name, bytes) in [("short", SHORT), ("browser", BROWSER)] {
        let mut head = Request::default();
        group.bench_function(format!("read a {name} request"), |bench| {
            bench.iter(|| {
                head.clear();
                request::parse(black_box(bytes), &limits, &mut head)
            });
        });
        let mut out = Vec::with_capacity(4096);
        group.bench_function(format!("write a {name} request"), |bench| {
            bench.iter(|| {
                out.clear();
                encode::request_head(black_box(&head), b"/users/42", b"backend", false, &mut out);
            });
        });
    }
    let mut head = ResponseHead::default();
    group.bench_function("read a response", |bench| {
        bench.iter(|| {
            head.clear();
            response::parse(black_box(ANSWER), Method::Get, &limits, &mut head)
        });
    });
    let shape = encode::ResponseShape {
        framing: Framing::Length(1024),
        keep_alive: true,
        version: Version::Http11,
    };
    let mut out = Vec::with_capacity(4096);
    group.bench_function("write a response", |bench| {
        bench.iter(|| {
            out.clear();
            encode::response_head(black_box(&head), shape, &mut out);
        });
    });
    group.finish();
}

fn bodies_and_targets(criterion: &mut Criterion) {
    let mut chunked = Vec::new();
    for _ in 0..16 {
        encode::chunk_size(1024, &mut chunked);
        chunked.extend_from_slice(&[b'x'; 1024]);
        chunked.extend_from_slice(b"\r\n");
    }
    encode::last_chunk(b"", &mut chunked);
    criterion.bench_function("cut 16 chunks of 1 KiB", |bench| {
        bench.iter(|| {
            let mut decoder = Decoder::new(Framing::Chunked);
            let mut rest = black_box(&chunked[..]);
            while !decoder.is_done() {
                black_box(decoder.next(&mut rest).is_ok());
            }
        });
    });
    let mut out = Vec::with_capacity(256);
    criterion.bench_function("put a path in canonical form", |bench| {
        bench.iter(|| {
            out.clear();
            canonical::canonical_path(black_box(b"/a/./b//%7Ec/../d%2fe"), &mut out)
        });
    });
}

criterion_group!(benches, heads, bodies_and_targets);
criterion_main!(benches);
