//! What a header value must look like (`HeadersValidation`, plugins.md).

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

/// A condition on one header value, in Otoroshi's notation.
#[derive(Debug)]
pub(super) enum Expectation {
    /// Equality, the form without a function name.
    Equals(Box<str>),
    /// `Not(x)`
    Not(Box<str>),
    /// `Regex(x)` and `Wildcard(x)`: the whole value matches.
    Matches(Regex),
    /// `RegexNot(x)` and `WildcardNot(x)`.
    MatchesNot(Regex),
    /// `Contains(x)`
    Contains(Box<str>),
    /// `ContainsNot(x)`
    ContainsNot(Box<str>),
    /// `ContainedIn(a,b)`
    In(Vec<Box<str>>),
    /// `NotContainedIn(a,b)`
    NotIn(Vec<Box<str>>),
}

impl Expectation {
    /// Read the notation.
    ///
    /// # Errors
    /// What is wrong with the pattern, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inside = |name: &str| {
            text.strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('('))
                .and_then(|rest| rest.strip_suffix(')'))
        };
        let items = |list: &str| list.split(',').map(|item| boxed(item.trim())).collect();
        if let Some(pattern) = inside("RegexNot") {
            return full_match(pattern).map(Self::MatchesNot);
        }
        if let Some(pattern) = inside("Regex") {
            return full_match(pattern).map(Self::Matches);
        }
        if let Some(pattern) = inside("WildcardNot") {
            return full_match(&from_wildcard(pattern)).map(Self::MatchesNot);
        }
        if let Some(pattern) = inside("Wildcard") {
            return full_match(&from_wildcard(pattern)).map(Self::Matches);
        }
        if let Some(part) = inside("ContainsNot") {
            return Ok(Self::ContainsNot(boxed(part)));
        }
        if let Some(part) = inside("Contains") {
            return Ok(Self::Contains(boxed(part)));
        }
        if let Some(list) = inside("NotContainedIn") {
            return Ok(Self::NotIn(items(list)));
        }
        if let Some(list) = inside("ContainedIn") {
            return Ok(Self::In(items(list)));
        }
        if let Some(value) = inside("Not") {
            return Ok(Self::Not(boxed(value)));
        }
        Ok(Self::Equals(boxed(text)))
    }

    /// Whether a value is as expected. Its bytes count as one character each, as Python reads them.
    #[must_use]
    pub(super) fn accepts(&self, value: &[u8]) -> bool {
        let value: Cow<'_, str> = match std::str::from_utf8(value) {
            Ok(text) if text.is_ascii() => Cow::Borrowed(text),
            _ => Cow::Owned(value.iter().map(|byte| char::from(*byte)).collect()),
        };
        let value = &*value;
        match self {
            Self::Equals(expected) => **expected == *value,
            Self::Not(unwanted) => **unwanted != *value,
            Self::Matches(pattern) => pattern.is_match(value),
            Self::MatchesNot(pattern) => !pattern.is_match(value),
            Self::Contains(part) => value.contains(&**part),
            Self::ContainsNot(part) => !value.contains(&**part),
            Self::In(list) => list.iter().any(|item| **item == *value),
            Self::NotIn(list) => !list.iter().any(|item| **item == *value),
        }
    }
}

fn boxed(text: &str) -> Box<str> {
    text.into()
}

fn from_wildcard(pattern: &str) -> String {
    let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
    parts.join(".*")
}

fn full_match(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("not a pattern this gateway can run ({error})"))
}

#[cfg(test)]
mod tests {
    use super::Expectation;

    #[test]
    fn every_form_is_read() {
        for (text, yes, no) in [
            ("a", "a", "b"),
            ("Not(a)", "b", "a"),
            ("Regex(a+)", "aaa", "aab"),
            ("RegexNot(a+)", "b", "aa"),
            ("Wildcard(a.*)", "a.b", "axb"),
            ("WildcardNot(a*)", "b", "ab"),
            ("Contains(bc)", "abcd", "acbd"),
            ("ContainsNot(bc)", "acbd", "abcd"),
            ("ContainedIn(a, b)", "b", "c"),
            ("NotContainedIn(a,b)", "c", "a"),
        ] {
            let expectation = Expectation::parse(text).expect("valid");
            assert!(expectation.accepts(yes.as_bytes()), "{text} takes {yes}");
            assert!(!expectation.accepts(no.as_bytes()), "{text} refuses {no}");
        }
        assert!(Expectation::parse("Regex((?=a))").is_err());
    }
}
