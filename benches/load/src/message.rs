//! Just enough HTTP/1.1 to make load with: heads are trusted, because both ends of every
//! connection are this program or a proxy under measurement.

use std::io;

/// The facts of a head that the tools act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// First line without its line end.
    pub first_line: String,
    /// `Content-Length`, where there is one.
    pub length: Option<u64>,
    /// Whether the body is chunked.
    pub chunked: bool,
    /// Whether the sender said `Connection: close`.
    pub close: bool,
    /// Whether a request asked for `100 Continue`.
    pub expects_continue: bool,
    /// `Sec-WebSocket-Key`, where there is one.
    pub websocket_key: Option<String>,
    /// Octets of the head, the empty line included.
    pub size: usize,
}

impl Head {
    /// The status of a response head, 0 when the line is no status line.
    pub fn status(&self) -> u16 {
        self.first_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    }
}

/// Reads the head at the start of `bytes`; `None` means that it is not complete yet.
pub fn head(bytes: &[u8]) -> Option<Head> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = text.split("\r\n");
    let mut head = Head {
        first_line: lines.next().unwrap_or_default().to_owned(),
        length: None,
        chunked: false,
        close: false,
        expects_continue: false,
        websocket_key: None,
        size: end + 4,
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.length = value.parse().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("expect") {
            head.expects_continue = value.eq_ignore_ascii_case("100-continue");
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            head.websocket_key = Some(value.to_owned());
        }
    }
    Some(head)
}

/// What is left to come of a request body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// This many octets.
    Length(u64),
    /// Chunks: the reader's state and, in `line`, the part of a chunk-size or trailer line seen so far.
    Chunked {
        /// Octets left in the current chunk, its line end included; 0 = a line comes next.
        left: u64,
        /// Whether the last chunk was seen, so that trailer lines follow.
        trailers: bool,
        /// The line collected so far.
        line: Vec<u8>,
    },
    /// Nothing.
    Done,
}

impl Body {
    /// The body that follows a request head.
    pub fn after(head: &Head) -> Self {
        if head.chunked {
            return Self::Chunked {
                left: 0,
                trailers: false,
                line: Vec::new(),
            };
        }
        match head.length {
            None | Some(0) => Self::Done,
            Some(length) => Self::Length(length),
        }
    }

    /// Takes the body's part at the start of `bytes`.
    ///
    /// Returns the octets taken from `bytes` and, of them, the octets of content.
    pub fn take(&mut self, bytes: &[u8]) -> io::Result<(usize, u64)> {
        match self {
            Self::Done => Ok((0, 0)),
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |l| l.min(bytes.len()));
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Done;
                }
                Ok((taken, taken as u64))
            }
            Self::Chunked { .. } => self.take_chunks(bytes),
        }
    }

    fn take_chunks(&mut self, bytes: &[u8]) -> io::Result<(usize, u64)> {
        let (mut at, mut content) = (0, 0);
        while at < bytes.len() {
            let Self::Chunked {
                left,
                trailers,
                line,
            } = self
            else {
                break;
            };
            if *left > 0 {
                let here = (bytes.len() - at).min(usize::try_from(*left).unwrap_or(usize::MAX));
                // `left` counts the chunk's line end too, which is not content.
                content += (here as u64).min(left.saturating_sub(2));
                *left -= here as u64;
                at += here;
                continue;
            }
            line.push(bytes[at]);
            at += 1;
            if !line.ends_with(b"\r\n") {
                continue;
            }
            if *trailers {
                if line.len() == 2 {
                    *self = Self::Done;
                } else {
                    line.clear();
                }
                continue;
            }
            let digits = String::from_utf8_lossy(&line[..line.len() - 2]);
            let digits = digits.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, format!("chunk size {digits:?}"))
            })?;
            *trailers = size == 0;
            *left = if size == 0 { 0 } else { size + 2 };
            line.clear();
        }
        Ok((at, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole_and_not_before() {
        let bytes = b"POST /sink HTTP/1.1\r\nHost: a\r\ncontent-length: 12\r\nConnection: close\r\n\r\nbody";
        for cut in 0..bytes.len() - 4 {
            assert_eq!(head(&bytes[..cut]), None);
        }
        let head = head(bytes).unwrap();
        assert_eq!(head.length, Some(12));
        assert!(head.close && !head.chunked);
        assert_eq!(head.size, bytes.len() - 4);
        assert_eq!(head.first_line, "POST /sink HTTP/1.1");
    }

    #[test]
    fn chunks_cut_anywhere_hold_the_same_content() {
        let wire = b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\nA: b\r\n\r\nNEXT";
        for step in 1..wire.len() {
            let mut body = Body::Chunked {
                left: 0,
                trailers: false,
                line: Vec::new(),
            };
            let (mut taken, mut content) = (0, 0);
            for part in wire.chunks(step) {
                let (t, c) = body.take(part).unwrap();
                taken += t;
                content += c;
            }
            assert_eq!((taken, content), (wire.len() - 4, 11), "step {step}");
            assert_eq!(body, Body::Done);
        }
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let mut body = Body::Length(3);
        assert_eq!(body.take(b"ab").unwrap(), (2, 2));
        assert_eq!(body.take(b"cde").unwrap(), (1, 1));
        assert_eq!(body, Body::Done);
    }
}
