//! The tokens of the exchange: `in_jwt.…`, `out_jwt.…` and the raw ones.

use serde_json::Value;

use super::Answer;
use super::parse::{Lookup, with_default};
use super::value::{at_path, push_json};
use crate::plan::Flow;

/// A fact of a token.
#[derive(Debug)]
pub(super) enum Claims {
    /// A claim of the token that the client sent and that was verified.
    In(Box<str>),
    /// A claim of the token that the backend gets.
    Out(Box<str>),
    RawIn,
    RawOut,
}

impl Claims {
    pub(super) fn parse(text: &str) -> Lookup<Self> {
        match text {
            "in_raw_jwt" => return Some((Self::RawIn, "".into())),
            "out_raw_jwt" => return Some((Self::RawOut, "".into())),
            _ => {}
        }
        let (family, rest) = text.split_once('.')?;
        let (path, missing) = with_default(rest, "no-jwt-");
        match family {
            "in_jwt" => Some((Self::In(path.into()), missing)),
            "out_jwt" => Some((Self::Out(path.into()), missing)),
            _ => None,
        }
    }

    pub(super) fn read(&self, flow: &Flow, out: &mut String) -> Answer {
        let attrs = &flow.attrs;
        match self {
            Self::In(path) => claim(attrs.claims.as_deref(), path, out),
            Self::Out(path) => claim(attrs.claims_out.as_deref(), path, out),
            Self::RawIn => raw(attrs.token_in.as_deref(), out),
            Self::RawOut => raw(attrs.token_out.as_deref(), out),
        }
    }
}

fn claim(claims: Option<&Value>, path: &str, out: &mut String) -> Answer {
    let Some(claims) = claims else {
        return Answer::NotApplicable;
    };
    match at_path(claims, path) {
        Some(value) if push_json(value, out) => Answer::Found,
        _ => Answer::Missing,
    }
}

fn raw(token: Option<&str>, out: &mut String) -> Answer {
    let Some(token) = token else {
        return Answer::NotApplicable;
    };
    out.push_str(token);
    Answer::Found
}
