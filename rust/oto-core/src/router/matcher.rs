//! Tests on one named value of a request: header, query parameter or cookie.
//!
//! Source: `Exists()`, `IsDefined()`, `NotDefined()`, `Regex(…)`, `Wildcard(…)`, else equality, as
//! the reference lists them. All are exact about case and match the whole value.

use std::borrow::Cow;
use std::fmt;

use super::RequestFacts;
use super::glob::glob_matches;
use super::java_regex::JavaRegex;
use super::path::MAX_PATTERN_BYTES;
use super::problem::{FrontendError, Problem};

/// What the value of a header, query parameter or cookie must be.
#[derive(Clone, Debug)]
pub(crate) enum ValueTest {
    Exists,
    Absent,
    Regex(JavaRegex),
    Glob(Box<str>),
    Equals(Box<str>),
}

/// A name and what its value must be.
#[derive(Clone, Debug)]
pub(crate) struct NamedTest {
    /// Lower-case for headers and cookies.
    pub(crate) name: Box<str>,
    /// The expectation.
    pub(crate) test: ValueTest,
}

impl ValueTest {
    /// Parse one expectation; `field` names it in errors.
    pub(crate) fn parse(field: &str, text: &str) -> Result<Self, FrontendError> {
        let error = |problem| FrontendError::new(field, text, problem);
        if text.len() > MAX_PATTERN_BYTES {
            return Err(error(Problem::PatternTooLong));
        }
        if text
            .chars()
            .any(|letter| letter.is_control() && letter != '\t')
        {
            return Err(error(Problem::ControlCharacter));
        }
        let inside = |start: &str| match text.strip_prefix(start) {
            None => Ok(None),
            Some(rest) => match rest.strip_suffix(')') {
                Some(inner) => Ok(Some(inner)),
                None => Err(error(Problem::OpenMatcher)),
            },
        };
        Ok(match text {
            "Exists()" | "IsDefined()" => Self::Exists,
            "NotDefined()" => Self::Absent,
            _ => match (inside("Regex(")?, inside("Wildcard(")?) {
                (Some(regex), _) => {
                    let regex = JavaRegex::new(regex);
                    Self::Regex(regex.map_err(|why| error(Problem::BadRegex(why)))?)
                }
                (_, Some(pattern)) => Self::Glob(pattern.into()),
                _ => Self::Equals(text.into()),
            },
        })
    }

    /// Whether the values that `each` visits pass; one is enough.
    fn passes(&self, each: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        match self {
            Self::Exists => each(&mut |_| true),
            Self::Absent => !each(&mut |_| true),
            Self::Regex(regex) => each(&mut |value| regex.matches(value)),
            Self::Glob(pattern) => each(&mut |value| glob_matches(pattern.as_bytes(), value)),
            Self::Equals(text) => each(&mut |value| value == text.as_bytes()),
        }
    }
}

impl fmt::Display for NamedTest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.test {
            ValueTest::Exists => write!(out, "{name} must be present"),
            ValueTest::Absent => write!(out, "{name} must be absent"),
            ValueTest::Regex(regex) => write!(out, "{name} must match Regex({})", regex.source()),
            ValueTest::Glob(pattern) => write!(out, "{name} must match Wildcard({pattern})"),
            ValueTest::Equals(text) => write!(out, "{name} must be {text:?}"),
        }
    }
}

impl NamedTest {
    /// Whether a header of the request passes.
    pub(crate) fn passes_header<F: RequestFacts + ?Sized>(&self, facts: &F) -> bool {
        self.test.passes(|visit| facts.header(&self.name, visit))
    }

    /// Whether a query parameter passes.
    pub(crate) fn passes_query(&self, query: &str) -> bool {
        self.test
            .passes(|visit| each_query_value(query, &self.name, visit))
    }

    /// Whether a cookie passes.
    pub(crate) fn passes_cookie<F: RequestFacts + ?Sized>(&self, facts: &F) -> bool {
        self.test.passes(|visit| {
            facts.header("cookie", &mut |line| each_cookie(line, &self.name, visit))
        })
    }
}

/// Visit the decoded values of one query parameter until `visit` answers true.
fn each_query_value(query: &str, name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .any(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            *decode(key) == *name.as_bytes() && visit(&decode(value))
        })
}

/// Form decoding (`+` is a space); a broken escape stands for itself.
fn decode(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let digit = |at: usize| {
        let digit = bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16));
        digit.and_then(|value| u8::try_from(value).ok())
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    Cow::Owned(out)
}

/// Visit the values of one cookie in a `cookie` line; names compare without case.
fn each_cookie(line: &[u8], name: &str, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    line.split(|byte| *byte == b';').any(|pair| {
        let Some(equals) = memchr::memchr(b'=', pair) else {
            return false;
        };
        let (key, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let unquoted = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        key.eq_ignore_ascii_case(name.as_bytes()) && visit(unquoted.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, text: &str) -> NamedTest {
        match ValueTest::parse("f", text) {
            Ok(test) => NamedTest {
                name: name.into(),
                test,
            },
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn query_values_are_decoded_and_any_may_pass() {
        for (query, text, expected) in [
            ("a=1&a=2", "2", true),
            ("a=1&a=2", "3", false),
            ("a=x%20y", "x y", true),
            ("a=x+y", "x y", true),
            ("%61=1", "1", true),
            ("a=%zz", "%zz", true),
            ("a=%4", "%4", true),
            ("a", "Exists()", true),
            ("a", "", true),
            ("A=1", "IsDefined()", false),
            ("", "NotDefined()", true),
            ("a=", "NotDefined()", false),
            ("b=1&&a=77", "Regex([0-9]+)", true),
            ("a=7x", "Regex([0-9]+)", false),
            ("a=7x", "Wildcard(7*)", true),
            ("a=1=2", "1=2", true),
        ] {
            assert_eq!(
                test("a", text).passes_query(query),
                expected,
                "{query} {text}"
            );
        }
    }

    #[test]
    fn cookies_are_found_in_a_line() {
        let found = |line: &str, name: &str, value: &str| {
            each_cookie(line.as_bytes(), name, &mut |held| held == value.as_bytes())
        };
        assert!(found("a=1; B=2", "b", "2"));
        assert!(found("a=\"1\"", "a", "1"));
        assert!(found("a=1;a=2", "a", "2"));
        assert!(found("a=x=y", "a", "x=y"));
        assert!(!found("ab=1; a", "a", "1"));
    }

    #[test]
    fn broken_expectations_are_refused() {
        for (text, problem) in [
            ("Regex(a", Problem::OpenMatcher),
            ("Wildcard(a", Problem::OpenMatcher),
            ("a\nb", Problem::ControlCharacter),
        ] {
            let error = ValueTest::parse("frontend.headers.x", text).err();
            assert_eq!(error.map(|error| error.problem), Some(problem));
        }
        let long = "x".repeat(MAX_PATTERN_BYTES + 1);
        let error = ValueTest::parse("f", &long)
            .err()
            .map(|error| error.problem);
        assert_eq!(error, Some(Problem::PatternTooLong));
    }
}
