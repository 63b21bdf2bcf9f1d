//! Structured field values: the strict parser and the one way to write them.
//!
//! A signature covers the *written* form of its parameters, so what is read here must be written back
//! byte for byte as every other implementation does. Whatever the grammar does not have is an error;
//! nothing is guessed.
//!
//! Source: RFC 9651 (which has RFC 8941 in it), sections 3, 4.1 and 4.2.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

mod parser;

use parser::Parser;

/// A field may be so long; more is refused before it is looked at.
pub const FIELD_BYTES: usize = 32 * 1024;
/// Members of a dictionary or a list, items of an inner list, and parameters of an item, at most.
pub const MEMBERS: usize = 128;

/// Unpadded base64 is taken, as section 4.2.7 recommends, and so are non-zero trailing bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A value without structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bare {
    /// Up to 15 digits.
    Integer(i64),
    /// In thousandths.
    Decimal(i64),
    /// Printable ASCII in quotes.
    String(String),
    /// A word.
    Token(String),
    /// Bytes in base64 between colons.
    Bytes(Vec<u8>),
    /// `?0` or `?1`.
    Boolean(bool),
    /// Seconds since 1970 behind an `@`.
    Date(i64),
    /// Any text, percent-encoded UTF-8 in `%"…"`.
    Display(String),
}

/// Parameters in order; a name stands once.
pub type Parameters = Vec<(String, Bare)>;

/// A value with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The value.
    pub value: Bare,
    /// What is said about it.
    pub parameters: Parameters,
}

/// Items in parentheses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerList {
    /// The items.
    pub items: Vec<Item>,
    /// What is said about the list.
    pub parameters: Parameters,
}

/// What stands in a list or a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// One value.
    Item(Item),
    /// Several.
    Inner(InnerList),
}

/// Members by name, in order; a name stands once, and its last value counts.
pub type Dictionary = Vec<(String, Member)>;

/// Why a field is none: what was expected, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What the grammar wants.
    pub expected: &'static str,
    /// Offset in bytes.
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} expected at byte {}", self.expected, self.at)
    }
}

/// Read a dictionary. An empty field is an empty dictionary.
///
/// # Errors
/// The field is malformed or too large.
pub fn dictionary(field: &[u8]) -> Result<Dictionary, Malformed> {
    Parser::new(field)?.whole(|parser| {
        let mut members: Dictionary = Vec::new();
        parser.separated(|parser| {
            let name = parser.key()?;
            let member = if parser.eat(b'=') {
                parser.member()?
            } else {
                Member::Item(Item {
                    value: Bare::Boolean(true),
                    parameters: parser.parameters()?,
                })
            };
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = member,
                None => members.push((name, member)),
            }
            Ok(())
        })?;
        Ok(members)
    })
}

/// Read a list. An empty field is an empty list.
///
/// # Errors
/// The field is malformed or too large.
pub fn list(field: &[u8]) -> Result<Vec<Member>, Malformed> {
    Parser::new(field)?.whole(|parser| {
        let mut members = Vec::new();
        parser.separated(|parser| {
            members.push(parser.member()?);
            Ok(())
        })?;
        Ok(members)
    })
}

/// Read one item.
///
/// # Errors
/// The field is malformed or too large.
pub fn item(field: &[u8]) -> Result<Item, Malformed> {
    Parser::new(field)?.whole(Parser::item)
}

/// Write a dictionary.
#[must_use]
pub fn write_dictionary(members: &[(String, Member)]) -> String {
    let mut out = String::new();
    for (at, (name, member)) in members.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        match member {
            Member::Item(Item {
                value: Bare::Boolean(true),
                parameters,
            }) => write_parameters(parameters, &mut out),
            member => {
                out.push('=');
                write_member(member, &mut out);
            }
        }
    }
    out
}

/// Write a list.
#[must_use]
pub fn write_list(members: &[Member]) -> String {
    let mut out = String::new();
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write_member(member, &mut out);
    }
    out
}

/// Write one member behind what is there.
pub fn write_member(member: &Member, out: &mut String) {
    match member {
        Member::Item(item) => write_item(item, out),
        Member::Inner(list) => write_inner(list, out),
    }
}

/// Write an inner list behind what is there.
pub fn write_inner(list: &InnerList, out: &mut String) {
    out.push('(');
    for (at, item) in list.items.iter().enumerate() {
        if at > 0 {
            out.push(' ');
        }
        write_item(item, out);
    }
    out.push(')');
    write_parameters(&list.parameters, out);
}

/// Write an item behind what is there.
pub fn write_item(item: &Item, out: &mut String) {
    write_bare(&item.value, out);
    write_parameters(&item.parameters, out);
}

fn write_parameters(parameters: &[(String, Bare)], out: &mut String) {
    for (name, value) in parameters {
        out.push(';');
        out.push_str(name);
        if *value != Bare::Boolean(true) {
            out.push('=');
            write_bare(value, out);
        }
    }
}

fn write_bare(value: &Bare, out: &mut String) {
    match value {
        Bare::Integer(value) => out.push_str(&value.to_string()),
        Bare::Decimal(thousandths) => {
            let (sign, size) = (
                if *thousandths < 0 { "-" } else { "" },
                thousandths.unsigned_abs(),
            );
            let digits = format!("{:03}", size % 1000);
            let digits = digits.trim_end_matches('0');
            let digits = if digits.is_empty() { "0" } else { digits };
            out.push_str(&format!("{sign}{}.{digits}", size / 1000));
        }
        Bare::String(text) => {
            out.push('"');
            for char in text.chars() {
                if matches!(char, '"' | '\\') {
                    out.push('\\');
                }
                out.push(char);
            }
            out.push('"');
        }
        Bare::Token(word) => out.push_str(word),
        Bare::Bytes(bytes) => {
            out.push(':');
            BASE64.encode_string(bytes, out);
            out.push(':');
        }
        Bare::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
        Bare::Date(seconds) => out.push_str(&format!("@{seconds}")),
        Bare::Display(text) => {
            out.push_str("%\"");
            for byte in text.bytes() {
                if matches!(byte, b'%' | b'"') || !matches!(byte, 0x20..=0x7e) {
                    out.push_str(&format!("%{byte:02x}"));
                } else {
                    out.push(char::from(byte));
                }
            }
            out.push('"');
        }
    }
}

#[cfg(test)]
mod tests;
