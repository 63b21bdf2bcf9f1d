//! Attempts: a target, a connection to it, the request on its way, and what to do when that fails.

use std::sync::Arc;

use mio::Interest;
use oto_core::balance::{Protocol, TargetTls};
use oto_core::http1::{Decoder, Framing, encode};
use oto_core::streamed;
use rustls::pki_types::ServerName;

use crate::connection::{Carrying, Down, Up, UpPhase, Wait};
use crate::engine::{Engine, up_token};
use crate::event::Event;
use crate::io::{Output, Readiness};
use crate::pool::{Lookup, MOST_ADDRESSES, Place};
use crate::request_body::TOO_LARGE;
use crate::socket::Socket;
use crate::timer::Deadline;
use crate::tls::{Session, Terms};

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
    /// No TLS connection could be made; nothing was sent.
    Tls,
}

/// How to speak TLS to a target, and the name it should have.
pub(crate) type Secured = (Arc<TargetTls>, Arc<str>);

/// Attempts after which a stream that a backend refuses to see is a failure as any other.
const MOST_REFUSED: u16 = 5;

/// A hook asked for the request body, and went on before it had come.
const HALF_READ: &str = "A plugin left the request body half read";

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
        // A hook may have taken the body in before a later step bounded it.
        let bound = flow.bounds.request;
        let beyond = exchange
            .buffered
            .as_ref()
            .is_some_and(|body| !bound.truncates && body.len() as u64 > bound.bytes);
        if exchange.body_lost || beyond {
            exchange.keep_alive = false;
            self.refuse(key, 413, TOO_LARGE, "errors.client.error");
            return;
        }
        // Its beginning would go out as the whole, and what comes later as a request of its own.
        if exchange.buffered.is_some() && !exchange.body.is_done() {
            exchange.keep_alive = false;
            self.refuse(key, 500, HALF_READ, "internal_server_error");
            return;
        }
        if let Err(problem) = exchange.translate_request() {
            exchange.keep_alive = false;
            self.refuse(key, 400, problem.message(), "errors.client.error");
            return;
        }
        let Some(flow) = exchange.flow.as_ref() else {
            return;
        };
        if let Some(app) = flow.attrs.mount.clone() {
            self.call_mount(key, &app);
            return;
        }
        let Some(target) = flow.target() else {
            self.refuse(
                key,
                503,
                "No target of the backend can be used",
                "errors.circuit.breaker.open",
            );
            return;
        };
        if target.protocol == Protocol::Http10
            && exchange.body_framing == Framing::Chunked
            && exchange.buffered.is_none()
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
        let (pool_key, port) = (Arc::clone(&target.pool_key), target.port);
        let tls = target
            .tls
            .as_ref()
            .map(|tls| (Arc::clone(tls), Arc::clone(&target.hostname)));
        let host = target
            .ip_address
            .as_ref()
            .unwrap_or(&target.hostname)
            .clone();
        let safe_to_lose = flow.request.method.is_idempotent();
        let (mut protocol, is_socket) = (target.protocol, streamed::is_websocket(&flow.request));
        if protocol.is_shared()
            && flow.request.upgrade().is_some()
            && !(is_socket && self.may_take_sockets(&pool_key))
        {
            protocol = Protocol::Http11;
        }
        if protocol == Protocol::Http2 && self.chooses_http1(&pool_key) {
            protocol = Protocol::Http11;
        }
        if protocol.is_shared() && self.call(key, &pool_key) {
            return;
        }
        // Of a target of HTTP/2 or HTTP/3, those are here that speak HTTP/1.1: WebSockets had them.
        while !protocol.is_shared()
            && let Some(up) = self.pool.take(&pool_key)
        {
            let may_serve =
                (self.ups.get(up)).is_some_and(|up| up.ready.is_quiet() && up.holds_terms());
            if may_serve && (safe_to_lose || self.is_still_open(up)) {
                self.metrics.reused += 1;
                self.send_request(key, up);
                return;
            }
            self.drop_up(up);
        }
        self.connect(key, &host, port, pool_key, (tls, protocol));
    }

    /// Look once whether the backend closed an unused connection: a request that may not be sent
    /// twice must not be lost to one.
    fn is_still_open(&mut self, up: usize) -> bool {
        let Some(up) = self.ups.get_mut(up) else {
            return false;
        };
        up.stream.is_silent()
    }

    fn connect(
        &mut self,
        key: usize,
        host: &str,
        port: u16,
        pool_key: Arc<str>,
        (tls, protocol): (Option<Secured>, Protocol),
    ) {
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
        let down = self.downs.get_mut(key);
        if let Some(exchange) = down.and_then(|down| down.exchange.as_mut()) {
            exchange.to = found.ip();
        }
        if let (Protocol::Http3, Some(tls)) = (protocol, &tls) {
            match found {
                Place::Ip(to) => self.dial_quic(key, to, tls, pool_key),
                Place::Unix(_) => self.attempt_failed(key, Failure::Connect),
            }
            return;
        }
        let http2 = protocol == Protocol::Http2;
        let secured = match tls
            .map(|(tls, name)| self.session(&tls, &name, http2))
            .transpose()
        {
            Ok(secured) => secured,
            Err(problem) => {
                self.notice_attempt("TLS to a backend", key, &problem);
                self.attempt_failed(key, Failure::Tls);
                return;
            }
        };
        match self.open(&found, Arc::clone(&pool_key), key, secured) {
            Ok(up) => {
                if let Some(up) = self.ups.get_mut(up).filter(|_| http2) {
                    up.carrying.dials = true;
                    self.dials.entry(pool_key).or_default();
                }
                self.send_request(key, up);
            }
            Err(error) => {
                if let Place::Unix(_) = found {
                    self.notice_attempt("Unix socket of a backend", key, &error.to_string());
                }
                self.attempt_failed(key, Failure::Connect);
            }
        }
    }

    /// Tell an operator why no connection could be made: for which route, and to which target.
    pub(crate) fn notice_attempt(&mut self, what: &'static str, key: usize, problem: &str) {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        let flow = exchange.and_then(|exchange| exchange.flow.as_ref());
        let route = flow
            .and_then(|flow| flow.route.as_ref())
            .map(|it| Arc::clone(&it.id));
        let target = flow
            .and_then(|flow| flow.target())
            .map(|it| Arc::clone(&it.address));
        let told = format!(
            "route {}, target {}: {problem}",
            route.as_deref().unwrap_or_default(),
            target.as_deref().unwrap_or_default(),
        );
        self.notice(what, &told);
    }

    /// Begin a TLS session with a target; tells on what terms.
    fn session(
        &mut self,
        tls: &TargetTls,
        host: &str,
        http2: bool,
    ) -> Result<(Session, Arc<Terms>), String> {
        let (terms, name) = self.terms(tls, host)?;
        let session = Session::client(Arc::clone(terms.config(http2)), name);
        Ok((session.map_err(|error| error.to_string())?, terms))
    }

    /// The terms of connections to a target, and the name that its certificate should have.
    pub(crate) fn terms(
        &mut self,
        tls: &TargetTls,
        host: &str,
    ) -> Result<(Arc<Terms>, ServerName<'static>), String> {
        let unix_s = self.now_s + self.unix_offset_s;
        let terms = self.clients.terms(&self.snapshot, tls, unix_s)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned())
            .map_err(|_| format!("{host} is no name that a certificate can have"))?;
        Ok((terms, name))
    }

    fn open(
        &mut self,
        to: &Place,
        address: Arc<str>,
        key: usize,
        secured: Option<(Session, Arc<Terms>)>,
    ) -> std::io::Result<usize> {
        let mut stream = self.dial(to)?;
        let serial = self.next_serial();
        let (session, terms) = secured.unzip();
        let entry = self.ups.vacant_entry();
        let up = entry.key();
        self.poll.registry().register(
            &mut stream,
            up_token(up),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        entry.insert(Up {
            stream: match session {
                Some(session) => Socket::tls(stream, session),
                None => Socket::Plain(stream),
            },
            address,
            terms,
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
            carrying: Carrying::default(),
            deadline: Deadline::never(),
        });
        self.metrics.connected += 1;
        Ok(up)
    }

    /// Write the request head, and the body as far as it is here.
    pub(crate) fn send_request(&mut self, key: usize, at: usize) {
        let Some(Down {
            stream,
            exchange: Some(exchange),
            ..
        }) = self.downs.get_mut(key)
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
            .map(|route| *route.backend.client)
            .unwrap_or_default();
        if up.carrying.dials {
            // What is sent depends on what the backend speaks.
            exchange.up = Some(at);
            exchange.wait = Wait::Upstream;
            let due = self.now_s + client.connect_s.min(client.call_s);
            self.set_up_deadline(at, due);
            return;
        }
        if let Some(body) = &exchange.buffered {
            exchange.body_framing = Framing::Length(body.len() as u64);
        }
        let http10 = target.protocol == Protocol::Http10;
        let bound = flow.bounds.request;
        if let Framing::Length(announced) = exchange.body_framing {
            exchange.body_framing = Framing::Length(bound.length(announced));
        }
        flow.request.framing = exchange.body_framing;
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        // The target goes behind the head for a moment: one buffer serves both.
        let mut path = std::mem::take(&mut self.path_out);
        path.clear();
        flow.upstream_target(&mut path);
        encode::request_head(&flow.request, &path, flow.upstream_host(), http10, &mut out);
        self.path_out = path;
        // Only a repeated attempt finds some of the body passed on, or over: that was for the first one.
        let is_chunked = exchange.body_framing == Framing::Chunked && exchange.buffered.is_none();
        let kept = exchange.kept.bytes();
        if is_chunked && !kept.is_empty() {
            encode::chunk_size(kept.len(), &mut out);
        }
        out.extend_from_slice(kept);
        if is_chunked && !kept.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
        if is_chunked && exchange.body.is_done() {
            let trailers = match stream {
                Socket::Stream(pipe) => pipe.trailers_in(),
                _ => exchange.body.trailers(),
            };
            encode::last_chunk(trailers, &mut out);
        }
        exchange.up = Some(at);
        exchange.wait = Wait::Upstream;
        up.answered = false;
        up.deaf = false;
        up.keep_alive = false;
        let connecting = matches!(up.phase, UpPhase::Connecting(_));
        let body: &[u8] = exchange.buffered.as_deref().unwrap_or(&[]);
        let body = &body[..bound.length(body.len() as u64) as usize];
        if connecting {
            up.output.hold(&mut up.stream, &out);
            up.output.hold(&mut up.stream, body);
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
        if pumps {
            let idle = self.now_s + self.settings.body_idle_s;
            self.touch_exchange(key, idle);
        }
        if pumps && !connecting {
            self.pump_request(key);
        }
    }

    pub(crate) fn call_timeout(&self, key: usize) -> f64 {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        let route = exchange.and_then(|exchange| exchange.flow.as_ref()?.route.as_ref());
        match (exchange, route) {
            (Some(exchange), Some(route)) => exchange.attempt_s + route.backend.client.call_s,
            _ => self.now_s,
        }
    }

    /// An attempt gave no answer. Those who wait for the connection that it was to make get none either.
    pub(crate) fn attempt_failed(&mut self, key: usize, failure: Failure) {
        let at = self
            .downs
            .get(key)
            .and_then(|down| down.exchange.as_ref()?.up);
        let dialled = at
            .and_then(|at| self.ups.get(at))
            .filter(|up| up.carrying.dials)
            .map(|up| Arc::clone(&up.address));
        let by_quic = at
            .and_then(|at| self.ups.get(at))
            .is_some_and(|up| up.carrying.dials && matches!(up.stream, Socket::None));
        // Before anybody dials anew.
        let waiting = dialled.as_ref().and_then(|it| self.dials.remove(it));
        let elsewhere = self.is_elsewhere(key, failure);
        let by_tcp = match &dialled {
            Some(pool_key) => by_quic && self.goes_by_tcp(key, pool_key),
            None => false,
        };
        if !by_tcp {
            self.one_failed(key, failure, elsewhere);
        }
        if let Some((pool_key, waiting)) = dialled.zip(waiting) {
            self.fail_waiting(&pool_key, waiting, (failure, elsewhere), by_quic);
        }
    }

    /// Whether the target has other addresses, now that no connection could be made to one of them.
    fn is_elsewhere(&mut self, key: usize, failure: Failure) -> bool {
        if !matches!(failure, Failure::Connect | Failure::ConnectTimeout) {
            return false;
        }
        let down = self.downs.get_mut(key);
        let Some(exchange) = down.and_then(|down| down.exchange.as_mut()) else {
            return false;
        };
        let target = exchange.flow.as_ref().and_then(|flow| flow.target());
        let (Some(ip), Some(target)) = (exchange.to.take(), target) else {
            return false;
        };
        let host = target.ip_address.as_ref().unwrap_or(&target.hostname);
        self.addresses.shun(host, ip, self.now_s)
    }

    /// An attempt gave no answer: try again if that is safe and allowed, else tell the client.
    pub(crate) fn one_failed(&mut self, key: usize, failure: Failure, elsewhere: bool) {
        let now = self.now_s;
        let moment = self.moment();
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        let up = exchange.up.and_then(|at| self.ups.get(at));
        let is_stream = up.is_some_and(|up| up.stream.is_stream());
        let stale = failure == Failure::Closed
            && up.is_some_and(|up| {
                // A backend may refuse streams for ever; unused connections are as many as the pool holds.
                let is_bounded = !up.stream.is_stream() || exchange.attempts < MOST_REFUSED;
                up.reused && !up.answered && is_bounded
            });
        let replayable = exchange.is_replayable();
        let Some(flow) = exchange.flow.as_mut() else {
            return;
        };
        let client = flow
            .route
            .as_ref()
            .map(|route| *route.backend.client)
            .unwrap_or_default();
        let unsent = matches!(
            failure,
            Failure::Connect | Failure::ConnectTimeout | Failure::Tls
        );
        // A backend that speaks HTTP/2 says of which streams it saw nothing (RFC 9113 section 8.7).
        let unseen = unsent || (stale && is_stream);
        let may_repeat = replayable && (unseen || flow.request.method.is_idempotent());
        if stale && may_repeat {
            // The backend had closed the connection before it saw this request: not its failure.
            self.release_up(key, false);
            self.attempt(key);
            return;
        }
        if elsewhere && replayable && exchange.addresses < MOST_ADDRESSES {
            exchange.addresses += 1;
            self.release_up(key, false);
            self.attempt(key);
            return;
        }
        // An application that answers in its place says nothing of the target.
        if let Some(target) = flow.target().filter(|_| flow.attrs.mount.is_none()) {
            target.breaker.failed(now, &client);
            let is_over_tcp = !is_stream && streamed::is_websocket(&flow.request);
            if is_over_tcp && failure != Failure::Timeout {
                // There is no way for WebSockets there either: a stream is as good a try.
                self.no_sockets.remove(&target.pool_key);
            }
        }
        self.metrics.upstream_failures += 1;
        if may_repeat && flow.attempt < client.attempts && failure != Failure::Protocol {
            let delay = exchange.next_delay_s;
            exchange.next_delay_s *= client.backoff_factor;
            flow.choose_again(moment);
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
            Failure::Tls => (
                502,
                "No TLS connection to the backend could be made",
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
}
