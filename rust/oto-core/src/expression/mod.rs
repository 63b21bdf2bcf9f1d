//! Otoroshi's expression language: text with `${…}`, compiled once and rendered for each exchange.
//!
//! Theory of operation. [`Template::parse`] cuts a text into literal parts and expressions and tells
//! each expression's form apart (`parse.rs`); a text without expressions stays a literal and costs
//! nothing at run time. Rendering asks the sources, one file a family: `request.rs`, `route.rs`,
//! `caller.rs` (API key, user, consumer), `claims.rs` (tokens), `context.rs`, `environment.rs`, and
//! `date.rs` for everything about time. An expression that is unknown, or asks for something that is
//! not there, becomes `bad-expr` or a marker that begins with `no-`; one that cannot be worked out (a
//! broken date) turns the whole template into its own source. All as Otoroshi does it.
//!
//! One thing is not as Otoroshi does it. There, `${…}` in a *value* is evaluated again, whoever the
//! value comes from: a client that sends `${env.PASSWORD}` in a header gets it back from any template
//! that repeats the header. Here only values that the operator wrote (metadata of routes,
//! configuration, environment) are evaluated again, [`NESTING`] levels deep.
//!
//! Source: Otoroshi, engine_el.md; `docs/expressions.md` tells users.

mod caller;
mod claims;
mod context;
mod date;
mod date_pattern;
mod environment;
mod functions;
mod parse;
mod request;
mod route;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Value;

pub(crate) use date::{iso_with_offset, iso_years_later};
pub use environment::Environment;
pub(crate) use value::{decode_query, encode_query};

use self::parse::Part;
use crate::plan::Flow;

/// Bytes a template's source may have.
pub const SOURCE_BYTES: usize = 1 << 20;
/// Expressions a template may have, alternatives of a chain included.
pub const EXPRESSIONS: usize = 1024;
/// Bytes that the values of one rendering may have together; what would be longer renders as the
/// source.
pub const OUTPUT_BYTES: usize = 256 << 10;
/// Expressions that one rendering evaluates, those in values included; what would take more renders
/// as the source.
pub const EVALUATIONS: u32 = 4096;
/// How often a value that the operator wrote is evaluated again.
pub const NESTING: u8 = 4;

/// A compiled text with expressions.
#[derive(Debug)]
pub struct Template {
    source: Box<str>,
    parts: Box<[Part]>,
}

/// Evaluation broke down: the template renders as its source.
#[derive(Debug)]
struct Fault;

/// What a source says of a value it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It was written.
    Found,
    /// There is such a thing, without this value: the default or the marker stands in.
    Missing,
    /// There is no such thing in this exchange: `bad-expr`.
    NotApplicable,
}

/// What expressions are evaluated against.
#[derive(Clone, Copy)]
struct Scope<'a> {
    flow: &'a Flow,
    depth: u8,
    limit: usize,
    /// A value that is not there is a fault.
    strict: bool,
    /// Addresses stand for all that are counted with them.
    counts: bool,
    /// Evaluations that are left.
    left: &'a Cell<u32>,
}

impl Scope<'_> {
    /// Take one evaluation of those that are left.
    fn evaluate(&self) -> Result<(), Fault> {
        self.left.set(self.left.get().checked_sub(1).ok_or(Fault)?);
        Ok(())
    }
}

impl Template {
    /// Compile a text.
    ///
    /// # Errors
    /// What is wrong and how to mend it, without the name of the field: too long, too many
    /// expressions, a regular expression that this gateway cannot run.
    pub fn parse(source: &str) -> Result<Self, String> {
        Ok(Self {
            parts: parse::parts(source)?.into(),
            source: source.into(),
        })
    }

    /// Whether there is nothing to evaluate.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.literal().is_some()
    }

    /// The text, when there is nothing to evaluate.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Append the text with its values to `out`.
    ///
    /// Header values appear as Latin-1 text: one character a byte.
    pub fn render(&self, flow: &Flow, out: &mut String) {
        self.render_for(flow, false, out);
    }

    fn render_for(&self, flow: &Flow, counts: bool, out: &mut String) {
        let start = out.len();
        let scope = Scope {
            flow,
            depth: 0,
            limit: start + self.source.len() + OUTPUT_BYTES,
            strict: false,
            counts,
            left: &Cell::new(EVALUATIONS),
        };
        if self.render_in(scope, out).is_err() {
            out.truncate(start);
            out.push_str(&self.source);
        }
    }

    /// The text with its values; borrowed when there are none.
    #[must_use]
    pub fn text(&self, flow: &Flow) -> Cow<'_, str> {
        if let Some(text) = self.literal() {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        self.render(flow, &mut out);
        Cow::Owned(out)
    }

    /// What an exchange is counted by: the text with its values, the client's address being that of
    /// [`Flow::counted_address`].
    #[must_use]
    pub fn counted(&self, flow: &Flow) -> Cow<'_, str> {
        if let Some(text) = self.literal() {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        self.render_for(flow, true, &mut out);
        Cow::Owned(out)
    }

    /// The text with its values; none when one of them is not there and has no default. For secrets:
    /// what stands in for a missing value is the same in every gateway, and so known to everybody.
    #[must_use]
    pub fn found(&self, flow: &Flow) -> Option<String> {
        let scope = Scope {
            flow,
            depth: 0,
            limit: self.source.len() + OUTPUT_BYTES,
            strict: true,
            counts: false,
            left: &Cell::new(EVALUATIONS),
        };
        let mut out = String::new();
        self.render_in(scope, &mut out).ok()?;
        Some(out)
    }

    /// The text with its values as a header value.
    #[must_use]
    pub fn header_value(&self, flow: &Flow) -> Vec<u8> {
        header_bytes(&self.text(flow))
    }

    fn render_in(&self, scope: Scope<'_>, out: &mut String) -> Result<(), Fault> {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expression(expression) => expression.render(scope, out)?,
            }
            if out.len() > scope.limit {
                return Err(Fault);
            }
        }
        Ok(())
    }
}

/// Text as a header carries it: one byte a character; what no header can carry (control characters,
/// so that no value splits a message, and letters outside Latin-1) becomes `?`.
#[must_use]
pub fn header_bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|letter| match u8::try_from(u32::from(letter)) {
            Ok(byte) if byte == b'\t' || (byte >= 0x20 && byte != 0x7f) => byte,
            _ => b'?',
        })
        .collect()
}

/// A header value with expressions; what never changes is kept as the bytes it becomes.
#[derive(Debug)]
pub enum HeaderTemplate {
    /// Nothing to evaluate in it.
    Literal(Box<[u8]>),
    /// A text with expressions.
    Dynamic(Template),
}

impl HeaderTemplate {
    /// Compile a value.
    ///
    /// # Errors
    /// As [`Template::parse`], or the text has a character that no header can carry.
    pub fn parse(source: &str) -> Result<Self, String> {
        if source.chars().any(|letter| {
            letter > '\u{ff}' || (letter.is_control() && letter < '\u{80}' && letter != '\t')
        }) {
            return Err(
                "the value has a character that no header can carry; use Latin-1 text".to_owned(),
            );
        }
        let template = Template::parse(source)?;
        Ok(match template.literal() {
            Some(text) => Self::Literal(header_bytes(text).into()),
            None => Self::Dynamic(template),
        })
    }

    /// The value for one exchange.
    #[must_use]
    pub fn value(&self, flow: &Flow) -> Cow<'_, [u8]> {
        match self {
            Self::Literal(bytes) => Cow::Borrowed(bytes),
            Self::Dynamic(template) => Cow::Owned(template.header_value(flow)),
        }
    }

    /// The value as it was written.
    #[must_use]
    pub fn source(&self) -> Cow<'_, str> {
        match self {
            Self::Literal(bytes) => bytes.iter().copied().map(char::from).collect(),
            Self::Dynamic(template) => Cow::Borrowed(template.source()),
        }
    }
}

/// A JSON value whose strings are templates; keys and other values stay as they are.
#[derive(Debug)]
pub enum JsonTemplate {
    /// Nothing to evaluate in it.
    Literal(Value),
    /// A string with expressions.
    Text(Template),
    /// An array.
    List(Vec<JsonTemplate>),
    /// An object.
    Fields(Vec<(Box<str>, JsonTemplate)>),
}

/// JSON deeper than this keeps its inner strings as they are.
const JSON_DEPTH: usize = 64;

impl JsonTemplate {
    /// Compile the strings of a value.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse(value: &Value) -> Result<Self, String> {
        Self::compile(value, JSON_DEPTH)
    }

    fn compile(value: &Value, depth: usize) -> Result<Self, String> {
        let inner = depth.saturating_sub(1);
        let whole = match value {
            _ if depth == 0 => None,
            Value::String(text) => {
                let template = Template::parse(text)?;
                (!template.is_literal()).then_some(Self::Text(template))
            }
            Value::Array(items) => {
                let items = items
                    .iter()
                    .map(|item| Self::compile(item, inner))
                    .collect::<Result<Vec<_>, _>>()?;
                (!items.iter().all(Self::is_literal)).then_some(Self::List(items))
            }
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(key, item)| Ok((key.as_str().into(), Self::compile(item, inner)?)))
                    .collect::<Result<Vec<_>, String>>()?;
                let literal = fields.iter().all(|(_, item)| item.is_literal());
                (!literal).then_some(Self::Fields(fields))
            }
            _ => None,
        };
        Ok(whole.unwrap_or_else(|| Self::Literal(value.clone())))
    }

    /// Whether there is nothing to evaluate.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// The value with its expressions evaluated.
    #[must_use]
    pub fn render(&self, flow: &Flow) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Text(template) => Value::String(template.text(flow).into_owned()),
            Self::List(items) => items.iter().map(|item| item.render(flow)).collect(),
            Self::Fields(fields) => fields
                .iter()
                .map(|(key, item)| (String::from(&**key), item.render(flow)))
                .collect(),
        }
    }
}
