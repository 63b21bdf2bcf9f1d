//! Otoroshi's header fields about a call: which request it is, when it came, how long it took and what
//! is left of the caller's quotas.

use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::expression::iso_with_offset;

/// For the backend.
#[derive(Debug, Deserialize)]
pub(super) struct InSettings {}

/// For the client.
#[derive(Debug, Deserialize)]
pub(super) struct BackSettings {}

/// The step for the backend.
#[derive(Debug)]
pub(super) struct HeadersIn;

/// The step for the client.
#[derive(Debug)]
pub(super) struct HeadersBack;

impl StepSettings for InSettings {
    type Step = HeadersIn;

    fn build(self) -> Result<HeadersIn, String> {
        Ok(HeadersIn)
    }
}

impl StepSettings for BackSettings {
    type Step = HeadersBack;

    fn build(self) -> Result<HeadersBack, String> {
        Ok(HeadersBack)
    }
}

impl NativeStep for HeadersIn {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &mut *at.flow;
        let id = flow.request_id.to_string();
        let timestamp = iso_with_offset(flow.timeline.begun.unix_s);
        let host = flow.request.host().as_bytes().to_vec();
        let headers = &mut flow.request.headers;
        headers.set(b"Otoroshi-Proxied-Host", &host);
        headers.set(b"Otoroshi-Request-Id", id.as_bytes());
        headers.set(b"Otoroshi-Request-Timestamp", timestamp.as_bytes());
        headers.remove(b"Otoroshi-Parent-Request");
        Outcome::Continue
    }

    fn owned_headers(&self) -> Vec<&str> {
        vec![
            "Otoroshi-Proxied-Host",
            "Otoroshi-Request-Timestamp",
            "Otoroshi-Parent-Request",
        ]
    }
}

impl NativeStep for HeadersBack {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        let flow = &mut *at.flow;
        let timeline = flow.timeline;
        let upstream = timeline.upstream_ms();
        let quota = flow.attrs.apikey.as_ref().and(flow.attrs.quota);
        let headers = &mut flow.response.headers;
        let mut tell = |name: &str, value: &str| headers.set(name.as_bytes(), value.as_bytes());
        tell("Otoroshi-Request-Id", &flow.request_id.to_string());
        let timestamp = iso_with_offset(timeline.begun.unix_s);
        tell("Otoroshi-Request-Timestamp", &timestamp);
        tell("Otoroshi-Proxy-Latency", &timeline.proxy_ms().to_string());
        let upstream = upstream.map_or_else(|| "-1".to_owned(), |ms| ms.to_string());
        tell("Otoroshi-Upstream-Latency", &upstream);
        // What a backend says of somebody's quotas is not what the gateway counted.
        for (name, count) in [
            ("Otoroshi-Daily-Calls-Remaining", quota.map(|it| it.daily)),
            (
                "Otoroshi-Monthly-Calls-Remaining",
                quota.map(|it| it.monthly),
            ),
        ] {
            match count {
                Some(count) => {
                    headers.set(name.as_bytes(), count.remaining().to_string().as_bytes())
                }
                None => {
                    headers.remove(name.as_bytes());
                }
            }
        }
        Outcome::Continue
    }
}
