//! From the text of a template to its parts: where expressions are, and which form each has.
//!
//! An expression is what stands between `${` and the next `}`; nothing nests. Forms are tried in
//! the reference's order and each takes as much as it can, so that `a:b:c` has the default `c`.

use super::caller::Caller;
use super::claims::Claims;
use super::context::Context;
use super::date::DateForm;
use super::environment::Setting;
use super::request::RequestFact;
use super::route::RouteFact;
use super::{Answer, EXPRESSIONS, Fault, NESTING, SOURCE_BYTES, Scope, Template};

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Part {
    Text(Box<str>),
    Expression(Expression),
}

/// One expression, its form told apart.
#[derive(Debug)]
pub(super) enum Expression {
    /// No known form.
    Bad,
    /// A known form with arguments that cannot be used; Otoroshi fails on it at run time.
    Broken,
    /// A fixed text.
    Fixed(&'static str),
    /// `a || b || c::default`.
    Chain {
        alternatives: Vec<Expression>,
        otherwise: Box<str>,
    },
    /// Something about time.
    Date(Box<DateForm>),
    /// A value of some source, and what stands in when the source lacks it.
    Lookup { source: Source, missing: Box<str> },
}

/// The families of values.
#[derive(Debug)]
pub(super) enum Source {
    Request(RequestFact),
    Route(RouteFact),
    Caller(Caller),
    Claims(Claims),
    Context(Context),
    Setting(Setting),
    Random,
}

/// A value's name and what stands in for it, as every family's parser returns them.
pub(super) type Lookup<T> = Option<(T, Box<str>)>;

/// Cut a template into parts.
pub(super) fn parts(source: &str) -> Result<Vec<Part>, String> {
    if source.len() > SOURCE_BYTES {
        return Err(format!(
            "the text has {} bytes; a text with expressions may have {SOURCE_BYTES}",
            source.len()
        ));
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut budget = EXPRESSIONS;
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inside, tail)) = after.split_once('}') else {
            break;
        };
        literal.push_str(before);
        if inside.starts_with("vault://") {
            // Secrets are resolved elsewhere; until then the reference stays as it is written.
            literal.push_str(&rest[before.len()..rest.len() - tail.len()]);
        } else {
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Expression(expression(inside, &mut budget)?));
        }
        rest = tail;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    Ok(parts)
}

/// Tell the form of what stood between `${` and `}`.
pub(super) fn expression(text: &str, budget: &mut usize) -> Result<Expression, String> {
    if !text.contains("||") {
        return simple(text, budget);
    }
    let (list, otherwise): (&str, Box<str>) = match text.rsplit_once("||") {
        // A default counts only in the last alternative.
        Some((_, last)) if last.contains("::") => {
            let at = text.rfind("::").unwrap_or(text.len());
            let default = text.get(at + 2..).unwrap_or("").trim();
            let default = if default.is_empty() {
                "no-chain-value-d"
            } else {
                default
            };
            (text.get(..at).unwrap_or(""), default.into())
        }
        _ => (text, "no-chain-value".into()),
    };
    let alternatives = list
        .split("||")
        .map(|alternative| simple(alternative.trim(), budget))
        .collect::<Result<_, _>>()?;
    Ok(Expression::Chain {
        alternatives,
        otherwise,
    })
}

fn simple(text: &str, budget: &mut usize) -> Result<Expression, String> {
    *budget = budget.checked_sub(1).ok_or_else(|| {
        format!("the text has more than {EXPRESSIONS} expressions; split it, or use fewer")
    })?;
    match text {
        "nbf" => return Ok(Expression::Fixed("{nbf}")),
        "iat" => return Ok(Expression::Fixed("{iat}")),
        "exp" => return Ok(Expression::Fixed("{exp}")),
        "rand" => {
            return Ok(Expression::Lookup {
                source: Source::Random,
                missing: "".into(),
            });
        }
        _ => {}
    }
    if let Some(form) = DateForm::parse(text, budget)? {
        return Ok(form.map_or(Expression::Broken, |form| Expression::Date(Box::new(form))));
    }
    let (source, missing) = if let Some((fact, missing)) = Context::parse(text)? {
        (Source::Context(fact), missing)
    } else if let Some((fact, missing)) = RouteFact::parse(text) {
        (Source::Route(fact), missing)
    } else if let Some((fact, missing)) = RequestFact::parse(text) {
        (Source::Request(fact), missing)
    } else if let Some((fact, missing)) = Caller::parse(text) {
        (Source::Caller(fact), missing)
    } else if let Some((fact, missing)) = Claims::parse(text) {
        (Source::Claims(fact), missing)
    } else if let Some((fact, missing)) = Setting::parse(text) {
        (Source::Setting(fact), missing)
    } else {
        return Ok(Expression::Bad);
    };
    Ok(Expression::Lookup { source, missing })
}

/// `NAME` or `NAME:default` behind a prefix: the name and what stands in for a missing value.
pub(super) fn with_default<'a>(rest: &'a str, marker: &str) -> (&'a str, Box<str>) {
    match rest.rsplit_once(':') {
        Some((name, default)) => (name, default.into()),
        None => (rest, format!("{marker}{rest}").into()),
    }
}

/// `'i'` or `'i':'default'` in brackets behind a prefix: the index and what stands in.
pub(super) fn index_with_default(rest: &str, marker: &str) -> Option<(Option<usize>, Box<str>)> {
    let inside = rest.strip_prefix("['")?.strip_suffix("']")?;
    let (index, missing) = match inside.rsplit_once("':'") {
        Some((index, default)) => (index, default.into()),
        None => (inside, format!("{marker}{inside}").into()),
    };
    Some((index.parse().ok(), missing))
}

impl Expression {
    pub(super) fn render(&self, scope: Scope<'_>, out: &mut String) -> Result<(), Fault> {
        scope.evaluate()?;
        match self {
            Self::Bad if scope.strict => return Err(Fault),
            Self::Bad => out.push_str("bad-expr"),
            Self::Broken => return Err(Fault),
            Self::Fixed(text) => out.push_str(text),
            Self::Date(form) => form.render(scope, out)?,
            Self::Chain {
                alternatives,
                otherwise,
            } => {
                let start = out.len();
                let lenient = Scope {
                    strict: false,
                    ..scope
                };
                for alternative in alternatives {
                    alternative.render(lenient, out)?;
                    let text = out.get(start..).unwrap_or("");
                    if !is_marker(text) {
                        return Ok(());
                    }
                    out.truncate(start);
                }
                if scope.strict && is_marker(otherwise) {
                    return Err(Fault);
                }
                out.push_str(otherwise);
            }
            Self::Lookup { source, missing } => {
                let start = out.len();
                match source.read(scope, out)? {
                    Answer::Found if source.is_operators() => evaluate_again(scope, start, out)?,
                    Answer::Found => {}
                    Answer::Missing if scope.strict && is_marker(missing) => return Err(Fault),
                    Answer::NotApplicable if scope.strict => return Err(Fault),
                    Answer::Missing => out.push_str(missing),
                    Answer::NotApplicable => out.push_str("bad-expr"),
                }
            }
        }
        Ok(())
    }
}

/// Whether a text stands in for a missing value and is no default of the operator's.
fn is_marker(text: &str) -> bool {
    text == "bad-expr" || text.starts_with("no-")
}

/// Evaluate the expressions in a value that was just written.
fn evaluate_again(scope: Scope<'_>, start: usize, out: &mut String) -> Result<(), Fault> {
    let written = out.get(start..).unwrap_or("");
    if scope.depth >= NESTING || !written.contains("${") {
        return Ok(());
    }
    let Ok(template) = Template::parse(written) else {
        return Ok(());
    };
    out.truncate(start);
    let scope = Scope {
        depth: scope.depth + 1,
        ..scope
    };
    template.render_in(scope, out)
}

impl Source {
    fn read(&self, scope: Scope<'_>, out: &mut String) -> Result<Answer, Fault> {
        let flow = scope.flow;
        match self {
            Self::Request(RequestFact::Ip) if scope.counts => {
                out.push_str(&flow.counted_address());
                Ok(Answer::Found)
            }
            Self::Request(fact) => Ok(fact.read(flow, out)),
            Self::Route(fact) => fact.read(flow, out),
            Self::Caller(fact) => fact.read(flow, out),
            Self::Claims(fact) => Ok(fact.read(flow, out)),
            Self::Context(fact) => fact.read(scope, out),
            Self::Setting(fact) => Ok(fact.read(flow, out)),
            Self::Random => super::value::random_token(out).map(|()| Answer::Found),
        }
    }

    /// Whether only the operator writes these values.
    fn is_operators(&self) -> bool {
        matches!(self, Self::Route(_) | Self::Setting(_))
    }
}
