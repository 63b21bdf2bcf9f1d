//! What a header value must look like (`HeadersValidation`, plugins.md).

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use crate::expression::Template;
use crate::plan::Flow;

/// A condition whose words may have expressions in them.
///
/// The notation is read from the config and never from a value: what a client sends into an
/// expression cannot turn an equality into `Not(…)`.
#[derive(Debug)]
pub(super) enum Expected {
    /// Nothing to evaluate in it.
    Literal(Expectation),
    /// The notation, empty for equality, and its words.
    Dynamic(&'static str, Template),
}

impl Expected {
    /// Read the notation and compile the words.
    ///
    /// # Errors
    /// What is wrong with the pattern or the expressions, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (form, words) = notation(text);
        let template = Template::parse(words)?;
        if template.is_literal() {
            return Expectation::parse(text).map(Self::Literal);
        }
        Ok(Self::Dynamic(form, template))
    }

    /// Whether a value is as expected of this exchange. Where the words do not make a pattern, no
    /// value is.
    pub(super) fn accepts(&self, value: &[u8], flow: &Flow) -> bool {
        match self {
            Self::Literal(expectation) => expectation.accepts(value),
            Self::Dynamic(form, template) => Expectation::of(form, &template.text(flow))
                .is_ok_and(|expectation| expectation.accepts(value)),
        }
    }
}

/// Cut `Form(words)` apart; what is no such thing has the form `""`.
fn notation(text: &str) -> (&'static str, &str) {
    FORMS
        .iter()
        .find_map(|form| {
            let rest = text.strip_prefix(form)?.strip_prefix('(')?;
            Some((*form, rest.strip_suffix(')')?))
        })
        .unwrap_or(("", text))
}

const FORMS: [&str; 9] = [
    "Regex",
    "RegexNot",
    "Wildcard",
    "WildcardNot",
    "Contains",
    "ContainsNot",
    "ContainedIn",
    "NotContainedIn",
    "Not",
];

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
        let (form, words) = notation(text);
        Self::of(form, words)
    }

    fn of(form: &str, words: &str) -> Result<Self, String> {
        let items = || words.split(',').map(|item| boxed(item.trim())).collect();
        Ok(match form {
            "Regex" => Self::Matches(full_match(words)?),
            "RegexNot" => Self::MatchesNot(full_match(words)?),
            "Wildcard" => Self::Matches(full_match(&from_wildcard(words))?),
            "WildcardNot" => Self::MatchesNot(full_match(&from_wildcard(words))?),
            "Contains" => Self::Contains(boxed(words)),
            "ContainsNot" => Self::ContainsNot(boxed(words)),
            "ContainedIn" => Self::In(items()),
            "NotContainedIn" => Self::NotIn(items()),
            "Not" => Self::Not(boxed(words)),
            _ => Self::Equals(boxed(words)),
        })
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
    use super::{Expectation, Expected};

    #[test]
    fn a_pattern_is_checked_at_once_unless_expressions_are_in_it() {
        assert!(Expected::parse("Regex(()").is_err());
        for text in ["Regex((${req.path})", "Not(${req.path})", "${req.path}"] {
            let expected = Expected::parse(text).expect("valid");
            assert!(matches!(expected, Expected::Dynamic(..)), "{text}");
        }
    }

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
