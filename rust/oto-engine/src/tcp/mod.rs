//! Connections of TCP services: from a client to a target, and bytes both ways.
//!
//! Theory of operation. A [`Relay`] owns both of its sockets. It goes through its phases in order, and
//! never back but to try the next target:
//!
//! ```text
//! Proxy → Hello → (Certificate) → Handshake → (Resolving) → Connecting → Passing
//! ```
//!
//! A port that needs none of the first four begins with the fifth, so that servers that speak first
//! can. Nothing is read from a client before its target is there but what decides where that is, and
//! that is bounded in bytes and in time. What was read and does not end here goes on unchanged.

mod ending;
mod opening;
mod passing;
mod pipes;
mod reaching;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::Token;
use oto_core::tcp::{TcpPool, TcpPort, TcpService, TcpTarget};

use crate::engine::UP_BIT;
use crate::io::{Output, Readiness};
use crate::socket::Socket;
use crate::timer::Deadline;

pub use ending::TcpTraffic;
use pipes::Pipe;
pub(crate) use pipes::Pipes;

pub(crate) const RELAY_BIT: usize = 1 << (usize::BITS - 3);

/// The token of a relay's client side.
pub(crate) fn relay_token(key: usize) -> Token {
    Token(key | RELAY_BIT)
}

/// The token of a relay's target side.
fn target_token(key: usize) -> Token {
    Token(key | RELAY_BIT | UP_BIT)
}

/// One connection of a TCP service.
pub(crate) struct Relay {
    port: Arc<TcpPort>,
    /// Chosen once the server name is known; counted from then on.
    service: Option<Arc<TcpService>>,
    /// The client, as the proxy before this one tells it.
    peer: SocketAddr,
    /// Where it connected to, likewise.
    destination: SocketAddr,
    local: SocketAddr,
    server_name: Option<Box<str>>,
    /// The one protocol that the client offers by ALPN, if it is only one.
    protocol: Option<Vec<u8>>,
    phase: Phase,
    down: Side,
    up: Option<Side>,
    attempt: Option<Attempt>,
    /// Read, and not used up here: goes to the target first.
    input: Vec<u8>,
    serial: u32,
    deadline: Deadline,
    started_s: f64,
    /// When its target was there.
    connected_s: Option<f64>,
    /// It may not last longer.
    end_by_s: f64,
    forth: Way,
    back: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The header of the PROXY protocol is awaited.
    Proxy,
    /// The client's first TLS message is awaited.
    Hello,
    /// A certificate for the name it asked for is being made.
    Certificate,
    /// The handshake with the client is under way.
    Handshake,
    /// The target's address is being looked up.
    Resolving,
    /// The target is being connected to.
    Connecting,
    /// Bytes go both ways.
    Passing,
}

/// One end of a relay.
struct Side {
    stream: Socket,
    ready: Readiness,
    output: Output,
}

/// Which targets are tried.
struct Attempt {
    pool: Arc<TcpPool>,
    turn: usize,
    failed: usize,
    target: Option<Arc<TcpTarget>>,
    /// Where the last connection was to be made.
    to: Option<IpAddr>,
    /// Addresses tried after others of the same target.
    addresses: u8,
    /// The target was told of its client, if it is to be told.
    is_greeted: bool,
}

/// One direction.
#[derive(Default)]
struct Way {
    bytes: u64,
    /// Much comes at once: worth a pipe.
    is_bulk: bool,
    /// Bytes on their way inside the kernel.
    pipe: Option<Pipe>,
}

impl Relay {
    /// Remember what the kernel says of one side.
    pub(crate) fn note(&mut self, is_target: bool, event: &mio::event::Event) {
        let side = if is_target {
            self.up.as_mut()
        } else {
            Some(&mut self.down)
        };
        if let Some(side) = side {
            side.ready.readable |= event.is_readable() || event.is_read_closed();
            side.ready.closing |= event.is_read_closed();
            side.ready.broken |= event.is_error();
        }
    }
}
