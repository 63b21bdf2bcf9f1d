//! base64url without padding, and JSON in which no member is named twice.
//!
//! Both are stricter than what many libraries read: two spellings of one token would be two tokens
//! for a cache, a log or a deny list, and a member named twice means one thing to one reader and
//! another to the next (RFC 7515 sections 2 and 4).

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, URL_SAFE_NO_PAD};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::JoseError;

/// Decode base64url; padding, other alphabets, white space and stray bits are errors.
///
/// # Errors
/// [`JoseError::Malformed`] with `what`.
pub fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, JoseError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JoseError::Malformed(what))
}

/// Decode base64url into a buffer; the number of bytes.
///
/// # Errors
/// [`JoseError::Malformed`] with `what`, also when the buffer is too small.
pub fn decode_into(text: &str, buffer: &mut [u8], what: &'static str) -> Result<usize, JoseError> {
    URL_SAFE_NO_PAD
        .decode_slice(text, buffer)
        .map_err(|_| JoseError::Malformed(what))
}

/// Encode as base64url without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Append the base64url of some bytes.
pub fn encode_to(bytes: &[u8], out: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, out);
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    NO_PAD.with_decode_allow_trailing_bits(true),
);

/// Decode what a person pasted: either alphabet, with or without padding, across lines.
#[must_use]
pub fn decode_leniently(text: &str) -> Option<Vec<u8>> {
    let plain: String = text
        .chars()
        .filter(|char| !char.is_whitespace() && *char != '=')
        .map(|char| match char {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    LENIENT.decode(plain).ok()
}

/// Read a JSON object, without a member that is named twice at any depth.
///
/// # Errors
/// [`JoseError::Malformed`] with `what`.
pub fn object(bytes: &[u8], what: &'static str) -> Result<Map<String, Value>, JoseError> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        _ => Err(JoseError::Malformed(what)),
    }
}

/// A JSON value without duplicate members.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON without duplicate members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Strict(value) = members.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_has_one_spelling() {
        assert_eq!(decode("-_8", "x").ok(), Some(vec![0xfb, 0xff]));
        for text in ["+/8", "-_8=", "-_9", "-_8 ", "-", "-_8\n"] {
            assert_eq!(
                decode(text, "x"),
                Err(JoseError::Malformed("x")),
                "{text:?}"
            );
        }
        assert_eq!(encode(&[0xfb, 0xff]), "-_8");
        for text in ["+/8", "+/8=", "-_8", "-\n_8="] {
            assert_eq!(decode_leniently(text), Some(vec![0xfb, 0xff]), "{text:?}");
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_at_any_depth() {
        assert!(object(br#"{"a":{"b":1,"c":[{"d":1}]}}"#, "x").is_ok());
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
            r#"[1]"#,
            r#"{"a":1} x"#,
            "{\"a\":\"\u{1}\"}",
            "",
        ] {
            assert!(object(text.as_bytes(), "x").is_err(), "{text}");
        }
        let deep = "{\"a\":".repeat(5000) + "1" + &"}".repeat(5000);
        assert!(object(deep.as_bytes(), "x").is_err());
    }
}
