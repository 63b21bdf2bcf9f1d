//! Requests to backends that speak HTTP/2 or HTTP/3: streams of connections that are carried elsewhere.
//!
//! Theory of operation. The first request for a target connects and shakes hands as any other; the connection is then
//! handed up ([`Event::Reached`]), and requests go out on it as streams whose client's side is in whoever
//! carries it: [`Event::Call`] and what follows one way, [`Engine::answer_head`] and [`Engine::feed`] the other. To
//! the exchange such a stream is a backend connection with a [`Pipe`] for a socket. Requests that come while
//! a connection is being made wait for it, and share it as far as the backend lets them.
//!
//! A backend that does not choose HTTP/2 in the handshake is spoken to in HTTP/1.1. Connections for HTTP/3 are made
//! elsewhere ([`Engine::dial_quic`]), and are no others once they are there.

use std::sync::Arc;

use oto_core::fields::FieldBlock;
use oto_core::http1::{Decoder, Framing};
use oto_core::streamed;

use crate::attempt::Failure;
use crate::carried::MOST_WAITING;
use crate::connection::{Carrying, Down, Up, UpPhase, Wait};
use crate::engine::{Engine, UP_BIT, up_token};
use crate::event::Event;
use crate::io::{Got, Output, Readiness};
use crate::mounts;
use crate::pipe::{Pipe, Told};
use crate::socket::Socket;
use crate::timer::Deadline;
use crate::tls::Session;

/// Streams at once on a connection whose backend has not said how many it takes.
const ROOM: u32 = 100;
/// How long a backend that chose HTTP/1.1 is believed to choose it again.
const CHOICE_S: f64 = 60.0;
/// Targets whose choice is remembered, at most.
const CHOICES: usize = 4096;

impl Engine {
    /// Send a request over a connection that is shared if one is there, or being made; false: connect.
    pub(crate) fn call(&mut self, key: usize, pool_key: &Arc<str>) -> bool {
        let asks = self.asks_for_socket(key);
        let ready = asks.then(|| self.socket_carrier(pool_key)).flatten();
        let ready = ready.or_else(|| self.carrier_for(pool_key, |_| true));
        if let Some(at) = ready {
            self.use_carrier(key, at);
            return true;
        }
        let Some(waiting) = self.dials.get_mut(pool_key) else {
            return false;
        };
        let exchange = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut());
        if let Some(exchange) = exchange {
            exchange.wait = Wait::Connection;
            waiting.push((key, exchange.id));
        }
        true
    }

    /// A connection that is shared, has room for another stream, and is right for it.
    pub(crate) fn carrier_for(
        &self,
        pool_key: &str,
        is_right: impl Fn(&Carrying) -> bool,
    ) -> Option<usize> {
        self.carriers.get(pool_key)?.iter().copied().find(|at| {
            self.ups.get(*at).is_some_and(|up| {
                let is_carried = matches!(up.phase, UpPhase::Carried(_));
                let has_room = is_carried && up.carrying.has_room();
                has_room && is_right(&up.carrying) && up.holds_terms()
            })
        })
    }

    /// A connection for HTTP/2 is made: hand it up, and begin what waits for it.
    pub(crate) fn reached(&mut self, at: usize, key: usize) {
        let id = self.next_exchange_id(at);
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let pool_key = Arc::clone(&up.address);
        let session = up.stream.session().map(Session::facts);
        let is_http2 =
            session.is_none_or(|session| session.alpn_protocol() == Some(b"h2".as_slice()));
        up.carrying.dials = false;
        if is_http2 {
            up.ready.readable = true;
            self.raised.push(Event::Reached(id));
            self.again.push_back(up_token(at));
            self.carry_calls(at, key, (id, ROOM));
        } else {
            up.phase = UpPhase::Head(key);
            self.remember_http1(&pool_key);
            self.send_request(key, at);
            if let Some(up) = self.ups.get_mut(at) {
                // It is new: whatever befalls it is the backend's failure.
                up.reused = false;
            }
        }
        self.begin_waiting(&pool_key);
    }

    /// Spare those who come next the wait for each other: none of them will get a connection to share.
    fn remember_http1(&mut self, pool_key: &Arc<str>) {
        let now = self.now_s;
        if self.http1_chosen.len() >= CHOICES {
            self.http1_chosen.retain(|_, until_s| *until_s > now);
        }
        if self.http1_chosen.len() < CHOICES {
            let until_s = now + CHOICE_S;
            self.http1_chosen.insert(Arc::clone(pool_key), until_s);
        }
    }

    /// Whether the backend of a target for HTTP/2 chose HTTP/1.1 a while ago.
    pub(crate) fn chooses_http1(&self, pool_key: &str) -> bool {
        let until_s = self.http1_chosen.get(pool_key);
        until_s.is_some_and(|until_s| *until_s > self.now_s)
    }

    /// Put a connection that was made for an exchange where all may use it, and send that one's request on it.
    pub(crate) fn carry_calls(&mut self, at: usize, key: usize, (id, room): (u64, u32)) {
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        up.phase = UpPhase::Carried(id);
        up.carrying.dials = false;
        up.carrying.room = room;
        let places = self.carriers.entry(Arc::clone(&up.address)).or_default();
        places.push(at);
        self.set_up_deadline(at, f64::INFINITY);
        let owner = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut());
        if let Some(exchange) = owner {
            exchange.up = None;
        }
        self.use_carrier(key, at);
    }

    /// Open a stream on a connection, and send the exchange's request on it.
    pub(crate) fn begin_call(&mut self, key: usize, carrier: usize) {
        let at = self.ups.vacant_key();
        let id = self.next_exchange_id(at);
        let serial = self.next_serial();
        let due = self.call_timeout(key);
        let Some(up) = self.ups.get_mut(carrier) else {
            return;
        };
        let UpPhase::Carried(connection) = up.phase else {
            return;
        };
        up.carrying.used += 1;
        let carried_by = Some((carrier, up.serial));
        let address = Arc::clone(&up.address);
        // A connection over QUIC has no socket here, either.
        let is_mount = matches!(up.stream, Socket::None) && up.carrying.dialled.is_none();
        let secured = up.terms.is_some();
        let mut path = std::mem::take(&mut self.path_out);
        path.clear();
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        let Some(flow) = exchange.flow.as_mut() else {
            return;
        };
        if let Some(body) = &exchange.buffered {
            exchange.body_framing = Framing::Length(body.len() as u64);
        }
        let bound = flow.bounds.request;
        if let Framing::Length(announced) = exchange.body_framing {
            exchange.body_framing = Framing::Length(bound.length(announced));
        }
        flow.request.framing = exchange.body_framing;
        flow.upstream_target(&mut path);
        let secured = secured || (is_mount && flow.secured);
        let is_socket = streamed::is_websocket(&flow.request);
        let say = if is_socket {
            streamed::socket_call
        } else {
            streamed::call
        };
        let mut fields = say(&flow.request, &path, flow.upstream_host(), secured);
        if is_mount {
            mounts::describe(flow, &mut fields);
        }
        self.path_out = path;
        let mut pipe = Pipe::new(id, at | UP_BIT, Arc::clone(&self.bell), None);
        pipe.say_fields(fields);
        let mut stream = Socket::Stream(Box::new(pipe));
        let mut output = Output::default();
        if let Some(body) = &exchange.buffered {
            let body = &body[..bound.length(body.len() as u64) as usize];
            // A pipe takes what it has room for, and never fails.
            output.send(&mut stream, body, &[]).unwrap_or(());
        }
        // What an earlier attempt passed on.
        let kept = exchange.kept.bytes();
        output.send(&mut stream, kept, &[]).unwrap_or(());
        exchange.up = Some(at);
        exchange.wait = Wait::Upstream;
        let owes_continue =
            std::mem::take(&mut exchange.owes_continue) && exchange.buffered.is_none();
        let pumps = !exchange.body.is_done();
        self.ups.insert(Up {
            stream,
            address,
            terms: None,
            serial,
            ready: Readiness::default(),
            input: Vec::new(),
            output,
            phase: UpPhase::Head(key),
            body: Decoder::default(),
            reused: false,
            keep_alive: false,
            answered: false,
            deaf: false,
            carrying: Carrying {
                connection,
                by: carried_by,
                is_socket,
                ..Carrying::default()
            },
            deadline: Deadline::never(),
        });
        self.set_up_deadline(at, due);
        if owes_continue {
            self.send_continue(key);
        }
        if pumps || self.owes_end(key) {
            let idle = self.now_s + self.settings.body_idle_s;
            self.touch_exchange(key, idle);
        }
        if pumps {
            self.pump_request(key);
        }
        self.end_call_body(key, at);
    }

    /// Say the end of a stream's request body once all of it is written.
    pub(crate) fn end_call_body(&mut self, key: usize, at: usize) {
        let Some(Down {
            stream: client,
            exchange: Some(exchange),
            ..
        }) = self.downs.get(key)
        else {
            return;
        };
        if !exchange.body.is_done() {
            return;
        }
        let is_whole = |up: &&mut Up| up.output.is_empty() && !up.carrying.is_socket;
        let Some(up) = self.ups.get_mut(at).filter(is_whole) else {
            return;
        };
        let is_buffered = exchange.buffered.is_some();
        let trailers = match client {
            // Trailers may come behind a body of any length.
            Socket::Stream(pipe) if !is_buffered && !pipe.is_fed() => return,
            Socket::Stream(pipe) => pipe.trailers_in(),
            _ => exchange.body.trailers(),
        };
        if let Some(pipe) = up.stream.pipe() {
            if !is_buffered {
                pipe.say_trailers(trailers);
            }
            pipe.shutdown();
        }
    }

    /// The place of a stream to a backend.
    fn called(&self, id: u64) -> Option<usize> {
        let at = (id & 0xffff_ffff) as usize;
        let up = self.ups.get(at)?;
        matches!(&up.stream, Socket::Stream(pipe) if pipe.id() == id).then_some(at)
    }

    /// The head of a backend's answer, or of an interim one.
    pub fn answer_head(&mut self, id: u64, fields: &FieldBlock, now_s: f64) {
        self.now_s = now_s;
        let Some(at) = self.called(id) else { return };
        let Some(UpPhase::Head(key)) = self.ups.get(at).map(|up| up.phase) else {
            return;
        };
        self.guarded(up_token(at), |engine| engine.answer_begun(at, key, fields));
    }

    fn answer_begun(&mut self, at: usize, key: usize, fields: &FieldBlock) {
        let limits = self.limits;
        let is_socket = self.ups.get(at).is_some_and(|up| up.carrying.is_socket);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(flow) = down
            .exchange
            .as_mut()
            .and_then(|exchange| exchange.flow.as_mut())
        else {
            return;
        };
        flow.response.clear();
        let (request, answer) = (&flow.request, &mut flow.response);
        let read = if is_socket {
            let key = request.headers.find(b"sec-websocket-key");
            streamed::socket_head(fields, key, &limits, answer)
        } else {
            streamed::response_head(fields, request.method, &limits, answer)
        };
        if read.is_err() {
            self.attempt_failed(key, Failure::Protocol);
            return;
        }
        if flow.response.is_interim() {
            self.pass_interim(key);
            return;
        }
        if let Some(up) = self.ups.get_mut(at) {
            up.answered = true;
        }
        if self.response_begun(at, key, &[]) {
            self.again.push_back(up_token(at));
        }
    }

    /// Bytes of a backend's answer.
    pub(crate) fn feed_call(&mut self, id: u64, data: &[u8], ends: bool) -> bool {
        let Some(at) = self.called(id) else {
            return false;
        };
        if let Some(up) = self.ups.get_mut(at) {
            up.ready.readable = true;
            if let Some(pipe) = up.stream.pipe() {
                pipe.feed(data, ends);
            }
        }
        self.again.push_back(up_token(at));
        true
    }

    /// The backend took so many bytes of a request body.
    pub(crate) fn taken_up(&mut self, id: u64, count: usize) {
        let Some(at) = self.called(id) else { return };
        if let Some(up) = self.ups.get_mut(at)
            && let Some(pipe) = up.stream.pipe()
        {
            pipe.taken(count);
            // The client's side may wait for this.
            self.again.push_back(up_token(at));
        }
    }

    /// Raise what there is to tell of a stream to a backend.
    pub(crate) fn tell_call(&mut self, at: usize) {
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let connection = up.carrying.connection;
        if let Some(pipe) = up.stream.pipe() {
            let (id, told) = (pipe.id(), pipe.tell_request());
            raise_call(&mut self.raised, connection, id, told);
        }
    }

    /// The trailers of a backend's answer.
    pub(crate) fn end_call(&mut self, id: u64, lines: Vec<u8>) {
        let Some(at) = self.called(id) else { return };
        if let Some(up) = self.ups.get_mut(at) {
            up.ready.readable = true;
            if let Some(pipe) = up.stream.pipe() {
                pipe.feed_trailers(lines);
            }
        }
        self.again.push_back(up_token(at));
    }

    /// A backend broke a stream off, or its connection is gone. `is_unseen`: it certainly did nothing with the
    /// request.
    pub fn break_call(&mut self, id: u64, is_unseen: bool, now_s: f64) {
        self.now_s = now_s;
        let Some(at) = self.called(id) else { return };
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        if matches!(up.phase, UpPhase::Tunnel(_) | UpPhase::Carried(_)) {
            // What came goes on; behind it the WebSocket is cut.
            self.cut_socket(at);
            self.again.push_back(up_token(at));
            return;
        }
        let Some(key) = up.phase.owner() else { return };
        let is_answered = up.stream.pipe().is_some_and(|pipe| pipe.is_fed());
        if is_answered && !matches!(up.phase, UpPhase::Head(_)) {
            // All of its answer is here, and goes on.
            return;
        }
        up.reused |= is_unseen;
        if let Some(pipe) = up.stream.pipe() {
            pipe.forsake();
        }
        self.guarded(up_token(at), |engine| engine.call_broke(at, key));
    }

    fn call_broke(&mut self, at: usize, key: usize) {
        match self.ups.get(at).map(|up| up.phase) {
            Some(UpPhase::Gathering(_)) => self.gather_broke(key),
            // A hook has the head; what came behind it goes on, should the WebSocket be opened.
            Some(UpPhase::Held(_)) if self.cut_socket(at) => {}
            // A hook has the head; what it makes of it finds the end.
            Some(UpPhase::Held(_)) => {
                if let Some(up) = self.ups.get_mut(at) {
                    up.ready.closed = true;
                    up.ready.readable = true;
                    up.carrying.is_broken = true;
                }
            }
            _ => self.upstream_broke(at, key),
        }
    }

    /// What came on a WebSocket is all that there will be; false: it is none.
    fn cut_socket(&mut self, at: usize) -> bool {
        let Some(up) = self.ups.get_mut(at).filter(|up| up.carrying.is_socket) else {
            return false;
        };
        if let Some(pipe) = up.stream.pipe() {
            pipe.cut();
        }
        up.ready.readable = true;
        up.carrying.is_broken = true;
        true
    }

    /// So many streams a backend takes at once on a connection from now on; 0: no more.
    pub fn set_room(&mut self, connection: u64, most: u32, now_s: f64) {
        self.now_s = now_s;
        let at = (connection & 0xffff_ffff) as usize;
        if let Some(up) = self.ups.get_mut(at)
            && up.phase == UpPhase::Carried(connection)
        {
            up.carrying.room = most;
        }
    }

    /// The address of a connection's backend, for the log; empty when the connection is gone.
    #[must_use]
    pub fn backend_of(&self, connection: u64) -> &str {
        let up = self.ups.get((connection & 0xffff_ffff) as usize);
        let up = up.filter(|up| up.phase == UpPhase::Carried(connection));
        up.and_then(|up| up.address.split('|').next())
            .unwrap_or_default()
    }

    /// Read from a backend's connection that is carried, unless too much waits to be written.
    pub(crate) fn pump_carrier(&mut self, at: usize, id: u64) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let up = self.ups.get_mut(at);
        let got = match up.filter(|up| up.output.len() <= MOST_WAITING && !up.ready.held) {
            Some(up) => up.ready.read(&mut up.stream, &mut scratch),
            None => Ok(Got::Nothing),
        };
        match got {
            Ok(Got::Bytes(count)) => {
                let bytes = scratch[..count].to_vec();
                self.raised.push(Event::Bytes(id, bytes));
                self.again.push_back(up_token(at));
            }
            Ok(Got::Nothing) => {}
            Ok(Got::End) | Err(_) => self.drop_up(at),
        }
        self.scratch = scratch;
    }

    /// What a connection that goes leaves behind: its place among the carriers, or a stream's on its own.
    pub(crate) fn forget_carried(&mut self, up: &mut Up) {
        match up.phase {
            UpPhase::Carried(id) => self.raised.push(Event::Lost(id)),
            // Nobody wants it any more.
            UpPhase::Connecting(_) => {
                self.raised.extend(up.carrying.dialled.map(Event::Lost));
            }
            _ => {}
        }
        if up.carrying.by.is_none() {
            // Also one that takes no more: its place is somebody else's soon.
            let ups = &self.ups;
            if let Some(places) = self.carriers.get_mut(&up.address) {
                places.retain(|at| ups.contains(*at));
                if places.is_empty() {
                    self.carriers.remove(&up.address);
                }
            }
            let mounted = self.mounts.get(&up.address);
            if mounted.is_some_and(|at| !ups.contains(*at)) {
                self.mounts.remove(&up.address);
            }
        }
        if up.carrying.dials {
            let waiting = self.dials.remove(&up.address).unwrap_or_default();
            self.dial_again.extend(waiting);
        }
        if !up.carrying.waiting.is_empty() {
            // It ended without a word about WebSockets.
            self.sockets_unanswered(&up.address);
            self.dial_again.append(&mut up.carrying.waiting);
        }
        let connection = up.carrying.connection;
        if let Some(pipe) = up.stream.pipe() {
            let (id, told) = (pipe.id(), pipe.last_word());
            raise_call(&mut self.raised, connection, id, told);
        }
        if let Some((at, serial)) = up.carrying.by
            && let Some(carrier) = self.ups.get_mut(at).filter(|up| up.serial == serial)
        {
            carrier.carrying.used = carrier.carrying.used.saturating_sub(1);
        }
    }
}

/// Raise what there is to tell of a stream to a backend.
pub(crate) fn raise_call(raised: &mut Vec<Event>, connection: u64, id: u64, told: Told) {
    if told.consumed > 0 {
        raised.push(Event::Consumed(id, told.consumed));
    }
    let ends = told.is_over && !told.is_broken && told.trailers.is_none();
    let is_bare = told.body.is_empty();
    let mut is_ended = false;
    for fields in told.heads {
        is_ended = ends && is_bare;
        raised.push(Event::Call(connection, id, fields, is_ended));
    }
    if !is_bare || (ends && !is_ended) {
        raised.push(Event::Data(id, told.body, ends));
    }
    if let Some(trailers) = told.trailers {
        raised.push(Event::Trailers(id, trailers));
    } else if told.is_broken {
        raised.push(Event::Broken(id));
    }
}
