//! Rewrite a `Location` that points at the backend, so that it points here.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{At, NativeStep, Outcome, StepSettings};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    matching_hostnames: Vec<String>,
}

/// The step.
#[derive(Debug)]
pub(super) struct OverrideLocation(Vec<Box<[u8]>>);

impl StepSettings for Settings {
    type Step = OverrideLocation;

    fn build(self) -> Result<OverrideLocation, String> {
        let names = self.matching_hostnames.into_iter();
        Ok(OverrideLocation(
            names.map(|name| name.into_bytes().into()).collect(),
        ))
    }
}

impl NativeStep for OverrideLocation {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &mut *at.flow;
        if !matches!(flow.response.status, 201 | 300..=399) {
            return Outcome::Continue;
        }
        let Some((host, rest)) = flow.response.headers.find(b"location").and_then(split) else {
            return Outcome::Continue;
        };
        let is_backend = flow
            .target()
            .is_some_and(|target| target.hostname.as_bytes().eq_ignore_ascii_case(host));
        if !is_backend && !self.0.iter().any(|name| **name == *host) {
            return Outcome::Continue;
        }
        let scheme = if flow.secured { "https" } else { "http" };
        let mut location = format!("{scheme}://{}", flow.request.domain()).into_bytes();
        let port = flow.request.host().get(flow.request.domain().len()..);
        location.extend_from_slice(port.unwrap_or("").as_bytes());
        let backend = &at.route.backend;
        let root = backend.root.strip_suffix('/').unwrap_or(&backend.root);
        let below = rest
            .strip_prefix(root.as_bytes())
            .filter(|_| !backend.rewrite)
            .filter(|below| matches!(below.first(), None | Some(b'/' | b'?' | b'#')));
        location.extend_from_slice(below.unwrap_or(rest));
        flow.response.headers.set(b"Location", &location);
        Outcome::Continue
    }

    fn explain(&self) -> Value {
        let names = self.0.iter().map(|name| String::from_utf8_lossy(name));
        json!({"matching_hostnames": names.collect::<Vec<_>>()})
    }
}

/// Host and what follows the authority of an absolute http or https address.
fn split(location: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = location.windows(3).position(|window| window == b"://")?;
    let (scheme, rest) = (location.get(..at)?, location.get(at + 3..)?);
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let authority = authority.rsplit(|byte| *byte == b'@').next()?;
    let host = if authority.starts_with(b"[") {
        authority.split_inclusive(|byte| *byte == b']').next()?
    } else {
        authority.split(|byte| *byte == b':').next()?
    };
    Some((host, rest))
}
