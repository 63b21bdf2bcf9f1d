//! The response: read from the backend, decided on, framed for the client and passed on.

use oto_core::http1::body::Piece;
use oto_core::http1::{Decoder, Framing, Method, Parsed, Version, encode, response};
use oto_core::plan::Next;
use oto_core::record::Head;
use oto_core::streamed;

use crate::attempt::Failure;
use crate::connection::{Down, UpPhase, Wait};
use crate::engine::{Engine, down_token, up_token};
use crate::io::Got;
use crate::meter::Admitted;

/// Body bytes that are copied behind the head to leave in one write; more leave as a second part.
const COPY_BYTES: usize = 8 * 1024;

impl Engine {
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
        // Back-pressure: nothing is read for a client that has not taken what was read before.
        if self
            .downs
            .get(key)
            .is_none_or(|down| !down.output.is_empty())
        {
            return false;
        }
        if self.has_gathered(key) {
            return self.pass_gathered(at, key, Vec::new());
        }
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        let held = up.input.len();
        let in_head = matches!(up.phase, UpPhase::Head(_));
        if in_head && up.stream.is_stream() {
            // Its head comes as fields.
            return false;
        }
        if up.carrying.is_broken {
            self.upstream_broke(at, key);
            return false;
        }
        let now = self.now_s;
        let exchange = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut());
        let mut room = scratch.len() - held;
        if let Some(exchange) = exchange.filter(|_| !in_head) {
            let bound = exchange.flow.as_ref().map(|flow| flow.bounds.response);
            if let Some(bound) = bound.filter(|bound| !bound.is_open()) {
                room = room.min(exchange.response_meter.room(&bound, now));
                if room == 0 {
                    let ready = exchange.response_meter.ready_s(&bound);
                    // The backend is not to blame for the wait.
                    self.set_up_deadline(at, ready + self.settings.body_idle_s);
                    self.hold_until(key, ready);
                    return false;
                }
            }
        }
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        scratch[..held].copy_from_slice(&up.input);
        let count = match up
            .ready
            .read(&mut up.stream, &mut scratch[held..held + room])
        {
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
        if matches!(up.phase, UpPhase::Body(_)) && up.ends_well() {
            let Some(down) = self.downs.get_mut(key) else {
                return;
            };
            let Some(exchange) = down.exchange.as_mut() else {
                return;
            };
            let mut out = Vec::new();
            Down::say_end(
                &mut down.stream,
                exchange.web.as_deref_mut(),
                exchange.response_framing,
                up.trailers(),
                &mut out,
            );
            if !out.is_empty() {
                exchange.bytes_out += out.len() as u64;
                if down.output.send(&mut down.stream, &out, &[]).is_err() {
                    self.client_left(key);
                    return;
                }
            } else if exchange.response_framing == Framing::UntilClose {
                exchange.keep_alive = false;
            }
            self.response_done(at, key);
        } else {
            self.upstream_broke(at, key);
        }
    }

    /// The backend's connection failed in the middle of an answer, or before it.
    pub(crate) fn upstream_broke(&mut self, at: usize, key: usize) {
        if matches!(self.ups.get(at).map(|up| up.phase), Some(UpPhase::Head(_))) {
            self.attempt_failed(key, Failure::Closed);
        } else {
            // The head is on its way to the client: cutting its connection is the only honest end.
            self.metrics.upstream_failures += 1;
            self.cut_off(key);
        }
    }

    /// End the client's connection because the rest of its answer will never come.
    pub(crate) fn cut_off(&mut self, key: usize) {
        self.release_up(key, false);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(exchange) = down.exchange.as_mut() else {
            return;
        };
        exchange.keep_alive = false;
        if let Some(pipe) = down.stream.pipe() {
            pipe.break_off();
        } else if exchange.head_sent && exchange.response_framing == Framing::UntilClose {
            self.reset_down(key);
            return;
        }
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
            if !self.pass_interim(key) {
                return false;
            }
        }
        self.response_begun(at, key, rest)
    }

    /// Pass an interim head on to the client; false when it left.
    pub(crate) fn pass_interim(&mut self, key: usize) -> bool {
        let Some(Down {
            stream,
            output,
            exchange: Some(exchange),
            ..
        }) = self.downs.get_mut(key)
        else {
            return false;
        };
        // We asked for no `100 Continue`, so the client need not see one.
        let Some(flow) = exchange
            .flow
            .as_ref()
            .filter(|flow| flow.response.status != 100)
        else {
            return true;
        };
        if let Some(pipe) = stream.pipe() {
            pipe.say_fields(streamed::interim(&flow.response));
        } else if exchange.version == Version::Http11 {
            let mut out = Vec::new();
            encode::interim_head(&flow.response, &mut out);
            if output.send(stream, &out, &[]).is_err() {
                self.client_left(key);
                return false;
            }
        }
        true
    }

    /// A final head is here: run the response steps, then send it.
    pub(crate) fn response_begun(&mut self, at: usize, key: usize, rest: &[u8]) -> bool {
        let moment = self.moment();
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
        if let Some(target) = flow.target().filter(|_| flow.attrs.mount.is_none()) {
            target.breaker.succeeded();
        }
        exchange.upstream_s = self.now_s - exchange.attempt_s;
        exchange.kept.lose();
        // A connection that changed its protocol is none of ours any more, whatever the hooks make of it.
        up.keep_alive = flow.response.keep_alive && !upgrades;
        up.body = Decoder::new(flow.response.framing);
        exchange.response_framing = client_framing(flow.response.framing, exchange.version);
        if let Some(details) = &mut flow.details {
            details.backend_status = flow.response.status;
            details.chunked = flow.response.framing == Framing::Chunked;
            details
                .heads
                .copy(Head::FromBackend, &flow.response.headers);
        }
        flow.moment = moment;
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
        let Some(Down {
            stream,
            exchange: Some(exchange),
            ..
        }) = self.downs.get_mut(key)
        else {
            return out;
        };
        let is_translated = exchange.translate_answer();
        let Some(flow) = exchange.flow.as_mut() else {
            return out;
        };
        let status = flow.response.status;
        if is_translated && matches!(exchange.response_framing, Framing::Length(1..)) {
            // It gets longer.
            exchange.response_framing = client_framing(Framing::Chunked, exchange.version);
        }
        flow.bodiless &= matches!(status, 204 | 304);
        if flow.bodiless {
            exchange.response_framing = Framing::None;
            flow.response.announced_length = None;
        } else if exchange.response_framing == Framing::None
            && flow.request.method != Method::Head
            && !matches!(status, 100..=199 | 204 | 304)
        {
            // A hook put a status with a body in place of one without: the body is empty, and says so.
            exchange.response_framing = Framing::Length(0);
            flow.response.announced_length = None;
        }
        if let Framing::Length(announced) = exchange.response_framing {
            let length = flow.bounds.response.length(announced);
            exchange.response_framing = Framing::Length(length);
        }
        // What a HEAD announces is what a GET would get.
        let announced = &mut flow.response.announced_length;
        *announced = announced.map(|length| flow.bounds.response.length(length));
        exchange.head_sent = true;
        exchange.probe_s = f64::INFINITY;
        exchange.status = status;
        // An answer before the end of the request: the rest of it may never come.
        exchange.keep_alive &= exchange.body.is_done()
            && !self.draining
            && exchange.response_framing != Framing::UntilClose;
        let shape = encode::ResponseShape {
            framing: exchange.response_framing,
            keep_alive: exchange.keep_alive,
            version: exchange.version,
        };
        exchange.head_out = Down::say_head(stream, &flow.response, shape, &mut out);
        if stream.is_stream() {
            // What is counted as bytes of the connection otherwise.
            exchange.bytes_out += exchange.head_out;
        }
        out
    }

    /// Whether some of the response body was gathered and not passed on yet.
    fn has_gathered(&self, key: usize) -> bool {
        let exchange = self.downs.get(key).and_then(|down| down.exchange.as_ref());
        exchange.is_some_and(|exchange| exchange.gathered.is_some())
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
        let upgrades = exchange
            .flow
            .as_ref()
            .is_some_and(|flow| flow.response.status == 101);
        // What a hook asked for goes first; what was read behind it waits in its place.
        let is_gathered = exchange.gathered.is_some() && !upgrades;
        let held = if is_gathered {
            Vec::new()
        } else {
            std::mem::take(&mut up.input)
        };
        let idle = exchange
            .flow
            .as_ref()
            .and_then(|flow| Some(flow.route.as_ref()?.backend.client.idle_s))
            .unwrap_or(self.settings.body_idle_s);
        let due = self.now_s + idle;
        self.set_up_deadline(at, due);
        // The request body waited for the hook too, and its edge is past.
        self.again.push_back(down_token(key));
        let head = self.head_for_client(key);
        let again = if upgrades {
            self.begin_tunnel(at, key, &head, &held)
        } else if is_gathered {
            self.pass_gathered(at, key, head)
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
        let moment = self.moment();
        let limits = &self.snapshot.limits;
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
        let bound = exchange.flow.as_ref().map(|flow| flow.bounds.response);
        let bound = bound.unwrap_or_default();
        let mut too_much = false;
        let mut rest = bytes;
        let mut failed = false;
        let (ended, broken) = loop {
            match up.body.next(&mut rest) {
                Ok(Piece::More) => break (false, false),
                Ok(Piece::End) if !up.is_answer_over(rest) => break (false, false),
                Ok(Piece::End) => {
                    Down::say_end(
                        stream,
                        exchange.web.as_deref_mut(),
                        exchange.response_framing,
                        up.trailers(),
                        &mut out,
                    );
                    break (true, false);
                }
                Ok(Piece::Data(_)) if muted => {}
                Ok(Piece::Data(data)) => {
                    let admitted =
                        exchange
                            .response_meter
                            .admit_among(&bound, data.len(), limits, moment);
                    let Admitted::Part(count) = admitted else {
                        too_much = true;
                        break (false, true);
                    };
                    let mut data = &data[..count];
                    if let Some(web) = &mut exchange.web {
                        data = web.answer_bytes(data);
                    }
                    if data.is_empty() {
                        continue;
                    }
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
            self.metrics.upstream_failures += u64::from(!too_much);
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
        self.put_off_probe(key);
        self.touch_exchange(key, idle);
        again
    }

    /// The whole response has been read and sent on.
    pub(crate) fn response_done(&mut self, _at: usize, key: usize) {
        let reusable = self
            .downs
            .get(key)
            .and_then(|down| down.exchange.as_ref())
            .is_some_and(|exchange| exchange.body.is_done());
        self.release_up(key, reusable);
        self.finish_exchange(key);
    }
}

/// How a body of this framing goes to a client of this version.
fn client_framing(framing: Framing, version: Version) -> Framing {
    match (framing, version) {
        (
            Framing::Chunked | Framing::UntilClose,
            Version::Http10 | Version::Http2 | Version::Http3,
        ) => Framing::UntilClose,
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
