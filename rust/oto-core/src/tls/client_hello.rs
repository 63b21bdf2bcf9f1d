//! The first message of a client, read without answering it (RFC 8446 section 4.1.2, RFC 6066
//! section 3): which server name is asked for decides the certificate, before any handshake begins.

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name, as [`asked_name`] has it.
    pub server_name: Option<String>,
    /// Protocols offered by ALPN, in the client's order.
    pub protocols: Vec<Vec<u8>>,
    /// Whether it says that it tried a later version before (RFC 7507 section 3), and yet does not
    /// offer TLS 1.3: somebody on the way wants it to speak an older one.
    pub is_downgraded: bool,
}

/// What the bytes of a connection begin with.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// More bytes are needed.
    Partial,
    /// The whole first message.
    Hello(ClientHello),
    /// No TLS, or broken.
    Malformed(&'static str),
}

/// Bytes of the message, at most: key shares of post-quantum groups fit many times.
pub const MOST_BYTES: usize = 16 * 1024;

const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const TLS13: [u8; 2] = [3, 4];
const FALLBACK_SCSV: [u8; 2] = [0x56, 0];

/// Read the opening bytes of a connection. The message may be spread over several records, and a
/// record over several reads.
#[must_use]
pub fn read(bytes: &[u8]) -> Opening {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((header, body)) = rest.split_at_checked(5) else {
            return match rest.first() {
                Some(kind) if *kind != HANDSHAKE_RECORD => Opening::Malformed("no TLS"),
                _ => Opening::Partial,
            };
        };
        if header[0] != HANDSHAKE_RECORD || header[1] != 3 {
            return Opening::Malformed("no TLS");
        }
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 || length > MOST_BYTES {
            return Opening::Malformed("a record of a forbidden length");
        }
        message.extend_from_slice(body.get(..length).unwrap_or(body));
        if let Some(kind) = message.first() {
            if *kind != CLIENT_HELLO {
                return Opening::Malformed("the first message is no ClientHello");
            }
        }
        if let Some([_, a, b, c]) = message.first_chunk::<4>() {
            let wanted = 4 + (usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c));
            if wanted > MOST_BYTES {
                return Opening::Malformed("a ClientHello that is too long");
            }
            if let Some(hello) = message.get(4..wanted) {
                return parse(hello).map_or(
                    Opening::Malformed("a ClientHello that cannot be read"),
                    Opening::Hello,
                );
            }
        }
        match body.get(length..) {
            Some(next) => rest = next,
            None => return Opening::Partial,
        }
    }
}

/// Takes parts off the front of some bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        let taken = self.take(bytes)?;
        Some(
            taken
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    }

    /// A vector with a length of so many bytes before it.
    fn vector(&mut self, length_bytes: usize) -> Option<Self> {
        let length = self.number(length_bytes)?;
        self.take(length).map(Self)
    }

    /// Nothing is left.
    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn parse(hello: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader(hello);
    let mut found = ClientHello::default();
    reader.take(2 + 32)?;
    reader.vector(1)?;
    let suites = reader.vector(2)?.0;
    found.is_downgraded = suites.chunks_exact(2).any(|suite| suite == FALLBACK_SCSV);
    reader.vector(1)?;
    if reader.0.is_empty() {
        return Some(found);
    }
    let mut extensions = reader.vector(2)?;
    reader.end()?;
    let mut kinds = Vec::new();
    while !extensions.0.is_empty() {
        let kind = u16::try_from(extensions.number(2)?).ok()?;
        let mut body = extensions.vector(2)?;
        kinds.push(kind);
        match kind {
            SUPPORTED_VERSIONS => {
                let versions = body.vector(1)?.0;
                found.is_downgraded &= !versions.chunks_exact(2).any(|version| version == TLS13);
            }
            SERVER_NAME => found.server_name = server_name(body)?,
            ALPN => {
                let mut list = body.vector(2)?;
                body.end()?;
                while !list.0.is_empty() {
                    found.protocols.push(list.vector(1)?.0.to_vec());
                }
            }
            _ => {}
        }
    }
    // Who reads the first of two and who reads the last would not agree (RFC 8446 section 4.2).
    kinds.sort_unstable();
    let is_once = kinds.windows(2).all(|pair| pair[0] != pair[1]);
    is_once.then_some(found)
}

/// The host name of the list; none when there is none, or an address; nothing when it is broken or there are two.
#[allow(clippy::option_option)] // broken, absent and there are three things
fn server_name(mut body: Reader<'_>) -> Option<Option<String>> {
    let mut list = body.vector(2)?;
    body.end()?;
    let mut found = None;
    while !list.0.is_empty() {
        if list.number(1)? != 0 {
            // Nobody knows how long a name of another kind is: what is behind its kind is not read.
            break;
        }
        if found.replace(list.vector(2)?.0).is_some() {
            return None;
        }
    }
    let Some(name) = found else {
        return Some(None);
    };
    asked_name(std::str::from_utf8(name).ok()?).ok()
}

/// The server name that a client asks for: in lower case, without a final dot. None when it sends an address, which is no
/// name, though some clients send one (RFC 6066 section 3).
///
/// # Errors
/// It is neither.
pub fn asked_name(text: &str) -> Result<Option<String>, &'static str> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(None);
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if text.len() > 253 || !bare.split('.').all(is_label) {
        return Err("a server name that is none");
    }
    Ok(Some(bare.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ClientHello with these extensions, in one record.
    fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend((data.len() as u16).to_be_bytes());
            list.extend(data);
        }
        body.extend((list.len() as u16).to_be_bytes());
        body.extend(list);
        let mut message = vec![1, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        records(&message, usize::MAX)
    }

    fn records(message: &[u8], most: usize) -> Vec<u8> {
        let parts = message.chunks(most.min(message.len()));
        parts
            .flat_map(|part| {
                let mut record = vec![22, 3, 1];
                record.extend((part.len() as u16).to_be_bytes());
                record.extend(part);
                record
            })
            .collect()
    }

    fn sni(name: &[u8]) -> (u16, Vec<u8>) {
        let mut data = ((name.len() + 3) as u16).to_be_bytes().to_vec();
        data.push(0);
        data.extend((name.len() as u16).to_be_bytes());
        data.extend(name);
        (0, data)
    }

    #[test]
    fn name_and_protocols_are_read() {
        let bytes = hello(&[sni(b"API.oto.tools."), (16, b"\x00\x03\x02h2".to_vec())]);
        let Opening::Hello(found) = read(&bytes) else {
            panic!("a whole hello")
        };
        assert_eq!(found.server_name.as_deref(), Some("api.oto.tools"));
        assert_eq!(found.protocols, [b"h2"]);
        for address in ["127.0.0.1", "::1", "2001:DB8::1", "::ffff:192.0.2.1"] {
            let Opening::Hello(found) = read(&hello(&[sni(address.as_bytes())])) else {
                panic!("a whole hello with {address}")
            };
            assert_eq!(found.server_name, None, "{address}");
        }
    }

    #[test]
    fn every_prefix_is_partial_and_fragments_join() {
        let whole = hello(&[sni(b"a.b")]);
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), Opening::Partial, "{end} bytes");
        }
        let fragmented = records(&whole[5..], 1);
        assert_eq!(read(&fragmented), read(&whole));
        for end in 0..fragmented.len() {
            assert_eq!(read(&fragmented[..end]), Opening::Partial);
        }
    }

    #[test]
    fn what_is_no_hello_is_told() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x02\x00\x00\x05",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x00\x01\x02",
            b"\x16\x03\x01\x00\x04\x01\x01\x00\x00",
        ] {
            assert!(matches!(read(bytes), Opening::Malformed(_)), "{bytes:?}");
        }
        for name in [
            &b"a b"[..],
            b"",
            b"a\0b",
            &[b'a'; 300],
            b".",
            b"a..",
            b"a..b",
            b".a",
            b"[::1]",
            b"fe80::1%lo",
            b"a:443",
        ] {
            assert!(matches!(read(&hello(&[sni(name)])), Opening::Malformed(_)));
        }
    }

    #[test]
    fn names_behind_one_of_another_kind_are_not_read() {
        let (kind, body) = sni(b"a.b");
        let name_of = |list: &[u8]| {
            let body = [&(list.len() as u16).to_be_bytes()[..], list].concat();
            match read(&hello(&[(kind, body)])) {
                Opening::Hello(found) => found.server_name,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(name_of(&[b"\x01\x00\x01c", &body[2..]].concat()), None);
        let name = name_of(&[&body[2..], &b"\x01\x00\x01c"[..]].concat());
        assert_eq!(name.as_deref(), Some("a.b"));
    }

    #[test]
    fn a_hello_that_two_could_read_differently_is_refused() {
        let (one, other) = (sni(b"a.b"), sni(b"c.d"));
        let both = [&one.1[2..], &other.1[2..]].concat();
        let two_names = [&(both.len() as u16).to_be_bytes()[..], &both].concat();
        let protocols = (ALPN, b"\x00\x03\x02h2".to_vec());
        let longer = |(kind, body): &(u16, Vec<u8>)| (*kind, [body, &b"x"[..]].concat());
        for extensions in [
            vec![one.clone(), other],
            vec![one.clone(), one.clone()],
            vec![protocols.clone(), protocols.clone()],
            vec![(7, Vec::new()), (7, Vec::new())],
            vec![(SERVER_NAME, two_names)],
            vec![longer(&one)],
            vec![longer(&protocols)],
        ] {
            let read = read(&hello(&extensions));
            assert!(matches!(read, Opening::Malformed(_)), "{extensions:?}");
        }
        let mut longer = hello(&[one])[5..].to_vec();
        longer.push(0);
        longer[3] += 1;
        let read = read(&records(&longer, usize::MAX));
        assert!(matches!(read, Opening::Malformed(_)), "{read:?}");
    }

    #[test]
    fn no_garbage_panics() {
        let whole = hello(&[sni(b"a.b"), (16, b"\x00\x03\x02h2".to_vec())]);
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                std::hint::black_box(read(&bytes));
            }
        }
    }
}
