//! WebSockets to backends of HTTP/2 and HTTP/3: streams that do not end with their heads (RFC 8441, RFC 9220).
//!
//! Theory of operation. A WebSocket for such a target takes a stream of a shared connection, as a request does. Whether
//! the backend has that is in its settings, which come behind the handshake: the exchange waits for them
//! ([`Wait::Greeting`]). Where they say no, or nothing in time, or there is no way over QUIC, it goes over a connection of
//! its own, in HTTP/1.1, and so do those to the same target after it: for [`FORGOTTEN_S`] when the backend said so, for
//! [`SILENT_S`] when it said nothing, which a restart of a second does, too. Both are over when HTTP/1.1 fails, and a
//! connection whose backend takes WebSockets is used whatever is remembered.
//!
//! A stream whose backend agreed is a backend's connection that changed its protocol ([`crate::tunnel`],
//! [`crate::watched`]); its socket is a pipe, as that of every stream.

use std::sync::Arc;

use oto_core::streamed;

use crate::connection::{UpPhase, Wait};
use crate::engine::{Engine, up_token};
use crate::io::Got;
use crate::waiting::Waiting;

/// So long it is remembered that a backend does not offer WebSockets on streams.
const FORGOTTEN_S: f64 = 300.0;
/// The same where none could be asked for, and nobody said why.
const SILENT_S: f64 = 5.0;
/// Targets of which that is remembered; beyond it those go that are over, or all.
const MOST_REMEMBERED: usize = 4096;

impl Engine {
    pub(crate) fn asks_for_socket(&self, key: usize) -> bool {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        let flow = exchange.and_then(|exchange| exchange.flow.as_ref());
        flow.is_some_and(|flow| streamed::is_websocket(&flow.request))
    }

    /// Whether a target may take WebSockets on streams, as far as is known.
    pub(crate) fn may_take_sockets(&self, pool_key: &str) -> bool {
        let until_s = self.no_sockets.get(pool_key);
        until_s.is_none_or(|until_s| *until_s <= self.now_s)
            || self.socket_carrier(pool_key).is_some()
    }

    /// A connection with room whose backend takes WebSockets.
    pub(crate) fn socket_carrier(&self, pool_key: &str) -> Option<usize> {
        self.carrier_for(pool_key, |carrying| carrying.takes_sockets == Some(true))
    }

    /// Nobody knows why no WebSocket could be asked for on a stream: try without for a moment.
    pub(crate) fn sockets_unanswered(&mut self, pool_key: &Arc<str>) {
        self.takes_no_sockets(pool_key, SILENT_S);
    }

    /// Remember that a target takes no WebSockets on streams.
    fn takes_no_sockets(&mut self, pool_key: &Arc<str>, for_s: f64) {
        let now_s = self.now_s;
        if self.no_sockets.len() >= MOST_REMEMBERED {
            self.no_sockets.retain(|_, until_s| *until_s > now_s);
        }
        if self.no_sockets.len() >= MOST_REMEMBERED {
            self.no_sockets.clear();
        }
        let until_s = self.no_sockets.entry(Arc::clone(pool_key)).or_default();
        *until_s = until_s.max(now_s + for_s);
    }

    /// Send an exchange's request on a shared connection, once it is known whether it may.
    pub(crate) fn use_carrier(&mut self, key: usize, at: usize) {
        let asks = self.asks_for_socket(key);
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        match up.carrying.takes_sockets.filter(|_| asks) {
            None if asks => {}
            None | Some(true) => {
                self.begin_call(key, at);
                return;
            }
            Some(false) => {
                let pool_key = Arc::clone(&up.address);
                self.takes_no_sockets(&pool_key, FORGOTTEN_S);
                self.attempt_again(key);
                return;
            }
        }
        let now_s = self.now_s;
        let exchange = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut());
        let Some(exchange) = exchange else { return };
        let route = exchange.flow.as_ref().and_then(|flow| flow.route.as_ref());
        let client = route.map(|route| *route.backend.client).unwrap_or_default();
        let due = now_s + client.connect_s.min(client.call_s);
        exchange.wait = Wait::Greeting(due);
        up.carrying.waiting.push((key, exchange.id));
        self.touch_exchange(key, due);
    }

    /// The settings of a backend have come: whether it takes WebSockets on streams of this connection.
    pub fn set_sockets(&mut self, connection: u64, allowed: bool, now_s: f64) {
        self.now_s = now_s;
        let at = (connection & 0xffff_ffff) as usize;
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        if up.phase != UpPhase::Carried(connection) {
            return;
        }
        up.carrying.takes_sockets = Some(allowed);
        let pool_key = Arc::clone(&up.address);
        let waiting = std::mem::take(&mut up.carrying.waiting);
        if allowed {
            self.no_sockets.remove(&pool_key);
        } else {
            self.takes_no_sockets(&pool_key, FORGOTTEN_S);
        }
        if !waiting.is_empty() {
            self.guarded(up_token(at), |engine| engine.greeted(at, waiting));
        }
    }

    /// Go on with those that waited for a backend's settings: on its connection as far as that has room, although no
    /// new request may use it since the certificates changed. The rest look for another way.
    fn greeted(&mut self, at: usize, waiting: Vec<Waiting>) {
        for waiting in waiting {
            if !self.waits(waiting, |wait| matches!(wait, Wait::Greeting(_))) {
                continue;
            }
            let up = self.ups.get(at);
            let takes = up.is_some_and(|up| {
                let is_carried = matches!(up.phase, UpPhase::Carried(_));
                is_carried && up.carrying.takes_sockets == Some(true) && up.carrying.has_room()
            });
            if takes {
                let down = self.downs.get_mut(waiting.0);
                if let Some(exchange) = down.and_then(|down| down.exchange.as_mut()) {
                    // The wait was for the connection, which has its own time.
                    exchange.attempt_s = self.now_s;
                }
                self.begin_call(waiting.0, at);
            } else {
                self.dial_again.push(waiting);
            }
        }
        self.dial_waiting();
    }

    /// A backend said nothing of WebSockets in time.
    pub(crate) fn greeting_expired(&mut self, key: usize) {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        let target = exchange.and_then(|exchange| exchange.flow.as_ref()?.target());
        if let Some(pool_key) = target.map(|target| Arc::clone(&target.pool_key)) {
            self.sockets_unanswered(&pool_key);
            for at in self.carriers.get(&pool_key).into_iter().flatten() {
                if let Some(up) = self.ups.get_mut(*at) {
                    up.carrying.waiting.retain(|(other, _)| *other != key);
                }
            }
        }
        self.attempt_again(key);
    }

    /// There is no way to a target over QUIC. Try TCP for a WebSocket, which it may take there; false: the exchange is none.
    pub(crate) fn goes_by_tcp(&mut self, key: usize, pool_key: &Arc<str>) -> bool {
        let asks = self.asks_for_socket(key);
        if asks {
            self.sockets_unanswered(pool_key);
            self.release_up(key, false);
            self.attempt_again(key);
        }
        asks
    }

    /// Close the side of a WebSocket that is a stream, behind what was written; false: it is no such stream.
    pub(crate) fn is_left(&mut self, at: usize) -> bool {
        let due = self.now_s + self.settings.linger_s;
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        // What the stream did not take is behind the backend's window, and would wait for ever.
        let is_written = up.output.is_empty();
        let Some(pipe) = up.stream.pipe().filter(|_| is_written) else {
            return false;
        };
        pipe.shutdown();
        up.phase = UpPhase::Leaving;
        up.ready.readable = true;
        self.set_up_deadline(at, due);
        self.again.push_back(up_token(at));
        true
    }

    /// Read over what a backend still says on a WebSocket that was closed here; its end is the stream's.
    pub(crate) fn read_over(&mut self, at: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut is_over = false;
        if let Some(up) = self.ups.get_mut(at) {
            is_over = loop {
                match up.ready.read(&mut up.stream, &mut scratch) {
                    Ok(Got::Bytes(_)) => {}
                    Ok(Got::Nothing) => break false,
                    Ok(Got::End) | Err(_) => break true,
                }
            };
        }
        self.scratch = scratch;
        if is_over {
            self.drop_up(at);
        }
    }
}
