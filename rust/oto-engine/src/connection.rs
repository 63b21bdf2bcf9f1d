//! The two kinds of connections, and the exchange that joins them.

use std::net::IpAddr;
use std::sync::Arc;

use oto_core::access::Peer;
use oto_core::http1::encode::{self, ResponseShape};
use oto_core::http1::{Decoder, Framing, ResponseHead, Version};
use oto_core::plan::{BodyBound, Flow};
use oto_core::websocket::Frames;

use crate::downstream::Called;
use crate::io::{Output, Readiness};
use crate::kept::Kept;
use crate::meter::Meter;
use crate::repeat::Repeat;
use crate::response_body::{Gathered, Wanted};
use crate::socket::Socket;
use crate::timer::Deadline;
use crate::tls::Terms;
use crate::web::Web;

/// A client's connection.
pub(crate) struct Down {
    pub(crate) stream: Socket,
    pub(crate) peer: Peer,
    pub(crate) listener: usize,
    pub(crate) serial: u32,
    /// No request of it was read yet.
    pub(crate) is_fresh: bool,
    pub(crate) ready: Readiness,
    /// Bytes read but not used: the beginning of a head, or a pipelined request.
    pub(crate) input: Vec<u8>,
    pub(crate) output: Output,
    pub(crate) phase: DownPhase,
    /// It changed its protocol, and whoever carries it looks at what passes.
    pub(crate) is_watched: bool,
    /// Where the backend is within its frames, when this is a WebSocket that nobody looks at.
    pub(crate) frames: Option<Box<Frames>>,
    pub(crate) exchange: Option<Box<Exchange>>,
    pub(crate) deadline: Deadline,
    /// What may be read of a carried connection.
    pub(crate) appetite: Appetite,
}

/// How much of a carried connection one turn may bring up: what is read has to be worked through before anybody
/// else has a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appetite {
    /// Bytes at once.
    pub(crate) most: usize,
    /// The turn that read last.
    pub(crate) turn: u64,
}

impl Default for Appetite {
    fn default() -> Self {
        Self {
            most: FIRST_APPETITE,
            turn: 0,
        }
    }
}

/// Bytes that are read at once of a connection of which nothing is known.
const FIRST_APPETITE: usize = 16 * 1024;

/// What a client's connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DownPhase {
    /// TLS: waiting for the client's first message.
    Hello,
    /// TLS: a certificate for the name it asked for is being made.
    AwaitingCertificate,
    /// TLS: the handshake is under way.
    Handshake,
    /// Waiting for the first byte of a request.
    Idle,
    /// Some bytes of a head are there.
    Head,
    /// A head is read; its exchange begins within this turn.
    Heard,
    /// A request is being served.
    Exchange,
    /// Its protocol is spoken elsewhere: bytes go to and from whoever carries it, under this number.
    Carried(u64),
    /// Upgraded: bytes go to and from this backend connection.
    Tunnel(usize),
    /// The last answer is being written; then close.
    Flushing,
    /// Everything is written and our side closed; reading until the client has seen it.
    Lingering,
}

impl Down {
    /// Put the head of a response into `out`, or straight into the stream that this is; tells its size.
    pub(crate) fn say_head(
        stream: &mut Socket,
        head: &ResponseHead,
        shape: ResponseShape,
        out: &mut Vec<u8>,
    ) -> u64 {
        if let Some(pipe) = stream.pipe() {
            return pipe.say_head(head, shape.framing) as u64;
        }
        encode::response_head(head, shape, out);
        out.len() as u64
    }

    /// End a body of unknown length in `out`, with these trailers, which a page gets within the body.
    pub(crate) fn say_end(
        stream: &mut Socket,
        web: Option<&mut Web>,
        framing: Framing,
        trailers: &[u8],
        out: &mut Vec<u8>,
    ) {
        let is_said = web.is_some_and(|web| web.say_end(framing, trailers, out));
        let trailers = if is_said { &[] } else { trailers };
        match stream.pipe() {
            Some(pipe) => pipe.say_trailers(trailers),
            None if framing == Framing::Chunked => encode::last_chunk(trailers, out),
            None => {}
        }
    }
}

/// A connection to a backend.
pub(crate) struct Up {
    pub(crate) stream: Socket,
    pub(crate) address: Arc<str>,
    /// On what terms it was made; none without TLS.
    pub(crate) terms: Option<Arc<Terms>>,
    pub(crate) serial: u32,
    pub(crate) ready: Readiness,
    /// Bytes read but not used: the beginning of a head, or a body that waits for a response step.
    pub(crate) input: Vec<u8>,
    pub(crate) output: Output,
    pub(crate) phase: UpPhase,
    pub(crate) body: Decoder,
    /// Served an exchange before this one.
    pub(crate) reused: bool,
    /// The current response lets the connection be used again.
    pub(crate) keep_alive: bool,
    /// A byte of the current response arrived.
    pub(crate) answered: bool,
    /// Writing failed; what the backend said before it closed may still be read.
    pub(crate) deaf: bool,
    pub(crate) carrying: Carrying,
    pub(crate) deadline: Deadline,
}

/// What HTTP/2 and HTTP/3 ask of a connection to a backend: of one that streams share, and of such a stream.
#[derive(Debug, Default)]
pub(crate) struct Carrying {
    /// It is being made to be shared, and others wait for it.
    pub(crate) dials: bool,
    /// Streams that the backend takes at once.
    pub(crate) room: u32,
    /// Streams that are open.
    pub(crate) used: u32,
    /// It is made and spoken elsewhere, under this number: there is no socket here.
    pub(crate) dialled: Option<u64>,
    /// The connection that a stream is on, as it is known outside.
    pub(crate) connection: u64,
    /// Its place and serial.
    pub(crate) by: Option<(usize, u32)>,
    /// The backend broke the stream off.
    pub(crate) is_broken: bool,
    /// The stream is a WebSocket: it has no body, and does not end with its head.
    pub(crate) is_socket: bool,
    /// Whether the backend takes WebSockets on streams of this connection; none until its settings have come.
    pub(crate) takes_sockets: Option<bool>,
    /// Exchanges that wait to know.
    pub(crate) waiting: Vec<(usize, u64)>,
}

impl Carrying {
    pub(crate) fn has_room(&self) -> bool {
        self.used < self.room
    }
}

impl Up {
    /// Whether the answer whose body ends here is over: that of a stream ends with the stream, since there may be
    /// trailers behind a body of any length. What it sends beyond its length is nobody's.
    pub(crate) fn is_answer_over(&self, rest: &[u8]) -> bool {
        match &self.stream {
            Socket::Stream(pipe) => !rest.is_empty() || pipe.is_drained(),
            _ => true,
        }
    }

    /// The trailers behind the answer.
    pub(crate) fn trailers(&self) -> &[u8] {
        match &self.stream {
            Socket::Stream(pipe) => pipe.trailers_in(),
            _ => self.body.trailers(),
        }
    }

    /// Whether the end of what the backend says is a good end of its answer: under TLS only the backend's word ends
    /// a body that has no other end (RFC 9112 section 9.8).
    pub(crate) fn ends_well(&self) -> bool {
        let is_whole = self.stream.is_stream() && self.body.is_done();
        is_whole || (self.body.ends_at_close() && !self.stream.is_cut())
    }

    /// Whether it may serve another request as far as TLS goes.
    pub(crate) fn holds_terms(&self) -> bool {
        self.terms.as_ref().is_none_or(|terms| !terms.are_over())
    }
}

/// What a backend's connection is doing. The number is the client connection it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpPhase {
    /// The handshake is under way.
    Connecting(usize),
    /// The response head is awaited.
    Head(usize),
    /// The response head is being decided on by a hook; nothing is read meanwhile.
    Held(usize),
    /// The response body is read whole, for the hook that the response head waits for.
    Gathering(usize),
    /// The response body is passing.
    Body(usize),
    /// Upgraded.
    Tunnel(usize),
    /// In the pool.
    Idle,
    /// Its protocol is spoken elsewhere, under this number; streams are on it.
    Carried(u64),
    /// Nobody speaks on it any more: what waits is written, and then it is closed.
    Flushing,
    /// A WebSocket that was closed here: what the backend still says is read over until it ends, too.
    Leaving,
}

impl UpPhase {
    pub(crate) fn owner(self) -> Option<usize> {
        match self {
            Self::Connecting(key)
            | Self::Head(key)
            | Self::Held(key)
            | Self::Gathering(key)
            | Self::Body(key)
            | Self::Tunnel(key) => Some(key),
            Self::Idle | Self::Carried(_) | Self::Flushing | Self::Leaving => None,
        }
    }
}

/// One request on a client's connection, with its response.
pub(crate) struct Exchange {
    pub(crate) id: u64,
    /// Not here while a Python hook holds it.
    pub(crate) flow: Option<Box<Flow>>,
    pub(crate) wait: Wait,
    pub(crate) up: Option<usize>,
    /// Cuts the request body off the connection.
    pub(crate) body: Decoder,
    /// How the body goes to the backend.
    pub(crate) body_framing: Framing,
    /// The whole body, once a step asked for it.
    pub(crate) buffered: Option<Vec<u8>>,
    /// What was passed on of the body, to be sent again to a backend that saw nothing of it.
    pub(crate) kept: Kept,
    /// The body was larger than a step would have it, and its beginning is gone.
    pub(crate) body_lost: bool,
    /// The client waits for `100 Continue`.
    pub(crate) owes_continue: bool,
    /// How the response goes to the client.
    pub(crate) response_framing: Framing,
    pub(crate) head_sent: bool,
    pub(crate) keep_alive: bool,
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) local: bool,
    pub(crate) attempts: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Of `bytes_out`, those of the head.
    pub(crate) head_out: u64,
    pub(crate) started_s: f64,
    pub(crate) attempt_s: f64,
    pub(crate) upstream_s: f64,
    /// No response head may come later than this.
    pub(crate) answer_by_s: f64,
    /// Nothing may come later than this.
    pub(crate) end_by_s: f64,
    /// Ask the client whether it is still there.
    pub(crate) probe_s: f64,
    pub(crate) next_delay_s: f64,
    /// Where the last connection was to be made.
    pub(crate) to: Option<IpAddr>,
    /// Addresses tried after others of the same target.
    pub(crate) addresses: u8,
    /// A rate holds a body back until then.
    pub(crate) held_until_s: f64,
    /// The rest of an answer that repeats itself.
    pub(crate) repeat: Option<Box<Repeat>>,
    pub(crate) request_meter: Meter,
    /// The route's id since Python first held the flow, which knows it otherwise.
    pub(crate) held_route: Option<Arc<str>>,
    /// The request's bound while Python holds the flow.
    pub(crate) held_bound: BodyBound,
    /// How an error would be told while Python holds the flow, when it is a call of gRPC.
    pub(crate) held_called: Option<Called>,
    pub(crate) response_meter: Meter,
    /// The response body, or its beginning, once a hook asked for it.
    pub(crate) gathered: Option<Box<Gathered>>,
    /// How its bodies are translated, when it is a call of gRPC-Web.
    pub(crate) web: Option<Box<Web>>,
}

/// What an exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wait {
    /// Nothing: it is being worked on.
    Nothing,
    /// A Python hook.
    Python,
    /// The whole request body, of this many bytes at most, for a Python hook.
    Body(usize),
    /// The whole response body, for a Python hook.
    Response(Wanted),
    /// The address of the target.
    Resolution,
    /// A connection that is being made for another exchange.
    Connection,
    /// The settings of a backend's connection; not after this time.
    Greeting(f64),
    /// The next attempt, not before this time.
    Retry(f64),
    /// The backend.
    Upstream,
}

impl Exchange {
    /// Whether the request can be sent again from the start.
    pub(crate) fn is_replayable(&self) -> bool {
        match self.buffered {
            _ if self.bytes_in == 0 => true,
            Some(_) => self.body.is_done(),
            None => self.kept.is_all() && !self.body_lost,
        }
    }
}
