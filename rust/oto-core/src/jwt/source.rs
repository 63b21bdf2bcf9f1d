//! Where a token stands in a request, and how it is put there.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::injection::Injection;
use crate::http1::headers::is_name;
use crate::http1::{Known, Request};

/// A place for a token.
#[derive(Debug)]
pub enum Source {
    /// A parameter of the query.
    Query(Box<str>),
    /// A header field.
    Header {
        /// Its name.
        name: Box<str>,
        /// What is taken off its value, and put before a new one: `Bearer `.
        remove: Box<str>,
        /// `remove` as a pattern, when it is more than a text to take off the front.
        pattern: Option<Regex>,
    },
    /// A cookie.
    Cookie(Box<str>),
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Json {
    #[serde(rename = "InQueryParam")]
    Query { name: String },
    #[serde(rename = "InHeader")]
    Header {
        name: String,
        #[serde(default)]
        remove: String,
    },
    #[serde(rename = "InCookie")]
    Cookie { name: String },
}

/// Longest pattern for `remove`, in bytes.
const MAX_PATTERN_BYTES: usize = 1024;

impl Source {
    /// Read Otoroshi's token location.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub fn read(json: &serde_json::Value) -> Result<Self, String> {
        let read = Json::deserialize(json).map_err(|error| error.to_string())?;
        match read {
            Json::Query { name } => named(name).map(Self::Query),
            Json::Cookie { name } => named(name).map(Self::Cookie),
            Json::Header { name, remove } => {
                if !is_name(name.as_bytes()) {
                    return Err("name: not a header name; use letters, digits and -".to_owned());
                }
                if remove.len() > MAX_PATTERN_BYTES {
                    return Err("remove: longer than 1024 bytes".to_owned());
                }
                let plain = regex::escape(&remove) == remove;
                let pattern = if plain {
                    None
                } else {
                    let built = RegexBuilder::new(&remove).size_limit(1 << 20).build();
                    Some(built.map_err(|_| {
                        "remove: not a pattern this gateway can run; escape special characters"
                            .to_owned()
                    })?)
                };
                Ok(Self::Header {
                    name: name.into(),
                    remove: remove.into(),
                    pattern,
                })
            }
        }
    }

    /// The header field of that name, with a text to take off.
    #[must_use]
    pub fn header(name: &str, remove: &str) -> Self {
        Self::Header {
            name: name.into(),
            remove: remove.into(),
            pattern: None,
        }
    }

    /// The token that stands there.
    ///
    /// Where two stand, the backend might read the one that was not checked, and where something
    /// stands that is no text, it might read a token all the same: the answer is then an empty
    /// text, which is no good token.
    #[must_use]
    pub fn find<'r>(&self, request: &'r Request) -> Option<Cow<'r, str>> {
        match self {
            Self::Query(name) => query(request.query()?, name),
            Self::Cookie(name) => {
                let mut found = cookies(request).filter(|(other, _)| is_named(other, name));
                let (_, value) = found.next()?;
                let value = std::str::from_utf8(value).ok();
                let alone = value.filter(|_| found.next().is_none());
                Some(alone.unwrap_or_default().trim_matches('"').into())
            }
            Self::Header {
                name,
                remove,
                pattern,
            } => {
                let value = request.headers.find(name.as_bytes())?;
                if request.headers.find_all(name.as_bytes()).nth(1).is_some() {
                    return Some("".into());
                }
                let value = std::str::from_utf8(value).unwrap_or_default();
                Some(match pattern {
                    Some(pattern) => match pattern.replace_all(value, "") {
                        Cow::Borrowed(rest) => rest.trim().into(),
                        Cow::Owned(rest) => rest.trim().to_owned().into(),
                    },
                    None if remove.is_empty() || !value.contains(&**remove) => value.trim().into(),
                    None => match value.strip_prefix(&**remove) {
                        Some(rest) if !rest.contains(&**remove) => rest.trim().into(),
                        _ => value.replace(&**remove, "").trim().to_owned().into(),
                    },
                })
            }
        }
    }

    /// What puts a token there. A place in the query is never written (Otoroshi's way).
    #[must_use]
    pub fn inject(&self, token: &str) -> Injection {
        let mut injection = Injection::default();
        match self {
            Self::Query(_) => {}
            Self::Header { name, remove, .. } => {
                let value = format!("{remove}{token}");
                injection.add_headers.push((name.clone(), value.into()));
            }
            Self::Cookie(name) => injection.add_cookies.push((name.clone(), token.into())),
        }
        injection
    }

    /// What takes the token away when it moved to `other`.
    pub(crate) fn vacate(&self, other: &Self, injection: &mut Injection) {
        match (self, other) {
            (Self::Header { name, .. }, Self::Header { name: kept, .. })
                if name.eq_ignore_ascii_case(kept) => {}
            (Self::Header { name, .. }, _) => injection.remove_headers.push(name.clone()),
            (Self::Cookie(name), Self::Cookie(kept)) if name == kept => {}
            (Self::Cookie(name), _) => injection.remove_cookies.push(name.clone()),
            (Self::Query(_), _) => {}
        }
    }
}

fn named(name: String) -> Result<Box<str>, String> {
    let usable = |char: char| char.is_ascii_graphic() && !";,=\"\\".contains(char);
    if name.is_empty() || !name.chars().all(usable) {
        return Err("name: empty or with a character that no such name has".to_owned());
    }
    Ok(name.into())
}

/// Name and value of each cookie, in order.
pub(super) fn cookies(request: &Request) -> impl Iterator<Item = (&[u8], &[u8])> {
    request
        .headers
        .iter()
        .filter(|(_, _, known)| *known == Known::Cookie)
        .flat_map(|(_, value, _)| value.split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let (name, value) = pair.split_at(memchr::memchr(b'=', pair)?);
            Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
        })
}

/// Whether a backend may take a cookie for the one of this name: some read over spaces that are not of ASCII.
pub(super) fn is_named(written: &[u8], name: &str) -> bool {
    let is_inside = |byte: &u8| byte.is_ascii_graphic();
    let start = written.iter().position(is_inside).unwrap_or(written.len());
    let end = written
        .iter()
        .rposition(is_inside)
        .map_or(start, |at| at + 1);
    written.get(start..end) == Some(name.as_bytes())
}

/// The value of a parameter, percent escapes of ASCII undone; empty when it stands twice, or has other escapes.
fn query<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    let mut found = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(written, _)| is_spelling(written.as_bytes(), name.as_bytes()));
    let (_, value) = found.next()?;
    if found.next().is_some() {
        return Some("".into());
    }
    Some(unescaped(value).unwrap_or_default())
}

/// Whether a backend may read this as that name: a percent sign that escapes nothing is left alone by most.
fn is_spelling(mut written: &[u8], name: &[u8]) -> bool {
    for octet in name {
        let Some((&first, behind)) = written.split_first() else {
            return false;
        };
        let escaped = escape(behind).filter(|_| first == b'%');
        let (read, rest) = escaped.unwrap_or((first, behind));
        if read != *octet {
            return false;
        }
        written = rest;
    }
    written.is_empty()
}

/// The octet that two hexadecimal digits behind a percent sign mean, and what is behind them.
fn escape(behind: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], rest) = behind.split_first_chunk()?;
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let octet = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    Some((octet, rest))
}

/// A text without its percent escapes; none when they are not of ASCII.
fn unescaped(escaped: &str) -> Option<Cow<'_, str>> {
    if !escaped.contains('%') {
        return Some(escaped.into());
    }
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let (octet, _) = escape(after.as_bytes()).filter(|(octet, _)| octet.is_ascii())?;
        text.push(char::from(octet));
        rest = after.get(2..)?;
    }
    text.push_str(rest);
    Some(text.into())
}
