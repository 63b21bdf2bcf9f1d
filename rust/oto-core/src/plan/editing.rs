//! How steps and hooks edit the messages of an exchange.

use super::flow::Flow;
use super::reply::Reply;
use super::step::Phase;
use crate::apikeys::ApiKey;
use crate::http1::{Framing, Headers};
use crate::limits::Usage;

impl Flow {
    /// The fields that a phase edits: the request's, or the response's.
    pub fn headers(&mut self, phase: Phase) -> &mut Headers {
        if phase >= Phase::TransformResponse {
            &mut self.response.headers
        } else {
            &mut self.request.headers
        }
    }

    /// Set a header of the request or the response, as the phase has it. A new `Host` takes back
    /// an earlier override.
    pub fn set_header(&mut self, phase: Phase, name: &[u8], value: &[u8]) {
        if phase < Phase::TransformResponse && name.eq_ignore_ascii_case(b"host") {
            self.host_overridden = false;
        }
        self.headers(phase).set(name, value);
    }

    /// Send a header with whatever answer goes out, a refusal included. It replaces one of the
    /// same name that the backend or a later step wrote.
    pub fn add_to_response(&mut self, name: &[u8], value: &[u8]) {
        self.response_fields.push((name.into(), value.into()));
    }

    /// Count a call of an API key against its quotas, or only tell what is used (`update`). A
    /// strategy that counts by an expression counts by what it says of this exchange.
    #[must_use]
    pub(super) fn count_call_of(&self, key: &ApiKey, update: bool) -> Usage {
        let (limits, now) = (&self.snapshot.limits, self.now());
        if !update {
            return limits.peek_quota(key.client_id(), key.quota(), now);
        }
        let bucket = key.bucket_of(self);
        let strategy = key.strategy().zip(bucket.as_deref());
        limits.consume_quota(key.client_id(), key.quota(), strategy, now)
    }

    /// Send another status; one that never has a body drops the body with it.
    pub fn set_status(&mut self, status: u16) {
        self.response.status = status;
        if matches!(status, 204 | 304) {
            self.response.framing = Framing::None;
            self.bodiless = true;
        }
    }

    /// Have an error page echo the client's own state. What stands in the request once it is the
    /// backend's is the gateway's challenge, for the backend's eyes only.
    pub(super) fn hide_challenge(&self, reply: &mut Reply) {
        if !self.is_prepared {
            return;
        }
        let state = self.client_state.as_deref().unwrap_or(b"--");
        for (name, value) in &mut reply.headers {
            if name == b"Otoroshi-State-Resp" {
                value.clear();
                value.extend_from_slice(state);
            }
        }
    }

    /// Write what [`Flow::add_to_response`] gathered, last of all.
    pub(super) fn write_response_fields(&mut self) {
        self.write_rate_limits();
        for (name, value) in self.response_fields.drain(..) {
            self.response.headers.set(&name, &value);
        }
    }
}
