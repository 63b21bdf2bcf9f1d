//! Values that plugins and the gateway put into the exchange's context: `ctx`, `item`, `params`,
//! `token`.

use super::functions::Change;
use super::parse::Lookup;
use super::{Answer, Fault, Scope, date::Date};
use crate::jose::text_of;
use crate::plan::Flow;

/// A value of the context.
#[derive(Debug)]
pub(super) struct Context {
    /// Keys in order; the first that is there counts.
    keys: Vec<Box<str>>,
    change: Option<Change>,
    /// Whether the claims of the token that was verified last stand in for what is missing.
    reads_claims: bool,
}

impl Context {
    /// Tell whether a text asks for the context.
    ///
    /// # Errors
    /// A call has an expression that cannot be compiled.
    pub(super) fn parse(text: &str) -> Result<Lookup<Self>, String> {
        let plain = |key: &str, marker: &str, name: &str| {
            let context = Self {
                keys: vec![key.into()],
                change: None,
                reads_claims: false,
            };
            Some((context, format!("{marker}{name}").into()))
        };
        if let Some(name) = text.strip_prefix("item.") {
            return Ok(plain(text, "no-item-", name));
        }
        if let Some(name) = text.strip_prefix("params.") {
            return Ok(plain(text, "no-params-", name));
        }
        for word in ["ctx", "token"] {
            let Some(rest) = text
                .strip_prefix(word)
                .and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            let reads_claims = word == "token";
            if let Some((name, change)) = Change::split(rest)? {
                let context = Self {
                    keys: vec![name.into()],
                    change: Some(change),
                    reads_claims,
                };
                return Ok(Some((context, format!("no-{word}-{name}").into())));
            }
            let (names, default) = match rest.rsplit_once(':') {
                Some((names, default)) => (names, Some(default)),
                None => (rest, None),
            };
            // `ctx.a|ctx.b`: the later names carry the word again.
            let again = format!("{word}.");
            let names: Vec<&str> = names
                .split('|')
                .enumerate()
                .map(|(at, name)| {
                    if at == 0 {
                        Some(name)
                    } else {
                        name.strip_prefix(&*again)
                    }
                })
                .collect::<Option<_>>()
                .unwrap_or_else(|| vec![names]);
            let missing = default.map_or_else(
                || format!("no-{word}-{}", names.join("-")).into(),
                Into::into,
            );
            let context = Self {
                keys: names.into_iter().map(Into::into).collect(),
                change: None,
                reads_claims,
            };
            return Ok(Some((context, missing)));
        }
        Ok(None)
    }

    pub(super) fn read(&self, scope: Scope<'_>, out: &mut String) -> Result<Answer, Fault> {
        let flow = scope.flow;
        for key in &self.keys {
            let start = out.len();
            let is_there =
                push(flow, key, out) || (self.reads_claims && push_claim(flow, key, out));
            if !is_there {
                continue;
            }
            if let Some(change) = &self.change {
                let value = out.split_off(start);
                let most = scope.limit.saturating_sub(start);
                out.push_str(&change.apply(&value, most).ok_or(Fault)?);
            }
            return Ok(Answer::Found);
        }
        Ok(Answer::Missing)
    }
}

/// Append a claim of the token that was verified last; lists and objects have no text.
fn push_claim(flow: &Flow, name: &str, out: &mut String) -> bool {
    let claim = flow.attrs.claims.as_ref().and_then(|it| it.get(name));
    let Some(text) = claim.and_then(text_of) else {
        return false;
    };
    out.push_str(&text);
    true
}

/// Append what the context has under a key; the gateway's own keys are always there.
fn push(flow: &Flow, key: &str, out: &mut String) -> bool {
    if let Some(value) = flow.attrs.context.get(key) {
        out.push_str(value);
        return true;
    }
    match key {
        "requestId" | "requestSnowflake" => out.push_str(&flow.id.to_string()),
        "requestTimestamp" => Date::now(flow).push_iso(out),
        _ => return false,
    }
    true
}
