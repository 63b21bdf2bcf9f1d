//! Ban an identifier after too many failures: one step lets in or keeps out, one counts failures.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};
use crate::access::IpSet;
use crate::expression::Template;
use crate::limits::{Key, Space};
use crate::plan::{Flow, Reply};
use crate::router::JavaRegex;
use crate::router::glob::glob_matches;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    identifier: String,
    detect_ms: u64,
    ban_ms: u64,
    max_retry: u64,
    url_regex: Vec<UrlRule>,
    statuses: Vec<(u16, u16)>,
    ignored: Vec<String>,
    blocked: Vec<String>,
}

/// The same, for the step at the end.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct AtTheEnd(Settings);

#[derive(Debug, Deserialize)]
struct UrlRule {
    pattern: String,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// What matches is left alone.
    Allow,
    /// What matches is watched.
    Block,
}

/// The step.
#[derive(Debug)]
pub(super) struct Fail2Ban {
    at_the_end: bool,
    identifier: Template,
    detect_ms: u64,
    ban_ms: u64,
    most: u64,
    rules: Vec<(JavaRegex, Mode)>,
    statuses: Vec<(u16, u16)>,
    ignored: Listed,
    blocked: Listed,
}

/// Addresses, and patterns for the identifier.
#[derive(Debug)]
struct Listed {
    addresses: IpSet,
    identifiers: Vec<String>,
}

impl Listed {
    fn build(name: &str, entries: &[String]) -> Result<Self, String> {
        let (mut addresses, mut identifiers) = (Vec::new(), Vec::new());
        for entry in entries {
            let inside = ["Ip(", "Cidr("]
                .iter()
                .find_map(|prefix| entry.strip_prefix(prefix))
                .and_then(|rest| rest.strip_suffix(')'));
            match inside {
                Some(address) => addresses.push(address.trim().to_owned()),
                None if entry.is_empty() => {}
                None => identifiers.push(entry.clone()),
            }
        }
        Ok(Self {
            addresses: IpSet::build(name, &addresses)?,
            identifiers,
        })
    }

    /// Whether the caller is listed, by its own address: others that are counted with it are not.
    fn has(&self, flow: &Flow, identifier: &Template) -> bool {
        if flow.comes_from(&self.addresses) {
            return true;
        }
        if self.identifiers.is_empty() {
            return false;
        }
        let identifier = identifier.text(flow);
        self.identifiers
            .iter()
            .any(|pattern| glob_matches(pattern.as_bytes(), identifier.as_bytes()))
    }
}

impl StepSettings for Settings {
    type Step = Fail2Ban;

    fn build(self) -> Result<Fail2Ban, String> {
        let identifier = Template::parse(&self.identifier)
            .map_err(|problem| format!("identifier: {problem}"))?;
        let rules = self.url_regex.iter().enumerate().map(|(at, rule)| {
            let pattern = JavaRegex::new(&rule.pattern)
                .map_err(|problem| format!("url_regex[{at}].pattern: {problem}"))?;
            Ok((pattern, rule.mode))
        });
        Ok(Fail2Ban {
            at_the_end: false,
            identifier,
            detect_ms: self.detect_ms,
            ban_ms: self.ban_ms,
            most: self.max_retry,
            rules: rules.collect::<Result<_, String>>()?,
            statuses: self.statuses,
            ignored: Listed::build("ignored", &self.ignored)?,
            blocked: Listed::build("blocked", &self.blocked)?,
        })
    }
}

impl StepSettings for AtTheEnd {
    type Step = Fail2Ban;

    fn build(self) -> Result<Fail2Ban, String> {
        Ok(Fail2Ban {
            at_the_end: true,
            ..self.0.build()?
        })
    }
}

impl Fail2Ban {
    /// Whether this path is watched: the first rule that matches decides. When none does, it is, but
    /// for a list that names what to watch.
    fn watches(&self, flow: &Flow) -> bool {
        let path = flow.request.path().as_bytes();
        match self.rules.iter().find(|(pattern, _)| pattern.matches(path)) {
            Some((_, mode)) => *mode == Mode::Block,
            None => self.rules.iter().all(|(_, mode)| *mode == Mode::Allow),
        }
    }

    fn check(&self, flow: &Flow) -> Option<Reply> {
        if self.blocked.has(flow, &self.identifier) {
            return Some(json_reply(&json!({
                "error": "blocked",
                "message": "You cant access this resource."
            })));
        }
        let limits = &flow.snapshot.limits;
        let key = self.key(flow);
        let left_ms = limits.banned_ms(key, flow.now())?;
        Some(json_reply(&json!({
            "error": "temporary_ban",
            "message": "You are temporarily banned due to too many failed requests.",
            "retry_in_seconds": left_ms.div_ceil(1000)
        })))
    }

    /// What failures are counted by.
    fn key(&self, flow: &Flow) -> Key {
        let identifier = self.identifier.counted(flow);
        let limits = &flow.snapshot.limits;
        limits.key(Space::Ban, &[identifier.as_bytes()])
    }

    /// Count a failed exchange, once: with the backend's response, so that the next request meets the
    /// ban, or when it is over. Those that were kept out here are no new failures.
    fn note(&self, flow: &mut Flow) {
        let status = flow.response.status;
        let failed = self
            .statuses
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&status));
        if !failed || self.blocked.has(flow, &self.identifier) {
            return;
        }
        let (limits, now) = (&flow.snapshot.limits, flow.now());
        let key = self.key(flow);
        if flow.attrs.counted.failures.contains(&key) || limits.banned_ms(key, now).is_some() {
            return;
        }
        limits.fail(key, self.most, self.detect_ms, self.ban_ms, now);
        flow.attrs.counted.failures.push(key);
    }
}

impl NativeStep for Fail2Ban {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if !self.watches(at.flow) {
            return Outcome::Continue;
        }
        if self.ignored.has(at.flow, &self.identifier) {
            return Outcome::Continue;
        }
        if self.at_the_end {
            self.note(at.flow);
            return Outcome::Continue;
        }
        let Some(reply) = self.check(at.flow) else {
            return Outcome::Continue;
        };
        Outcome::Answer(reply)
    }

    fn explain(&self) -> Value {
        json!({"identifier": self.identifier.source(), "max_retry": self.most})
    }
}

fn json_reply(body: &Value) -> Reply {
    Reply {
        status: 403,
        headers: vec![(b"Content-Type".to_vec(), b"application/json".to_vec())],
        body: body.to_string().into_bytes(),
    }
}
