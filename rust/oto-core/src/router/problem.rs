//! What can be wrong in a route's `frontend`, said with the field, the text and the fix.

use std::fmt;

use super::java_regex::RegexError;
use super::path::{MAX_PATTERN_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS};
use crate::http1::canonical::TargetError;

/// A `frontend` that cannot be used: the field, its text and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendError {
    /// Path of the field, such as `frontend.domains[2]`.
    pub field: String,
    /// The offending text, cut when it is long.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong in a `frontend`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Another JSON type was expected; named.
    Type(&'static str),
    /// No domain is declared.
    NoDomain,
    /// More items than the bound.
    TooMany(usize),
    /// The text before the first `/` is empty.
    EmptyDomain,
    /// The host is longer than a host name can be.
    DomainTooLong,
    /// The host names a port.
    PortInDomain,
    /// The host has letters outside ASCII.
    NonAsciiDomain,
    /// The host has a character that no host has.
    BadDomain,
    /// A control character.
    ControlCharacter,
    /// `?` or `#` in the path.
    QueryInPath,
    /// A `.` or `..` segment.
    DotSegment,
    /// The path has no canonical form.
    BadPath(TargetError),
    /// `:` or `$<…>` without a name.
    UnnamedParam,
    /// `$name<` without `>` in the same segment.
    OpenSegmentRegex,
    /// More path segments than the bound.
    TooManySegments,
    /// A segment longer than the bound.
    SegmentTooLong,
    /// An expression or expectation longer than the bound.
    PatternTooLong,
    /// An expression that cannot be used.
    BadRegex(RegexError),
    /// `Regex(` or `Wildcard(` without `)`.
    OpenMatcher,
    /// Not a method, header or cookie name.
    BadName,
}

impl FrontendError {
    /// An error about `text` in `field`.
    pub(crate) fn new(field: &str, text: &str, problem: Problem) -> Self {
        let mut shown: String = text.chars().take(SHOWN_LETTERS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self {
            field: field.into(),
            text: shown,
            problem,
        }
    }
}

impl fmt::Display for FrontendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            text,
            problem,
        } = self;
        match problem {
            Problem::NoDomain => write!(out, "{field}: {problem}"),
            _ => write!(out, "{field}: {text:?}: {problem}"),
        }
    }
}

impl std::error::Error for FrontendError {}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(wanted) => write!(out, "this must be {wanted}"),
            Self::NoDomain => out.write_str(
                "no domain is declared; add at least one, such as \"api.example.com/users\"",
            ),
            Self::TooMany(most) => {
                write!(
                    out,
                    "there are more than {most}; split the route into several"
                )
            }
            Self::EmptyDomain => out.write_str(
                "the host before the first slash is empty; write the host, or * for any host",
            ),
            Self::DomainTooLong => out.write_str("a host has at most 253 characters; shorten it"),
            Self::PortInDomain => out.write_str(
                "a domain has no port; remove it and bind the route to a listener instead",
            ),
            Self::NonAsciiDomain => {
                out.write_str("the host has letters outside ASCII; write its xn-- form")
            }
            Self::BadDomain => out.write_str(
                "the host has a character that no host has; use letters, digits, - . _ and *",
            ),
            Self::ControlCharacter => out.write_str("it has a control character; remove it"),
            Self::QueryInPath => out.write_str(
                "a path has no ? or #; move what follows into a query matcher, or write %3F or %23",
            ),
            Self::DotSegment => {
                out.write_str("a . or .. segment never occurs in a request; write the path without")
            }
            Self::BadPath(why) => write!(
                out,
                "no request can have this path ({}); write it as a client would send it",
                why.message()
            ),
            Self::UnnamedParam => {
                out.write_str("the path parameter has no name; write :name or $name<regex>")
            }
            Self::OpenSegmentRegex => out.write_str(
                "$name< must end with > in the same segment, and its expression has no slash",
            ),
            Self::TooManySegments => write!(
                out,
                "the path has more than {MAX_SEGMENTS} segments; declare a shorter prefix"
            ),
            Self::SegmentTooLong => write!(
                out,
                "a path segment has at most {MAX_SEGMENT_BYTES} bytes; shorten it"
            ),
            Self::PatternTooLong => write!(
                out,
                "the expression has more than {MAX_PATTERN_BYTES} bytes; shorten it"
            ),
            Self::BadRegex(why) => write!(
                out,
                "{why}; expressions run in linear time, rewrite it without"
            ),
            Self::OpenMatcher => out.write_str("Regex( and Wildcard( must end with ); add it"),
            Self::BadName => {
                out.write_str("this name cannot occur in a request; use letters, digits and -_.")
            }
        }
    }
}

/// How much of an offending text an error shows.
const SHOWN_LETTERS: usize = 100;
