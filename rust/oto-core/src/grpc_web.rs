//! gRPC-Web: gRPC for pages, which can neither read trailers nor, in its text form, send bytes.
//!
//! Theory of operation. A call comes as a POST whose body is the messages of gRPC, as they are or in base64
//! ([`Form`]). Towards the backend it is a call of gRPC: another content type, and a body that [`Decoder`] takes out of
//! base64 piece by piece. What comes back is messages as well, and [`Answer`] puts the trailers behind them as
//! one more frame. In base64 each message ends with its own padding, so that a page can read it when it
//! comes, and nothing waits for more.
//!
//! Source: the gRPC project, "gRPC Web" (PROTOCOL-WEB).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::http1::encode::is_private_trailer;
use crate::http1::{Framing, Method, Request};

/// The step that bridges calls of a route, in the table of native steps.
pub const STEP: &str = "grpc_web";

const WEB: &[u8] = b"application/grpc-web";
const GRPC: &[u8] = b"application/grpc";
const TEXT: &[u8] = b"-text";

/// The flag of the frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// How the bytes of a call are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Binary,
    /// In base64.
    Text,
}

/// A call that a step made one of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridged {
    /// How its caller writes it.
    pub form: Form,
    /// The answer is one of gRPC, and goes to the caller in that form.
    pub answers: bool,
}

/// Take a prefix off in any case.
fn after<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = text.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What stands behind the name of a content type: the format of messages, or nothing of that name.
fn format_of(rest: &[u8]) -> Option<&[u8]> {
    match rest.first() {
        None | Some(b';' | b' ') => Some(b""),
        Some(b'+') => rest.split(|byte| matches!(byte, b';' | b' ')).next(),
        Some(_) => None,
    }
}

/// The form of a call by its content type, and the format of its messages (`+proto`, or nothing); none for
/// another content.
#[must_use]
pub fn asked(content_type: &[u8]) -> Option<(Form, &[u8])> {
    let rest = after(content_type, WEB)?;
    match after(rest, TEXT) {
        Some(rest) => Some((Form::Text, format_of(rest)?)),
        None => Some((Form::Binary, format_of(rest)?)),
    }
}

/// The form of a request that is a call; a call is a POST.
#[must_use]
pub fn form(request: &Request) -> Option<Form> {
    if request.method != Method::Post {
        return None;
    }
    let content_type = request.headers.find(b"content-type")?;
    asked(content_type).map(|(form, _)| form)
}

/// The content type of a call as its backend gets it.
#[must_use]
pub fn content_type_in(form: Form, format: &[u8]) -> Vec<u8> {
    let format = match (form, format) {
        (Form::Text, b"") => b"+proto",
        (_, format) => format,
    };
    [GRPC, format].concat()
}

/// The content type of an answer as the caller gets it; none when the answer is none of gRPC.
#[must_use]
pub fn content_type_out(form: Form, content_type: &[u8]) -> Option<Vec<u8>> {
    let format = format_of(after(content_type, GRPC)?)?;
    Some(match (form, format) {
        (Form::Binary, format) => [WEB, format].concat(),
        (Form::Text, b"") => [WEB, TEXT, b"+proto"].concat(),
        (Form::Text, format) => [WEB, TEXT, format].concat(),
    })
}

/// The content type of an answer that only says a status.
#[must_use]
pub fn content_type_of_error(form: Form) -> &'static [u8] {
    match form {
        Form::Binary => b"application/grpc-web+proto",
        Form::Text => b"application/grpc-web-text+proto",
    }
}

/// How the body of a call goes to the backend: out of base64 it has another length, which nobody knows yet.
#[must_use]
pub fn framing_in(form: Form, framing: Framing) -> Framing {
    match (form, framing) {
        (Form::Text, Framing::Length(length)) if length > 0 => Framing::Chunked,
        (_, framing) => framing,
    }
}

/// A body that is not the base64 it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64;

impl NotBase64 {
    /// A sentence for the answer.
    #[must_use]
    pub fn message(self) -> &'static str {
        "The body of a gRPC-Web call is not base64"
    }
}

/// Takes a body out of base64, however it is cut. What is padded may be followed by more.
#[derive(Debug, Default)]
pub struct Decoder {
    bits: u32,
    digits: u8,
    padding: u8,
}

impl Decoder {
    /// Take the next bytes of the body; what they say goes behind `out`.
    ///
    /// # Errors
    /// [`NotBase64`]: nothing that follows makes sense.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        out.reserve(data.len() / 4 * 3 + 3);
        for byte in data {
            if *byte == b'=' {
                if self.digits < 2 {
                    return Err(NotBase64);
                }
                self.padding += 1;
            } else {
                if self.padding > 0 {
                    return Err(NotBase64);
                }
                self.bits = self.bits << 6 | value(*byte).ok_or(NotBase64)?;
                self.digits += 1;
            }
            if self.digits + self.padding == 4 {
                let bits = self.bits << (6 * u32::from(self.padding));
                let [_, whole @ ..] = bits.to_be_bytes();
                out.extend_from_slice(whole.get(..usize::from(self.digits) - 1).unwrap_or(&whole));
                *self = Self::default();
            }
        }
        Ok(())
    }

    /// The body is over.
    ///
    /// # Errors
    /// [`NotBase64`]: in the middle of a group.
    pub fn finish(&self) -> Result<(), NotBase64> {
        if self.digits == 0 {
            Ok(())
        } else {
            Err(NotBase64)
        }
    }
}

/// Take a whole body out of base64.
///
/// # Errors
/// [`NotBase64`].
pub fn decoded(body: &[u8]) -> Result<Vec<u8>, NotBase64> {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    decoder.push(body, &mut out)?;
    decoder.finish().map(|()| out)
}

fn value(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// Writes the body of an answer as its caller reads it.
#[derive(Debug)]
pub struct Answer {
    form: Form,
    /// Bytes of the frame that was begun: of its head, and of what it holds.
    head: [u8; 5],
    head_len: usize,
    left: usize,
    /// What makes no whole group of base64 yet.
    carry: Vec<u8>,
}

impl Answer {
    /// The answer to a call of this form.
    #[must_use]
    pub fn new(form: Form) -> Self {
        Self {
            form,
            head: [0; 5],
            head_len: 0,
            left: 0,
            carry: Vec::new(),
        }
    }

    /// Whether bytes change on their way; otherwise they may be passed on as they are.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.form == Form::Text
    }

    /// Write bytes of the backend's body behind `out`.
    pub fn push(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if !self.is_text() {
            out.extend_from_slice(data);
            return;
        }
        let mut rest = data;
        while !rest.is_empty() {
            let (count, ends) = self.cut(rest);
            let (piece, later) = rest.split_at(count.min(rest.len()));
            rest = later;
            self.encode(piece, ends, out);
        }
    }

    /// Write what ends the body behind `out`: these trailer lines, as a frame, if there are any.
    pub fn finish(&mut self, trailers: &[u8], out: &mut Vec<u8>) {
        let frame = trailer_frame(trailers);
        if self.is_text() {
            // The rest of a frame that never came to its end, too.
            self.encode(&[], true, out);
            self.encode(&frame, true, out);
        } else {
            out.extend_from_slice(&frame);
        }
    }

    /// How many of these bytes belong to the current frame, and whether it ends with them.
    fn cut(&mut self, data: &[u8]) -> (usize, bool) {
        if self.head_len < self.head.len() {
            let count = data.len().min(self.head.len() - self.head_len);
            for (to, from) in self.head.iter_mut().skip(self.head_len).zip(data) {
                *to = *from;
            }
            self.head_len += count;
            if self.head_len < self.head.len() {
                return (count, false);
            }
            let [_, length @ ..] = self.head;
            self.left = u32::from_be_bytes(length) as usize;
            self.head_len = if self.left == 0 { 0 } else { self.head.len() };
            return (count, self.left == 0);
        }
        let count = data.len().min(self.left);
        self.left -= count;
        if self.left == 0 {
            self.head_len = 0;
        }
        (count, self.left == 0)
    }

    fn encode(&mut self, piece: &[u8], ends: bool, out: &mut Vec<u8>) {
        let mut rest = piece;
        if !self.carry.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(3 - self.carry.len()));
            self.carry.extend_from_slice(now);
            rest = later;
            if self.carry.len() == 3 {
                append(&self.carry, out);
                self.carry.clear();
            }
        }
        let (whole, later) = rest.split_at(rest.len() - rest.len() % 3);
        append(whole, out);
        self.carry.extend_from_slice(later);
        if ends {
            append(&self.carry, out);
            self.carry.clear();
        }
    }
}

fn append(bytes: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + bytes.len().div_ceil(3) * 4, 0);
    let written = out
        .get_mut(at..)
        .map_or(Ok(0), |space| BASE64.encode_slice(bytes, space));
    out.truncate(at + written.unwrap_or(0));
}

/// Trailer lines as the frame that ends a body; nothing when nothing of them may be passed on.
fn trailer_frame(lines: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let Some((name, value)) = split(line) else {
            continue;
        };
        if !is_private_trailer(name) {
            block.extend_from_slice(&name.to_ascii_lowercase());
            block.push(b':');
            block.extend_from_slice(value.trim_ascii());
            block.extend_from_slice(b"\r\n");
        }
    }
    let Ok(length) = u32::try_from(block.len()) else {
        return Vec::new();
    };
    if length == 0 {
        return Vec::new();
    }
    let mut frame = vec![TRAILERS];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&block);
    frame
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at(memchr::memchr(b':', line)?);
    value.get(1..).map(|value| (name, value))
}

#[cfg(test)]
mod tests;
