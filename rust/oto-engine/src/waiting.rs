//! Exchanges that wait: for a connection that is made for another, for a word on it, an address, or their next attempt.
//!
//! Whoever waits is known by its place and its number. What is done for one may end another or have it wait for something
//! else, so each is looked at again just before its turn.

use std::sync::Arc;

use crate::attempt::Failure;
use crate::connection::Wait;
use crate::engine::Engine;
use crate::event::Event;
use crate::tcp::RELAY_BIT;

/// An exchange's place, and its number.
pub(crate) type Waiting = (usize, u64);

impl Engine {
    /// Whether an exchange is still there, and waits for something of this kind.
    pub(crate) fn waits(&self, (key, id): Waiting, is_kind: impl FnOnce(Wait) -> bool) -> bool {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        exchange.is_some_and(|exchange| exchange.id == id && is_kind(exchange.wait))
    }

    /// A connection to a target is made: begin what waited for it.
    pub(crate) fn begin_waiting(&mut self, pool_key: &str) {
        for waiting in self.dials.remove(pool_key).unwrap_or_default() {
            if self.waits(waiting, |wait| wait == Wait::Connection) {
                self.attempt_again(waiting.0);
            }
        }
    }

    /// No connection to a target could be made: those that waited for it get none either.
    pub(crate) fn fail_waiting(
        &mut self,
        pool_key: &Arc<str>,
        waiting: Vec<Waiting>,
        (failure, elsewhere): (Failure, bool),
        by_quic: bool,
    ) {
        for waiting in waiting {
            let waits = self.waits(waiting, |wait| wait == Wait::Connection);
            if waits && !(by_quic && self.goes_by_tcp(waiting.0, pool_key)) {
                self.one_failed(waiting.0, failure, elsewhere);
            }
        }
    }

    /// Attempt what waited for a connection that nobody makes any more.
    pub(crate) fn dial_waiting(&mut self) {
        for waiting in std::mem::take(&mut self.dial_again) {
            if self.waits(waiting, |wait| {
                matches!(wait, Wait::Connection | Wait::Greeting(_))
            }) {
                self.attempt_again(waiting.0);
            }
        }
    }

    /// Attempt what waited without having tried.
    pub(crate) fn attempt_again(&mut self, key: usize) {
        if let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        {
            exchange.attempts = exchange.attempts.saturating_sub(1);
            self.attempt(key);
        }
    }

    /// Attempt again after a while.
    pub(crate) fn attempt_after(&mut self, key: usize, delay_s: f64) {
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
            if key & RELAY_BIT != 0 {
                self.relay_resolved(key & !RELAY_BIT, id);
                continue;
            }
            if self.waits((key, id), |wait| wait == Wait::Resolution) {
                self.attempt_again(key);
            }
        }
        std::mem::take(&mut self.raised)
    }
}
