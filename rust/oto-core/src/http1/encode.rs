//! Writing heads and chunks.

use super::{Framing, Known, Request, ResponseHead, Version};

/// Append the head of a request to a backend.
///
/// `target` is path and query; `host` the value of `Host`. `framing` is how the body will be sent;
/// a body of known length keeps its length. An upgrade is passed on as asked.
pub fn request_head(
    request: &Request,
    target: &[u8],
    host: &[u8],
    http10: bool,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(request.method_text().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(if http10 {
        b" HTTP/1.0\r\nHost: "
    } else {
        b" HTTP/1.1\r\nHost: "
    });
    out.extend_from_slice(host);
    out.extend_from_slice(b"\r\n");
    for (name, value, known) in request.headers.iter() {
        if known != Known::Host {
            field(name, value, out);
        }
    }
    if let Some(protocol) = request.upgrade() {
        field(b"Connection", b"Upgrade", out);
        field(b"Upgrade", protocol, out);
    }
    framing(request.framing, out);
    out.extend_from_slice(b"\r\n");
}

/// How a response is sent to a client: its framing there, and whether the connection stays.
#[derive(Clone, Copy, Debug)]
pub struct ResponseShape {
    /// The framing towards the client.
    pub framing: Framing,
    /// Whether the connection serves another request afterwards.
    pub keep_alive: bool,
    /// The version of the client's request.
    pub version: Version,
}

/// Append the head of a response to a client.
pub fn response_head(head: &ResponseHead, shape: ResponseShape, out: &mut Vec<u8>) {
    status_line(head.status, out);
    for (name, value, _) in head.headers.iter() {
        field(name, value, out);
    }
    if head.status == 101 {
        field(b"Connection", b"Upgrade", out);
    } else {
        match (shape.framing, head.announced_length) {
            (Framing::None, Some(length)) => framing(Framing::Length(length), out),
            (shape, _) => framing(shape, out),
        }
        connection(shape, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Append an interim response (1xx).
pub fn interim_head(head: &ResponseHead, out: &mut Vec<u8>) {
    status_line(head.status, out);
    for (name, value, _) in head.headers.iter() {
        field(name, value, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The interim answer that lets a waiting client send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Append one header field.
pub fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Append the line that opens a chunk of `size` bytes; the data and CR LF follow.
pub fn chunk_size(size: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0u8; 16];
    let (mut at, mut rest) = (text.len(), size);
    loop {
        at -= 1;
        text[at] = DIGITS[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Append the end of a chunked body with its trailers. Trailers that would frame, route or
/// authenticate are dropped (RFC 9110 §6.5.1).
pub fn last_chunk(trailers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for line in trailers.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or(line);
        if !is_private_trailer(name) {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether a trailer would frame, route or authenticate, and is never passed on.
pub(crate) fn is_private_trailer(name: &[u8]) -> bool {
    const PRIVATE: [&[u8]; 5] = [
        b"authorization",
        b"set-cookie",
        b"content-encoding",
        b"content-type",
        b"content-range",
    ];
    Known::imitated_by(name) != Known::Other
        || PRIVATE
            .iter()
            .any(|private| private.eq_ignore_ascii_case(name))
}

/// Append `Content-Length` or `Transfer-Encoding`, or nothing.
fn framing(framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn connection(shape: ResponseShape, out: &mut Vec<u8>) {
    match (shape.keep_alive, shape.version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, _) => {}
    }
}

fn decimal(number: u64, out: &mut Vec<u8>) {
    let mut text = [0u8; 20];
    let (mut at, mut rest) = (text.len(), number);
    loop {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

fn status_line(status: u16, out: &mut Vec<u8>) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The registered reason phrase of a status, empty for others (RFC 9110 §15).
#[must_use]
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written() {
        for number in [0u64, 7, 10, 255, 4096, u64::MAX] {
            let (mut dec, mut hex) = (Vec::new(), Vec::new());
            decimal(number, &mut dec);
            chunk_size(number as usize, &mut hex);
            assert_eq!(dec, number.to_string().as_bytes());
            assert_eq!(hex, format!("{number:x}\r\n").as_bytes());
        }
    }

    #[test]
    fn dangerous_trailers_are_dropped() {
        let mut out = Vec::new();
        last_chunk(
            b"X-A: 1\r\nContent-Length: 5\r\nAuthorization: x\r\nHost: y\r\nX_Forwarded_For: z\r\n",
            &mut out,
        );
        assert_eq!(out, b"0\r\nX-A: 1\r\n\r\n");
    }
}
