//! A list of header fields over one byte arena: wire order kept, no allocation per field.

use super::{Known, Span};

/// Header fields in wire order. Names compare without case; values are bytes.
///
/// Cost: look-ups are linear over a handful of fields; a change appends to the arena, so a plan
/// that edits a few headers copies only those.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub(crate) arena: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
    known: Known,
}

impl Headers {
    /// Forget everything, keeping the memory for the next head.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.fields.clear();
    }

    /// Bytes of memory held, to decide whether a recycled head is worth keeping.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.arena.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(crate) fn push_span(&mut self, name: Span, value: Span) -> Known {
        let known = Known::of(name.of(&self.arena));
        self.fields.push(Field { name, value, known });
        known
    }

    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        Span::new(start, bytes.len())
    }

    /// Add a field after the others, whether or not the name is there already.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let name = self.append_bytes(name);
        let value = self.append_bytes(value);
        self.push_span(name, value);
    }

    /// Put one field in place of all fields of that name, where the first of them stood.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let Some(at) = self.position(name) else {
            self.add(name, value);
            return;
        };
        let value = self.append_bytes(value);
        self.fields[at].value = value;
        let (arena, mut index) = (&self.arena, 0);
        self.fields.retain(|field| {
            let keep = index <= at || !field.name.of(arena).eq_ignore_ascii_case(name);
            index += 1;
            keep
        });
    }

    /// Remove every field of that name; says whether there was one.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let (before, arena) = (self.fields.len(), &self.arena);
        self.fields
            .retain(|field| !field.name.of(arena).eq_ignore_ascii_case(name));
        before != self.fields.len()
    }

    /// Remove every field of that name, and of what backends behind CGI or WSGI take for that name: for
    /// them `_` and `-` are one.
    pub fn remove_lookalikes(&mut self, name: &[u8]) {
        let hyphen = |byte: u8| match byte {
            b'_' => b'-',
            other => other.to_ascii_lowercase(),
        };
        let is_like = |other: &[u8]| {
            let mut pairs = other.iter().zip(name);
            other.len() == name.len() && pairs.all(|(one, two)| hyphen(*one) == hyphen(*two))
        };
        let arena = &self.arena;
        self.fields.retain(|field| !is_like(field.name.of(arena)));
    }

    /// Remove every field that `unwanted` names.
    pub fn remove_known(&mut self, unwanted: impl Fn(Known) -> bool) {
        self.fields.retain(|field| !unwanted(field.known));
    }

    /// Whether a name is one the gateway acts on but for `_` in place of `-`: backends behind CGI or
    /// WSGI read both as one.
    pub(super) fn has_lookalike(&self) -> bool {
        // One pass over the bytes, and almost always the last.
        if memchr::memchr(b'_', &self.arena).is_none() {
            return false;
        }
        self.fields.iter().any(|field| {
            let name = field.name.of(&self.arena);
            field.known == Known::Other && Known::imitated_by(name) != Known::Other
        })
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.fields
            .iter()
            .position(|field| field.name.of(&self.arena).eq_ignore_ascii_case(name))
    }

    /// The first value under that name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.position(name)
            .map(|at| self.fields[at].value.of(&self.arena))
    }

    /// The first value under a known name.
    #[must_use]
    pub fn find_known(&self, known: Known) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|field| field.known == known)
            .map(|field| field.value.of(&self.arena))
    }

    /// All values under that name, in wire order.
    pub fn find_all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(field, _, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value, _)| value)
    }

    /// All fields as (name, value, kind), in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], Known)> {
        self.fields.iter().map(|field| {
            (
                field.name.of(&self.arena),
                field.value.of(&self.arena),
                field.known,
            )
        })
    }
}

/// Whether bytes may stand as a header name (RFC 9110 §5.1: a token).
#[must_use]
pub fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token_byte(*byte))
}

/// Whether bytes may stand as a header value: no CR, LF, NUL or other control but tab.
#[must_use]
pub fn is_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f))
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_all_where_the_first_stood() {
        let mut headers = Headers::default();
        headers.add(b"a", b"1");
        headers.add(b"B", b"2");
        headers.add(b"A", b"3");
        headers.set(b"A", b"9");
        let all: Vec<_> = headers
            .iter()
            .map(|(n, v, _)| (n.to_vec(), v.to_vec()))
            .collect();
        assert_eq!(
            all,
            vec![
                (b"a".to_vec(), b"9".to_vec()),
                (b"B".to_vec(), b"2".to_vec())
            ]
        );
        assert!(headers.remove(b"b"));
        assert!(!headers.remove(b"b"));
        assert_eq!(headers.find(b"A"), Some(&b"9"[..]));
    }

    #[test]
    fn lookalikes_go_with_what_they_look_like() {
        let mut headers = Headers::default();
        for name in [
            &b"x-a-b"[..],
            b"X_A-b",
            b"x_a_b",
            b"x-a",
            b"x-a-b-c",
            b"xaab",
        ] {
            headers.add(name, b"1");
        }
        headers.remove_lookalikes(b"X-A-B");
        let left: Vec<_> = headers.iter().map(|(name, _, _)| name.to_vec()).collect();
        assert_eq!(left, [&b"x-a"[..], b"x-a-b-c", b"xaab"]);
    }

    #[test]
    fn names_and_values_are_checked() {
        assert!(is_name(b"x-a") && !is_name(b"x a") && !is_name(b"") && !is_name(b"a:"));
        assert!(is_value(b"a\tb \xff") && !is_value(b"a\r\nb") && !is_value(b"\0"));
    }
}
