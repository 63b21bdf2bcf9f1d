//! Messages that come and go as fields and data: HTTP/2 and HTTP/3 (RFC 9113 section 8, RFC 9114 section 4).
//!
//! The framing of such messages is decoded elsewhere. Here their fields become the one canonical
//! [`Request`] that everything else reads, and a [`ResponseHead`] becomes fields again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::fields::FieldBlock;
use crate::http1::encode::is_private_trailer;
use crate::http1::headers::{is_token_byte, is_value};
use crate::http1::request::HeadError;
use crate::http1::response::ResponseError;
use crate::http1::{Framing, HeadLimits, Known, Method, Request, ResponseHead, Version};

/// Why no exchange begins for a block of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The message is malformed (RFC 9113 section 8.1.1): the stream is reset, with this said to an operator.
    Malformed(&'static str),
    /// The message is well-formed, and refused as a request of any version would be.
    Refused(HeadError),
}

/// What a client asks for with an extended CONNECT (RFC 8441, RFC 9220).
const WEBSOCKET: &[u8] = b"websocket";

#[derive(Default)]
struct Pseudo<'a> {
    method: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
    authority: Option<&'a [u8]>,
    path: Option<&'a [u8]>,
    protocol: Option<&'a [u8]>,
}

impl<'a> Pseudo<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), StreamError> {
        let slot = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" => &mut self.protocol,
            _ => {
                return Err(StreamError::Malformed(
                    "a pseudo-field that requests do not have",
                ));
            }
        };
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(StreamError::Malformed("a pseudo-field twice")),
        }
    }
}

/// Whether a name may stand in HTTP/2 and HTTP/3: a token in lower case.
fn is_lower_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|byte| is_token_byte(*byte) && !byte.is_ascii_uppercase())
}

fn is_padded(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.first()) || is_space(value.last())
}

fn check_field(name: &[u8], value: &[u8]) -> Result<(), StreamError> {
    if !is_lower_name(name) {
        return Err(StreamError::Malformed(
            "a field name that is no token in lower case",
        ));
    }
    if !is_value(value) || is_padded(value) {
        return Err(StreamError::Malformed(
            "a field value with control characters or space around it",
        ));
    }
    match Known::of(name) {
        Known::Connection | Known::TransferEncoding | Known::Upgrade => Err(
            StreamError::Malformed("a field that concerns one connection"),
        ),
        Known::HopByHop if matches!(name, b"keep-alive" | b"proxy-connection") => Err(
            StreamError::Malformed("a field that concerns one connection"),
        ),
        Known::HopByHop if name == b"te" && !value.eq_ignore_ascii_case(b"trailers") => {
            Err(StreamError::Malformed("a TE other than trailers"))
        }
        _ => Ok(()),
    }
}

/// The canonical request of a block of fields. `ends` says that no body follows.
///
/// An extended CONNECT for a WebSocket becomes the GET with `Upgrade` that it stands for, with `nonce` as its key.
///
/// # Errors
/// [`StreamError`]: whether to reset the stream or to answer.
pub fn request(
    block: &FieldBlock,
    ends: bool,
    version: Version,
    limits: &HeadLimits,
    nonce: u128,
) -> Result<Request, StreamError> {
    let mut pseudo = Pseudo::default();
    let mut regular = 0;
    let mut cookies: Vec<u8> = Vec::new();
    let mut crumbs = 0;
    for (name, value) in block.iter() {
        if name.first() == Some(&b':') {
            if regular > 0 {
                return Err(StreamError::Malformed("a pseudo-field behind other fields"));
            }
            if !is_value(value) {
                return Err(StreamError::Malformed(
                    "a pseudo-field with control characters",
                ));
            }
            pseudo.take(name, value)?;
            continue;
        }
        regular += 1;
        check_field(name, value)?;
        if name == b"cookie" {
            // One field again: HTTP/1.1 has one (RFC 9113 section 8.2.3).
            if crumbs > 0 {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value);
            crumbs += 1;
        }
    }
    let method = pseudo.method.ok_or(StreamError::Malformed("no :method"))?;
    let is_websocket = match (method, pseudo.protocol) {
        (b"CONNECT", Some(protocol)) if protocol == WEBSOCKET => true,
        (b"CONNECT", _) => return Err(StreamError::Refused(HeadError::Connect)),
        (_, Some(_)) => {
            return Err(StreamError::Malformed(":protocol without CONNECT"));
        }
        _ => false,
    };
    match pseudo.scheme {
        Some(b"http" | b"https") => {}
        Some(_) => {
            return Err(StreamError::Malformed(
                "a :scheme other than http and https",
            ));
        }
        None => return Err(StreamError::Malformed("no :scheme")),
    }
    let path = pseudo.path.ok_or(StreamError::Malformed("no :path"))?;
    if path.first() != Some(&b'/') && !(path == b"*" && method == b"OPTIONS") {
        return Err(StreamError::Malformed("a :path that is no path"));
    }
    if pseudo.authority == Some(b"") {
        return Err(StreamError::Malformed("an empty :authority"));
    }
    let is_other = |(name, value): (&[u8], &[u8])| {
        name == b"host"
            && pseudo
                .authority
                .is_some_and(|authority| !authority.eq_ignore_ascii_case(value))
    };
    if block.iter().any(is_other) {
        return Err(StreamError::Malformed("an :authority and another host"));
    }
    let host = pseudo.authority;
    let own = host.map(|host| (&b"host"[..], host));
    let is_repeated = pseudo.authority.is_some();
    let joined = (crumbs > 0).then_some((&b"cookie"[..], &cookies[..]));
    let key = is_websocket.then(|| BASE64.encode(nonce.to_be_bytes()));
    let upgrade = key.as_ref().map(|key| {
        [
            (&b"connection"[..], &b"Upgrade"[..]),
            (b"upgrade", WEBSOCKET),
            (b"sec-websocket-key", key.as_bytes()),
        ]
    });
    let fields = own
        .into_iter()
        .chain(block.iter().filter(|(name, _)| {
            name.first() != Some(&b':')
                && *name != b"cookie"
                && !(is_websocket && *name == b"sec-websocket-key")
                && !(is_repeated && *name == b"host")
        }))
        .chain(joined)
        .chain(upgrade.into_iter().flatten());
    let method = if is_websocket { b"GET" } else { method };
    // Two hosts without an :authority are found by the common rules.
    let mut request =
        Request::from_parts(method, path, fields, version, limits).map_err(StreamError::Refused)?;
    match (ends || is_websocket, request.framing) {
        (true, Framing::Length(length)) if length > 0 => {
            return Err(StreamError::Malformed(
                "a Content-Length for a body that does not come",
            ));
        }
        (true, _) => request.framing = Framing::None,
        (false, Framing::None) => request.framing = Framing::Chunked,
        (false, _) => {}
    }
    // The common rules looked for it before the body was known; any other value is refused there.
    request.expects_continue = block.find(b"expect").is_some() && request.has_body();
    Ok(request)
}

/// The fields of trailers, as lines ended by CR LF.
///
/// # Errors
/// What is malformed.
pub fn trailer_lines(block: &FieldBlock) -> Result<Vec<u8>, StreamError> {
    let mut lines = Vec::with_capacity(block.list_size());
    for (name, value) in block.iter() {
        if name.first() == Some(&b':') {
            return Err(StreamError::Malformed("a pseudo-field in trailers"));
        }
        check_field(name, value)?;
        lines.extend_from_slice(name);
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value);
        lines.extend_from_slice(b"\r\n");
    }
    Ok(lines)
}

/// Trailer lines as fields; none when nothing of them may be passed on.
#[must_use]
pub fn trailer_block(lines: &[u8]) -> Option<FieldBlock> {
    let mut block = FieldBlock::default();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        if !is_private_trailer(name) {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            push_lower(&mut block, name, value);
        }
    }
    (!block.is_empty()).then_some(block)
}

/// The fields of a request to a backend; `target` is path and query, `host` what `Host` would say.
///
/// `TE: trailers` is always sent: trailers are passed on, and gRPC servers ask for it.
#[must_use]
pub fn call(request: &Request, target: &[u8], host: &[u8], secured: bool) -> FieldBlock {
    let mut block = FieldBlock::with_capacity(request.headers.len() + 6, 512);
    block.push(b":method", request.method_text().as_bytes());
    block.push(b":scheme", if secured { b"https" } else { b"http" });
    block.push(b":authority", host);
    block.push(b":path", target);
    for (name, value, known) in request.headers.iter() {
        if known != Known::Host {
            push_lower(&mut block, name, value);
        }
    }
    if let Framing::Length(length) = request.framing {
        block.push(b"content-length", length.to_string().as_bytes());
    }
    block.push(b"te", b"trailers");
    block
}

/// Read the head of a backend's answer into `head`, which must be clear.
///
/// # Errors
/// [`ResponseError`]: the stream is of no further use.
pub fn response_head(
    block: &FieldBlock,
    method: Method,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<(), ResponseError> {
    let status = block.status().ok_or(ResponseError::Malformed)?;
    if !(100..=599).contains(&status) || status == 101 {
        return Err(ResponseError::Malformed);
    }
    if block.len() > limits.fields.saturating_add(1) || block.list_size() > limits.head_bytes {
        return Err(ResponseError::TooLarge);
    }
    for (name, value) in block.iter().skip(1) {
        check_field(name, value).map_err(|_| ResponseError::Malformed)?;
        head.headers.add(name, value);
    }
    head.status = status;
    head.version = Version::Http2;
    head.settle(method)
}

/// The fields of a response whose body is framed like this towards the client.
#[must_use]
pub fn response(head: &ResponseHead, framing: Framing) -> FieldBlock {
    let status = if head.status == 101 { 200 } else { head.status };
    let mut block = FieldBlock::with_capacity(head.headers.len() + 2, 512);
    push_status(&mut block, status);
    for (name, value, known) in head.headers.iter() {
        // The handshake of a WebSocket over HTTP/1.1 means nothing on a stream (RFC 8441 section 5).
        let is_handshake = head.status == 101 && name.eq_ignore_ascii_case(b"sec-websocket-accept");
        if !known.is_hop_by_hop() && !is_handshake {
            push_lower(&mut block, name, value);
        }
    }
    let length = match (framing, head.announced_length) {
        (Framing::Length(length), _) | (Framing::None, Some(length)) => Some(length),
        _ => None,
    };
    if let Some(length) = length {
        block.push(b"content-length", length.to_string().as_bytes());
    }
    block
}

/// The fields of an interim response.
#[must_use]
pub fn interim(head: &ResponseHead) -> FieldBlock {
    response(head, Framing::None)
}

/// The interim answer that lets a waiting client send its body.
#[must_use]
pub fn go_on() -> FieldBlock {
    let mut block = FieldBlock::default();
    push_status(&mut block, 100);
    block
}

fn push_status(block: &mut FieldBlock, status: u16) {
    let digit = |value: u16| b'0' + (value % 10) as u8;
    let text = [digit(status / 100), digit(status / 10), digit(status)];
    block.push(b":status", &text);
}

fn push_lower(block: &mut FieldBlock, name: &[u8], value: &[u8]) {
    if name.iter().any(u8::is_ascii_uppercase) {
        block.push(&name.to_ascii_lowercase(), value);
    } else {
        block.push(name, value);
    }
}

mod sockets;

pub use sockets::{is_websocket, socket_call, socket_head};

#[cfg(test)]
mod tests;
