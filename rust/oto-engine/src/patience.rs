//! Deadlines: how long each phase of a connection may take, and what happens then.
//!
//! A client that closed its sending side either left or waits for its answer; no socket tells which.
//! It is asked with an interim answer, which only the second kind survives. In the middle of an answer nothing may be
//! asked: there it counts as gone when the backend has nothing to say to it for a moment.

use oto_core::http1::{Framing, Version, encode};

use crate::attempt::Failure;
use crate::connection::{DownPhase, UpPhase, Wait};
use crate::engine::{Engine, down_token, up_token};
use crate::event::Event;
use crate::socket::Socket;

const BODY_TOO_SLOW: &str = "The request body took too long";

impl Engine {
    /// A rate holds a body back: go on at this time.
    pub(crate) fn hold_until(&mut self, key: usize, at_s: f64) {
        if let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        {
            exchange.held_until_s = exchange.held_until_s.min(at_s);
        }
        let idle = self.now_s + self.settings.body_idle_s;
        self.touch_exchange(key, idle);
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
        let retry = if let Wait::Retry(at) | Wait::Greeting(at) = exchange.wait {
            at
        } else {
            f64::INFINITY
        };
        let due = idle_s
            .min(end)
            .min(exchange.probe_s)
            .min(retry)
            .min(exchange.held_until_s);
        self.set_down_deadline(key, due);
    }

    /// Some of an answer passed: a client that closed its sending side is given another moment.
    pub(crate) fn put_off_probe(&mut self, key: usize) {
        let quiet = self.now_s + self.settings.half_close_quiet_s;
        if let Some(down) = self.downs.get_mut(key).filter(|down| down.ready.closing)
            && let Some(exchange) = down.exchange.as_mut()
        {
            exchange.probe_s = quiet;
        }
    }

    /// The client closed its sending side. It may have left, or wait for its answer: ask it soon.
    pub(crate) fn plan_probe(&mut self, key: usize) {
        let probe = self.now_s + self.settings.half_close_probe_s;
        let idle = self.now_s + self.settings.body_idle_s;
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        if exchange.probe_s.is_infinite() {
            exchange.probe_s = if exchange.head_sent {
                self.now_s + self.settings.half_close_quiet_s
            } else {
                probe
            };
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
        if exchange.head_sent {
            if down.output.is_empty() && exchange.held_until_s.is_infinite() {
                self.client_left(key);
                return;
            }
            // It is being written to, or will be when the rate allows: whoever is gone is noticed so.
            exchange.probe_s = self.now_s + self.settings.half_close_quiet_s;
            let idle = self.now_s + self.settings.body_idle_s;
            self.touch_exchange(key, idle);
            return;
        }
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

    pub(crate) fn down_expired(&mut self, key: usize) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        match down.phase {
            DownPhase::Idle | DownPhase::Heard | DownPhase::Flushing | DownPhase::Lingering => {
                self.drop_down(key)
            }
            DownPhase::Hello | DownPhase::AwaitingCertificate | DownPhase::Handshake => {
                self.metrics.handshake_failures += 1;
                self.drop_down(key);
            }
            DownPhase::Head if down.input.is_empty() => self.drop_down(key),
            DownPhase::Head => {
                self.refuse_connection(key, 408, "The request head took too long", None);
            }
            DownPhase::Carried(id) => self.raised.push(Event::Idle(id)),
            DownPhase::Tunnel(_) => self.client_left(key),
            DownPhase::Exchange => self.exchange_expired(key),
        }
    }

    fn exchange_expired(&mut self, key: usize) {
        let now = self.now_s;
        let owes_body = self.owes_body(key);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let writing = !down.output.is_empty();
        let Some(exchange) = down.exchange.as_mut() else {
            return;
        };
        if exchange.held_until_s <= now {
            exchange.held_until_s = f64::INFINITY;
            if exchange.head_sent && exchange.probe_s.is_finite() {
                // Nobody was quiet but the gateway.
                exchange.probe_s = now + self.settings.half_close_quiet_s;
            }
            let up = exchange.up;
            let idle = now + self.settings.body_idle_s;
            self.touch_exchange(key, idle);
            self.again.push_back(down_token(key));
            self.again.extend(up.map(up_token));
        } else if exchange.probe_s <= now {
            self.probe(key);
        } else if let Wait::Retry(at) = exchange.wait
            && at <= now
        {
            exchange.wait = Wait::Nothing;
            self.attempt(key);
        } else if let Wait::Greeting(at) = exchange.wait
            && at <= now
        {
            self.greeting_expired(key);
        } else if exchange.head_sent {
            // Too late to say anything: the client sees a broken message, as it must.
            if writing || exchange.end_by_s <= now {
                if exchange.response_framing == Framing::UntilClose {
                    // Its end would look like the end of the body.
                    down.stream.break_off();
                }
                self.client_left(key);
            } else {
                let due = exchange.end_by_s;
                self.touch_exchange(key, due);
            }
        } else if exchange.answer_by_s <= now {
            self.time_out(key);
        } else if owes_body {
            self.refuse_client(key, 408, BODY_TOO_SLOW);
        } else {
            let due = exchange.answer_by_s;
            self.touch_exchange(key, due);
        }
    }

    /// No response head within the global time-out.
    fn time_out(&mut self, key: usize) {
        if self.owes_body(key) {
            self.refuse_client(key, 408, BODY_TOO_SLOW);
            return;
        }
        let Some(exchange) = self.downs.get(key).and_then(|down| down.exchange.as_ref()) else {
            return;
        };
        if exchange.flow.is_some() {
            self.refuse(
                key,
                504,
                "The backend took too long to answer",
                "errors.request.timeout",
            );
        } else {
            self.refuse_held(key, 504, "The request took too long");
        }
    }

    /// Whether the rest of the request body is what everybody waits for.
    fn owes_body(&self, key: usize) -> bool {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        exchange.is_some_and(|exchange| {
            let up = exchange.up.and_then(|at| self.ups.get(at));
            let taken = up.is_none_or(|up| {
                up.output.is_empty() && !up.deaf && !matches!(up.phase, UpPhase::Connecting(_))
            });
            let asked = matches!(
                exchange.wait,
                Wait::Upstream | Wait::Body(_) | Wait::Response(_)
            );
            (!exchange.body.is_done() || self.owes_end(key)) && asked && taken
        })
    }

    /// Whether a stream to a backend cannot be ended because its client did not end its own, although nothing may come
    /// but trailers.
    pub(crate) fn owes_end(&self, key: usize) -> bool {
        let Some(down) = self.downs.get(key) else {
            return false;
        };
        let (Socket::Stream(pipe), Some(exchange)) = (&down.stream, &down.exchange) else {
            return false;
        };
        let up = exchange.up.and_then(|at| self.ups.get(at));
        let waits = up.is_some_and(|up| up.stream.is_stream() && !up.carrying.is_socket);
        waits && exchange.buffered.is_none() && !pipe.is_fed()
    }

    /// The request itself is at fault: answer so, and close, also while a hook holds the exchange.
    pub(crate) fn refuse_client(&mut self, key: usize, status: u16, message: &str) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        exchange.keep_alive = false;
        if exchange.flow.is_some() {
            self.refuse(key, status, message, "errors.client.error");
        } else {
            self.refuse_held(key, status, message);
        }
    }

    /// A hook holds the exchange: it is cancelled, and the answer comes from here.
    fn refuse_held(&mut self, key: usize, status: u16, message: &str) {
        let Some(exchange) = self.downs.get(key).and_then(|down| down.exchange.as_ref()) else {
            return;
        };
        let (id, called) = (exchange.id, exchange.held_called);
        self.raised.push(Event::Gone(id));
        let spent = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.take());
        if let Some(mut exchange) = spent {
            if let Some(up) = exchange.up {
                self.drop_up(up);
            }
            exchange.status = status;
            exchange.local = true;
            let ended = self.ended_of(key, &exchange);
            self.remember(id, ended);
        }
        self.refuse_connection(key, status, message, called);
    }

    pub(crate) fn up_expired(&mut self, at: usize) {
        let Some(up) = self.ups.get(at) else { return };
        match up.phase {
            UpPhase::Idle | UpPhase::Flushing | UpPhase::Leaving => self.drop_up(at),
            UpPhase::Carried(id) => self.raised.push(Event::Idle(id)),
            UpPhase::Connecting(key) => self.attempt_failed(key, Failure::ConnectTimeout),
            // The backend cannot answer what it has not got: no reason to avoid it.
            UpPhase::Head(key) if self.owes_body(key) => {
                self.refuse_client(key, 408, BODY_TOO_SLOW);
            }
            UpPhase::Head(key) => self.attempt_failed(key, Failure::Timeout),
            UpPhase::Gathering(key) if self.owes_body(key) => {
                self.refuse_client(key, 408, BODY_TOO_SLOW);
            }
            UpPhase::Gathering(key) => self.gathering_expired(key),
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
}
