//! The client's side of a stream: a socket in memory.
//!
//! Theory of operation. An exchange of HTTP/2 or HTTP/3 has no socket of its own: its fields and data are
//! decoded by whoever carries the stream. To the engine such a stream is a client's connection that
//! serves one request and whose [`Pipe`] stands where the socket would. What the client sends is
//! fed into it; what goes to the client is taken out of it, heads as fields and the body as bytes. A pipe takes
//! only so many bytes beyond what its client took, and then says "would block", as a socket does: the
//! back-pressure behind it is the same.
//!
//! Whoever writes to a pipe, or reads from it, rings its bell. What there is to tell of all pipes that rang is told
//! at the end of a turn.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use oto_core::fields::FieldBlock;
use oto_core::http1::{Framing, ResponseHead};
use oto_core::streamed;

use crate::socket::HandshakeFacts;

/// Body bytes that are handed out beyond what the client took, at most.
pub(crate) const AHEAD_BYTES: usize = 64 * 1024;

/// The streams that have something to tell, by their places.
pub(crate) type Bell = Arc<Mutex<Vec<usize>>>;

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All of it was written.
    Whole,
    /// The rest will never come.
    Broken,
}

/// What there is to tell of a stream.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) consumed: usize,
    pub(crate) heads: Vec<FieldBlock>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<FieldBlock>,
    pub(crate) is_over: bool,
    pub(crate) is_broken: bool,
}

/// A stream's request bytes on their way in and its response on its way out.
pub(crate) struct Pipe {
    id: u64,
    key: usize,
    bell: Bell,
    has_rung: bool,
    facts: Option<Arc<HandshakeFacts>>,
    incoming: Vec<u8>,
    taken_in: usize,
    is_ended: bool,
    trailers_in: Vec<u8>,
    consumed: usize,
    heads: Vec<FieldBlock>,
    body: Vec<u8>,
    /// Bytes handed out that the client has not taken.
    ahead: usize,
    trailers: Option<FieldBlock>,
    end: Option<End>,
    is_broken_off: bool,
    /// The end was told, or nobody wants to know.
    is_over: bool,
    is_forsaken: bool,
    /// What was fed ended without the other side's word.
    is_cut: bool,
}

impl Pipe {
    pub(crate) fn new(id: u64, key: usize, bell: Bell, facts: Option<Arc<HandshakeFacts>>) -> Self {
        Self {
            id,
            key,
            bell,
            has_rung: false,
            facts,
            incoming: Vec::new(),
            taken_in: 0,
            is_ended: false,
            trailers_in: Vec::new(),
            consumed: 0,
            heads: Vec::new(),
            body: Vec::new(),
            ahead: 0,
            trailers: None,
            end: None,
            is_broken_off: false,
            is_over: false,
            is_forsaken: false,
            is_cut: false,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn facts(&self) -> Option<&Arc<HandshakeFacts>> {
        self.facts.as_ref()
    }

    fn ring(&mut self) {
        if !std::mem::replace(&mut self.has_rung, true) {
            let mut rung = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
            rung.push(self.key);
        }
    }

    /// Take in bytes of the request body; `ends` says that these are the last.
    pub(crate) fn feed(&mut self, data: &[u8], ends: bool) {
        if self.taken_in > self.incoming.len() / 2 {
            // A reader that never catches up would keep all that ever came.
            self.incoming.drain(..self.taken_in);
            self.taken_in = 0;
        }
        self.incoming.extend_from_slice(data);
        self.is_ended |= ends;
    }

    /// Whether all that is to be read was fed.
    pub(crate) fn is_fed(&self) -> bool {
        self.is_ended
    }

    /// Whether all of it was read, too.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_ended && self.incoming.is_empty()
    }

    /// Take in the trailers that end the request body.
    pub(crate) fn feed_trailers(&mut self, lines: Vec<u8>) {
        self.trailers_in = lines;
        self.is_ended = true;
    }

    /// The trailers that came behind the request body.
    pub(crate) fn trailers_in(&self) -> &[u8] {
        &self.trailers_in
    }

    /// As a socket reads: the number of bytes, 0 at the end, and whether there is more.
    pub(crate) fn read(&mut self, space: &mut [u8]) -> io::Result<(usize, bool)> {
        let rest = self.incoming.get(self.taken_in..).unwrap_or_default();
        if rest.is_empty() {
            return if self.is_ended {
                Ok((0, false))
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let count = rest.len().min(space.len());
        let (Some(from), Some(to)) = (rest.get(..count), space.get_mut(..count)) else {
            return Ok((0, false));
        };
        to.copy_from_slice(from);
        self.taken_in += count;
        if self.taken_in == self.incoming.len() {
            // An idle stream owns no buffer.
            self.incoming = Vec::new();
            self.taken_in = 0;
        }
        self.consumed += count;
        self.ring();
        Ok((count, !self.incoming.is_empty() || self.is_ended))
    }

    fn room(&self) -> usize {
        AHEAD_BYTES.saturating_sub(self.ahead + self.body.len())
    }

    /// Take as much of a response body as there is room for.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_forsaken {
            return bytes.len();
        }
        let count = bytes.len().min(self.room());
        if count > 0 {
            self.body.extend_from_slice(&bytes[..count]);
            self.ring();
        }
        count
    }

    /// The same, as a socket says that there is no room.
    pub(crate) fn write_prepared(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.write(bytes) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    /// Take the head of a response.
    pub(crate) fn say_head(&mut self, head: &ResponseHead, framing: Framing) -> usize {
        self.say_fields(streamed::response(head, framing))
    }

    /// Take a head that is fields already; tells its size.
    pub(crate) fn say_fields(&mut self, fields: FieldBlock) -> usize {
        let size = fields.list_size();
        self.heads.push(fields);
        self.ring();
        size
    }

    /// Take the trailers of a response, as lines.
    pub(crate) fn say_trailers(&mut self, lines: &[u8]) {
        self.trailers = streamed::trailer_block(lines);
    }

    /// Nothing more will be written.
    pub(crate) fn shutdown(&mut self) {
        if self.end.is_none() {
            self.end = Some(if self.is_broken_off {
                End::Broken
            } else {
                End::Whole
            });
            self.ring();
        }
    }

    /// Have the response end so that what was sent does not look whole.
    pub(crate) fn break_off(&mut self) {
        self.is_broken_off = true;
    }

    /// Whoever carries the stream gave it up: nothing is told of it any more.
    pub(crate) fn forsake(&mut self) {
        self.is_over = true;
        self.is_forsaken = true;
    }

    /// The other side broke the stream off: what was fed is all that there will be, and what is written goes nowhere.
    pub(crate) fn cut(&mut self) {
        self.is_cut = !self.is_ended;
        self.is_ended = true;
        self.forsake();
    }

    /// Whether what was fed ended without the other side's word.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The client took so many bytes of what was handed out.
    pub(crate) fn taken(&mut self, count: usize) {
        self.ahead = self.ahead.saturating_sub(count);
    }

    /// What there is to tell now; nothing once an end was told.
    pub(crate) fn tell(&mut self) -> Told {
        self.has_rung = false;
        if self.is_over {
            return Told::default();
        }
        self.tell_all()
    }

    /// Whether the end was told, and somebody wants to know what becomes of the other direction.
    pub(crate) fn is_halved(&self) -> bool {
        self.is_over && !self.is_forsaken
    }

    /// The same of a stream whose other direction may go on when this one is over: one to a backend, or a tunnel.
    pub(crate) fn tell_request(&mut self) -> Told {
        self.has_rung = false;
        if !self.is_over {
            return self.tell_all();
        }
        Told {
            consumed: std::mem::take(&mut self.consumed),
            ..Told::default()
        }
    }

    fn tell_all(&mut self) -> Told {
        let body = std::mem::take(&mut self.body);
        self.ahead += body.len();
        self.is_over = self.end.is_some();
        let is_whole = self.end == Some(End::Whole);
        Told {
            consumed: std::mem::take(&mut self.consumed),
            heads: std::mem::take(&mut self.heads),
            body,
            trailers: self.trailers.take_if(|_| is_whole),
            is_over: self.is_over,
            is_broken: self.is_over && !is_whole,
        }
    }

    /// What is left to tell of a stream to a backend that goes: what nobody will read of its answer counts as
    /// read; and one that is not done is broken off, unless nobody heard of it.
    pub(crate) fn last_word(&mut self) -> Told {
        self.consumed += self.incoming.len() - self.taken_in;
        if self.end == Some(End::Whole) && self.is_ended {
            return self.tell_request();
        }
        let is_known = self.heads.is_empty() && !self.is_forsaken;
        Told {
            is_over: is_known,
            is_broken: is_known,
            ..Told::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (Pipe, Bell) {
        let bell = Bell::default();
        (Pipe::new(7, 3, Arc::clone(&bell), None), bell)
    }

    #[test]
    fn a_pipe_takes_so_much_and_then_waits() {
        let (mut pipe, bell) = pipe();
        let large = vec![1; AHEAD_BYTES + 5];
        assert_eq!(pipe.write(&large), AHEAD_BYTES);
        assert_eq!(pipe.write(b"x"), 0);
        assert!(pipe.write_prepared(b"x").is_err());
        assert_eq!(pipe.tell().body.len(), AHEAD_BYTES);
        // Told is not taken.
        assert_eq!(pipe.write(b"x"), 0);
        pipe.taken(2);
        assert_eq!(pipe.write(b"xyz"), 2);
        assert_eq!(*bell.lock().expect("alone"), [3, 3]);
    }

    #[test]
    fn what_was_read_is_not_kept_while_more_comes() {
        let (mut pipe, _) = pipe();
        let mut space = [0; 1024];
        pipe.feed(&[1; 4096], false);
        for _ in 0..1000 {
            pipe.feed(&[2; 1024], false);
            assert_eq!(pipe.read(&mut space).expect("there"), (1024, true));
        }
        assert!(pipe.incoming.capacity() <= 32 * 1024);
    }

    #[test]
    fn an_end_is_told_once_and_behind_everything() {
        let (mut pipe, _) = pipe();
        pipe.write(b"abc");
        pipe.say_trailers(b"x-a: b\r\n");
        pipe.shutdown();
        let told = pipe.tell();
        assert_eq!(
            (told.body.as_slice(), told.is_over, told.is_broken),
            (&b"abc"[..], true, false)
        );
        assert!(told.trailers.is_some());
        assert_eq!(pipe.tell(), Told::default());
    }

    #[test]
    fn a_broken_response_has_no_trailers() {
        let (mut pipe, _) = pipe();
        pipe.say_trailers(b"x-a: b\r\n");
        pipe.break_off();
        pipe.shutdown();
        let told = pipe.tell();
        assert!(told.is_over && told.is_broken && told.trailers.is_none());
    }

    #[test]
    fn a_request_is_read_to_its_end() {
        let (mut pipe, _) = pipe();
        let mut space = [0; 4];
        assert!(pipe.read(&mut space).is_err());
        pipe.feed(b"abcdef", false);
        assert_eq!(pipe.read(&mut space).expect("there"), (4, true));
        assert_eq!(pipe.read(&mut space).expect("there"), (2, false));
        assert!(pipe.read(&mut space).is_err());
        pipe.feed(b"", true);
        assert_eq!(pipe.read(&mut space).expect("the end"), (0, false));
        assert_eq!(pipe.tell().consumed, 6);
    }
}
