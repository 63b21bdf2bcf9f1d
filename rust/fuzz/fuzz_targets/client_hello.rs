//! Invariant: what is read of a client's first message is the same however it is cut into records, no beginning of it is
//! refused, and where the TLS library reads the message too it finds the same name and protocols.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::tls::client_hello::{Opening, read};
use rustls::server::Acceptor;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: Option<&'a [u8]>,
    session: &'a [u8],
    suites: Vec<u16>,
    names: Option<Vec<(u8, &'a [u8])>>,
    protocols: Option<Vec<&'a [u8]>>,
    versions: Option<Vec<u16>>,
    extensions: Option<Vec<(u16, &'a [u8])>>,
    behind: &'a [u8],
    cut: u16,
}

fuzz_target!(|input: Input<'_>| {
    if let Some(bytes) = input.raw {
        compare(bytes);
    }
    let message = message(&input);
    let whole = records(&message, usize::MAX);
    compare(&whole);
    let cut = records(&message, usize::from(input.cut % 64) + 1);
    assert_eq!(read(&cut), read(&whole), "the same however it is cut");
    compare(&cut);
    if matches!(read(&whole), Opening::Hello(_)) && whole.len() <= 256 {
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Opening::Partial, "{end} bytes");
        }
        let longer = [&whole, input.behind].concat();
        assert_eq!(read(&longer), read(&whole));
    }
});

/// What the library takes is read here, as the same.
fn compare(bytes: &[u8]) {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        if !matches!(acceptor.read_tls(&mut rest), Ok(count) if count > 0) {
            return;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Err(_) => return,
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let found = read(bytes);
                // The library looks at names that are none only later.
                if hello.server_name().is_none() && matches!(found, Opening::Malformed(_)) {
                    return;
                }
                let Opening::Hello(found) = found else {
                    panic!("{:?} of what the library takes", read(bytes));
                };
                let name = hello.server_name().map(|name| {
                    let name = name.strip_suffix('.').unwrap_or(name);
                    name.to_ascii_lowercase()
                });
                assert_eq!(found.server_name, name);
                let protocols: Vec<Vec<u8>> = hello
                    .alpn()
                    .into_iter()
                    .flatten()
                    .map(<[u8]>::to_vec)
                    .collect();
                assert_eq!(found.protocols, protocols);
                return;
            }
        }
    }
}

fn message(input: &Input<'_>) -> Vec<u8> {
    let mut extensions = Vec::new();
    let mut add = |kind: u16, body: &[u8]| {
        extensions.extend(kind.to_be_bytes());
        extensions.extend(sized(2, body));
    };
    // What the library wants of every client: groups and signatures.
    add(10, b"\0\x02\0\x1d");
    add(13, b"\0\x02\x04\x03");
    if let Some(names) = &input.names {
        let list: Vec<u8> = names
            .iter()
            .flat_map(|(kind, name)| [vec![kind % 2], sized(2, name)].concat())
            .collect();
        add(0, &sized(2, &list));
    }
    if let Some(protocols) = &input.protocols {
        let list: Vec<u8> = protocols.iter().flat_map(|name| sized(1, name)).collect();
        add(16, &sized(2, &list));
    }
    if let Some(versions) = &input.versions {
        let list: Vec<u8> = versions.iter().flat_map(|it| it.to_be_bytes()).collect();
        add(43, &sized(1, &list));
    }
    for (kind, body) in input.extensions.iter().flatten() {
        add(*kind, body);
    }
    let suites: Vec<u8> = input
        .suites
        .iter()
        .flat_map(|it| it.to_be_bytes())
        .collect();
    let body = [
        &[3; 2 + 32][..],
        &sized(1, &input.session[..input.session.len().min(32)]),
        &sized(2, &suites),
        b"\x01\0",
        &sized(2, &extensions),
    ]
    .concat();
    [&b"\x01"[..], &sized(3, &body)].concat()
}

/// Bytes behind their number, which is written in so many.
fn sized(width: usize, bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min((1 << (8 * width)) - 1)];
    let number = (bytes.len() as u32).to_be_bytes();
    [&number[4 - width..], bytes].concat()
}

fn records(message: &[u8], most: usize) -> Vec<u8> {
    message
        .chunks(most.min(16_000))
        .flat_map(|part| [&b"\x16\x03\x01"[..], &sized(2, part)].concat())
        .collect()
}
