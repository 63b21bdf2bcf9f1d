//! The request body: from the client to the backend, or to a hook that asked for the whole of it.

use oto_core::http1::body::Piece;
use oto_core::http1::{Framing, encode};
use oto_core::streamed;

use crate::connection::{Down, UpPhase, Wait};
use crate::engine::{Engine, down_token};
use crate::io::Got;
use crate::meter::Admitted;

/// What the client of a body beyond its bound is told.
pub(crate) const TOO_LARGE: &str = "The request body is too large";

impl Engine {
    /// Bring the request body to where it is wanted: the backend, or the buffer a hook waits for.
    pub(crate) fn pump_request(&mut self, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = self.pump_request_with(key, &mut scratch);
        self.scratch = scratch;
        let up = self
            .downs
            .get(key)
            .and_then(|down| down.exchange.as_ref()?.up);
        if let Some(at) = up {
            self.end_call_body(key, at);
        }
        match outcome {
            Pumped::Waits => {}
            Pumped::Again => self.again.push_back(down_token(key)),
            Pumped::ClientLeft => self.client_left(key),
            Pumped::Broken(message) => self.body_broken(key, 400, message),
            Pumped::Buffered(body) => self.body_buffered(key, body),
            Pumped::Held(at_s) => self.hold_until(key, at_s),
            Pumped::TooMuch(message) => self.body_broken(key, 413, message),
        }
    }

    fn pump_request_with(&mut self, key: usize, scratch: &mut [u8]) -> Pumped {
        let moment = self.moment();
        let limits = &self.snapshot.limits;
        let Some(down) = self.downs.get_mut(key) else {
            return Pumped::Waits;
        };
        let Down {
            stream,
            ready,
            input,
            exchange: Some(exchange),
            ..
        } = down
        else {
            return Pumped::Waits;
        };
        if exchange.body.is_done() {
            return Pumped::Waits;
        }
        let limit = match exchange.wait {
            Wait::Body(limit) => Some(limit),
            Wait::Upstream | Wait::Response(_) => None,
            _ => return Pumped::Waits,
        };
        let mut up = match (limit, exchange.up) {
            (Some(_), _) => None,
            (None, Some(up)) => match self.ups.get_mut(up) {
                Some(up) if matches!(up.phase, UpPhase::Connecting(_)) || !up.output.is_empty() => {
                    return Pumped::Waits;
                }
                Some(up) => Some(up),
                None => return Pumped::Waits,
            },
            (None, None) => return Pumped::Waits,
        };
        let flow = exchange.flow.as_ref();
        let bound = flow.map_or(exchange.held_bound, |flow| flow.bounds.request);
        let meter = &mut exchange.request_meter;
        let room = meter.room(&bound, self.now_s).min(scratch.len());
        if room == 0 {
            return Pumped::Held(meter.ready_s(&bound));
        }
        let held = std::mem::take(input);
        // What came with the head has to keep to the rate, too.
        let (bytes, later, from_socket): (&[u8], &[u8], bool) = if held.is_empty() {
            match ready.read(stream, &mut scratch[..room]) {
                Ok(Got::Bytes(count)) => (&scratch[..count], &[], true),
                Ok(Got::Nothing) => return Pumped::Waits,
                Ok(Got::End) if stream.is_stream() && exchange.body.end_at_close() => {
                    return self.stream_body_over(key, limit);
                }
                Ok(Got::End) if stream.is_stream() => {
                    return Pumped::Broken("The request body ended too early");
                }
                Ok(Got::End) | Err(_) => return Pumped::ClientLeft,
            }
        } else {
            let (now, later) = held.split_at(room.min(held.len()));
            (now, later, false)
        };
        let mut rest = bytes;
        let mut out = std::mem::take(&mut self.head_out);
        out.clear();
        let ended = loop {
            match exchange.body.next(&mut rest) {
                Ok(Piece::More) => break false,
                Ok(Piece::End) => {
                    if let Err(message) = exchange.is_translated(limit) {
                        self.head_out = out;
                        return Pumped::Broken(message);
                    }
                    let is_stream = up.as_ref().is_some_and(|up| up.stream.is_stream());
                    let chunked = exchange.body_framing == Framing::Chunked && !is_stream;
                    if limit.is_none() && chunked {
                        encode::last_chunk(exchange.body.trailers(), &mut out);
                    }
                    break true;
                }
                Ok(Piece::Data(data)) => {
                    exchange.bytes_in += data.len() as u64;
                    let admitted =
                        match exchange
                            .request_meter
                            .admit_among(&bound, data.len(), limits, moment)
                        {
                            Admitted::Part(count) => Ok(count),
                            Admitted::TooMuch => Err(TOO_LARGE),
                            Admitted::TooFast => Err("Bandwidth limit exceeded"),
                        };
                    let count = match admitted {
                        Ok(count) => count,
                        Err(message) => {
                            self.head_out = out;
                            return Pumped::TooMuch(message);
                        }
                    };
                    let data = &data[..count];
                    if data.is_empty() {
                        continue;
                    }
                    if let Some(limit) = limit {
                        let buffer = exchange.buffered.get_or_insert_default();
                        if buffer.len() + data.len() > limit {
                            self.head_out = out;
                            exchange.buffered = None;
                            exchange.body_lost = true;
                            return Pumped::Buffered(None);
                        }
                        buffer.extend_from_slice(data);
                    } else if let Some(up) = up.as_mut() {
                        let is_stream = up.stream.is_stream();
                        if !is_stream {
                            exchange.kept.lose();
                        }
                        if up.deaf {
                            continue;
                        }
                        let mut data = data;
                        if let Some(web) = &mut exchange.web {
                            match web.request_bytes(data) {
                                Ok([]) => continue,
                                Ok(bytes) => data = bytes,
                                Err(problem) => {
                                    self.head_out = out;
                                    return Pumped::Broken(problem.message());
                                }
                            }
                        }
                        if is_stream && !up.answered {
                            exchange.kept.keep(data, &self.shelf);
                        }
                        if exchange.body_framing == Framing::Chunked && !is_stream {
                            encode::chunk_size(data.len(), &mut out);
                            out.extend_from_slice(data);
                            out.extend_from_slice(b"\r\n");
                        } else if up.output.send(&mut up.stream, data, &[]).is_err() {
                            up.deaf = true;
                        }
                    }
                }
                Err(error) => {
                    self.head_out = out;
                    return Pumped::Broken(error.message());
                }
            }
        };
        if let Some(up) = up.filter(|up| !up.deaf) {
            if !out.is_empty() && up.output.send(&mut up.stream, &out, &[]).is_err() {
                up.deaf = true;
            }
        }
        self.head_out = out;
        input.extend_from_slice(rest);
        input.extend_from_slice(later);
        let more = ready.readable || ready.closed || !later.is_empty();
        if ended && limit.is_some() {
            return Pumped::Buffered(Some(exchange.buffered.get_or_insert_default().clone()));
        }
        if from_socket {
            let idle = self.now_s + self.settings.body_idle_s;
            self.touch_exchange(key, idle);
        }
        if more && !ended {
            Pumped::Again
        } else {
            Pumped::Waits
        }
    }

    /// A stream's request body of unknown length has come to its end.
    fn stream_body_over(&mut self, key: usize, limit: Option<usize>) -> Pumped {
        let Some(down) = self.downs.get_mut(key) else {
            return Pumped::Waits;
        };
        let Some(exchange) = down.exchange.as_mut() else {
            return Pumped::Waits;
        };
        if limit.is_some() {
            return Pumped::Buffered(Some(exchange.buffered.get_or_insert_default().clone()));
        }
        if let Err(message) = exchange.is_translated(limit) {
            return Pumped::Broken(message);
        }
        let up = exchange.up.and_then(|at| self.ups.get_mut(at));
        if let Some(up) = up.filter(|up| !up.deaf && exchange.body_framing == Framing::Chunked) {
            let mut out = Vec::with_capacity(8);
            let trailers = down.stream.pipe().map(|pipe| pipe.trailers_in());
            // To a stream they go with its end.
            if !up.stream.is_stream() {
                encode::last_chunk(trailers.unwrap_or_default(), &mut out);
                up.deaf |= up.output.send(&mut up.stream, &out, &[]).is_err();
            }
        }
        Pumped::Waits
    }

    /// The body is malformed, or goes beyond what a step allows.
    fn body_broken(&mut self, key: usize, status: u16, message: &'static str) {
        let Some(exchange) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut())
        else {
            return;
        };
        exchange.keep_alive = false;
        if exchange.head_sent {
            self.client_left(key);
        } else {
            self.refuse_client(key, status, message);
        }
    }

    pub(crate) fn send_continue(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        // A client that cannot take it is noticed by the next read or write.
        if let Some(pipe) = down.stream.pipe() {
            pipe.say_fields(streamed::go_on());
            return;
        }
        down.output
            .send(&mut down.stream, encode::CONTINUE, &[])
            .unwrap_or(());
    }
}

/// What became of an attempt to move a request body.
enum Pumped {
    Waits,
    Again,
    ClientLeft,
    Broken(&'static str),
    Buffered(Option<Vec<u8>>),
    /// A rate holds the body back until then.
    Held(f64),
    /// The body goes beyond its bound; what the client is told.
    TooMuch(&'static str),
}
