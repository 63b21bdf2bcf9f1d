//! One spelling for a request target, so that router, plugins and upstream see the same bytes.
//!
//! The rules, each stated in `docs/http1.md`:
//! * `%XX` of an unreserved character is decoded, other escapes get upper-case digits;
//! * an escaped slash (`%2F`), backslash (`%5C`) or percent stays escaped and never separates;
//! * escaped NUL and control characters, broken escapes, raw backslashes and `#` are refused;
//! * repeated slashes become one; `.` and `..` segments are resolved, above the root is refused;
//! * bytes outside the URI alphabet are escaped.
//!
//! Source: RFC 3986 §5.2.4 and §6.2.2, RFC 9112 §3.2.

/// Why a request target has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetError {
    /// The path does not start with `/`.
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    BrokenEscape,
    /// An escaped or raw control character.
    ControlCharacter,
    /// A raw `\` or `#`.
    ForbiddenCharacter,
    /// More `..` than segments.
    AboveRoot,
}

impl TargetError {
    /// A sentence for the error answer.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::NotAbsolute => "The request target must start with a slash",
            Self::BrokenEscape => {
                "The request target has a percent sign without two hexadecimal digits"
            }
            Self::ControlCharacter => "The request target has a control character",
            Self::ForbiddenCharacter => "The request target has a backslash or a number sign",
            Self::AboveRoot => "The request target goes above the root",
        }
    }
}

/// Whether a path is canonical as it stands: the common case, one pass, nothing written.
#[must_use]
pub fn is_canonical_path(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut after_slash = false;
    for byte in path {
        match CLASS[*byte as usize] {
            PLAIN => after_slash = false,
            SLASH if !after_slash => after_slash = true,
            // A dot inside a segment is plain; at its start it may be a dot segment.
            DOT if !after_slash => {}
            _ => return false,
        }
    }
    true
}

/// Append the canonical form of `path` to `out`.
///
/// # Errors
/// [`TargetError`]; `out` may then hold a beginning that the caller drops.
pub fn canonical_path(path: &[u8], out: &mut Vec<u8>) -> Result<(), TargetError> {
    if path.first() != Some(&b'/') {
        return Err(TargetError::NotAbsolute);
    }
    let base = out.len();
    let mut rest = &path[1..];
    out.push(b'/');
    // Invariant: out ends in '/', the start of the segment being read.
    loop {
        let start = out.len();
        let mut ended = true;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            match byte {
                b'/' => {
                    ended = false;
                    break;
                }
                b'%' => {
                    let (Some(high), Some(low)) = (hex(rest.first()), hex(rest.get(1))) else {
                        return Err(TargetError::BrokenEscape);
                    };
                    rest = &rest[2..];
                    let value = high << 4 | low;
                    if value < 0x20 || value == 0x7f {
                        return Err(TargetError::ControlCharacter);
                    }
                    if is_unreserved(value) {
                        out.push(value);
                    } else {
                        escape(value, out);
                    }
                }
                b'\\' | b'#' => return Err(TargetError::ForbiddenCharacter),
                _ if byte < 0x21 || byte == 0x7f => return Err(TargetError::ControlCharacter),
                _ if matches!(CLASS[byte as usize], PLAIN | DOT) => out.push(byte),
                _ => escape(byte, out),
            }
        }
        match &out[start..] {
            b"." => out.truncate(start),
            b".." => {
                out.truncate(start - 1);
                let Some(parent) = out[base..].iter().rposition(|byte| *byte == b'/') else {
                    return Err(TargetError::AboveRoot);
                };
                out.truncate(base + parent + 1);
            }
            b"" => {}
            _ if !ended => out.push(b'/'),
            _ => {}
        }
        if ended {
            return Ok(());
        }
    }
}

/// Append the canonical form of a query (without `?`): its bytes, with what no URI may hold escaped.
///
/// # Errors
/// [`TargetError`] on `#` and control characters.
pub fn canonical_query(query: &[u8], out: &mut Vec<u8>) -> Result<(), TargetError> {
    for byte in query {
        match byte {
            b'#' => return Err(TargetError::ForbiddenCharacter),
            _ if *byte < 0x21 || *byte == 0x7f => return Err(TargetError::ControlCharacter),
            _ if *byte >= 0x80 || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`') => {
                escape(*byte, out);
            }
            _ => out.push(*byte),
        }
    }
    Ok(())
}

/// Whether a query is canonical as it stands.
#[must_use]
pub fn is_canonical_query(query: &[u8]) -> bool {
    query.iter().all(|byte| {
        (0x21..0x7f).contains(byte)
            && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`')
    })
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[
        b'%',
        DIGITS[(byte >> 4) as usize],
        DIGITS[(byte & 15) as usize],
    ]);
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const PLAIN: u8 = 1;
const SLASH: u8 = 2;
const DOT: u8 = 3;

/// RFC 3986 `pchar` without `%`, told from slash, dot and the rest.
const CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0usize;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = match b {
            b'/' => SLASH,
            b'.' => DOT,
            b'-' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b';' | b'=' | b':' | b'@' => PLAIN,
            _ if b.is_ascii_alphanumeric() => PLAIN,
            _ => 0,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str) -> Result<String, TargetError> {
        let mut out = b"before".to_vec();
        canonical_path(path.as_bytes(), &mut out)?;
        let text = String::from_utf8_lossy(&out[6..]).into_owned();
        if is_canonical_path(path.as_bytes()) {
            assert_eq!(text, path, "the quick check must agree");
        }
        assert!(is_canonical_path(text.as_bytes()) || text.contains('%') || text.contains("/."));
        let mut again = Vec::new();
        canonical_path(text.as_bytes(), &mut again)?;
        assert_eq!(again, text.as_bytes(), "canonical form is a fixed point");
        Ok(text)
    }

    #[test]
    fn paths_have_one_spelling() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b///c/", "/a/b/c/"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/%61%7e%2f%5c", "/a~%2F%5C"),
            ("/a|b\u{e9}", "/a%7Cb%C3%A9"),
            ("/%252e%252e/x", "/%252e%252e/x"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a/..b/c..", "/a/..b/c.."),
        ] {
            assert_eq!(canonical(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn dangerous_paths_are_refused() {
        for (path, error) in [
            ("a", TargetError::NotAbsolute),
            ("/%", TargetError::BrokenEscape),
            ("/%zz", TargetError::BrokenEscape),
            ("/%00", TargetError::ControlCharacter),
            ("/%0d%0a", TargetError::ControlCharacter),
            ("/a\\b", TargetError::ForbiddenCharacter),
            ("/a#b", TargetError::ForbiddenCharacter),
            ("/..", TargetError::AboveRoot),
            ("/a/../../b", TargetError::AboveRoot),
            ("/a/%2e%2e/%2e%2e", TargetError::AboveRoot),
        ] {
            assert_eq!(canonical(path), Err(error), "{path}");
        }
    }
}
