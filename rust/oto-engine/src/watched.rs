//! Upgraded connections whose bytes somebody looks at: messages of WebSockets, for plugins.
//!
//! The engine keeps sockets, TLS and deadlines of both sides. Their bytes go up as they come, as those of carried
//! connections do, and what is sent comes down; without a watch in the flow there is a tunnel instead.

use std::any::Any;

use crate::connection::{DownPhase, UpPhase};
use crate::engine::{Engine, down_token, up_token};
use crate::event::Event;

/// What looks at the bytes of both sides; the engine never looks inside.
pub(crate) type Watch = Box<dyn Any + Send + Sync>;

/// Seconds without any bytes after which it is idle, bytes of the longest message, frames of one.
pub(crate) type Bounds = (f64, usize, usize);

impl Engine {
    /// What is to look at the bytes of a client's connection once it changed its protocol.
    pub(crate) fn take_watch(&mut self, key: usize) -> Option<Watch> {
        let down = self.downs.get_mut(key)?;
        down.exchange.as_mut()?.flow.as_mut()?.watch.take()
    }

    /// Send the 101 to the client, and hand the bytes of both sides up from now on. `up` is the backend's
    /// connection with what it said behind its own 101; none when a plugin is the backend.
    pub(crate) fn begin_watched(
        &mut self,
        key: usize,
        up: Option<(usize, &[u8])>,
        head: &[u8],
        watch: Watch,
    ) {
        let idle_s = self.settings.tunnel_idle_s;
        let due = self.now_s + idle_s;
        let id = self.next_exchange_id(key);
        let up = up.map(|(at, rest)| (at, rest, self.next_exchange_id(at)));
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.output.send(&mut down.stream, head, &[]).is_err() {
            self.client_left(key);
            return;
        }
        let early = std::mem::take(&mut down.input);
        down.phase = DownPhase::Carried(id);
        down.is_watched = true;
        down.is_fresh = false;
        down.ready.readable = true;
        if let Some(mut exchange) = down.exchange.take() {
            exchange.up = None;
            exchange.bytes_out += head.len() as u64;
            self.account(key, *exchange);
        }
        self.set_down_deadline(key, due);
        self.again.push_back(down_token(key));
        let up_id = up.map(|(_, _, up_id)| up_id);
        let settings = &self.settings;
        let bounds = (
            idle_s,
            settings.websocket_message_bytes,
            settings.websocket_fragments,
        );
        self.raised.push(Event::Upgraded(watch, id, up_id, bounds));
        self.tell_if_leaving(key);
        if !early.is_empty() {
            self.raised.push(Event::Bytes(id, early));
        }
        let Some((at, rest, up_id)) = up else { return };
        let Some(up) = self.ups.get_mut(at) else {
            self.raised.push(Event::Lost(up_id));
            return;
        };
        up.phase = UpPhase::Carried(up_id);
        // It is in use for as long as it lasts, and ends with that, whatever its terms become.
        up.carrying.used = 1;
        up.ready.readable = true;
        if !rest.is_empty() {
            self.raised.push(Event::Bytes(up_id, rest.to_vec()));
        }
        self.set_up_deadline(at, f64::INFINITY);
        self.again.push_back(up_token(at));
    }
}
