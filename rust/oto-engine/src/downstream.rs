//! The client's side: request heads, and the exchanges they begin.

use std::sync::Arc;

use oto_core::http1::request::{self, HeadError};
use oto_core::http1::{Decoder, Framing, Parsed, Request, ResponseHead, Version, encode};
use oto_core::plan::{BodyBound, Downstream, Flow, Next, refusal};
use oto_core::record::{Head, snowflake};
use oto_core::{grpc, grpc_web};

use crate::connection::{Down, DownPhase, Exchange, Wait};
use crate::engine::{Engine, down_token, up_token};
use crate::event::Event;
use crate::handshake::is_misdirected;
use crate::io::Got;
use crate::kept::Kept;
use crate::meter::Meter;
use crate::repeat;
use crate::settings::READ_BYTES;

impl Engine {
    /// Do all that a client's connection allows now.
    pub(crate) fn drive_down(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.phase == DownPhase::Heard {
            // What the kernel says of it is kept, and looked at when the exchange has begun.
            self.again.push_back(down_token(key));
            return;
        }
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
            DownPhase::Hello => self.read_hello(key),
            DownPhase::Handshake => self.shake_hands(key),
            // Whoever leaves meanwhile is found gone when the certificate is there.
            DownPhase::AwaitingCertificate => {}
            DownPhase::Idle | DownPhase::Head => self.read_head(key),
            DownPhase::Heard => {}
            DownPhase::Exchange => {
                if down.ready.closing {
                    self.plan_probe(key);
                }
                if !self.pump_repeat(key) {
                    self.pump_request(key);
                }
            }
            DownPhase::Carried(id) => self.pump_carried(key, id),
            DownPhase::Tunnel(up) => self.pump_tunnel(key, up),
            DownPhase::Flushing => {
                if down.output.is_empty() {
                    self.flushed(key);
                }
            }
            // A stream's place waits for its carrier to be told.
            DownPhase::Lingering if down.stream.is_stream() => {}
            DownPhase::Lingering => self.linger(key),
        }
        self.pay_down(key);
    }

    /// Send what TLS itself has to say after a read: an alert, a change of keys.
    fn pay_down(&mut self, key: usize) {
        if let Some(down) = self.downs.get_mut(key).filter(|down| down.stream.owes()) {
            // Whoever cannot take it is noticed by the next read or write.
            down.output.flush(&mut down.stream).unwrap_or(false);
        }
    }

    /// The client took everything: its backend may be read again.
    fn drained(&mut self, key: usize) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        if let DownPhase::Carried(id) = down.phase {
            self.raised.push(Event::Writable(id));
        }
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
        // What a pipelining client sent is used up before more is read: one read is all it can hold.
        let got = if held > 0 && down.phase == DownPhase::Idle {
            Ok(Got::Nothing)
        } else {
            down.ready.read(&mut down.stream, &mut scratch[held..])
        };
        let count = match got {
            Ok(Got::Bytes(count)) => held + count,
            Ok(Got::Nothing) if held > 0 && down.phase == DownPhase::Idle => held,
            Ok(Got::Nothing) => {
                self.scratch = scratch;
                return;
            }
            Ok(Got::End) | Err(_) => {
                self.scratch = scratch;
                self.drop_down(key);
                return;
            }
        };
        down.input = Vec::new();
        if let Some(is_whole) = self.sees_preface(key, &scratch[..count]) {
            let bytes = scratch[..count].to_vec();
            self.scratch = scratch;
            self.preface_read(key, bytes, is_whole);
            return;
        }
        let Some(down) = self.downs.get_mut(key) else {
            self.scratch = scratch;
            return;
        };
        let (mut request, response) = self.spare.pop().unwrap_or_default();
        match request::parse(&scratch[..count], &self.limits, &mut request) {
            Ok(Parsed::Complete(len)) => {
                if len < count {
                    down.input.extend_from_slice(&scratch[len..count]);
                }
                self.scratch = scratch;
                self.hear(key, request, response);
            }
            Ok(Parsed::Partial) => {
                down.input.extend_from_slice(&scratch[..count]);
                let begins = down.phase == DownPhase::Idle;
                down.phase = DownPhase::Head;
                let more = down.ready.readable || down.ready.closed;
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
    pub(crate) fn refuse_head(&mut self, key: usize, error: HeadError) {
        self.metrics.refused_heads += 1;
        self.refuse_connection(key, error.status(), error.message(), None);
    }

    /// Answer with an error and close, without an exchange; `called` says how a caller of gRPC is told.
    pub(crate) fn refuse_connection(
        &mut self,
        key: usize,
        status: u16,
        message: &str,
        called: Option<Called>,
    ) {
        let mut reply = refusal(status, message, "errors.client.error", None);
        let mut head = ResponseHead {
            status,
            ..ResponseHead::default()
        };
        for (name, value) in &reply.headers {
            head.headers.add(name, value);
        }
        let mut framing = Framing::Length(reply.body.len() as u64);
        if let Some(called) = called {
            head = grpc::refused(&head, called.content_type, message);
            framing = called.framing();
            reply.body.clear();
        }
        let shape = encode::ResponseShape {
            framing,
            keep_alive: false,
            version: Version::Http11,
        };
        self.metrics.finished(status, 0.0);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let mut out = Vec::with_capacity(512);
        let size = Down::say_head(&mut down.stream, &head, shape, &mut out);
        out.extend_from_slice(&reply.body);
        self.metrics.bytes_out += size + reply.body.len() as u64;
        if down.output.send(&mut down.stream, &out, &[]).is_err() {
            self.drop_down(key);
            return;
        }
        self.finish_connection(key);
    }

    pub(crate) fn begin_exchange(&mut self, key: usize, request: Request, response: ResponseHead) {
        let id = self.next_exchange_id(key);
        let moment = self.moment();
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(listener) = self.listeners.get(down.listener) else {
            return;
        };
        if !listener.ways.http1 && !down.stream.is_stream() {
            self.recycle(request, response);
            self.metrics.refused_heads += 1;
            let message = "HTTP/1 is not spoken on this listener, only HTTP/2";
            self.refuse_connection(key, 505, message, None);
            return;
        }
        let is_leaving = self.draining || listener.leaves_by_s.is_some();
        let facts = down.stream.facts();
        let is_misdirected = facts.is_some_and(|facts| is_misdirected(facts, request.domain()));
        let is_not_allowed = facts.is_some_and(|facts| facts.certificate.is_not_allowed);
        let downstream = Downstream {
            peer: down.peer,
            secured: listener.ways.secured,
            listener: Arc::clone(&listener.id),
            is_exclusive: listener.ways.exclusive,
            client_cert: facts.and_then(|facts| facts.client_cert.clone()),
        };
        down.phase = DownPhase::Exchange;
        down.is_fresh = false;
        let mut exchange = Box::new(Exchange::new(id, &request, self.now_s, is_leaving));
        let mut flow = Flow::begin(
            id,
            request,
            response,
            downstream,
            Arc::clone(&self.snapshot),
            moment,
        );
        flow.request_id = snowflake(moment.unix_s, self.settings.instance, id >> 32);
        if let Some(mut details) = self.ring.details() {
            details.heads.copy(Head::Request, &flow.request.headers);
            flow.details = Some(details);
        }
        if let Some(route) = &flow.route {
            let client = &route.backend.client;
            exchange.answer_by_s = self.now_s + client.global_s;
            exchange.end_by_s = self.now_s + client.call_and_stream_s.max(client.global_s);
            exchange.next_delay_s = client.retry_delay_s;
        }
        if (grpc::is_call(&flow.request) || flow.web_form().is_some())
            && let Some(patience_s) = grpc::patience_s(&flow.request)
        {
            // Who waits no longer reads no answer.
            exchange.answer_by_s = exchange.answer_by_s.min(self.now_s + patience_s);
            exchange.end_by_s = exchange.end_by_s.min(self.now_s + patience_s);
        }
        let due = exchange.answer_by_s;
        exchange.flow = Some(Box::new(flow));
        let closing = down.ready.closing;
        down.exchange = Some(exchange);
        self.touch_exchange(key, due);
        if closing {
            self.plan_probe(key);
        }
        if is_not_allowed {
            let message = "There is no certificate for this host";
            self.refuse(key, 404, message, "errors.ssl.nocert");
            return;
        }
        if is_misdirected {
            self.refuse(
                key,
                421,
                "This connection is not for that host",
                "errors.misdirected.request",
            );
            return;
        }
        self.advance(key);
    }

    /// Run the exchange's next steps.
    pub(crate) fn advance(&mut self, key: usize) {
        let moment = self.moment();
        let Some(flow) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut()?.flow.as_mut())
        else {
            return;
        };
        flow.moment = moment;
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
                if let Some(mut flow) = exchange.flow.take() {
                    exchange.held_route = flow.route.as_ref().map(|route| Arc::clone(&route.id));
                    exchange.held_bound = flow.bounds.request;
                    exchange.held_called = Called::of(&flow);
                    flow.is_replayable = exchange.is_replayable();
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
        // Whoever answers in place of a backend may have read all that it said.
        let exchange = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut());
        let is_read = exchange.is_some_and(|exchange| {
            let gathered = exchange.gathered.take();
            gathered.is_some_and(|gathered| gathered.is_whole) && exchange.body.is_done()
        });
        self.release_up(key, is_read);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(exchange) = down.exchange.as_mut() else {
            return;
        };
        let Some(flow) = exchange.flow.as_mut() else {
            return;
        };
        let mut body = flow.take_body().unwrap_or_default();
        let status = flow.response.status;
        let called = Called::of(flow).filter(|_| flow.refused);
        let told = called.map(|called| {
            body.clear();
            let refusal = flow.attrs.refusal.as_ref();
            let message = refusal.map_or("", |refusal| &*refusal.message);
            grpc::refused(&flow.response, called.content_type, message)
        });
        let bodiless = matches!(status, 100..=199 | 204 | 304);
        let is_head = flow.request.method == oto_core::http1::Method::Head;
        let times = flow.repeats;
        let repeats = times > 1 && !bodiless && !body.is_empty();
        let framing = if let Some(called) = called {
            called.framing()
        } else if bodiless {
            Framing::None
        } else if repeats {
            repeat::framing(exchange.version)
        } else {
            Framing::Length(body.len() as u64)
        };
        exchange.local = true;
        exchange.status = status;
        exchange.head_sent = true;
        exchange.keep_alive &=
            exchange.body.is_done() && !self.draining && framing != Framing::UntilClose;
        if let Some(id) = flow.attrs.leaked_key.take() {
            self.raised.push(Event::Leaked(id));
        }
        let shape = encode::ResponseShape {
            framing,
            keep_alive: exchange.keep_alive,
            version: flow.request.version,
        };
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        let head = told.as_ref().unwrap_or(&flow.response);
        let size = Down::say_head(&mut down.stream, head, shape, &mut out);
        let now: &[u8] = if bodiless || is_head || repeats {
            &[]
        } else {
            &body
        };
        exchange.head_out = size;
        if let Some(watch) = flow.watch.take_if(|_| status == 101) {
            // What was put straight into a stream is in no buffer.
            exchange.bytes_out += size - out.len() as u64;
            self.begin_watched(key, None, &out, watch);
            self.head_out = out;
            return;
        }
        exchange.bytes_out += size + now.len() as u64;
        let sent = down.output.send(&mut down.stream, &out, now);
        self.head_out = out;
        if sent.is_err() {
            self.client_left(key);
            return;
        }
        if repeats && !is_head {
            self.begin_repeat(key, &body, times);
            return;
        }
        self.finish_exchange(key);
    }
}

/// How errors are told to a caller of gRPC: in a head, and nothing behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    content_type: &'static [u8],
    is_web: bool,
}

impl Called {
    /// None for other requests.
    fn of(flow: &Flow) -> Option<Self> {
        let (content_type, is_web) = match flow.web_form() {
            Some(form) => (grpc_web::content_type_of_error(form), true),
            None if grpc::is_call(&flow.request) => (grpc::CONTENT_TYPE, false),
            None => return None,
        };
        Some(Self {
            content_type,
            is_web,
        })
    }

    /// Over HTTP/2 and 3 the head announces no length; a page may speak HTTP/1.1.
    fn framing(self) -> Framing {
        match self.is_web {
            true => Framing::Length(0),
            false => Framing::UntilClose,
        }
    }
}

impl Exchange {
    fn new(id: u64, request: &Request, now_s: f64, draining: bool) -> Self {
        let is_stream = matches!(request.version, Version::Http2 | Version::Http3);
        Self {
            id,
            flow: None,
            wait: Wait::Nothing,
            up: None,
            body: Decoder::new(if is_stream && request.framing == Framing::Chunked {
                // A stream's data come without chunks, and end with the stream.
                Framing::UntilClose
            } else {
                request.framing
            }),
            body_framing: request.framing,
            buffered: None,
            kept: Kept::default(),
            body_lost: false,
            owes_continue: request.expects_continue,
            response_framing: Framing::None,
            head_sent: false,
            keep_alive: request.keep_alive && !draining && !is_stream,
            version: request.version,
            status: 0,
            local: false,
            attempts: 0,
            bytes_in: 0,
            bytes_out: 0,
            head_out: 0,
            started_s: now_s,
            attempt_s: now_s,
            upstream_s: 0.0,
            answer_by_s: now_s + UNROUTED_S,
            end_by_s: now_s + UNROUTED_S,
            probe_s: f64::INFINITY,
            next_delay_s: 0.0,
            to: None,
            addresses: 0,
            held_until_s: f64::INFINITY,
            repeat: None,
            request_meter: Meter::default(),
            held_route: None,
            held_bound: BodyBound::default(),
            held_called: None,
            response_meter: Meter::default(),
            gathered: None,
            web: None,
        }
    }
}

/// The time an exchange without a route may take: only the monitoring pages do.
const UNROUTED_S: f64 = 30.0;

// A head must fit in one read together with the bytes held before it.
const _: () = assert!(READ_BYTES >= 2 * 32 * 1024);
