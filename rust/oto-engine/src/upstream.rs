//! The backend's side: attempts, connections and their reuse, responses.

use std::net::SocketAddr;
use std::sync::Arc;

use mio::Interest;
use mio::net::TcpStream;
use oto_core::http1::body::Piece;
use oto_core::http1::response;
use oto_core::http1::{Decoder, Framing, Parsed, Version, encode};
use oto_core::plan::Next;

use crate::connection::{Down, DownPhase, Exchange, Up, UpPhase, Wait};
use crate::engine::{Engine, Event, up_token};
use crate::io::{Got, Output, Readiness};
use crate::pool::Lookup;
use crate::timer::Deadline;

/// Body bytes that are copied behind the head to leave in one write; more leave as a second part.
const COPY_BYTES: usize = 8 * 1024;

/// How an attempt ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection could be made; nothing was sent.
    Connect,
    /// No connection in time; nothing was sent.
    ConnectTimeout,
    /// The connection broke off before a whole answer head.
    Closed,
    /// No answer head in time.
    Timeout,
    /// The answer is no HTTP, or ambiguous.
    Protocol,
}

impl Engine {
    /// Send the exchange's request to its chosen target.
    pub(crate) fn attempt(&mut self, key: usize) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        exchange.wait = Wait::Nothing;
        let Some(flow) = exchange.flow.as_ref() else {
            return;
        };
        let Some(target) = flow.target() else {
            self.refuse(
                key,
                503,
                "No target of the backend can be used",
                "errors.circuit.breaker.open",
            );
            return;
        };
        if target.tls {
            self.refuse(
                key,
                502,
                "This gateway does not speak TLS to backends yet",
                "errors.proxy.error",
            );
            return;
        }
        if target.http10 && exchange.body_framing == Framing::Chunked && exchange.buffered.is_none()
        {
            self.refuse(
                key,
                411,
                "The backend speaks HTTP/1.0 and needs a Content-Length",
                "errors.client.error",
            );
            return;
        }
        exchange.attempts = exchange.attempts.saturating_add(1);
        exchange.attempt_s = self.now_s;
        let (address, port) = (Arc::clone(&target.address), target.port);
        let host = target
            .ip_address
            .as_ref()
            .unwrap_or(&target.hostname)
            .clone();
        let safe_to_lose = flow.request.method.is_idempotent();
        while let Some(up) = self.pool.take(&address) {
            if safe_to_lose || self.is_still_open(up) {
                self.metrics.reused += 1;
                self.send_request(key, up);
                return;
            }
            self.drop_up(up);
        }
        self.connect(key, &host, port, address);
    }

    /// Look once whether the backend closed an unused connection: a request that may not be sent
    /// twice must not be lost to one.
    fn is_still_open(&mut self, up: usize) -> bool {
        let Some(up) = self.ups.get_mut(up) else {
            return false;
        };
        let mut byte = [0u8; 1];
        matches!(up.stream.peek(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }

    fn connect(&mut self, key: usize, host: &str, port: u16, address: Arc<str>) {
        let lookup = self.addresses.find(host, port, self.now_s);
        let (address_found, ask) = match lookup {
            Lookup::Found(found, ask) => (Some(found), ask),
            Lookup::Unknown(ask) => (None, ask),
            Lookup::Failed => {
                self.attempt_failed(key, Failure::Connect);
                return;
            }
        };
        if ask {
            self.raised.push(Event::Resolve(host.to_owned()));
        }
        let Some(found) = address_found else {
            let Some(exchange) = self
                .downs
                .get_mut(key)
                .and_then(|down| down.exchange.as_mut())
            else {
                return;
            };
            exchange.wait = Wait::Resolution;
            let id = exchange.id;
            self.addresses.wait(host, key, id);
            return;
        };
        match self.open(found, address, key) {
            Ok(up) => self.send_request(key, up),
            Err(_) => self.attempt_failed(key, Failure::Connect),
        }
    }

    fn open(&mut self, to: SocketAddr, address: Arc<str>, key: usize) -> std::io::Result<usize> {
        let mut stream = TcpStream::connect(to)?;
        // Best effort: a connection without it is slower, not wrong.
        stream.set_nodelay(true).unwrap_or(());
        let serial = self.next_serial();
        let entry = self.ups.vacant_entry();
        let up = entry.key();
        self.poll.registry().register(
            &mut stream,
            up_token(up),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        entry.insert(Up {
            stream,
            address,
            serial,
            ready: Readiness::default(),
            input: Vec::new(),
            output: Output::default(),
            phase: UpPhase::Connecting(key),
            body: Decoder::default(),
            reused: false,
            keep_alive: false,
            answered: false,
            deaf: false,
            deadline: Deadline::never(),
        });
        self.metrics.connected += 1;
        Ok(up)
    }

    /// Write the request head, and the body as far as it is here.
    fn send_request(&mut self, key: usize, at: usize) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            self.drop_up(at);
            return;
        };
        let (Some(up), Some(flow)) = (self.ups.get_mut(at), exchange.flow.as_mut()) else {
            return;
        };
        let Some(target) = flow.target() else { return };
        let client = flow
            .route
            .as_ref()
            .map(|route| route.backend.client)
            .unwrap_or_default();
        if let Some(body) = &exchange.buffered {
            exchange.body_framing = Framing::Length(body.len() as u64);
        }
        let http10 = target.http10;
        flow.request.framing = exchange.body_framing;
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        // The target goes behind the head for a moment: one buffer serves both.
        let mut path = std::mem::take(&mut self.path_out);
        path.clear();
        flow.upstream_target(&mut path);
        encode::request_head(&flow.request, &path, flow.upstream_host(), http10, &mut out);
        self.path_out = path;
        exchange.up = Some(at);
        exchange.wait = Wait::Upstream;
        up.answered = false;
        up.deaf = false;
        up.keep_alive = false;
        let connecting = matches!(up.phase, UpPhase::Connecting(_));
        let body: &[u8] = exchange.buffered.as_deref().unwrap_or(&[]);
        if connecting {
            up.output.push(&out);
            up.output.push(body);
        } else {
            up.phase = UpPhase::Head(key);
            up.reused = true;
            if up.output.send(&mut up.stream, &out, body).is_err() {
                up.deaf = true;
            }
        }
        self.head_out = out;
        let owes_continue =
            std::mem::take(&mut exchange.owes_continue) && exchange.buffered.is_none();
        let pumps = !exchange.body.is_done();
        let due = if connecting {
            self.now_s + client.connect_s.min(client.call_s)
        } else {
            self.now_s + client.call_s
        };
        self.set_up_deadline(at, due);
        if owes_continue {
            self.send_continue(key);
        }
        if pumps && !connecting {
            self.pump_request(key);
        }
    }

    /// Do all that a backend's connection allows now.
    pub(crate) fn drive_up(&mut self, at: usize) {
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let phase = up.phase;
        match phase {
            UpPhase::Idle => {
                // Nothing is expected: bytes or an end both spoil the connection.
                if up.ready.readable || up.ready.broken {
                    let address = Arc::clone(&up.address);
                    self.pool.forget(&address, at);
                    self.drop_up(at);
                }
                return;
            }
            UpPhase::Connecting(key) => {
                if up.ready.broken || !matches!(up.stream.take_error(), Ok(None)) {
                    self.attempt_failed(key, Failure::Connect);
                    return;
                }
                if up.stream.peer_addr().is_err() {
                    return;
                }
                up.phase = UpPhase::Head(key);
                let call = self.call_timeout(key);
                self.set_up_deadline(at, call);
            }
            _ => {}
        }
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let Some(key) = up.phase.owner() else { return };
        if !up.output.is_empty() && !up.deaf {
            match up.output.flush(&mut up.stream) {
                Ok(true) if matches!(up.phase, UpPhase::Tunnel(_)) => {}
                Ok(true) => self.pump_request(key),
                Ok(false) => {}
                Err(_) => up.deaf = true,
            }
        }
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        if up.ready.broken {
            // What the backend said before it broke off may still be readable.
            up.ready.readable = true;
        }
        match up.phase {
            UpPhase::Tunnel(key) => self.pump_tunnel(key, at),
            UpPhase::Head(_) | UpPhase::Body(_) => self.pump_response(at, key),
            UpPhase::Held(_) | UpPhase::Connecting(_) | UpPhase::Idle => {}
        }
    }

    fn call_timeout(&self, key: usize) -> f64 {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        let route = exchange.and_then(|exchange| exchange.flow.as_ref()?.route.as_ref());
        match (exchange, route) {
            (Some(exchange), Some(route)) => exchange.attempt_s + route.backend.client.call_s,
            _ => self.now_s,
        }
    }

    /// Read the response and pass it on, until one side has no more.
    pub(crate) fn pump_response(&mut self, at: usize, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let again = self.pump_response_with(at, key, &mut scratch);
        self.scratch = scratch;
        if again {
            self.again.push_back(up_token(at));
        }
    }

    fn pump_response_with(&mut self, at: usize, key: usize, scratch: &mut [u8]) -> bool {
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        // Back-pressure: nothing is read for a client that has not taken what was read before.
        if self
            .downs
            .get(key)
            .is_none_or(|down| !down.output.is_empty())
        {
            return false;
        }
        let held = up.input.len();
        scratch[..held].copy_from_slice(&up.input);
        let in_head = matches!(up.phase, UpPhase::Head(_));
        let count = match up.ready.read(&mut up.stream, &mut scratch[held..]) {
            Ok(Got::Bytes(count)) => held + count,
            Ok(Got::Nothing) if held > 0 && !in_head => held,
            Ok(Got::Nothing) => return false,
            Ok(Got::End) if held > 0 && !in_head => held,
            Ok(Got::End) => {
                self.upstream_ended(at, key);
                return false;
            }
            Err(_) => {
                self.upstream_broke(at, key);
                return false;
            }
        };
        up.input = Vec::new();
        up.answered = true;
        let bytes = &scratch[..count];
        if in_head {
            self.read_response_head(at, key, bytes)
        } else {
            self.pass_body(at, key, bytes, Vec::new())
        }
    }

    /// The backend closed its side.
    fn upstream_ended(&mut self, at: usize, key: usize) {
        let Some(up) = self.ups.get(at) else { return };
        if matches!(up.phase, UpPhase::Body(_)) && up.body.ends_at_close() {
            let Some(down) = self.downs.get_mut(key) else {
                return;
            };
            let Some(exchange) = down.exchange.as_mut() else {
                return;
            };
            if exchange.response_framing == Framing::Chunked {
                exchange.bytes_out += 5;
                if down
                    .output
                    .send(&mut down.stream, b"0\r\n\r\n", &[])
                    .is_err()
                {
                    self.client_left(key);
                    return;
                }
            } else {
                exchange.keep_alive = false;
            }
            self.response_done(at, key);
        } else {
            self.upstream_broke(at, key);
        }
    }

    /// The backend's connection failed in the middle of an answer, or before it.
    fn upstream_broke(&mut self, at: usize, key: usize) {
        if matches!(self.ups.get(at).map(|up| up.phase), Some(UpPhase::Head(_))) {
            self.attempt_failed(key, Failure::Closed);
        } else {
            // The head is on its way to the client: cutting its connection is the only honest end.
            self.metrics.upstream_failures += 1;
            self.cut_off(key);
        }
    }

    /// End the client's connection because the rest of its answer will never come.
    fn cut_off(&mut self, key: usize) {
        self.release_up(key, false);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(exchange) = down.exchange.as_mut() else {
            return;
        };
        exchange.keep_alive = false;
        // What was read goes out first; then a close without the promised end tells the client.
        self.finish_exchange(key);
    }

    fn read_response_head(&mut self, at: usize, key: usize, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        loop {
            let Some(up) = self.ups.get_mut(at) else {
                return false;
            };
            let Some(Down {
                stream,
                output,
                exchange: Some(exchange),
                ..
            }) = self.downs.get_mut(key)
            else {
                return false;
            };
            let Some(flow) = exchange.flow.as_mut() else {
                return false;
            };
            flow.response.clear();
            match response::parse(rest, flow.request.method, &self.limits, &mut flow.response) {
                Ok(Parsed::Partial) => {
                    up.input.extend_from_slice(rest);
                    return up.ready.readable || up.ready.closed;
                }
                Err(_) => {
                    self.attempt_failed(key, Failure::Protocol);
                    return false;
                }
                Ok(Parsed::Complete(len)) => rest = &rest[len..],
            }
            if !flow.response.is_interim() {
                break;
            }
            // We asked for no `100 Continue`, so the client need not see one.
            if flow.response.status != 100 && exchange.version == Version::Http11 {
                let mut out = Vec::new();
                encode::interim_head(&flow.response, &mut out);
                if output.send(stream, &out, &[]).is_err() {
                    self.client_left(key);
                    return false;
                }
            }
        }
        self.response_begun(at, key, rest)
    }

    /// A final head is here: run the response steps, then send it.
    fn response_begun(&mut self, at: usize, key: usize, rest: &[u8]) -> bool {
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return false;
        };
        let Some(flow) = exchange.flow.as_mut() else {
            return false;
        };
        let upgrades = flow.response.status == 101;
        if upgrades && (flow.request.upgrade().is_none() || !flow.response.upgrade) {
            self.attempt_failed(key, Failure::Protocol);
            return false;
        }
        if let Some(target) = flow.target() {
            target.breaker.succeeded();
        }
        exchange.upstream_s = self.now_s - exchange.attempt_s;
        up.keep_alive = flow.response.keep_alive;
        up.body = Decoder::new(flow.response.framing);
        exchange.response_framing = client_framing(flow.response.framing, exchange.version);
        flow.begin_response();
        match flow.advance() {
            Next::Stream => {
                up.phase = UpPhase::Body(key);
                let idle = flow
                    .route
                    .as_ref()
                    .map_or(0.0, |route| route.backend.client.idle_s);
                let head = self.head_for_client(key);
                let due = self.now_s + idle;
                self.set_up_deadline(at, due);
                if upgrades {
                    self.begin_tunnel(at, key, &head, rest)
                } else {
                    self.pass_body(at, key, rest, head)
                }
            }
            next => {
                up.phase = UpPhase::Held(key);
                up.input.extend_from_slice(rest);
                self.follow(key, next);
                false
            }
        }
    }

    /// Encode the response head for the client. The returned buffer is the engine's own.
    fn head_for_client(&mut self, key: usize) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return out;
        };
        let Some(flow) = exchange.flow.as_mut() else {
            return out;
        };
        if flow.bodiless {
            exchange.response_framing = Framing::None;
            flow.response.announced_length = None;
        }
        exchange.head_sent = true;
        exchange.probe_s = f64::INFINITY;
        exchange.status = flow.response.status;
        // An answer before the end of the request: the rest of it may never come.
        exchange.keep_alive &= exchange.body.is_done()
            && !self.draining
            && exchange.response_framing != Framing::UntilClose;
        let shape = encode::ResponseShape {
            framing: exchange.response_framing,
            keep_alive: exchange.keep_alive,
            version: exchange.version,
        };
        encode::response_head(&flow.response, shape, &mut out);
        out
    }

    /// A response step in Python is done: send the head, then go on with the body.
    pub(crate) fn send_response(&mut self, key: usize) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        exchange.wait = Wait::Upstream;
        let Some(at) = exchange.up else { return };
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        up.phase = UpPhase::Body(key);
        let held = std::mem::take(&mut up.input);
        let upgrades = exchange
            .flow
            .as_ref()
            .is_some_and(|flow| flow.response.status == 101);
        let idle = self.now_s + self.settings.body_idle_s;
        self.set_up_deadline(at, idle);
        let head = self.head_for_client(key);
        let again = if upgrades {
            self.begin_tunnel(at, key, &head, &held)
        } else {
            self.pass_body(at, key, &held, head)
        };
        if again || self.ups.get(at).is_some_and(|up| up.ready.readable) {
            self.again.push_back(up_token(at));
        }
    }

    /// Cut the body out of `bytes`, frame it for the client and send it behind `head`.
    fn pass_body(&mut self, at: usize, key: usize, bytes: &[u8], head: Vec<u8>) -> bool {
        let mut out = head;
        if out.capacity() == 0 {
            out = std::mem::take(&mut self.head_out);
            out.clear();
        }
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        let Some(Down {
            stream,
            output,
            exchange: Some(exchange),
            ..
        }) = self.downs.get_mut(key)
        else {
            return false;
        };
        let chunked = exchange.response_framing == Framing::Chunked;
        let muted = exchange.flow.as_ref().is_some_and(|flow| flow.bodiless);
        let mut rest = bytes;
        let mut failed = false;
        let (ended, broken) = loop {
            match up.body.next(&mut rest) {
                Ok(Piece::More) => break (false, false),
                Ok(Piece::End) => {
                    if chunked {
                        encode::last_chunk(up.body.trailers(), &mut out);
                    }
                    break (true, false);
                }
                Ok(Piece::Data(_)) if muted => {}
                Ok(Piece::Data(data)) => {
                    if chunked {
                        encode::chunk_size(data.len(), &mut out);
                    }
                    if data.len() <= COPY_BYTES {
                        out.extend_from_slice(data);
                    } else {
                        exchange.bytes_out += (out.len() + data.len()) as u64;
                        failed |= output.send(stream, &out, data).is_err();
                        out.clear();
                    }
                    if chunked {
                        out.extend_from_slice(b"\r\n");
                    }
                }
                Err(_) => break (false, true),
            }
        };
        if !out.is_empty() {
            exchange.bytes_out += out.len() as u64;
            failed |= output.send(stream, &out, &[]).is_err();
        }
        self.head_out = out;
        // Bytes after the end belong to no request: the connection is not to be trusted again.
        up.keep_alive &= rest.is_empty();
        let again = (up.ready.readable || up.ready.closed) && output.is_empty();
        if failed {
            self.client_left(key);
            return false;
        }
        if broken {
            self.metrics.upstream_failures += 1;
            self.cut_off(key);
            return false;
        }
        if ended {
            self.response_done(at, key);
            return false;
        }
        let idle = self.now_s + self.settings.body_idle_s;
        let client_idle = exchange
            .flow
            .as_ref()
            .and_then(|flow| Some(flow.route.as_ref()?.backend.client.idle_s));
        if let Some(client_idle) = client_idle {
            let due = self.now_s + client_idle;
            self.set_up_deadline(at, due);
        }
        self.touch_exchange(key, idle);
        again
    }

    /// The whole response has been read and sent on.
    fn response_done(&mut self, _at: usize, key: usize) {
        let reusable = self
            .downs
            .get(key)
            .and_then(|down| down.exchange.as_ref())
            .is_some_and(|exchange| exchange.body.is_done() || exchange.buffered.is_some());
        self.release_up(key, reusable);
        self.finish_exchange(key);
    }

    /// Part the exchange from its backend connection: into the pool if it may be used again.
    pub(crate) fn release_up(&mut self, key: usize, reusable: bool) {
        let Some(at) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut()?.up.take())
        else {
            return;
        };
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let clean = reusable
            && up.keep_alive
            && !up.deaf
            && up.body.is_done()
            && up.output.is_empty()
            && up.input.is_empty()
            && !up.ready.closing
            && !up.ready.readable
            && !self.draining;
        let most = self.settings.pool_idle_per_target;
        if !clean || !self.pool.put(&up.address, at, most) {
            self.drop_up(at);
            return;
        }
        up.phase = UpPhase::Idle;
        let due = self.now_s + self.settings.pool_idle_s;
        self.set_up_deadline(at, due);
    }

    pub(crate) fn drop_up(&mut self, at: usize) {
        if let Some(mut up) = self.ups.try_remove(at) {
            if up.phase == UpPhase::Idle {
                self.pool.forget(&up.address, at);
            }
            // Closing the socket takes it out of the set too; this keeps the set tidy before that.
            self.poll
                .registry()
                .deregister(&mut up.stream)
                .unwrap_or(());
        }
    }

    pub(crate) fn up_expired(&mut self, at: usize) {
        let Some(up) = self.ups.get(at) else { return };
        match up.phase {
            UpPhase::Idle => self.drop_up(at),
            UpPhase::Connecting(key) => self.attempt_failed(key, Failure::ConnectTimeout),
            UpPhase::Head(key) => self.attempt_failed(key, Failure::Timeout),
            UpPhase::Body(key) => {
                let reading = self
                    .downs
                    .get(key)
                    .is_some_and(|down| !down.output.is_empty());
                if reading {
                    // The client is slow, not the backend; the client has its own deadline.
                    let due = self.now_s + self.settings.body_idle_s;
                    self.set_up_deadline(at, due);
                } else {
                    self.metrics.upstream_failures += 1;
                    self.cut_off(key);
                }
            }
            // A hook holds the response, or a tunnel is open: both have deadlines of their own.
            UpPhase::Held(_) | UpPhase::Tunnel(_) => {}
        }
    }

    /// An attempt gave no answer: try again if that is safe and allowed, else tell the client.
    pub(crate) fn attempt_failed(&mut self, key: usize, failure: Failure) {
        let now = self.now_s;
        let random = self.next_random();
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        let up = exchange.up.and_then(|at| self.ups.get(at));
        let stale = failure == Failure::Closed && up.is_some_and(|up| up.reused && !up.answered);
        let replayable = exchange.is_replayable();
        let Some(flow) = exchange.flow.as_mut() else {
            return;
        };
        let client = flow
            .route
            .as_ref()
            .map(|route| route.backend.client)
            .unwrap_or_default();
        let unsent = matches!(failure, Failure::Connect | Failure::ConnectTimeout);
        let may_repeat = replayable && (unsent || flow.request.method.is_idempotent());
        if stale && may_repeat {
            // The backend had closed the connection before it saw this request: not its failure.
            self.release_up(key, false);
            self.attempt(key);
            return;
        }
        if let Some(target) = flow.target() {
            target.breaker.failed(now, &client);
        }
        self.metrics.upstream_failures += 1;
        if may_repeat && flow.attempt < client.attempts && failure != Failure::Protocol {
            let delay = exchange.next_delay_s;
            exchange.next_delay_s *= client.backoff_factor;
            flow.choose_again(now, random);
            self.metrics.retries += 1;
            self.release_up(key, false);
            self.attempt_after(key, delay);
            return;
        }
        self.release_up(key, false);
        let (status, message, cause) = match failure {
            Failure::Connect => (
                502,
                "The connection to the backend was refused",
                "errors.connection.refused",
            ),
            Failure::ConnectTimeout | Failure::Timeout => (
                504,
                "The backend took too long to answer",
                "errors.request.timeout",
            ),
            Failure::Closed => (
                502,
                "The backend closed the connection without an answer",
                "errors.proxy.error",
            ),
            Failure::Protocol => (
                502,
                "The backend's answer is not valid HTTP",
                "errors.proxy.error",
            ),
        };
        self.refuse(key, status, message, cause);
    }

    fn attempt_after(&mut self, key: usize, delay_s: f64) {
        if delay_s <= 0.0 {
            self.attempt(key);
            return;
        }
        let at = self.now_s + delay_s;
        if let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        {
            exchange.wait = Wait::Retry(at);
        }
        self.touch_exchange(key, at);
    }

    /// Addresses of a host were found (or not): go on with the exchanges that wait for them.
    pub fn resolved(
        &mut self,
        host: &str,
        addresses: Vec<std::net::IpAddr>,
        now_s: f64,
    ) -> Vec<Event> {
        self.now_s = now_s;
        for (key, id) in self
            .addresses
            .told(host, addresses, now_s, self.settings.resolution_s)
        {
            let exchange: Option<&Exchange> = self
                .downs
                .get(key)
                .and_then(|down| down.exchange.as_deref());
            if exchange
                .is_some_and(|exchange| exchange.id == id && exchange.wait == Wait::Resolution)
            {
                self.resolution_told(key);
            }
        }
        std::mem::take(&mut self.raised)
    }

    fn resolution_told(&mut self, key: usize) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        exchange.attempts = exchange.attempts.saturating_sub(1);
        self.attempt(key);
    }

    /// Whether a client's connection is in this phase; for tunnels.
    pub(crate) fn is_down_in(&self, key: usize, phase: DownPhase) -> bool {
        self.downs.get(key).is_some_and(|down| down.phase == phase)
    }
}

/// How a body of this framing goes to a client of this version.
fn client_framing(framing: Framing, version: Version) -> Framing {
    match (framing, version) {
        (Framing::Chunked | Framing::UntilClose, Version::Http10) => Framing::UntilClose,
        (Framing::UntilClose, _) => Framing::Chunked,
        (framing, _) => framing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_client_gets_no_chunks() {
        assert_eq!(
            client_framing(Framing::Chunked, Version::Http10),
            Framing::UntilClose
        );
        assert_eq!(
            client_framing(Framing::UntilClose, Version::Http11),
            Framing::Chunked
        );
        assert_eq!(
            client_framing(Framing::Length(3), Version::Http10),
            Framing::Length(3)
        );
    }
}
