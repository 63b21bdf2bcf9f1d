//! Applications in this process that answer in a backend's place.
//!
//! Theory of operation. To an exchange an application is a backend that speaks in streams: what calls of HTTP/2 use
//! ([`crate::calls`]) carries its requests and answers, with their windows, and nothing is ever written to a
//! socket. Each application has one connection without an end, made when the first exchange asks for it
//! ([`Event::Mounted`]) and kept as long as the engine, for it costs one place; unless whoever calls the application
//! hangs up, after a fault of its own: then the next exchange has another one made.

use std::sync::Arc;

use oto_core::fields::FieldBlock;
use oto_core::http1::Decoder;
use oto_core::plan::Flow;

use crate::connection::{Carrying, Up, UpPhase};
use crate::engine::Engine;
use crate::event::Event;
use crate::io::{Output, Readiness};
use crate::socket::Socket;
use crate::timer::Deadline;

/// Requests of a worker that an application has at once.
const ROOM: u32 = 1024;

impl Engine {
    /// Send a request to an application. Its name says what calls it, and how.
    pub(crate) fn call_mount(&mut self, key: usize, app: &Arc<str>) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        let upgrades = exchange
            .flow
            .as_ref()
            .is_some_and(|flow| flow.request.upgrade().is_some());
        exchange.attempts = exchange.attempts.saturating_add(1);
        exchange.attempt_s = self.now_s;
        if upgrades {
            let message = "A mounted application takes no upgrades";
            self.refuse(key, 501, message, "errors.client.error");
            return;
        }
        let at = match self.mounts.get(app) {
            Some(at) => *at,
            None => self.mount(app),
        };
        if (self.ups.get(at)).is_some_and(|up| up.carrying.has_room()) {
            self.begin_call(key, at);
        } else {
            let message = "The application has too many requests";
            self.refuse(key, 503, message, "errors.proxy.error");
        }
    }

    fn mount(&mut self, app: &Arc<str>) -> usize {
        let at = self.ups.vacant_key();
        let id = self.next_exchange_id(at);
        let serial = self.next_serial();
        self.ups.insert(Up {
            stream: Socket::None,
            address: Arc::clone(app),
            terms: None,
            serial,
            ready: Readiness::default(),
            input: Vec::new(),
            output: Output::default(),
            phase: UpPhase::Carried(id),
            body: Decoder::default(),
            reused: false,
            keep_alive: false,
            answered: false,
            deaf: false,
            carrying: Carrying {
                room: ROOM,
                ..Carrying::default()
            },
            deadline: Deadline::never(),
        });
        self.mounts.insert(Arc::clone(app), at);
        self.raised.push(Event::Mounted(id, Arc::clone(app)));
        at
    }
}

/// What an application learns besides the request: who asks, how, and what of the path led here.
pub(crate) fn describe(flow: &Flow, fields: &mut FieldBlock) {
    fields.push(b":client", flow.remote_address().as_bytes());
    let path = flow.request.path();
    let is_stripped = flow.route.as_ref().is_some_and(|route| route.strip_path);
    let matched = path.get(..flow.matched_len).filter(|_| is_stripped);
    fields.push(b":matched", matched.unwrap_or_default().as_bytes());
}
