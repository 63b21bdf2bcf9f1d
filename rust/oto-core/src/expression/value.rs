//! How values of other shapes become text, and where they lie in JSON.

use std::borrow::Cow;

use aws_lc_rs::rand;
use serde_json::Value;

use super::Fault;

/// Append bytes of a header as Latin-1 text.
pub(super) fn push_latin1(bytes: &[u8], out: &mut String) {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => out.push_str(text),
        _ => out.extend(bytes.iter().copied().map(char::from)),
    }
}

/// Append a JSON value: texts as they are, everything else as JSON; whether there was something.
pub(super) fn push_json(value: &Value, out: &mut String) -> bool {
    match value {
        Value::Null => return false,
        Value::String(text) => out.push_str(text),
        other => out.push_str(&other.to_string()),
    }
    true
}

/// A value by a path whose steps are separated by dots; a key that has dots itself comes first.
pub(super) fn at_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    let mut current = value;
    for step in path.split('.') {
        current = match current {
            Value::Object(fields) => fields.get(step)?,
            Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(current)
}

/// A value by any of the notations: `$.a.b[0]`, `/a/b/0`, `a.b.0` or a key.
pub(super) fn at_any_path<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(steps) = path.strip_prefix("$.") {
        let dotted = steps.replace('[', ".").replace([']', '\'', '"'], "");
        return at_path(value, &dotted);
    }
    if path.contains('/') {
        let pointer = if path.starts_with('/') {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(format!("/{path}"))
        };
        return value.pointer(&pointer);
    }
    at_path(value, path)
}

/// Undo percent-encoding and `+` of a query or form; what is no UTF-8 is replaced.
pub(crate) fn decode_query(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = bytes
            .get(at + 1..at + 3)
            .filter(|digits| *byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escaped) {
            (_, Some(value)) => {
                out.push(value);
                at += 3;
                continue;
            }
            (b'+', None) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Percent-encode a name or value of a query: all but the unreserved characters.
pub(crate) fn encode_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

const TOKEN_LETTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789Az";
const TOKEN_LENGTH: usize = 64;

/// Append 64 random letters and digits (`rand`): about 380 bits that nobody can guess.
pub(super) fn random_token(out: &mut String) -> Result<(), Fault> {
    let mut bytes = [0u8; TOKEN_LENGTH];
    rand::fill(&mut bytes).map_err(|_| Fault)?;
    out.extend(
        bytes
            .iter()
            .map(|byte| char::from(TOKEN_LETTERS[usize::from(*byte & 63)])),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_found_in_every_notation() {
        let value = json!({"a": {"b": [1, {"c": "x"}]}, "d.e": 2});
        for (path, expected) in [
            ("a.b.0", Some(json!(1))),
            ("$.a.b[1].c", Some(json!("x"))),
            ("$.a['b'][0]", Some(json!(1))),
            ("/a/b/1/c", Some(json!("x"))),
            ("a/b/0", Some(json!(1))),
            ("d.e", Some(json!(2))),
            ("a.x", None),
            ("a.b.7", None),
            ("a.b.0.c", None),
        ] {
            assert_eq!(at_any_path(&value, path).cloned(), expected, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a+b%20c", "a b c"),
            ("%C3%a9", "\u{e9}"),
            ("%", "%"),
            ("%zz%4", "%zz%4"),
            ("%ff", "\u{fffd}"),
            ("%+1", "% 1"),
        ] {
            assert_eq!(decode_query(text), expected, "{text}");
        }
    }

    #[test]
    fn random_tokens_have_64_letters_and_differ() {
        let (mut one, mut other) = (String::new(), String::new());
        assert!(random_token(&mut one).is_ok() && random_token(&mut other).is_ok());
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}
