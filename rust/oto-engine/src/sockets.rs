//! WebSockets to backends of HTTP/2 and HTTP/3: streams that do not end with their heads (RFC 8441, RFC 9220).
//!
//! Theory of operation. A WebSocket for such a target takes a stream of a shared connection, as a request does. Whether
//! the backend has that is in its settings, which come behind the handshake: the exchange waits for them
//! ([`Wait::Greeting`]). Where they say no, or nothing in time, or there is no way over QUIC, it goes over a connection of
//! its own, in HTTP/1.1, and so do those to the same target after it for [`FORGOTTEN_S`].
//!
//! A stream whose backend agreed is a backend's connection that changed its protocol ([`crate::tunnel`],
//! [`crate::watched`]); its socket is a pipe, as that of every stream.

use std::sync::Arc;

use oto_core::streamed;

use crate::connection::{UpPhase, Wait};
use crate::engine::{Engine, up_token};
use crate::io::Got;

/// So long it is remembered that a target takes no WebSockets on streams.
const FORGOTTEN_S: f64 = 300.0;
/// Targets of which that is remembered; beyond it those go that are over, or all.
const MOST_REMEMBERED: usize = 4096;

impl Engine {
    fn asks_for_socket(&self, key: usize) -> bool {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        let flow = exchange.and_then(|exchange| exchange.flow.as_ref());
        flow.is_some_and(|flow| streamed::is_websocket(&flow.request))
    }

    /// Whether a target may take WebSockets on streams, as far as is known.
    pub(crate) fn may_take_sockets(&self, pool_key: &str) -> bool {
        let until_s = self.no_sockets.get(pool_key);
        until_s.is_none_or(|until_s| *until_s <= self.now_s)
    }

    /// Remember that a target takes no WebSockets on streams.
    pub(crate) fn takes_no_sockets(&mut self, pool_key: &Arc<str>) {
        let now_s = self.now_s;
        if self.no_sockets.len() >= MOST_REMEMBERED {
            self.no_sockets.retain(|_, until_s| *until_s > now_s);
        }
        if self.no_sockets.len() >= MOST_REMEMBERED {
            self.no_sockets.clear();
        }
        let until_s = now_s + FORGOTTEN_S;
        self.no_sockets.insert(Arc::clone(pool_key), until_s);
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
                self.takes_no_sockets(&pool_key);
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
            self.takes_no_sockets(&pool_key);
        }
        if !waiting.is_empty() {
            self.dial_again.extend(waiting);
            self.guarded(up_token(at), Self::dial_waiting);
        }
    }

    /// A backend said nothing of WebSockets in time.
    pub(crate) fn greeting_expired(&mut self, key: usize) {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        let target = exchange.and_then(|exchange| exchange.flow.as_ref()?.target());
        if let Some(pool_key) = target.map(|target| Arc::clone(&target.pool_key)) {
            self.takes_no_sockets(&pool_key);
        }
        self.attempt_again(key);
    }

    /// There is no way to a target over QUIC. Try TCP for a WebSocket, which it may take there; false: the exchange is none.
    pub(crate) fn goes_by_tcp(&mut self, key: usize, pool_key: &Arc<str>) -> bool {
        let asks = self.asks_for_socket(key);
        if asks {
            self.takes_no_sockets(pool_key);
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
