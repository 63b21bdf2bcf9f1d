//! Request heads: one strict reading, one canonical request (RFC 9112 §2 to §6).

use super::authority::{domain_length, split_absolute};
use super::canonical::{self, TargetError};
pub use super::head_error::HeadError;
use super::upgrade::is_opaque_protocol;
use super::{Framing, Headers, Known, Parsed, Span, has_strict_line_ends};

/// Bounds on a head, in bytes and fields.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Request line and fields together, line ends included.
    pub head_bytes: usize,
    /// Bytes of the request target alone.
    pub target_bytes: usize,
    /// Number of fields.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 16 * 1024,
            fields: 100,
        }
    }
}

/// The largest number of fields any limit may ask for: the parser's stack table.
pub const MAX_FIELDS: usize = 256;

/// The protocol version a message was sent with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2, decoded elsewhere.
    Http2,
    /// HTTP/3, decoded elsewhere.
    Http3,
}

impl Version {
    /// The version as Otoroshi and logs write it: `1.1`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2.0",
            Self::Http3 => "3.0",
        }
    }
}

/// Request methods the engine itself tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// GET
    #[default]
    Get,
    /// HEAD
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// TRACE
    Trace,
    /// CONNECT, always refused.
    Connect,
    /// Any other token, PATCH among them.
    Other,
}

impl Method {
    fn of(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Whether repeating the request is the same as sending it once (RFC 9110 §9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        matches!(
            self,
            Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace
        )
    }
}

/// A request head in canonical form. Everything that routes, decides or forwards reads this one.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The fields, hop-by-hop ones already removed.
    pub headers: Headers,
    /// The method, told apart.
    pub method: Method,
    /// The version the client spoke.
    pub version: Version,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the connection may serve another request.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// Whether the target is `*`.
    pub is_asterisk: bool,
    method_text: Span,
    path: Span,
    query: Option<Span>,
    host: Span,
    domain: Span,
    upgrade: Option<Span>,
}

impl Request {
    /// The method as sent.
    #[must_use]
    pub fn method_text(&self) -> &str {
        text(self.method_text.of(&self.headers.arena))
    }

    /// The canonical path, `/` at least.
    #[must_use]
    pub fn path(&self) -> &str {
        text(self.path.of(&self.headers.arena))
    }

    /// The query without `?`; none when the target has no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.map(|span| text(span.of(&self.headers.arena)))
    }

    /// The host with its port, as sent; empty for HTTP/1.0 without `Host`.
    #[must_use]
    pub fn host(&self) -> &str {
        text(self.host.of(&self.headers.arena))
    }

    /// The host in lower case, without port.
    #[must_use]
    pub fn domain(&self) -> &str {
        text(self.domain.of(&self.headers.arena))
    }

    /// The protocol the client asks to change to, if it asks.
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|span| span.of(&self.headers.arena))
    }

    /// Whether the request has, or may have, a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        !matches!(self.framing, Framing::None | Framing::Length(0))
    }

    /// Let a trusted proxy's `X-Forwarded-Host` name the host, when it is a valid one.
    pub fn trust_forwarded_host(&mut self) {
        let Some(value) = self.headers.find_known(Known::XForwardedHost) else {
            return;
        };
        let first = value
            .split(|byte| *byte == b',')
            .next()
            .unwrap_or(b"")
            .trim_ascii();
        let Some(domain_len) = domain_length(first) else {
            return;
        };
        let first = first.to_vec();
        self.host = self.headers.append_bytes(&first);
        self.domain = self
            .headers
            .append_bytes(&first[..domain_len].to_ascii_lowercase());
    }

    /// Put another query in place, or none. It must be canonical: printable ASCII without `#` or space.
    pub fn set_query(&mut self, query: Option<&str>) {
        self.query = query.map(|query| self.headers.append_bytes(query.as_bytes()));
    }

    /// Forget everything, keeping the memory.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        *self = Self {
            headers,
            ..Self::default()
        };
    }

    /// Build a request from parts already decoded (HTTP/2, HTTP/3, dry runs).
    ///
    /// # Errors
    /// [`HeadError`] under the same rules as [`parse`], framing and hop-by-hop fields included.
    pub fn from_parts<'a>(
        method: &[u8],
        target: &[u8],
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        version: Version,
        limits: &HeadLimits,
    ) -> Result<Self, HeadError> {
        let mut request = Self::default();
        if !super::headers::is_name(method) {
            return Err(HeadError::Malformed);
        }
        let method_span = request.headers.append_bytes(method);
        let target_span = request.headers.append_bytes(target);
        for (name, value) in fields {
            if !super::headers::is_name(name) || !super::headers::is_value(value) {
                return Err(HeadError::Malformed);
            }
            let name = request.headers.append_bytes(name);
            let value = request.headers.append_bytes(value.trim_ascii());
            request.headers.push_span(name, value);
        }
        if request.headers.len() > limits.fields {
            return Err(HeadError::TooManyFields);
        }
        if request.headers.arena.len() > limits.head_bytes {
            return Err(HeadError::HeadTooLarge);
        }
        request.version = version;
        request.settle(method_span, target_span, limits)?;
        Ok(request)
    }

    /// Derive what the fields say, and take away what concerns one connection only.
    fn settle(&mut self, method: Span, target: Span, limits: &HeadLimits) -> Result<(), HeadError> {
        self.method_text = method;
        self.method = Method::of(method.of(&self.headers.arena));
        if self.method == Method::Connect {
            return Err(HeadError::Connect);
        }
        if target.len as usize > limits.target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        if self.headers.has_lookalike() {
            return Err(HeadError::Lookalike);
        }
        let facts = self.read_fields()?;
        self.read_target(target)?;
        self.read_host(facts.host)?;
        if facts.drops_fields {
            self.drop_connection_fields(facts.drops_nominated)?;
        }
        Ok(())
    }

    fn read_fields(&mut self) -> Result<Facts, HeadError> {
        let mut facts = Facts::default();
        let (mut length, mut chunked, mut close, mut keep_alive, mut upgrades) =
            (None, false, false, false, false);
        let (mut upgrade, mut wishes) = (None, 0);
        let is_old = self.version == Version::Http10;
        for (_, value, known) in self.headers.iter() {
            match known {
                Known::Other => continue,
                Known::Host => {
                    if facts
                        .host
                        .replace(span_in(&self.headers.arena, value))
                        .is_some()
                    {
                        return Err(HeadError::Host);
                    }
                    continue;
                }
                Known::ContentLength => {
                    let parsed = parse_length(value).ok_or(HeadError::ContentLength)?;
                    if length.replace(parsed).is_some() {
                        return Err(HeadError::AmbiguousFraming);
                    }
                }
                Known::TransferEncoding => {
                    if chunked {
                        return Err(HeadError::AmbiguousFraming);
                    }
                    if is_old || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(HeadError::TransferEncoding);
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
                            upgrades = true;
                        } else if !option.is_empty() {
                            facts.drops_nominated = true;
                        }
                    }
                }
                Known::Upgrade => {
                    upgrade = Some(span_in(&self.headers.arena, value));
                    wishes += 1;
                }
                Known::Expect => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(HeadError::Expectation);
                    }
                    self.expects_continue = !is_old;
                }
                _ if known.is_hop_by_hop() => {}
                _ => continue,
            }
            facts.drops_fields = true;
        }
        self.framing = match (length, chunked) {
            (Some(_), true) => return Err(HeadError::AmbiguousFraming),
            (None, true) => Framing::Chunked,
            (Some(length), false) => Framing::Length(length),
            (None, false) => Framing::None,
        };
        self.expects_continue &= self.has_body();
        let may_upgrade = upgrades && wishes == 1 && !is_old && !self.has_body();
        self.upgrade =
            upgrade.filter(|wish| may_upgrade && is_opaque_protocol(wish.of(&self.headers.arena)));
        self.keep_alive = !close && (!is_old || keep_alive);
        Ok(facts)
    }

    fn read_target(&mut self, target: Span) -> Result<(), HeadError> {
        let bytes = target.of(&self.headers.arena);
        if bytes == b"*" && self.method == Method::Options {
            self.is_asterisk = true;
            self.path = self.headers.append_bytes(b"/");
            return Ok(());
        }
        let start = target.start as usize;
        let (authority, origin) = split_absolute(bytes)?;
        let (authority_len, origin_at) = (authority.len(), bytes.len() - origin.len());
        if authority_len > 0 {
            self.host = Span::new(start + origin_at - authority_len, authority_len);
        }
        let mark = memchr::memchr(b'?', origin);
        let (path_len, query_len) = match mark {
            Some(at) => (at, origin.len() - at - 1),
            None => (origin.len(), 0),
        };
        let path = Span::new(start + origin_at, path_len);
        let query = mark.map(|at| Span::new(start + origin_at + at + 1, query_len));
        self.path = if path.is_empty() && authority_len > 0 {
            self.headers.append_bytes(b"/")
        } else if canonical::is_canonical_path(path.of(&self.headers.arena)) {
            path
        } else {
            self.rewritten(path, canonical::canonical_path)?
        };
        self.query = match query {
            Some(query) if !canonical::is_canonical_query(query.of(&self.headers.arena)) => {
                Some(self.rewritten(query, canonical::canonical_query)?)
            }
            query => query,
        };
        Ok(())
    }

    fn rewritten(
        &mut self,
        span: Span,
        rewrite: fn(&[u8], &mut Vec<u8>) -> Result<(), TargetError>,
    ) -> Result<Span, HeadError> {
        let mut out = Vec::with_capacity(span.len as usize + 16);
        rewrite(span.of(&self.headers.arena), &mut out).map_err(HeadError::Target)?;
        Ok(self.headers.append_bytes(&out))
    }

    fn read_host(&mut self, field: Option<Span>) -> Result<(), HeadError> {
        let arena = &self.headers.arena;
        match field {
            // The target's authority wins (RFC 9112 §3.2.2); a client must send the same Host,
            // and one that does not is trying to be read two ways.
            Some(field) if self.host.is_empty() => self.host = field,
            Some(field) if self.host.of(arena).eq_ignore_ascii_case(field.of(arena)) => {}
            Some(_) => return Err(HeadError::Host),
            None if self.version == Version::Http11 => return Err(HeadError::Host),
            None => {}
        }
        let host = self.host.of(arena);
        if host.is_empty() {
            return if self.version == Version::Http10 {
                Ok(())
            } else {
                Err(HeadError::Host)
            };
        }
        let domain_len = domain_length(host).ok_or(HeadError::Host)?;
        let domain = Span::new(self.host.start as usize, domain_len);
        self.domain = if domain.of(arena).iter().any(u8::is_ascii_uppercase) {
            let lower = domain.of(arena).to_ascii_lowercase();
            self.headers.append_bytes(&lower)
        } else {
            domain
        };
        Ok(())
    }

    fn drop_connection_fields(&mut self, nominated: bool) -> Result<(), HeadError> {
        if nominated {
            let names: Vec<Vec<u8>> = self
                .headers
                .iter()
                .filter(|(_, _, known)| *known == Known::Connection)
                .flat_map(|(_, value, _)| list_items(value))
                .filter(|name| {
                    !name.is_empty()
                        && ![&b"close"[..], b"keep-alive", b"upgrade"]
                            .iter()
                            .any(|option| option.eq_ignore_ascii_case(name))
                })
                .map(<[u8]>::to_vec)
                .collect();
            for name in names {
                if Known::of(&name).is_protected() {
                    return Err(HeadError::Connection);
                }
                self.headers.remove(&name);
            }
        }
        self.headers.remove_known(|known| {
            known.is_hop_by_hop() || matches!(known, Known::ContentLength | Known::Expect)
        });
        Ok(())
    }
}

#[derive(Default)]
struct Facts {
    host: Option<Span>,
    drops_fields: bool,
    drops_nominated: bool,
}

/// Read a request head from the start of `bytes` into `request`, which must be clear.
///
/// Returns how many bytes the head took, one leading empty line included (RFC 9112 §2.2).
///
/// # Errors
/// [`HeadError`]: answer it and close; `request` is then in no particular state.
pub fn parse(
    bytes: &[u8],
    limits: &HeadLimits,
    request: &mut Request,
) -> Result<Parsed, HeadError> {
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let input = &bytes[skipped..];
    if matches!(input.first(), Some(b'\r' | b'\n')) && input != b"\r" {
        return Err(HeadError::LineEnd);
    }
    let mut table = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let fields = limits.fields.min(MAX_FIELDS);
    let mut parser = httparse::Request::new(&mut []);
    let status = parser.parse_with_uninit_headers(input, &mut table[..fields]);
    let len = match status {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => {
            if input.len() >= limits.head_bytes {
                return Err(too_large(input, limits));
            }
            // A bare CR or LF never becomes right by more bytes; a CR at the very end may.
            let end = input.len() - usize::from(input.last() == Some(&b'\r'));
            return if has_strict_line_ends(&input[..end]) {
                Ok(Parsed::Partial)
            } else {
                Err(HeadError::LineEnd)
            };
        }
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooManyFields),
        Err(httparse::Error::Version) => return Err(HeadError::Version),
        Err(_) => return Err(HeadError::Malformed),
    };
    if len > limits.head_bytes {
        return Err(too_large(input, limits));
    }
    let head = &input[..len];
    if !has_strict_line_ends(head) {
        return Err(HeadError::LineEnd);
    }
    let (Some(method), Some(target), Some(minor)) = (parser.method, parser.path, parser.version)
    else {
        return Err(HeadError::Malformed);
    };
    request.headers.arena.extend_from_slice(head);
    request.version = if minor == 0 {
        Version::Http10
    } else {
        Version::Http11
    };
    for field in parser.headers.iter() {
        let name = span_in(head, field.name.as_bytes());
        let value = span_in(head, field.value);
        request.headers.push_span(name, value);
    }
    let (method, target) = (
        span_in(head, method.as_bytes()),
        span_in(head, target.as_bytes()),
    );
    request.settle(method, target, limits)?;
    Ok(Parsed::Complete(skipped + len))
}

/// What is too large: the fields, or the request line alone. However the bytes are cut into reads.
fn too_large(input: &[u8], limits: &HeadLimits) -> HeadError {
    match memchr::memchr(b'\n', &input[..limits.head_bytes]) {
        Some(_) => HeadError::HeadTooLarge,
        None => HeadError::TargetTooLong,
    }
}

/// Where `part`, a slice of `whole`, lies in it.
pub(super) fn span_in(whole: &[u8], part: &[u8]) -> Span {
    let at = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if at + part.len() <= whole.len() {
        Span::new(at, part.len())
    } else {
        Span::default()
    }
}

/// A `Content-Length`: digits only, within 63 bits (RFC 9110 §8.6).
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(value).ok()?.parse::<u64>().ok()?;
    (number <= i64::MAX as u64).then_some(number)
}

/// The items of a comma-separated field value, trimmed.
pub(super) fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn text(bytes: &[u8]) -> &str {
    // Every span read as text was checked to be ASCII when the head was parsed.
    std::str::from_utf8(bytes).unwrap_or("")
}

#[cfg(test)]
mod tests;
