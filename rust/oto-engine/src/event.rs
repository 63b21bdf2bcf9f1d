//! What the engine tells whoever turns it.

use std::any::Any;
use std::sync::Arc;

use oto_core::fields::FieldBlock;
use oto_core::plan::{Flow, PythonStep};

use crate::dialling::Dial;
use crate::watched::Bounds;

/// Something only Python can do.
#[derive(Debug)]
pub enum Event {
    /// Run this hook, then give the flow back.
    Run(Box<Flow>, PythonStep),
    /// The client of this exchange left while Python held it.
    Gone(u64),
    /// Find the addresses of this host name.
    Resolve(String),
    /// The request body that a hook asked for; none when it is larger than allowed.
    Body(u64, Option<Vec<u8>>),
    /// A connection was dropped because its handling panicked.
    Panic(String),
    /// Make a certificate for this server name.
    Certificate(String),
    /// Tell an operator.
    Notice(String),
    /// Take the API key with this id out of use: it was sent in the clear.
    Leaked(Arc<str>),
    /// A connection speaks HTTP/2: its bytes are carried under this number. The listener's id, and whether it is
    /// under TLS.
    Carried(u64, Arc<str>, bool),
    /// Bytes of a carried connection.
    Bytes(u64, Vec<u8>),
    /// All that a carried connection had to write went out.
    Writable(u64),
    /// The client of a carried connection is gone.
    Lost(u64),
    /// The time that was asked for a carried connection has come.
    Idle(u64),
    /// The head of a stream's response.
    Head(u64, FieldBlock),
    /// Bytes of a stream's response body; true: the last.
    Data(u64, Vec<u8>, bool),
    /// The trailers that end a stream's response.
    Trailers(u64, FieldBlock),
    /// A stream's whole response.
    Answer(u64, FieldBlock, Vec<u8>),
    /// The rest of a stream's response will never come.
    Broken(u64),
    /// No more will come of a stream's response, and what its client says goes on: half of a tunnel has ended.
    /// [`Event::Broken`] will say that the other half has.
    Halved(u64),
    /// So many bytes of a stream's body went on: of the client's request, or the backend's answer.
    Consumed(u64, usize),
    /// A connection to a backend speaks HTTP/2: its bytes are carried under this number.
    Reached(u64),
    /// Send a request on a connection to a backend, as a stream of this number; true: it has no body.
    Call(u64, u64, FieldBlock, bool),
    /// A watched connection changed its protocol: its bytes and any backend's are carried under these numbers.
    Upgraded(Box<dyn Any + Send + Sync>, u64, Option<u64>, Bounds),
    /// A client's connection that changed its protocol is to end: its listener has gone, or the engine drains.
    Leaving(u64),
    /// A connection to the application of this name: requests come on it as calls.
    Mounted(u64, Arc<str>),
    /// Make a connection to a backend over QUIC.
    Dial(Box<Dial>),
}

/// What a drain waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Client connections, idle ones included, those that only linger not.
    pub connections: usize,
    /// Requests being served.
    pub exchanges: usize,
    /// Upgraded connections, and those of TCP services that have their target.
    pub tunnels: usize,
    /// Unused connections to backends.
    pub pooled: usize,
}
