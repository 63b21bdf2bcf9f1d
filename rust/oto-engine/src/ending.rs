//! How exchanges and connections end: well, with their last answer flushed, or because somebody left.

use std::sync::Arc;

use oto_core::access::Peer;
use oto_core::apikeys::ApiKey;
use oto_core::limits::Usage;
use oto_core::plan::{Flow, Next};
use oto_core::record::{AccessLine, Details, Head, Record, blot};
use serde_json::{Value, json};

use crate::connection::{DownPhase, Exchange};
use crate::engine::{Engine, down_token};
use crate::event::Event;
use crate::io::Got;
use crate::streams::raise;

/// The status in records of an exchange whose client left.
const CLIENT_LEFT: u16 = 499;
/// The status in records of an exchange that had no answer yet when the gateway ended.
const ENDED_WITHOUT_ANSWER: u16 = 503;
/// The most reads of one turn after the last answer.
const LINGER_READS: usize = 16;

/// The most exchanges whose tally and record wait for Python to give their flow back.
const ENDED: usize = 4096;

/// How an exchange ended: what its record tells besides the flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) started_s: f64,
    pub(crate) duration_s: f64,
    pub(crate) upstream_s: f64,
    pub(crate) peer: Peer,
    pub(crate) status: u16,
    pub(crate) attempts: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) head_out: u64,
    pub(crate) local: bool,
    /// Whether it makes a line in the access log of its listener.
    pub(crate) is_logged: bool,
}

/// Copy what an event tells out of a flow that is over.
fn filled(mut details: Box<Details>, flow: &mut Flow, ended: &Ended) -> Box<Details> {
    details.request_id = flow.request_id;
    details.client = flow.remote_address();
    if let Some(query) = flow.request.query() {
        details.query.extend_from_slice(query.as_bytes());
    }
    details.version = flow.request.version;
    details.secured = flow.secured;
    details.target_tls = flow.target().is_some_and(|target| target.tls.is_some());
    if ended.attempts > 0 {
        details.heads.copy(Head::ToBackend, &flow.request.headers);
    }
    details.heads.copy(Head::Response, &flow.response.headers);
    details.head_out = ended.head_out;
    if let Some(route) = &flow.route {
        details.route_name = route.name.clone();
        details.route_metadata.clone_from(&route.metadata);
    }
    if ended.local && flow.refused {
        details.refusal = flow.attrs.refusal.take();
    }
    details.identity = identity(flow);
    details.quotas = flow.attrs.quota.as_ref().map(Usage::json);
    details.extra = flow.attrs.extra.clone();
    details.alerts = std::mem::take(&mut flow.attrs.alerts);
    details.client_cert = flow.downstream.client_cert.clone();
    details.trace = flow.attrs.trace;
    if let Some(key) = shown_key(flow) {
        // A key may stand in a header of any name, also when it is refused.
        for form in key.secret_forms() {
            details.hide(form.as_bytes());
        }
    }
    for secret in &flow.attrs.hidden {
        details.hide(secret);
    }
    details
}

/// Statuses of answers that refuse a caller, and messages and causes of refusals that have others. As in
/// `gateway_event.py`, which makes the alerts.
const REFUSED: [u16; 3] = [401, 403, 429];
const REFUSED_WITH: [&str; 3] = [
    "error.bad.token",
    "invalid apikey tuple",
    "errors.service.not.secured",
];

/// Whether an exchange has something that an operator should see.
fn is_alarming(ended: &Ended, flow: &Flow) -> bool {
    if !flow.attrs.alerts.is_empty() {
        return true;
    }
    if !ended.local {
        return false;
    }
    (ended.attempts == 0 && REFUSED.contains(&ended.status))
        || flow.attrs.refusal.as_ref().is_some_and(|refusal| {
            let told = [&*refusal.message, &*refusal.cause];
            flow.refused && told.iter().any(|text| REFUSED_WITH.contains(text))
        })
}

/// The API key that the caller named, whether it was let in or not.
fn shown_key(flow: &Flow) -> Option<&ApiKey> {
    let attrs = &flow.attrs;
    attrs.apikey.as_deref().or(attrs.shown_key.as_deref())
}

/// Who called, as events tell it: a key before a user.
fn identity(flow: &Flow) -> Option<Value> {
    if let Some(key) = &flow.attrs.apikey {
        let metadata: serde_json::Map<String, Value> = key
            .all_metadata()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        return Some(json!({
            "identityType": "APIKEY",
            "identity": key.client_id(),
            "label": key.client_name(),
            "metadata": metadata,
            "tags": key.tags().collect::<Vec<_>>(),
        }));
    }
    let user = flow.attrs.user.as_ref()?;
    let of = |name: &str| user.get(name).cloned().unwrap_or(Value::Null);
    Some(json!({
        "identityType": "PRIVATEAPP",
        "identity": of("email"),
        "label": of("name"),
        "metadata": of("metadata"),
        "tags": of("tags"),
    }))
}

impl Engine {
    /// The response is sent, or held in the connection's output: count it and go on.
    pub(crate) fn finish_exchange(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(exchange) = down.exchange.take() else {
            return;
        };
        let keep_alive = exchange.keep_alive && exchange.body.is_done();
        self.account(key, *exchange);
        if !keep_alive {
            self.finish_connection(key);
            return;
        }
        let patience = if self.draining {
            self.settings.drain_idle_s
        } else {
            self.settings.keep_alive_idle_s
        };
        let idle = self.now_s + patience;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.phase = DownPhase::Idle;
        if !down.input.is_empty() || down.ready.readable || down.ready.closed {
            self.again.push_back(down_token(key));
        }
        self.set_down_deadline(key, idle);
    }

    /// End a connection so that its end does not look like the end of the message.
    pub(crate) fn reset_down(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.stream.break_off();
        if let Some(exchange) = down.exchange.take() {
            self.account(key, *exchange);
        }
        self.drop_down(key);
    }

    /// Count a finished exchange, record it and run its done steps.
    pub(crate) fn account(&mut self, key: usize, exchange: Exchange) {
        let duration = self.now_s - exchange.started_s;
        self.metrics.finished(exchange.status, duration);
        self.metrics.bytes_in += exchange.bytes_in;
        self.metrics.bytes_out += exchange.bytes_out;
        self.metrics.overhead_sum_s += (duration - exchange.upstream_s).max(0.0);
        let ended = self.ended_of(key, &exchange);
        let Some(mut flow) = exchange.flow else {
            self.remember(exchange.id, ended);
            return;
        };
        if let Some(ended) = ended {
            self.tally(&ended, &flow);
            self.record(ended, &mut flow);
        }
        if flow.begin_done() {
            self.run_done(flow);
        } else {
            let flow = *flow;
            self.recycle(flow.request, flow.response);
        }
    }

    /// What is counted and recorded of an exchange besides its flow; none when its connection is gone.
    pub(crate) fn ended_of(&self, key: usize, exchange: &Exchange) -> Option<Ended> {
        let down = self.downs.get(key)?;
        let listener = self.listeners.get(down.listener);
        Some(Ended {
            started_s: exchange.started_s,
            duration_s: self.now_s - exchange.started_s,
            upstream_s: exchange.upstream_s,
            peer: down.peer,
            is_logged: listener.is_some_and(|listener| self.access_log.is_of(&listener.id)),
            status: exchange.status,
            attempts: exchange.attempts,
            bytes_in: exchange.bytes_in,
            bytes_out: exchange.bytes_out,
            head_out: exchange.head_out,
            local: exchange.local,
        })
    }

    /// Python holds the flow of an exchange that is over: it is counted for its route and recorded when it
    /// comes back.
    pub(crate) fn remember(&mut self, id: u64, ended: Option<Ended>) {
        if let Some(ended) = ended {
            if self.ended.len() < ENDED {
                self.ended.insert(id, ended);
            }
        }
    }

    /// Make the record of an exchange.
    pub(crate) fn record(&mut self, ended: Ended, flow: &mut Flow) {
        let alarm = self.ring.wants_alerts()
            && flow.details.is_none()
            && is_alarming(&ended, flow)
            && self.ring.has_room_for_alert();
        if !alarm && !self.ring.is_on() && !ended.is_logged {
            return;
        }
        let mut text = self.ring.text();
        let (method, host) = (flow.request.method_text(), flow.request.host());
        text.extend_from_slice(method.as_bytes());
        text.extend_from_slice(host.as_bytes());
        let path_at = text.len();
        text.extend_from_slice(flow.request.path().as_bytes());
        if !flow.params.is_empty() {
            // A route may take the key from a segment of its path.
            if let (Some(key), Some(path)) = (shown_key(flow), text.get_mut(path_at..)) {
                for form in key.secret_forms() {
                    blot(path, form.as_bytes());
                }
            }
            for secret in &flow.attrs.hidden {
                if let Some(path) = text.get_mut(path_at..) {
                    blot(path, secret);
                }
            }
        }
        if ended.is_logged {
            self.access_log.push(&AccessLine {
                peer: ended.peer,
                began_unix_s: ended.started_s + self.unix_offset_s,
                method: method.as_bytes(),
                path: text.get(path_at..).unwrap_or_default(),
                version: flow.request.version,
                status: ended.status,
                body_bytes: ended.bytes_out.saturating_sub(ended.head_out),
                duration_s: ended.duration_s,
                secured: flow.secured,
            });
        }
        if !alarm && !self.ring.is_on() {
            return;
        }
        let record = Record {
            started_s: ended.started_s,
            duration_s: ended.duration_s,
            upstream_s: ended.upstream_s,
            peer: ended.peer,
            route: flow.route.as_ref().map(|route| Arc::clone(&route.id)),
            target: flow.target().map(|target| Arc::clone(&target.address)),
            method_len: u16::try_from(method.len()).unwrap_or(0),
            host_len: u16::try_from(host.len()).unwrap_or(0),
            text,
            status: ended.status,
            attempts: ended.attempts,
            bytes_in: ended.bytes_in,
            bytes_out: ended.bytes_out,
            local: ended.local,
            request_id: flow.request_id,
            apikey: flow.attrs.apikey.as_ref().map(|key| key.client_id().into()),
            details: flow
                .details
                .take()
                .map(|details| filled(details, flow, &ended)),
        };
        if alarm {
            let mut record = record.clone();
            record.details = Some(filled(Box::default(), flow, &ended));
            self.ring.push_alert(record);
        }
        if self.ring.is_on() {
            self.ring.push(record);
        }
    }

    /// Hand out the next step of the done phase; nobody waits for it.
    pub(crate) fn run_done(&mut self, mut flow: Box<Flow>) {
        match flow.advance() {
            Next::Python(step) => self.raised.push(Event::Run(flow, step)),
            _ => {
                let flow = *flow;
                self.recycle(flow.request, flow.response);
            }
        }
    }

    /// No further request on this connection: write what waits, then close.
    pub(crate) fn finish_connection(&mut self, key: usize) {
        let due = self.now_s + self.settings.body_idle_s;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.phase = DownPhase::Flushing;
        if down.output.is_empty() {
            self.flushed(key);
        } else {
            self.set_down_deadline(key, due);
        }
    }

    pub(crate) fn flushed(&mut self, key: usize) {
        let due = self.now_s + self.settings.linger_s;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.stream.is_stream() {
            // The place goes when the carrier was told of the end.
            down.phase = DownPhase::Lingering;
            down.stream.shutdown().unwrap_or(());
            return;
        }
        if down.ready.closed || down.stream.shutdown().is_err() {
            self.drop_down(key);
            return;
        }
        // Closing with unread bytes would reset the connection and could take the answer with it.
        down.input = Vec::new();
        down.phase = DownPhase::Lingering;
        down.ready.readable = true;
        self.set_down_deadline(key, due);
        self.linger(key);
    }

    pub(crate) fn linger(&mut self, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(down) = self.downs.get_mut(key) else {
            self.scratch = scratch;
            return;
        };
        let mut over = true;
        for _ in 0..LINGER_READS {
            match down.ready.read(&mut down.stream, &mut scratch) {
                Ok(Got::Bytes(_)) => {}
                Ok(Got::Nothing) => {
                    over = false;
                    break;
                }
                Ok(Got::End) | Err(_) => break,
            }
        }
        self.scratch = scratch;
        if over {
            self.drop_down(key);
        }
    }

    /// The client is gone: cancel its work.
    pub(crate) fn client_left(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if let DownPhase::Tunnel(up) = down.phase {
            self.drop_up(up);
            self.drop_down(key);
            return;
        }
        if let Some(mut exchange) = down.exchange.take() {
            self.metrics.client_left += 1;
            if let Some(up) = exchange.up.take() {
                self.drop_up(up);
            }
            if exchange.flow.is_none() {
                self.raised.push(Event::Gone(exchange.id));
            }
            exchange.status = CLIENT_LEFT;
            self.account(key, *exchange);
        }
        self.drop_down(key);
    }

    /// End every client's connection; what is cut off is counted and recorded.
    pub(crate) fn cut_all_off(&mut self) {
        let open: Vec<usize> = self.downs.iter().map(|(key, _)| key).collect();
        for key in open {
            if let Some(down) = self.downs.get_mut(key)
                && let Some(exchange) = down.exchange.as_mut()
            {
                if !exchange.head_sent {
                    exchange.status = ENDED_WITHOUT_ANSWER;
                }
                self.reset_down(key);
            }
        }
        self.downs.clear();
    }

    pub(crate) fn drop_down(&mut self, key: usize) {
        let Some(mut down) = self.downs.try_remove(key) else {
            return;
        };
        let is_tunnel = matches!(down.phase, DownPhase::Tunnel(_));
        if let DownPhase::Tunnel(up) = down.phase {
            self.drop_up(up);
        }
        if let Some(exchange) = down.exchange.take() {
            if let Some(up) = exchange.up {
                self.drop_up(up);
            }
            if exchange.flow.is_none() {
                self.raised.push(Event::Gone(exchange.id));
            }
        }
        if let DownPhase::Carried(id) = down.phase {
            self.raised.push(Event::Lost(id));
        }
        if let Some(pipe) = down.stream.pipe() {
            self.streams = self.streams.saturating_sub(1);
            if is_tunnel && pipe.is_halved() {
                // The other half ends too, in whatever way.
                self.raised.push(Event::Broken(pipe.id()));
            }
            pipe.break_off();
            pipe.shutdown();
            let (id, told) = (pipe.id(), pipe.tell());
            raise(&mut self.raised, id, told);
        }
        // Closing the socket takes it out of the set too; this only keeps the set tidy before that.
        down.stream.say_end();
        if let Ok(tcp) = down.stream.tcp() {
            self.poll.registry().deregister(tcp).unwrap_or(());
        }
    }
}
