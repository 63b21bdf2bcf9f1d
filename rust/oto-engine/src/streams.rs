//! Streams: exchanges whose client side is a [`Pipe`].
//!
//! Whoever carries a connection opens a stream for each request it decodes, feeds it and is told what goes to
//! the client. Everything between, from the router to the access record, is that of any exchange.

use std::sync::{Arc, PoisonError};

use oto_core::fields::FieldBlock;
use oto_core::http1::Version;
use oto_core::streamed::{self, StreamError};

use crate::connection::{Appetite, Down, DownPhase};
use crate::engine::{Engine, UP_BIT, down_token};
use crate::event::Event;
use crate::io::{Output, Readiness};
use crate::pipe::{Pipe, Told};
use crate::socket::Socket;
use crate::timer::Deadline;

impl Engine {
    /// Begin an exchange for a request that a carried connection brought; `ends` says that it has no body.
    /// What follows is told by the next turn.
    ///
    /// # Errors
    /// What is malformed about it: the stream is to be reset.
    pub fn open_stream(
        &mut self,
        carrier: u64,
        fields: &FieldBlock,
        ends: bool,
        now_s: f64,
    ) -> Result<u64, &'static str> {
        self.now_s = now_s;
        let from = (carrier & 0xffff_ffff) as usize;
        let parent = self.downs.get(from);
        let parent = parent.filter(|down| down.phase == DownPhase::Carried(carrier));
        let Some(parent) = parent else {
            return Err("its connection is gone");
        };
        let (peer, listener) = (parent.peer, parent.listener);
        let version = match parent.stream {
            Socket::Elsewhere(_) => Version::Http3,
            _ => Version::Http2,
        };
        let facts = parent.stream.facts().map(Arc::clone);
        let nonce = u128::from(self.next_random()) << 64 | u128::from(self.next_random());
        let read = streamed::request(fields, ends, version, &self.limits, nonce);
        let request = match read {
            Ok(request) => Ok(request),
            Err(StreamError::Malformed(problem)) => return Err(problem),
            Err(StreamError::Refused(error)) => Err(error),
        };
        // Nothing reads a request without a body, but a tunnel passes the end on.
        let readable = ends && request.as_ref().is_ok_and(streamed::is_websocket);
        let key = self.downs.vacant_key();
        let id = self.next_exchange_id(key);
        let serial = self.next_serial();
        let mut pipe = Pipe::new(id, key, Arc::clone(&self.bell), facts);
        pipe.feed(&[], ends);
        self.downs.insert(Down {
            stream: Socket::Stream(Box::new(pipe)),
            peer,
            listener,
            serial,
            is_fresh: false,
            ready: Readiness {
                readable,
                ..Readiness::default()
            },
            input: Vec::new(),
            output: Output::default(),
            phase: DownPhase::Head,
            is_watched: false,
            frames: None,
            exchange: None,
            deadline: Deadline::never(),
            appetite: Appetite::default(),
        });
        self.streams += 1;
        self.guarded(down_token(key), |engine| match request {
            Ok(request) => {
                let (_, response) = engine.spare.pop().unwrap_or_default();
                engine.hear(key, request, response);
            }
            Err(error) => engine.refuse_head(key, error),
        });
        Ok(id)
    }

    fn stream(&mut self, id: u64) -> Option<(usize, &mut Down)> {
        let key = (id & 0xffff_ffff) as usize;
        let down = self.downs.get_mut(key)?;
        let is_it = down.stream.pipe().is_some_and(|pipe| pipe.id() == id);
        is_it.then_some((key, down))
    }

    /// Bytes of a stream's request body; `ends` says that these are the last.
    pub fn feed(&mut self, id: u64, data: &[u8], ends: bool, now_s: f64) {
        self.now_s = now_s;
        let Some((key, down)) = self.stream(id) else {
            self.feed_call(id, data, ends);
            return;
        };
        down.ready.readable = true;
        if let Some(pipe) = down.stream.pipe() {
            pipe.feed(data, ends);
        }
        self.again.push_back(down_token(key));
    }

    /// The trailers that end a stream's request body.
    ///
    /// # Errors
    /// What is malformed about them: the stream is to be reset.
    pub fn feed_trailers(
        &mut self,
        id: u64,
        fields: &FieldBlock,
        now_s: f64,
    ) -> Result<(), &'static str> {
        self.now_s = now_s;
        let lines = match streamed::trailer_lines(fields) {
            Ok(lines) => lines,
            Err(StreamError::Malformed(problem)) => return Err(problem),
            Err(StreamError::Refused(error)) => return Err(error.message()),
        };
        let Some((key, down)) = self.stream(id) else {
            self.end_call(id, lines);
            return Ok(());
        };
        down.ready.readable = true;
        if let Some(pipe) = down.stream.pipe() {
            pipe.feed_trailers(lines);
        }
        self.again.push_back(down_token(key));
        Ok(())
    }

    /// The client gave a stream up, or its connection is gone: cancel its work.
    pub fn reset_stream(&mut self, id: u64, now_s: f64) {
        self.now_s = now_s;
        let Some((key, down)) = self.stream(id) else {
            return;
        };
        if let Some(pipe) = down.stream.pipe() {
            pipe.forsake();
        }
        self.guarded(down_token(key), |engine| engine.client_left(key));
    }

    /// The client took so many bytes of a stream's response body.
    pub fn taken(&mut self, id: u64, count: usize) {
        let Some((key, down)) = self.stream(id) else {
            self.taken_up(id, count);
            return;
        };
        let waits = !down.output.is_empty();
        if let Some(pipe) = down.stream.pipe() {
            pipe.taken(count);
        }
        if waits {
            self.again.push_back(down_token(key));
        }
    }

    /// Whether a stream has something to tell.
    pub(crate) fn has_rung(&self) -> bool {
        let rung = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        !rung.is_empty()
    }

    /// Raise what there is to tell of all streams that rang.
    pub(crate) fn tell_streams(&mut self) {
        let mut rung =
            std::mem::take(&mut *self.bell.lock().unwrap_or_else(PoisonError::into_inner));
        for key in rung.drain(..) {
            if key & UP_BIT != 0 {
                self.tell_call(key & !UP_BIT);
                continue;
            }
            let Some(down) = self.downs.get_mut(key) else {
                continue;
            };
            let is_tunnel = matches!(down.phase, DownPhase::Tunnel(_));
            let Some(pipe) = down.stream.pipe() else {
                continue;
            };
            let id = pipe.id();
            if is_tunnel {
                let told = pipe.tell_request();
                let is_broken = told.is_broken;
                raise_half(&mut self.raised, id, told);
                // A reset ends both directions.
                if is_broken {
                    self.drop_down(key);
                }
                continue;
            }
            let told = pipe.tell();
            let is_gone = told.is_over;
            raise(&mut self.raised, id, told);
            if is_gone {
                self.drop_down(key);
            }
        }
        // Dropping rings nobody; the memory is kept for the next round.
        let mut bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        if bell.is_empty() {
            *bell = rung;
        }
    }
}

/// The same of a tunnel, of which an end is half.
fn raise_half(raised: &mut Vec<Event>, id: u64, mut told: Told) {
    let is_half = told.is_over && !told.is_broken;
    told.is_over = told.is_broken;
    raise(raised, id, told);
    if is_half {
        raised.push(Event::Halved(id));
    }
}

/// Put what there is to tell of a stream behind the other events, in its order.
pub(crate) fn raise(raised: &mut Vec<Event>, id: u64, told: Told) {
    if told.consumed > 0 {
        raised.push(Event::Consumed(id, told.consumed));
    }
    let mut heads = told.heads;
    let is_plain = told.is_over && !told.is_broken && told.trailers.is_none();
    let is_final = |head: &FieldBlock| head.status().is_none_or(|status| status >= 200);
    if is_plain && heads.last().is_some_and(is_final) {
        let last = heads.pop();
        raised.extend(heads.into_iter().map(|head| Event::Head(id, head)));
        raised.extend(last.map(|head| Event::Answer(id, head, told.body)));
        return;
    }
    raised.extend(heads.into_iter().map(|head| Event::Head(id, head)));
    if !told.body.is_empty() || is_plain {
        raised.push(Event::Data(id, told.body, is_plain));
    }
    if let Some(trailers) = told.trailers {
        raised.push(Event::Trailers(id, trailers));
    } else if told.is_broken {
        raised.push(Event::Broken(id));
    }
}
