//! What a signature must be like to count, and which of several does (RFC 9421 §3.2).

use std::fmt::Display;
use std::sync::Arc;

use serde_json::{Value, json};

use super::component::{Component, bytes_of};
use super::{ALGORITHMS, Algorithm, Message, base};
use crate::http1::Headers;
use crate::jose::VerifyingKey;
use crate::signature::structured::{self, Bare, InnerList, Malformed, Member};

/// A key that may have made a signature.
#[derive(Debug)]
pub struct Key {
    /// What `keyid` calls it; without one it is tried for signatures no other key is named by.
    pub keyid: Option<String>,
    /// The one algorithm it is used with, when that is fixed.
    pub algorithm: Option<Algorithm>,
    /// The key.
    pub key: Arc<VerifyingKey>,
}

/// What a signature must be like.
#[derive(Debug)]
pub struct Policy {
    /// Components it must cover.
    pub required: Vec<Component>,
    /// Algorithms that count.
    pub allowed: Vec<Algorithm>,
    /// It must name its key.
    pub require_keyid: bool,
    /// How old it may be, in seconds; `created` must be there then.
    pub max_age_s: Option<i64>,
    /// How far clocks may differ, in seconds.
    pub skew_s: i64,
    /// Only the signature of this label counts.
    pub label: Option<String>,
    /// A message without a signature is refused.
    pub mandatory: bool,
}

/// Why a message is refused: a status, and words that hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// 400 or 401.
    pub status: u16,
    /// For the client.
    pub details: String,
}

impl Rejection {
    fn malformed(problem: impl Display) -> Self {
        Self {
            status: 400,
            details: format!("malformed signature headers: {problem}"),
        }
    }

    fn unproven(details: String) -> Self {
        Self {
            status: 401,
            details,
        }
    }

    /// The answer's body.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({"error": "invalid_http_signature", "details": self.details})
    }
}

/// A signature that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its label.
    pub label: String,
    /// The key it names.
    pub keyid: Option<String>,
    /// Whether it covers `content-digest`, so that the body has to be checked.
    pub covers_digest: bool,
}

/// Signatures of one message that are looked at; more are malformed.
const SIGNATURES: usize = 16;

/// Components a signature may cover: each costs work before anybody is known to have signed.
const COMPONENTS: usize = 64;

/// Check a request. None for one without a signature that need not have any.
///
/// # Errors
/// Why it is refused. Of several signatures the first that holds counts; when none does, the last
/// one's problem is told.
pub fn verify(
    message: &Message<'_>,
    policy: &Policy,
    keys: &[Key],
    unix_s: i64,
) -> Result<Option<Verified>, Rejection> {
    let headers = message
        .response
        .map_or(message.headers, |(_, headers)| headers);
    let (Some(inputs), Some(signatures)) = (
        joined(headers, b"signature-input"),
        joined(headers, b"signature"),
    ) else {
        if !policy.mandatory {
            return Ok(None);
        }
        let details = "missing Signature-Input or Signature header".to_owned();
        return Err(Rejection::unproven(details));
    };
    let read = |field: &[u8]| structured::dictionary(field);
    let malformed = |problem: Malformed| Rejection::malformed(problem);
    let inputs = read(&inputs).map_err(malformed)?;
    let signatures = read(&signatures).map_err(malformed)?;
    if inputs.len() > SIGNATURES {
        return Err(Rejection::malformed("more than 16 signatures"));
    }
    let wanted = |label: &str| policy.label.as_deref().is_none_or(|wanted| wanted == label);
    let mut last = None;
    for (label, member) in inputs.iter().filter(|(label, _)| wanted(label)) {
        let Member::Inner(covered) = member else {
            return Err(Rejection::malformed(format!(
                "{label} is no list of components"
            )));
        };
        let signature = signatures.iter().find(|(name, _)| name == label);
        let outcome = match signature.map(|(_, member)| bytes_of(member)) {
            None => Err(format!("signature dict is missing label '{label}'")),
            Some(None) => return Err(Rejection::malformed(format!("{label} has no bytes"))),
            Some(Some(bytes)) => check(message, policy, keys, unix_s, (label, covered, bytes)),
        };
        match outcome {
            Ok(verified) => return Ok(Some(verified)),
            Err(problem) => last = Some(problem),
        }
    }
    Err(last.map_or_else(
        || Rejection {
            status: 400,
            details: format!(
                "no signature with label '{}'",
                policy.label.as_deref().unwrap_or("*")
            ),
        },
        Rejection::unproven,
    ))
}

/// Everything `Signature-Input` may say of a signature.
#[derive(Default)]
struct Parameters<'a> {
    created: Option<i64>,
    expires: Option<i64>,
    alg: Option<&'a str>,
    keyid: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn read(covered: &'a InnerList) -> Result<Self, String> {
        let mut read = Self::default();
        for (name, value) in &covered.parameters {
            match (name.as_str(), value) {
                ("created", Bare::Integer(time)) => read.created = Some(*time),
                ("expires", Bare::Integer(time)) => read.expires = Some(*time),
                ("alg", Bare::String(text)) => read.alg = Some(text),
                ("keyid", Bare::String(text)) => read.keyid = Some(text),
                ("nonce" | "tag", Bare::String(_)) => {}
                ("created" | "expires" | "alg" | "keyid" | "nonce" | "tag", _) => {
                    return Err(format!("has a {name} that is none"));
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

type Claimed<'a> = (&'a str, &'a InnerList, &'a [u8]);

fn check(
    message: &Message<'_>,
    policy: &Policy,
    keys: &[Key],
    unix_s: i64,
    (label, covered, signature): Claimed<'_>,
) -> Result<Verified, String> {
    let of = |problem: String| format!("signature '{label}' {problem}");
    if covered.items.len() > COMPONENTS {
        return Err(of(format!("covers more than {COMPONENTS} components")));
    }
    let listed: Vec<Component> = covered
        .items
        .iter()
        .map(Component::read)
        .collect::<Result<_, _>>()
        .map_err(|problem| of(format!("covers what is none: {problem}")))?;
    if !policy
        .required
        .iter()
        .all(|component| listed.contains(component))
    {
        return Err(of("does not cover required components".to_owned()));
    }
    let parameters = Parameters::read(covered).map_err(of)?;
    check_times(&parameters, policy, unix_s).map_err(of)?;
    let named = match parameters.alg {
        None => None,
        Some(name) => {
            let known = policy
                .allowed
                .iter()
                .find(|algorithm| algorithm.name == name);
            let shown = shown(name);
            Some(*known.ok_or_else(|| of(format!("uses disallowed algorithm '{shown}'")))?)
        }
    };
    if policy.require_keyid && parameters.keyid.is_none() {
        return Err(of("has no keyid".to_owned()));
    }
    let mut candidates: Vec<&Key> = keys
        .iter()
        .filter(|key| key.keyid.is_some() && key.keyid.as_deref() == parameters.keyid)
        .collect();
    if candidates.is_empty() {
        candidates = keys.iter().filter(|key| key.keyid.is_none()).collect();
    }
    if candidates.is_empty() {
        let keyid = shown(parameters.keyid.unwrap_or_default());
        return Err(format!("no key configured for keyid '{keyid}'"));
    }
    let text = base(message, covered).map_err(of)?;
    let holds = candidates.iter().any(|key| {
        let fits = |algorithm: &&Algorithm| {
            policy.allowed.contains(algorithm)
                && named.is_none_or(|named| named == **algorithm)
                && key.algorithm.is_none_or(|only| only == **algorithm)
        };
        ALGORITHMS
            .iter()
            .filter(fits)
            .any(|algorithm| key.key.verify(algorithm.same_as, &text, signature).is_ok())
    });
    if !holds {
        return Err("no matching key verified signature".to_owned());
    }
    let is_digest = |item: &structured::Item| item.value == Bare::String("content-digest".into());
    Ok(Verified {
        label: label.to_owned(),
        keyid: parameters.keyid.map(str::to_owned),
        covers_digest: covered.items.iter().any(is_digest),
    })
}

fn check_times(parameters: &Parameters<'_>, policy: &Policy, unix_s: i64) -> Result<(), String> {
    match (parameters.created, policy.max_age_s) {
        (Some(created), _) if created > unix_s.saturating_add(policy.skew_s) => {
            return Err("created in the future".to_owned());
        }
        (Some(created), Some(limit))
            if unix_s.saturating_sub(created) > limit.saturating_add(policy.skew_s) =>
        {
            return Err(format!("is older than {limit} seconds"));
        }
        // Without a time of birth nothing would ever be too old.
        (None, Some(_)) => return Err("has no created".to_owned()),
        _ => {}
    }
    let ends = parameters
        .expires
        .map(|expires| expires.saturating_add(policy.skew_s));
    if ends.is_some_and(|end| unix_s > end) {
        return Err("has expired".to_owned());
    }
    Ok(())
}

/// The key ids that the signatures of a request name, 16 at most; for a request that is malformed none.
#[must_use]
pub fn keyids(headers: &Headers) -> Vec<String> {
    let inputs = joined(headers, b"signature-input").unwrap_or_default();
    let inputs = structured::dictionary(&inputs).unwrap_or_default();
    inputs
        .iter()
        .take(SIGNATURES)
        .filter_map(|(_, member)| match member {
            Member::Inner(covered) => Parameters::read(covered).ok()?.keyid.map(str::to_owned),
            Member::Item(_) => None,
        })
        .collect()
}

fn joined(headers: &Headers, name: &[u8]) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.find_all(name).collect();
    (!lines.is_empty()).then(|| lines.join(&b", "[..]))
}

/// A peer's text, cut to what an answer may repeat.
fn shown(text: &str) -> String {
    text.chars().take(128).collect()
}
