//! The response body as a hook asks for it: gathered before the head goes out, then passed on behind it.
//!
//! Theory of operation. A response streams past, and no hook sees its body, unless one asks
//! ([`Engine::read_response`]). Then the body is read into the exchange, up to a bound, while the head
//! waits. What was gathered is never lost: a body beyond the bound goes on to the client from where its
//! reading stopped. Nothing is written meanwhile, so every answer is still possible: a backend that breaks
//! off or takes too long gets the client a 502 or 504, and the hook is cancelled.
//!
//! The bounds that steps set for a response count when it is passed on, not when it is gathered.

use oto_core::http1::body::Piece;
use oto_core::http1::{Framing, encode};
use oto_core::plan::BackendBody;

use crate::connection::{Down, Up, UpPhase, Wait};
use crate::engine::{Engine, down_token, up_token};
use crate::event::Event;
use crate::io::Got;
use crate::meter::Admitted;

/// Most bytes that are passed on at once: a client that takes all of them keeps nobody else waiting.
const BLOCK_BYTES: usize = 64 * 1024;

const BROKE_OFF: &str = "The backend closed the connection in the middle of its answer";
const TOO_SLOW: &str = "The backend took too long to answer";

/// What of a body is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// The most bytes to gather.
    limit: usize,
    /// The bytes that the client will get at most.
    most: usize,
    /// How long the backend may say nothing.
    idle_s: f64,
}

/// What was gathered of a body.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    /// Bytes that were passed on.
    passed: usize,
    /// The backend has no more.
    pub(crate) is_whole: bool,
}

impl Gathered {
    /// What the hook is told: the body, or none for one that is too long; nothing as long as that is open.
    fn told(&self, wanted: Wanted) -> Option<Option<Vec<u8>>> {
        let has_enough = wanted.most <= wanted.limit && self.bytes.len() >= wanted.most;
        if has_enough || (self.is_whole && self.bytes.len() <= wanted.limit) {
            let shown = self.bytes.get(..wanted.most).unwrap_or(&self.bytes);
            return Some(Some(shown.to_vec()));
        }
        (self.bytes.len() > wanted.limit).then_some(None)
    }
}

impl Engine {
    /// A hook wants the whole response body, of `limit` bytes at most: an [`Event::Body`] follows.
    /// False when there is no response whose head waits for this hook.
    pub fn read_response(
        &mut self,
        id: u64,
        limit: usize,
        body: BackendBody,
        now_s: f64,
    ) -> (bool, Vec<Event>) {
        self.now_s = now_s;
        let is_held = self.begin_gathering(id, limit, body);
        (is_held, std::mem::take(&mut self.raised))
    }

    fn begin_gathering(&mut self, id: u64, limit: usize, body: BackendBody) -> bool {
        let key = (id & 0xffff_ffff) as usize;
        let wanted = Wanted {
            limit,
            most: usize::try_from(body.bound.length(u64::MAX)).unwrap_or(usize::MAX),
            idle_s: body.idle_s,
        };
        let Some(exchange) = self.held(key, id) else {
            return false;
        };
        let Some(at) = exchange.up else { return false };
        let Some(Down {
            exchange: Some(exchange),
            ..
        }) = self.downs.get_mut(key)
        else {
            return false;
        };
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        // A hook may have given up waiting, and ask again.
        if up.phase != UpPhase::Held(key) && up.phase != UpPhase::Gathering(key) {
            return false;
        }
        up.phase = UpPhase::Held(key);
        let gathered = exchange.gathered.get_or_insert_default();
        gathered.is_whole |= up.body.is_done() && up.is_answer_over(&[]);
        if let Some(told) = gathered.told(wanted) {
            self.raised.push(Event::Body(id, told));
            return true;
        }
        exchange.wait = Wait::Response(wanted);
        up.phase = UpPhase::Gathering(key);
        let due = self.now_s + wanted.idle_s;
        self.set_up_deadline(at, due);
        // The backend may want the rest of the request before it says more.
        self.again.push_back(down_token(key));
        self.again.push_back(up_token(at));
        true
    }

    /// Read more of a body that a hook waits for.
    pub(crate) fn gather(&mut self, at: usize, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = self.gather_with(at, key, &mut scratch);
        self.scratch = scratch;
        match outcome {
            Got::Nothing => {}
            Got::Bytes(_) => self.again.push_back(up_token(at)),
            Got::End => self.gather_broke(key),
        }
    }

    /// The backend broke off while a hook waits for its body.
    pub(crate) fn gather_broke(&mut self, key: usize) {
        self.metrics.upstream_failures += 1;
        self.refuse_client(key, 502, BROKE_OFF);
    }

    /// Read once. Bytes: there may be more; nothing: wait, or it is done; the end: it broke off.
    fn gather_with(&mut self, at: usize, key: usize, scratch: &mut [u8]) -> Got {
        let Some(up) = self.ups.get_mut(at) else {
            return Got::Nothing;
        };
        let Some(Down {
            exchange: Some(exchange),
            ..
        }) = self.downs.get_mut(key)
        else {
            return Got::Nothing;
        };
        let Wait::Response(wanted) = exchange.wait else {
            return Got::Nothing;
        };
        let gathered = exchange.gathered.get_or_insert_default();
        let input = std::mem::take(&mut up.input);
        let mut rest: &[u8] = &input;
        if up.carrying.is_broken {
            return Got::End;
        }
        if input.is_empty() {
            match up.ready.read(&mut up.stream, scratch) {
                Ok(Got::Bytes(count)) => rest = &scratch[..count],
                Ok(Got::Nothing) => return Got::Nothing,
                Ok(Got::End) if up.ends_well() => gathered.is_whole = true,
                Ok(Got::End) | Err(_) => return Got::End,
            }
        }
        while !gathered.is_whole {
            match up.body.next(&mut rest) {
                // All that was read is kept, so the bound is passed by one read at most.
                Ok(Piece::Data(data)) => gathered.bytes.extend_from_slice(data),
                Ok(Piece::End) if up.is_answer_over(rest) => gathered.is_whole = true,
                Ok(Piece::End | Piece::More) => break,
                Err(_) => return Got::End,
            }
        }
        // Bytes after the end belong to no request: the connection is not to be trusted again.
        up.keep_alive &= rest.is_empty();
        let due = self.now_s + wanted.idle_s;
        let Some(told) = gathered.told(wanted) else {
            self.set_up_deadline(at, due);
            return Got::Bytes(0);
        };
        up.phase = UpPhase::Held(key);
        exchange.wait = Wait::Python;
        let id = exchange.id;
        self.raised.push(Event::Body(id, told));
        Got::Nothing
    }

    /// The backend said nothing for too long while a hook waits for its body.
    pub(crate) fn gathering_expired(&mut self, key: usize) {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        // A hook that gave up waiting has the exchange's own deadline.
        if !exchange.is_some_and(|exchange| matches!(exchange.wait, Wait::Response(_))) {
            return;
        }
        self.metrics.upstream_failures += 1;
        self.refuse_client(key, 504, TOO_SLOW);
    }

    /// Send some of what was gathered behind `head`; whether there is more to do now.
    pub(crate) fn pass_gathered(&mut self, at: usize, key: usize, head: Vec<u8>) -> bool {
        let mut out = head;
        if out.capacity() == 0 {
            out = std::mem::take(&mut self.head_out);
            out.clear();
        }
        let moment = self.moment();
        let body_idle_s = self.settings.body_idle_s;
        let limits = &self.snapshot.limits;
        let Some(Down {
            stream,
            output,
            exchange: Some(exchange),
            ..
        }) = self.downs.get_mut(key)
        else {
            return false;
        };
        let (Some(gathered), Some(flow)) = (exchange.gathered.as_mut(), exchange.flow.as_ref())
        else {
            return false;
        };
        let mut bound = flow.bounds.response;
        if let Some(rate) = &mut bound.rate {
            // That all of it is here at once is our doing, not the backend's.
            rate.fails = false;
        }
        let route = flow.route.as_ref();
        let idle_s = route.map_or(body_idle_s, |route| route.backend.client.idle_s);
        let chunked = exchange.response_framing == Framing::Chunked;
        let meter = &mut exchange.response_meter;
        if flow.bodiless {
            gathered.passed = gathered.bytes.len();
        }
        let left = gathered.bytes.get(gathered.passed..).unwrap_or_default();
        let room = meter.room(&bound, moment.mono_s).min(BLOCK_BYTES);
        let piece = left.get(..room).unwrap_or(left);
        gathered.passed += piece.len();
        let mut sent = Ok(());
        let mut is_too_much = false;
        if !piece.is_empty() {
            match meter.admit_among(&bound, piece.len(), limits, moment) {
                Admitted::Part(0) => {}
                Admitted::Part(count) => {
                    let mut data = piece.get(..count).unwrap_or(piece);
                    if let Some(web) = &mut exchange.web {
                        data = web.answer_bytes(data);
                    }
                    if chunked && !data.is_empty() {
                        encode::chunk_size(data.len(), &mut out);
                    }
                    exchange.bytes_out += (out.len() + data.len()) as u64;
                    sent = output.send(stream, &out, data);
                    out.clear();
                    if chunked && !data.is_empty() {
                        out.extend_from_slice(b"\r\n");
                    }
                }
                Admitted::TooMuch | Admitted::TooFast => is_too_much = true,
            }
        }
        let is_passed = gathered.passed == gathered.bytes.len();
        let is_over = is_passed && gathered.is_whole && !is_too_much;
        let ready_s = (piece.is_empty() && !is_passed).then(|| meter.ready_s(&bound));
        if is_over {
            let trailers = self.ups.get(at).map(Up::trailers);
            let framing = exchange.response_framing;
            Down::say_end(
                stream,
                exchange.web.as_deref_mut(),
                framing,
                trailers.unwrap_or_default(),
                &mut out,
            );
        }
        if !out.is_empty() {
            exchange.bytes_out += out.len() as u64;
            sent = sent.and_then(|()| output.send(stream, &out, &[]));
        }
        self.head_out = out;
        let is_taken = output.is_empty();
        if is_passed && !is_over {
            // The rest comes from the backend, as if nobody had asked.
            exchange.gathered = None;
        }
        if sent.is_err() {
            self.client_left(key);
            return false;
        }
        if is_too_much {
            self.cut_off(key);
            return false;
        }
        if is_over {
            self.response_done(at, key);
            return false;
        }
        let now = self.now_s;
        if let Some(ready_s) = ready_s {
            // The backend is not to blame for the wait.
            self.set_up_deadline(at, ready_s + body_idle_s);
            self.hold_until(key, ready_s);
            return false;
        }
        self.set_up_deadline(at, now + idle_s);
        self.put_off_probe(key);
        self.touch_exchange(key, now + body_idle_s);
        is_taken
    }
}
