//! Response heads, as strict as requests: a backend may be compromised too (RFC 9112 §4, §6.3).

use super::request::{MAX_FIELDS, list_items, parse_length, span_in};
use super::{Framing, HeadLimits, Headers, Known, Method, Parsed, Version, has_strict_line_ends};

/// A response head; hop-by-hop and framing fields are already taken out.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The status, 100 to 599.
    pub status: u16,
    /// The fields.
    pub headers: Headers,
    /// The version the backend spoke.
    pub version: Version,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the upstream connection may carry another request.
    pub keep_alive: bool,
    /// What a HEAD or 304 answer announced as length; repeated to the client without a body.
    pub announced_length: Option<u64>,
    /// The protocol of a `101 Switching Protocols`.
    pub upgrade: bool,
}

/// Why a backend's answer cannot be passed on; the client gets 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not the grammar of RFC 9112.
    Malformed,
    /// More bytes or fields than allowed.
    TooLarge,
    /// Both framings, or two different lengths, or an unknown transfer coding.
    Framing,
}

impl ResponseError {
    /// A sentence for the log.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Malformed => "the backend's response head is malformed",
            Self::TooLarge => "the backend's response head is too large",
            Self::Framing => "the backend's response body is framed ambiguously",
        }
    }
}

impl ResponseHead {
    /// Forget everything, keeping the memory.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        *self = Self {
            headers,
            ..Self::default()
        };
    }

    /// Whether this is an interim answer that a final one follows.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    pub(crate) fn settle(&mut self, method: Method) -> Result<(), ResponseError> {
        let (mut length, mut chunked) = (None, false);
        let (mut close, mut keep_alive, mut nominated) = (false, false, false);
        let mut drops = false;
        for (_, value, known) in self.headers.iter() {
            match known {
                Known::Other => continue,
                Known::ContentLength => {
                    // One number repeated is one number (RFC 9110 §8.6); two numbers are an attack.
                    for item in list_items(value) {
                        let number = parse_length(item).ok_or(ResponseError::Framing)?;
                        if length.is_some_and(|seen| seen != number) {
                            return Err(ResponseError::Framing);
                        }
                        length = Some(number);
                    }
                }
                Known::TransferEncoding => {
                    if chunked
                        || self.version == Version::Http10
                        || !value.eq_ignore_ascii_case(b"chunked")
                    {
                        return Err(ResponseError::Framing);
                    }
                    chunked = true;
                }
                Known::Connection => {
                    for option in list_items(value) {
                        if option.eq_ignore_ascii_case(b"close") {
                            close = true;
                        } else if option.eq_ignore_ascii_case(b"keep-alive") {
                            keep_alive = true;
                        } else if option.eq_ignore_ascii_case(b"upgrade") {
                            self.upgrade = true;
                        } else if !option.is_empty() {
                            nominated = true;
                        }
                    }
                }
                _ if known.is_hop_by_hop() || known.is_removed_from_response() => {}
                _ => continue,
            }
            drops = true;
        }
        if chunked && length.is_some() {
            return Err(ResponseError::Framing);
        }
        self.keep_alive = !close && (self.version == Version::Http11 || keep_alive);
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        self.framing = if method == Method::Head || bodiless {
            self.announced_length = length.filter(|_| method == Method::Head || self.status == 304);
            Framing::None
        } else if chunked {
            Framing::Chunked
        } else if let Some(length) = length {
            Framing::Length(length)
        } else {
            self.keep_alive = false;
            Framing::UntilClose
        };
        // RFC 9110 §8.6, RFC 9112 §6.1: a 204 announces no body; where one is announced, some may come.
        if self.status == 204 && (chunked || length.is_some_and(|length| length > 0)) {
            self.keep_alive = false;
        }
        if drops {
            self.drop_connection_fields(nominated);
        }
        Ok(())
    }

    fn drop_connection_fields(&mut self, nominated: bool) {
        if nominated {
            let names: Vec<Vec<u8>> = self
                .headers
                .iter()
                .filter(|(_, _, known)| *known == Known::Connection)
                .flat_map(|(_, value, _)| list_items(value))
                .filter(|name| !name.is_empty() && !Known::of(name).is_protected())
                .map(<[u8]>::to_vec)
                .collect();
            for name in names {
                self.headers.remove(&name);
            }
        }
        // An `Upgrade` on anything but 101 only advertises; it concerns our connection to the backend.
        let switching = self.status == 101;
        self.headers.remove_known(|known| {
            (known.is_hop_by_hop() && !(switching && known == Known::Upgrade))
                || known == Known::ContentLength
                || known.is_removed_from_response()
        });
    }
}

/// Read a response head from the start of `bytes` into `head`, which must be clear.
///
/// # Errors
/// [`ResponseError`]: the connection to the backend is of no further use.
pub fn parse(
    bytes: &[u8],
    method: Method,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<Parsed, ResponseError> {
    // The parser would skip empty lines; before a response they are bytes that nobody asked for.
    if matches!(bytes.first(), Some(b'\r' | b'\n')) {
        return Err(ResponseError::Malformed);
    }
    let mut table = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parser = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parser,
        bytes,
        &mut table,
    );
    let len = match status {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() >= limits.head_bytes => {
            return Err(ResponseError::TooLarge);
        }
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::TooLarge),
        Err(_) => return Err(ResponseError::Malformed),
    };
    if len > limits.head_bytes {
        return Err(ResponseError::TooLarge);
    }
    let raw = &bytes[..len];
    if !has_strict_line_ends(raw) {
        return Err(ResponseError::Malformed);
    }
    let (Some(code), Some(minor)) = (parser.code, parser.version) else {
        return Err(ResponseError::Malformed);
    };
    if !(100..=599).contains(&code) {
        return Err(ResponseError::Malformed);
    }
    head.status = code;
    head.version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    head.headers.arena.extend_from_slice(raw);
    for field in parser.headers.iter() {
        let (name, value) = (
            span_in(raw, field.name.as_bytes()),
            span_in(raw, field.value),
        );
        head.headers.push_span(name, value);
    }
    head.settle(method)?;
    Ok(Parsed::Complete(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], method: Method) -> Result<ResponseHead, ResponseError> {
        let mut head = ResponseHead::default();
        match parse(bytes, method, &HeadLimits::default(), &mut head)? {
            Parsed::Complete(_) => Ok(head),
            Parsed::Partial => Err(ResponseError::Malformed),
        }
    }

    #[test]
    fn framing_follows_status_and_method() {
        let length = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: 1\r\n\r\n";
        assert_eq!(
            read(length, Method::Get).expect("valid").framing,
            Framing::Length(5)
        );
        let head = read(length, Method::Head).expect("valid");
        assert_eq!(
            (head.framing, head.announced_length),
            (Framing::None, Some(5))
        );
        assert_eq!(head.headers.len(), 1);
        let until = read(b"HTTP/1.1 200 OK\r\n\r\n", Method::Get).expect("valid");
        assert_eq!(
            (until.framing, until.keep_alive),
            (Framing::UntilClose, false)
        );
        let no_content = read(
            b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            Method::Get,
        )
        .expect("valid");
        assert_eq!(no_content.framing, Framing::None);
        assert!(no_content.keep_alive);
    }

    #[test]
    fn a_connection_with_a_body_where_none_may_be_is_not_used_again() {
        for fields in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
            let raw = format!("HTTP/1.1 204 No Content\r\n{fields}\r\n\r\n");
            let head = read(raw.as_bytes(), Method::Get).expect("valid");
            assert_eq!((head.framing, head.keep_alive), (Framing::None, false));
        }
    }

    #[test]
    fn ambiguous_answers_are_refused() {
        for raw in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(read(raw, Method::Get).err(), Some(ResponseError::Framing));
        }
        for raw in [
            &b"HTTP/1.1 200 OK\nContent-Length: 5\n\n"[..],
            b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert_eq!(read(raw, Method::Get).err(), Some(ResponseError::Malformed));
        }
    }
}
