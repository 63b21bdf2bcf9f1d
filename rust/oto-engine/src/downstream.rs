//! The client's side: request heads, request bodies, what is written back, and how it ends.

use std::sync::Arc;

use oto_core::http1::body::Piece;
use oto_core::http1::request::{self, HeadError};
use oto_core::http1::{Decoder, Framing, Parsed, Request, ResponseHead, Version, encode};
use oto_core::plan::{Downstream, Flow, Next, refusal};
use oto_core::record::Record;

use crate::connection::{Down, DownPhase, Exchange, UpPhase, Wait};
use crate::engine::{Engine, Event, down_token, up_token};
use crate::io::Got;
use crate::settings::READ_BYTES;

/// The status in records of an exchange whose client left.
const CLIENT_LEFT: u16 = 499;
/// The most a connection is read after its last answer.
const LINGER_READS: usize = 16;

impl Engine {
    /// Do all that a client's connection allows now.
    pub(crate) fn drive_down(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.ready.broken {
            self.client_left(key);
            return;
        }
        if !down.output.is_empty() {
            match down.output.flush(&mut down.stream) {
                Ok(true) => self.drained(key),
                Ok(false) => {}
                Err(_) => {
                    self.client_left(key);
                    return;
                }
            }
        }
        // Each round finishes at most one request, so a pipelining client cannot keep the turn.
        let Some(down) = self.downs.get(key) else {
            return;
        };
        match down.phase {
            DownPhase::Idle | DownPhase::Head => self.read_head(key),
            DownPhase::Exchange => {
                if down.ready.closing {
                    self.plan_probe(key);
                }
                self.pump_request(key);
            }
            DownPhase::Tunnel(up) => self.pump_tunnel(key, up),
            DownPhase::Flushing => {
                if down.output.is_empty() {
                    self.flushed(key);
                }
            }
            DownPhase::Lingering => self.linger(key),
        }
    }

    /// The client took everything: its backend may be read again.
    fn drained(&mut self, key: usize) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        if let Some(up) = down.exchange.as_ref().and_then(|exchange| exchange.up) {
            self.again.push_back(up_token(up));
        }
        if down.phase == DownPhase::Exchange {
            let idle = self.now_s + self.settings.body_idle_s;
            self.touch_exchange(key, idle);
        }
    }

    fn read_head(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        // A slow reader's pipelined requests wait until it has taken its answers.
        if !down.output.is_empty() {
            return;
        }
        let held = down.input.len();
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch[..held].copy_from_slice(&down.input);
        let got = down.ready.read(&mut down.stream, &mut scratch[held..]);
        let count = match got {
            Ok(Got::Bytes(count)) => held + count,
            Ok(Got::Nothing) if held > 0 && down.phase == DownPhase::Idle => held,
            Ok(Got::Nothing) => {
                self.scratch = scratch;
                return;
            }
            // Pipelined requests are served before the end is noticed.
            Ok(Got::End) if held > 0 && down.phase == DownPhase::Idle => held,
            Ok(Got::End) | Err(_) => {
                self.scratch = scratch;
                self.drop_down(key);
                return;
            }
        };
        down.input = Vec::new();
        let (mut request, response) = self.spare.pop().unwrap_or_default();
        match request::parse(&scratch[..count], &self.limits, &mut request) {
            Ok(Parsed::Complete(len)) => {
                if len < count {
                    down.input.extend_from_slice(&scratch[len..count]);
                }
                self.scratch = scratch;
                self.begin_exchange(key, request, response);
            }
            Ok(Parsed::Partial) => {
                down.input.extend_from_slice(&scratch[..count]);
                let begins = down.phase == DownPhase::Idle;
                down.phase = DownPhase::Head;
                let more = down.ready.readable;
                self.scratch = scratch;
                self.recycle(request, response);
                if begins {
                    let due = self.now_s + self.settings.head_timeout_s;
                    self.set_down_deadline(key, due);
                }
                if more {
                    self.again.push_back(down_token(key));
                }
            }
            Err(error) => {
                self.scratch = scratch;
                self.refuse_head(key, error);
            }
        }
    }

    /// Answer a head that is no request, and close.
    fn refuse_head(&mut self, key: usize, error: HeadError) {
        self.metrics.refused_heads += 1;
        self.refuse_connection(key, error.status(), error.message());
    }

    fn refuse_connection(&mut self, key: usize, status: u16, message: &str) {
        let reply = refusal(status, message, "errors.client.error", None);
        let mut head = ResponseHead {
            status,
            ..ResponseHead::default()
        };
        for (name, value) in &reply.headers {
            head.headers.add(name, value);
        }
        let shape = encode::ResponseShape {
            framing: Framing::Length(reply.body.len() as u64),
            keep_alive: false,
            version: Version::Http11,
        };
        let mut out = Vec::with_capacity(512);
        encode::response_head(&head, shape, &mut out);
        out.extend_from_slice(&reply.body);
        self.metrics.finished(status, 0.0);
        self.metrics.bytes_out += out.len() as u64;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.output.send(&mut down.stream, &out, &[]).is_err() {
            self.drop_down(key);
            return;
        }
        self.finish_connection(key);
    }

    fn begin_exchange(&mut self, key: usize, request: Request, response: ResponseHead) {
        let id = self.next_exchange_id(key);
        let random = self.next_random();
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(listener) = self.listeners.get(down.listener) else {
            return;
        };
        let downstream = Downstream {
            ip: down.ip,
            secured: listener.secured,
            listener: Arc::clone(&listener.id),
        };
        down.phase = DownPhase::Exchange;
        let mut exchange = Box::new(Exchange::new(id, &request, self.now_s, self.draining));
        let flow = Flow::begin(
            id,
            request,
            response,
            downstream,
            Arc::clone(&self.snapshot),
            self.now_s,
            random,
        );
        if let Some(route) = &flow.route {
            let client = &route.backend.client;
            exchange.answer_by_s = self.now_s + client.global_s;
            exchange.end_by_s = self.now_s + client.call_and_stream_s.max(client.global_s);
            exchange.next_delay_s = client.retry_delay_s;
        }
        let due = exchange.answer_by_s;
        exchange.flow = Some(Box::new(flow));
        let closing = down.ready.closing;
        down.exchange = Some(exchange);
        self.touch_exchange(key, due);
        if closing {
            self.plan_probe(key);
        }
        self.advance(key);
    }

    /// Run the exchange's next steps.
    pub(crate) fn advance(&mut self, key: usize) {
        let Some(flow) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut()?.flow.as_mut())
        else {
            return;
        };
        let next = flow.advance();
        self.follow(key, next);
    }

    /// Do what the flow asks for.
    pub(crate) fn follow(&mut self, key: usize, next: Next) {
        match next {
            Next::Python(step) => {
                let Some(exchange) = self
                    .downs
                    .get_mut(key)
                    .and_then(|down| down.exchange.as_mut())
                else {
                    return;
                };
                exchange.wait = Wait::Python;
                if let Some(flow) = exchange.flow.take() {
                    self.raised.push(Event::Run(flow, step));
                }
            }
            Next::Forward => self.attempt(key),
            Next::Reply => self.send_reply(key),
            Next::Stream => self.send_response(key),
            Next::Finished => {}
        }
    }

    /// Answer with an error made here, instead of whatever was to come.
    pub(crate) fn refuse(&mut self, key: usize, status: u16, message: &str, cause: &str) {
        let Some(flow) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut()?.flow.as_mut())
        else {
            return;
        };
        flow.refuse(status, message, cause);
        self.send_reply(key);
    }

    /// Send a response that was made here, whole.
    fn send_reply(&mut self, key: usize) {
        self.release_up(key, false);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(exchange) = down.exchange.as_mut() else {
            return;
        };
        let Some(flow) = exchange.flow.as_mut() else {
            return;
        };
        let body = flow.take_body().unwrap_or_default();
        let status = flow.response.status;
        let bodiless = matches!(status, 100..=199 | 204 | 304);
        let is_head = flow.request.method == oto_core::http1::Method::Head;
        let framing = if bodiless {
            Framing::None
        } else {
            Framing::Length(body.len() as u64)
        };
        exchange.local = true;
        exchange.status = status;
        exchange.head_sent = true;
        exchange.keep_alive &= exchange.body.is_done() && !self.draining;
        let shape = encode::ResponseShape {
            framing,
            keep_alive: exchange.keep_alive,
            version: flow.request.version,
        };
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        encode::response_head(&flow.response, shape, &mut out);
        let body: &[u8] = if bodiless || is_head { &[] } else { &body };
        exchange.bytes_out += (out.len() + body.len()) as u64;
        let sent = down.output.send(&mut down.stream, &out, body);
        self.head_out = out;
        if sent.is_err() {
            self.client_left(key);
            return;
        }
        self.finish_exchange(key);
    }

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
        let idle = self.now_s + self.settings.keep_alive_idle_s;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.phase = DownPhase::Idle;
        if !down.input.is_empty() || down.ready.readable {
            self.again.push_back(down_token(key));
        }
        self.set_down_deadline(key, idle);
    }

    pub(crate) fn send_continue(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        // A client that cannot take it is noticed by the next read or write.
        down.output
            .send(&mut down.stream, encode::CONTINUE, &[])
            .unwrap_or(());
    }

    /// Count a finished exchange, record it and run its done steps.
    pub(crate) fn account(&mut self, key: usize, exchange: Exchange) {
        let duration = self.now_s - exchange.started_s;
        self.metrics.finished(exchange.status, duration);
        self.metrics.bytes_in += exchange.bytes_in;
        self.metrics.bytes_out += exchange.bytes_out;
        let Some(mut flow) = exchange.flow else {
            return;
        };
        if self.ring.is_on() {
            if let Some(down) = self.downs.get(key) {
                let mut text = self.ring.text();
                let (method, host) = (flow.request.method_text(), flow.request.host());
                text.extend_from_slice(method.as_bytes());
                text.extend_from_slice(host.as_bytes());
                text.extend_from_slice(flow.request.path().as_bytes());
                let record = Record {
                    started_s: exchange.started_s,
                    duration_s: duration,
                    upstream_s: exchange.upstream_s,
                    ip: down.ip,
                    route: flow.route.as_ref().map(|route| Arc::clone(&route.id)),
                    target: flow.target().map(|target| Arc::clone(&target.address)),
                    method_len: u16::try_from(method.len()).unwrap_or(0),
                    host_len: u16::try_from(host.len()).unwrap_or(0),
                    text,
                    status: exchange.status,
                    attempts: exchange.attempts,
                    bytes_in: exchange.bytes_in,
                    bytes_out: exchange.bytes_out,
                    local: exchange.local,
                };
                self.ring.push(record);
            }
        }
        if flow.begin_done() {
            self.run_done(flow);
        } else {
            let flow = *flow;
            self.recycle(flow.request, flow.response);
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
    fn finish_connection(&mut self, key: usize) {
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

    fn flushed(&mut self, key: usize) {
        let due = self.now_s + self.settings.linger_s;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.ready.closed || down.stream.shutdown(std::net::Shutdown::Write).is_err() {
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

    fn linger(&mut self, key: usize) {
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

    /// Bring the request body to where it is wanted: the backend, or the buffer a hook waits for.
    pub(crate) fn pump_request(&mut self, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = self.pump_request_with(key, &mut scratch);
        self.scratch = scratch;
        match outcome {
            Pumped::Waits => {}
            Pumped::Again => self.again.push_back(down_token(key)),
            Pumped::ClientLeft => self.client_left(key),
            Pumped::Broken(message) => self.body_broken(key, message),
            Pumped::Buffered(body) => self.body_buffered(key, body),
        }
    }

    fn pump_request_with(&mut self, key: usize, scratch: &mut [u8]) -> Pumped {
        let Some(down) = self.downs.get_mut(key) else {
            return Pumped::Waits;
        };
        let Down {
            stream,
            ready,
            input,
            exchange: Some(exchange),
            ..
        } = down
        else {
            return Pumped::Waits;
        };
        if exchange.body.is_done() {
            return Pumped::Waits;
        }
        let limit = match exchange.wait {
            Wait::Body(limit) => Some(limit),
            Wait::Upstream => None,
            _ => return Pumped::Waits,
        };
        let mut up = match (limit, exchange.up) {
            (Some(_), _) => None,
            (None, Some(up)) => match self.ups.get_mut(up) {
                Some(up) if matches!(up.phase, UpPhase::Connecting(_)) || !up.output.is_empty() => {
                    return Pumped::Waits;
                }
                Some(up) => Some(up),
                None => return Pumped::Waits,
            },
            (None, None) => return Pumped::Waits,
        };
        let held = std::mem::take(input);
        let (bytes, from_socket): (&[u8], bool) = if held.is_empty() {
            match ready.read(stream, scratch) {
                Ok(Got::Bytes(count)) => (&scratch[..count], true),
                Ok(Got::Nothing) => return Pumped::Waits,
                Ok(Got::End) | Err(_) => return Pumped::ClientLeft,
            }
        } else {
            (&held, false)
        };
        let mut rest = bytes;
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        let ended = loop {
            match exchange.body.next(&mut rest) {
                Ok(Piece::More) => break false,
                Ok(Piece::End) => {
                    if limit.is_none() && exchange.body_framing == Framing::Chunked {
                        encode::last_chunk(exchange.body.trailers(), &mut out);
                    }
                    break true;
                }
                Ok(Piece::Data(data)) => {
                    exchange.bytes_in += data.len() as u64;
                    if let Some(limit) = limit {
                        let buffer = exchange.buffered.get_or_insert_default();
                        if buffer.len() + data.len() > limit {
                            self.head_out = out;
                            exchange.buffered = None;
                            return Pumped::Buffered(None);
                        }
                        buffer.extend_from_slice(data);
                    } else if let Some(up) = up.as_mut().filter(|up| !up.deaf) {
                        if exchange.body_framing == Framing::Chunked {
                            encode::chunk_size(data.len(), &mut out);
                            out.extend_from_slice(data);
                            out.extend_from_slice(b"\r\n");
                        } else if up.output.send(&mut up.stream, data, &[]).is_err() {
                            up.deaf = true;
                        }
                    }
                }
                Err(error) => {
                    self.head_out = out;
                    return Pumped::Broken(error.message());
                }
            }
        };
        if let Some(up) = up.filter(|up| !up.deaf) {
            if !out.is_empty() && up.output.send(&mut up.stream, &out, &[]).is_err() {
                up.deaf = true;
            }
        }
        self.head_out = out;
        if !rest.is_empty() {
            input.extend_from_slice(rest);
        }
        let more = ready.readable || (ended && !input.is_empty());
        if ended && limit.is_some() {
            return Pumped::Buffered(Some(exchange.buffered.get_or_insert_default().clone()));
        }
        if from_socket {
            let idle = self.now_s + self.settings.body_idle_s;
            self.touch_exchange(key, idle);
        }
        if more && !ended {
            Pumped::Again
        } else {
            Pumped::Waits
        }
    }

    fn body_broken(&mut self, key: usize, message: &'static str) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        exchange.keep_alive = false;
        let held_by_python = exchange.flow.is_none();
        if exchange.head_sent || held_by_python {
            self.client_left(key);
        } else {
            self.refuse(key, 400, message, "errors.client.error");
        }
    }

    /// Let the exchange's deadline be at most `idle_s`, or its own end.
    pub(crate) fn touch_exchange(&mut self, key: usize, idle_s: f64) {
        let Some(exchange) = self.downs.get(key).and_then(|down| down.exchange.as_ref()) else {
            return;
        };
        let end = if exchange.head_sent {
            exchange.end_by_s
        } else {
            exchange.answer_by_s
        };
        let retry = if let Wait::Retry(at) = exchange.wait {
            at
        } else {
            f64::INFINITY
        };
        let due = idle_s.min(end).min(exchange.probe_s).min(retry);
        self.set_down_deadline(key, due);
    }

    /// The client closed its sending side. It may have left, or wait for its answer: ask it soon.
    fn plan_probe(&mut self, key: usize) {
        let probe = self.now_s + self.settings.half_close_probe_s;
        let idle = self.now_s + self.settings.body_idle_s;
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        if exchange.probe_s.is_infinite() && !exchange.head_sent {
            exchange.probe_s = probe;
            self.touch_exchange(key, idle);
        }
    }

    /// Send an interim answer: a client that only closed its sending side ignores it (RFC 9110
    /// §15.2), one that is gone resets the connection. HTTP/1.0 knows none, so there the end of
    /// the request is the end of the client. Asked again ever more seldom.
    fn probe(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(exchange) = down.exchange.as_mut() else {
            return;
        };
        let old = exchange.version == Version::Http10;
        let asked = !old
            && down
                .output
                .send(&mut down.stream, encode::CONTINUE, &[])
                .is_ok();
        // An unfinished body may still lie in the socket: reading it will find the end.
        if !asked && (!old || exchange.body.is_done()) {
            self.client_left(key);
            return;
        }
        exchange.probe_s = self.now_s + (self.now_s - exchange.started_s).max(1.0);
        let idle = self.now_s + self.settings.body_idle_s;
        self.touch_exchange(key, idle);
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

    pub(crate) fn drop_down(&mut self, key: usize) {
        let Some(mut down) = self.downs.try_remove(key) else {
            return;
        };
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
        // Closing the socket takes it out of the set too; this only keeps the set tidy before that.
        self.poll
            .registry()
            .deregister(&mut down.stream)
            .unwrap_or(());
    }

    pub(crate) fn down_expired(&mut self, key: usize) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        match down.phase {
            DownPhase::Idle | DownPhase::Flushing | DownPhase::Lingering => self.drop_down(key),
            DownPhase::Head if down.input.is_empty() => self.drop_down(key),
            DownPhase::Head => self.refuse_connection(key, 408, "The request head took too long"),
            DownPhase::Tunnel(_) => self.client_left(key),
            DownPhase::Exchange => self.exchange_expired(key),
        }
    }

    fn exchange_expired(&mut self, key: usize) {
        let now = self.now_s;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let writing = !down.output.is_empty();
        let Some(exchange) = down.exchange.as_mut() else {
            return;
        };
        if exchange.probe_s <= now {
            self.probe(key);
        } else if let Wait::Retry(at) = exchange.wait
            && at <= now
        {
            exchange.wait = Wait::Nothing;
            self.attempt(key);
        } else if exchange.head_sent {
            // Too late to say anything: the client sees a broken message, as it must.
            if writing || exchange.end_by_s <= now {
                self.client_left(key);
            } else {
                let due = exchange.end_by_s;
                self.touch_exchange(key, due);
            }
        } else if exchange.answer_by_s <= now {
            self.time_out(key);
        } else if !exchange.body.is_done()
            && matches!(exchange.wait, Wait::Upstream | Wait::Body(_))
        {
            exchange.keep_alive = false;
            if exchange.flow.is_some() {
                self.refuse(
                    key,
                    408,
                    "The request body took too long",
                    "errors.client.error",
                );
            } else {
                self.client_left(key);
            }
        } else {
            let due = exchange.answer_by_s;
            self.touch_exchange(key, due);
        }
    }

    /// No response head within the global time-out.
    fn time_out(&mut self, key: usize) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        if exchange.flow.is_some() {
            self.refuse(
                key,
                504,
                "The backend took too long to answer",
                "errors.request.timeout",
            );
            return;
        }
        // A hook holds the exchange: it is cancelled, and its answer comes from here.
        let id = exchange.id;
        exchange.answer_by_s = f64::INFINITY;
        self.raised.push(Event::Gone(id));
        let version = exchange.version;
        let mut request = Request::default();
        request.version = version;
        let spent = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.take());
        if let Some(exchange) = spent {
            if let Some(up) = exchange.up {
                self.drop_up(up);
            }
        }
        self.refuse_connection(key, 504, "The request took too long");
    }
}

enum Pumped {
    Waits,
    Again,
    ClientLeft,
    Broken(&'static str),
    Buffered(Option<Vec<u8>>),
}

impl Exchange {
    fn new(id: u64, request: &Request, now_s: f64, draining: bool) -> Self {
        Self {
            id,
            flow: None,
            wait: Wait::Nothing,
            up: None,
            body: Decoder::new(request.framing),
            body_framing: request.framing,
            buffered: None,
            owes_continue: request.expects_continue,
            response_framing: Framing::None,
            head_sent: false,
            keep_alive: request.keep_alive && !draining,
            version: request.version,
            status: 0,
            local: false,
            attempts: 0,
            bytes_in: 0,
            bytes_out: 0,
            started_s: now_s,
            attempt_s: now_s,
            upstream_s: 0.0,
            answer_by_s: now_s + UNROUTED_S,
            end_by_s: now_s + UNROUTED_S,
            probe_s: f64::INFINITY,
            next_delay_s: 0.0,
        }
    }
}

/// The time an exchange without a route may take: only the monitoring pages do.
const UNROUTED_S: f64 = 30.0;

// A head must fit in one read together with the bytes held before it.
const _: () = assert!(READ_BYTES >= 2 * 32 * 1024);
