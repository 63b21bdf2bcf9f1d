//! Invariant: the token that is found at a place is the only one that a backend could find there, however leniently it reads; where
//! it could find several, or one that is no text, it is none that could be good. One that is put there is found, and nothing
//! is where it was taken away.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use oto_core::http1::{HeadLimits, Request, ResponseHead, Version};
use oto_core::jwt::{Injection, Source};
use oto_core::plan::{Downstream, Flow, Moment, Snapshot};

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Place {
    Query,
    Header,
    Cookie,
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    place: Place,
    name: &'a str,
    remove: &'a str,
    query: &'a str,
    fields: Vec<(bool, &'a [u8])>,
    pairs: Vec<(Vec<Part>, Vec<Part>)>,
    token: [u8; 3],
}

/// What names and values of pairs are made of.
#[derive(Arbitrary, Debug)]
enum Part {
    Name,
    Letter(u8),
    Octet(u8),
    Escape(u8),
    /// An escape of something that is no number, as it seems.
    Broken(u8, u8),
}

impl Part {
    fn write(&self, name: &str, out: &mut Vec<u8>) {
        match *self {
            Self::Name => out.extend_from_slice(name.as_bytes()),
            Self::Letter(octet) => out.push(letter(octet) as u8),
            Self::Octet(octet) => out.push(octet),
            Self::Escape(octet) => out.extend_from_slice(format!("%{octet:02x}").as_bytes()),
            Self::Broken(one, other) => out.extend([b'%', printable(one), printable(other)]),
        }
    }
}

static NOTHING: LazyLock<Arc<Snapshot>> = LazyLock::new(Arc::default);

fuzz_target!(|input: Input<'_>| {
    let kind = match input.place {
        Place::Query => "InQueryParam",
        Place::Header => "InHeader",
        Place::Cookie => "InCookie",
    };
    let name = match input.name {
        "" => "tok",
        name => name,
    };
    let json = serde_json::json!({"type": kind, "name": name, "remove": input.remove});
    let Ok(source) = Source::read(&json) else {
        return;
    };
    let mut query = input.query.as_bytes().to_vec();
    let mut line = Vec::new();
    for (left, right) in &input.pairs {
        let mut pair = Vec::new();
        left.iter().for_each(|part| part.write(name, &mut pair));
        pair.push(b'=');
        right.iter().for_each(|part| part.write(name, &mut pair));
        query.extend([b"&", &*pair].concat());
        line.extend([&*pair, b"; "].concat());
    }
    let field = match input.place {
        Place::Header => name.as_bytes(),
        _ => b"cookie",
    };
    let mut fields: Vec<(&[u8], &[u8])> = vec![(b"host", b"a.b")];
    for (is_there, value) in &input.fields {
        fields.push((if *is_there { field } else { b"x-other" }, value));
    }
    if input.place == Place::Cookie && !line.is_empty() {
        fields.push((b"cookie", &line));
    }
    let target = [b"/?", &*query].concat();
    let limits = HeadLimits::default();
    let request = Request::from_parts(
        b"GET",
        &target,
        fields.into_iter(),
        Version::Http11,
        &limits,
    );
    let Ok(request) = request else { return };
    let found = source.find(&request);
    let seen = match input.place {
        Place::Query => in_query(request.query().unwrap_or_default().as_bytes(), name),
        Place::Cookie => in_cookies(&request, name),
        Place::Header => in_header(&request, name),
    };
    match (found.as_deref(), &*seen) {
        (None, seen) => assert_eq!(seen, &[] as &[Vec<u8>]),
        (Some(""), seen) => assert!(!seen.is_empty()),
        (Some(found), [one]) => assert_eq!(found, taken_off(&source, one)),
        (Some(found), more) => panic!("{found:?} of {more:?}"),
    }
    let token: String = input.token.iter().map(|octet| letter(*octet)).collect();
    put_and_taken_away(&source, request, &token);
});

/// A letter of those that tokens are made of.
fn letter(octet: u8) -> char {
    const LETTERS: &[u8; 65] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    char::from(LETTERS[usize::from(octet) % 65])
}

fn printable(octet: u8) -> u8 {
    b'!' + octet % (b'~' - b'!' + 1)
}

/// The values of that name, with every escape that is one undone, and the others as they stand.
fn in_query(query: &[u8], name: &str) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    for pair in query.split(|octet| *octet == b'&') {
        let Some(at) = pair.iter().position(|octet| *octet == b'=') else {
            continue;
        };
        if leniently(&pair[..at]) == name.as_bytes() {
            seen.push(leniently(&pair[at + 1..]));
        }
    }
    seen
}

fn leniently(escaped: &[u8]) -> Vec<u8> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16);
    let mut out = Vec::new();
    let mut rest = escaped;
    loop {
        match rest {
            [b'%', a, b, behind @ ..] if digit(a).is_some() && digit(b).is_some() => {
                out.push((16 * digit(a).unwrap_or(0) + digit(b).unwrap_or(0)) as u8);
                rest = behind;
            }
            [octet, behind @ ..] => {
                out.push(*octet);
                rest = behind;
            }
            [] => return out,
        }
    }
}

fn in_cookies(request: &Request, name: &str) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    for (field, value, _) in request.headers.iter() {
        if !field.eq_ignore_ascii_case(b"cookie") {
            continue;
        }
        for pair in value.split(|octet| *octet == b';') {
            let Some(at) = pair.iter().position(|octet| *octet == b'=') else {
                continue;
            };
            // What is a space to one, with the table of Latin-1 or without, is none to another.
            let is_space = |octet: &u8| !(b'!'..=b'~').contains(octet);
            let mut written = &pair[..at];
            while written.first().is_some_and(is_space) {
                written = &written[1..];
            }
            while written.last().is_some_and(is_space) {
                written = &written[..written.len() - 1];
            }
            if written == name.as_bytes() {
                seen.push(pair[at + 1..].trim_ascii().to_vec());
            }
        }
    }
    seen
}

fn in_header(request: &Request, name: &str) -> Vec<Vec<u8>> {
    let fields = request.headers.iter();
    fields
        .filter(|(field, _, _)| field.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value, _)| value.to_vec())
        .collect()
}

/// What a value is without what is to be taken off it.
fn taken_off(source: &Source, value: &[u8]) -> String {
    let value = std::str::from_utf8(value).expect("what is no text is no token");
    match source {
        Source::Query(_) => value.to_owned(),
        Source::Cookie(_) => value.trim_matches('"').to_owned(),
        Source::Header {
            pattern: Some(pattern),
            ..
        } => pattern.replace_all(value, "").trim().to_owned(),
        Source::Header { remove, .. } => {
            value.split(&**remove).collect::<String>().trim().to_owned()
        }
    }
}

fn put_and_taken_away(source: &Source, request: Request, token: &str) {
    let downstream = Downstream {
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
        secured: false,
        listener: Arc::from("standard-listener"),
        is_exclusive: false,
        client_cert: None,
    };
    let moment = Moment {
        mono_s: 5.0,
        unix_s: 1_700_000_000.0,
        random: 0,
    };
    let snapshot = Arc::clone(&NOTHING);
    let mut flow = Flow::begin(
        1,
        request,
        ResponseHead::default(),
        downstream,
        snapshot,
        moment,
    );
    source.inject(token).apply(&mut flow);
    let found = source.find(&flow.request);
    let mut gone = Injection::default();
    match source {
        Source::Query(_) => return,
        Source::Cookie(name) => {
            // Cookies beside it that no field may hold were not sent at all.
            if let Some(found) = &found {
                assert_eq!(found, token);
            }
            gone.remove_cookies.push(name.clone());
        }
        Source::Header {
            name,
            remove,
            pattern,
        } => {
            let is_twice = format!("{remove}{token}").matches(&**remove).count() > 1;
            // No field holds a control character, and nothing tells a space at its front.
            let is_sent = !remove.contains(char::is_control) && !remove.trim().is_empty();
            if pattern.is_none() && !is_twice && is_sent {
                assert_eq!(found.as_deref(), Some(token));
            }
            gone.remove_headers.push(name.clone());
        }
    }
    drop(found);
    gone.apply(&mut flow);
    assert_eq!(source.find(&flow.request), None);
}
