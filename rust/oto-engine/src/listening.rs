//! Listening sockets: taken over, and accepted from.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener};
use mio::{Interest, Registry, Token};
use oto_core::access::Peer;
use oto_core::tls::ClientAuth;

use crate::connection::{Appetite, Down, DownPhase};
use crate::engine::{Engine, down_token, listener_token};
use crate::event::Event;
use crate::io::{Output, Readiness};
use crate::socket::{Socket, as_stream};
use crate::timer::{Deadline, Owner};

/// Connections accepted from one listener before others have their turn.
const ACCEPTS: usize = 64;
/// Rounds of these in which a listener that is released accepts what it has queued.
const LAST_ACCEPTS: usize = 64;
/// Wait after descriptors or memory ran out.
const ACCEPT_PAUSE_S: f64 = 0.1;

/// What clients may speak on an HTTP listener, and which routes they find there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ways {
    /// Whether they speak TLS.
    pub secured: bool,
    /// What is asked of them then; none follows the settings of the snapshot.
    pub client_auth: Option<ClientAuth>,
    /// Whether they may speak HTTP/1.
    pub http1: bool,
    /// Whether they may speak HTTP/2: by ALPN under TLS, by its preface without.
    pub http2: bool,
    /// Whether they reach only the routes that are bound to it.
    pub exclusive: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            secured: false,
            client_auth: None,
            http1: true,
            http2: false,
            exclusive: false,
        }
    }
}

pub(crate) struct Listener {
    /// None once it is released, or the engine drains: whoever handed it down may then close the last
    /// descriptor. The place stays for as long as connections remember it.
    pub(crate) socket: Option<Acceptor>,
    pub(crate) id: Arc<str>,
    pub(crate) ways: Ways,
    /// Whether it takes connections of TCP services: its id is their port's.
    pub(crate) is_tcp: bool,
    /// Once its connections are to end when they have their answers: when those that changed their protocol end.
    pub(crate) leaves_by_s: Option<f64>,
    /// Whether its connections come as datagrams, which are read elsewhere: it never has a socket.
    pub(crate) is_datagrams: bool,
    /// Names it from outside; 0 when nobody comes this way any more.
    pub(crate) handle: u64,
}

/// A listening socket.
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn of(socket: OwnedFd) -> io::Result<Self> {
        let tcp = std::net::TcpListener::from(socket);
        tcp.set_nonblocking(true)?;
        // Its address is of another family than those of hosts.
        let is_unix =
            matches!(tcp.local_addr(), Err(error) if error.kind() == io::ErrorKind::InvalidInput);
        Ok(if is_unix {
            Self::Unix(UnixListener::from(OwnedFd::from(tcp)))
        } else {
            Self::Tcp(TcpListener::from_std(tcp))
        })
    }

    /// Accept one connection; its client has no address over a Unix socket.
    fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept()?;
                Ok((stream, Some(address)))
            }
            Self::Unix(socket) => Ok((as_stream(socket.accept()?.0), None)),
        }
    }
}

impl Source for Acceptor {
    fn register(&mut self, set: &Registry, token: Token, wanted: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.register(set, token, wanted),
            Self::Unix(socket) => socket.register(set, token, wanted),
        }
    }

    fn reregister(&mut self, set: &Registry, token: Token, wanted: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.reregister(set, token, wanted),
            Self::Unix(socket) => socket.reregister(set, token, wanted),
        }
    }

    fn deregister(&mut self, set: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.deregister(set),
            Self::Unix(socket) => socket.deregister(set),
        }
    }
}

impl Engine {
    /// Take over a listening socket. Gives what [`Engine::release`] takes.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or watched.
    pub fn adopt(&mut self, socket: OwnedFd, id: &str, ways: Ways) -> io::Result<u64> {
        let listener = Listener {
            socket: None,
            id: Arc::from(id),
            ways,
            is_tcp: false,
            leaves_by_s: None,
            is_datagrams: false,
            handle: 0,
        };
        self.adopt_as(socket, listener)
    }

    /// Take over a listening socket for the TCP services of a port; what becomes of its connections is
    /// in the snapshot, under its id. Gives what [`Engine::release`] takes.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or watched.
    pub fn adopt_tcp(&mut self, socket: OwnedFd, id: &str) -> io::Result<u64> {
        let listener = Listener {
            socket: None,
            id: Arc::from(id),
            ways: Ways::default(),
            is_tcp: true,
            leaves_by_s: None,
            is_datagrams: false,
            handle: 0,
        };
        self.adopt_as(socket, listener)
    }

    fn adopt_as(&mut self, socket: OwnedFd, listener: Listener) -> io::Result<u64> {
        let socket = Acceptor::of(socket)?;
        self.adopted += 1;
        let listener = Listener {
            handle: self.adopted,
            ..listener
        };
        self.put(socket, listener)?;
        Ok(self.adopted)
    }

    /// Accept from a socket, at a place of its own.
    fn put(&mut self, mut socket: Acceptor, listener: Listener) -> io::Result<()> {
        let at = self.free_place();
        let token = listener_token(at);
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        self.settle_at(
            at,
            Listener {
                socket: Some(socket),
                ..listener
            },
        );
        // Connections may be waiting already; the edge for them is past.
        self.again.push_back(token);
        Ok(())
    }

    /// Give a listener its place.
    pub(crate) fn settle_at(&mut self, at: usize, listener: Listener) {
        match self.listeners.get_mut(at) {
            Some(place) => *place = listener,
            None => self.listeners.push(listener),
        }
    }

    /// Have the connections that a listener accepts from now on go other ways. Those it has keep theirs. One whose
    /// datagrams are read elsewhere is secured whatever `ways` says.
    ///
    /// # Errors
    /// When its socket cannot be watched again; it accepts nothing then.
    pub fn retune(&mut self, handle: u64, ways: Ways) -> io::Result<()> {
        let Some(at) = self.place_of(handle) else {
            return Ok(());
        };
        let socket = self.take_socket(at);
        let Some(left) = self.listeners.get_mut(at) else {
            return Ok(());
        };
        if socket.is_none() && !left.is_datagrams {
            return Ok(());
        }
        // Whoever came this way finds it for as long as it needs it; nobody comes this way again.
        left.handle = 0;
        let listener = Listener {
            socket: None,
            id: Arc::clone(&left.id),
            ways: Ways {
                secured: ways.secured || left.is_datagrams,
                ..ways
            },
            is_tcp: left.is_tcp,
            leaves_by_s: None,
            is_datagrams: left.is_datagrams,
            handle,
        };
        match socket {
            Some(socket) => self.put(socket, listener),
            None => {
                let at = self.free_place();
                self.settle_at(at, listener);
                Ok(())
            }
        }
    }

    pub(crate) fn place_of(&self, handle: u64) -> Option<usize> {
        let mut listeners = self.listeners.iter();
        listeners.position(|listener| handle != 0 && listener.handle == handle)
    }

    /// The place of a listener that was released and that no connection remembers, or the next one.
    pub(crate) fn free_place(&self) -> usize {
        let is_free = |(at, listener): &(usize, &Listener)| {
            listener.socket.is_none()
                && listener.handle == 0
                && !self.downs.iter().any(|(_, down)| down.listener == *at)
        };
        let mut places = self.listeners.iter().enumerate();
        places
            .find(is_free)
            .map_or(self.listeners.len(), |(at, _)| at)
    }

    /// Accept what a listener has queued, and nothing after it. Connections of TCP services go on; those of
    /// HTTP end like all do when the engine drains: with the answers to what was asked, and after `tunnels_s` where they
    /// changed their protocol.
    pub fn release(&mut self, handle: u64, now_s: f64, tunnels_s: f64) {
        self.now_s = now_s;
        let Some(at) = self.place_of(handle) else {
            return;
        };
        for _ in 0..LAST_ACCEPTS {
            self.accept(at);
        }
        self.close_listener(at);
        let Some((id, is_datagrams)) = self.listeners.get_mut(at).and_then(|listener| {
            listener.handle = 0;
            (!listener.is_tcp).then(|| (Arc::clone(&listener.id), listener.is_datagrams))
        }) else {
            return;
        };
        // Also the places of those that came while it went other ways; not those of the port of the same name
        // whose connections come in the other form.
        let is_it = |listener: &Listener| {
            listener.id == id
                && listener.handle == 0
                && listener.is_datagrams == is_datagrams
                && !listener.is_tcp
        };
        for listener in self.listeners.iter_mut().filter(|it| is_it(it)) {
            listener.leaves_by_s = Some(now_s + tunnels_s);
        }
        let (listeners, downs) = (&self.listeners, &mut self.downs);
        let is_left = |down: &Down| {
            let listener = listeners.get(down.listener);
            listener.is_some_and(|listener| listener.leaves_by_s.is_some())
        };
        for (_, down) in downs.iter_mut().filter(|(_, down)| is_left(down)) {
            if let Some(exchange) = down.exchange.as_mut() {
                exchange.keep_alive = false;
            }
        }
        self.hurry_idle(|engine, down| engine.leaves_by(down).is_some());
        self.tell_leaving();
        let tunnels: Vec<usize> = self
            .downs
            .iter()
            .filter(|(_, down)| matches!(down.phase, DownPhase::Tunnel(_)))
            .filter(|(_, down)| self.leaves_by(down).is_some())
            .map(|(key, _)| key)
            .collect();
        for key in tunnels {
            self.keep_tunnel(key);
        }
    }

    /// When a client's connection ends at the latest because its listener has gone, if it has.
    fn leaves_by(&self, down: &Down) -> Option<f64> {
        self.listeners.get(down.listener)?.leaves_by_s
    }

    /// Something passed through a tunnel, or the rest of its time is another: give it so long.
    pub(crate) fn keep_tunnel(&mut self, key: usize) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        let idle = self.now_s + self.settings.tunnel_idle_s;
        let due = self.leaves_by(down).map_or(idle, |end| idle.min(end));
        self.set_down_deadline(key, due);
    }

    /// Have WebSockets end, where all connections are to end: who looks at their bytes is told, or the client.
    pub(crate) fn tell_leaving(&mut self) {
        let all: Vec<usize> = self.downs.iter().map(|(key, _)| key).collect();
        for key in all {
            self.tell_if_leaving(key);
        }
    }

    /// The same for one that may have just begun.
    pub(crate) fn tell_if_leaving(&mut self, key: usize) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        if !self.draining && self.leaves_by(down).is_none() {
            return;
        }
        match down.phase {
            DownPhase::Carried(id) if down.is_watched => self.raised.push(Event::Leaving(id)),
            DownPhase::Tunnel(at) => self.close_tunnel(key, at),
            _ => {}
        }
    }

    /// Give connections that ask for nothing `drain_idle_s` to do so.
    pub(crate) fn hurry_idle(&mut self, is_meant: impl Fn(&Self, &Down) -> bool) {
        let waits = |down: &Down| match down.phase {
            DownPhase::Idle => true,
            DownPhase::Head | DownPhase::Hello => down.input.is_empty(),
            _ => false,
        };
        let idle: Vec<usize> = self
            .downs
            .iter()
            .filter(|(_, down)| waits(down) && is_meant(self, down))
            .map(|(key, _)| key)
            .collect();
        let due = self.now_s + self.settings.drain_idle_s;
        for key in idle {
            self.set_down_deadline(key, due);
        }
    }

    /// Let go of a listener's socket.
    pub(crate) fn close_listener(&mut self, at: usize) {
        drop(self.take_socket(at));
    }

    fn take_socket(&mut self, at: usize) -> Option<Acceptor> {
        let mut socket = self.listeners.get_mut(at)?.socket.take()?;
        // Other descriptors of the socket may still be open, so closing ours would leave it in
        // the set; an unknown registration means it is out already.
        self.poll.registry().deregister(&mut socket).unwrap_or(());
        Some(socket)
    }

    /// Accept what is queued, a bounded number at a time.
    pub(crate) fn accept(&mut self, at: usize) {
        for _ in 0..ACCEPTS {
            if self.draining || self.accepts_at_s > self.now_s {
                return;
            }
            let open = self.downs.len().saturating_sub(self.streams) + self.relays.len();
            if open >= self.settings.max_connections {
                self.accepts_at_s = self.now_s + ACCEPT_PAUSE_S;
                return;
            }
            let Some(listener) = self.listeners.get(at) else {
                return;
            };
            let (secured, is_tcp) = (listener.ways.secured, listener.is_tcp);
            let Some(socket) = listener.socket.as_ref() else {
                return;
            };
            let (mut stream, address) = match socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client gave up while it was queued: the next one may be fine.
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionAborted
                        || error.kind() == io::ErrorKind::Interrupted =>
                {
                    continue;
                }
                // Whoever owns the socket has shut it.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.close_listener(at);
                    return;
                }
                Err(_) => {
                    self.metrics.accept_errors += 1;
                    self.accepts_at_s = self.now_s + ACCEPT_PAUSE_S;
                    return;
                }
            };
            // Best effort: a connection without it is slower, not wrong.
            stream.set_nodelay(true).unwrap_or(());
            if is_tcp {
                // Ports of TCP services are bound by number: none is a Unix socket.
                if let Some(address) = address {
                    self.begin_relay(at, stream, address);
                }
                continue;
            }
            let entry = self.downs.vacant_entry();
            let key = entry.key();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self
                .poll
                .registry()
                .register(&mut stream, down_token(key), interest)
                .is_err()
            {
                self.metrics.accept_errors += 1;
                continue;
            }
            self.serial = self.serial.wrapping_add(1);
            let mut down = Down {
                stream: Socket::Plain(stream),
                peer: address.map_or(Peer::Unix, |address| address.ip().into()),
                listener: at,
                serial: self.serial,
                is_watched: false,
                frames: None,
                is_fresh: true,
                ready: Readiness::default(),
                input: Vec::new(),
                output: Output::default(),
                phase: if secured {
                    DownPhase::Hello
                } else {
                    DownPhase::Head
                },
                exchange: None,
                deadline: Deadline::never(),
                appetite: Appetite::default(),
            };
            let due = self.now_s
                + if secured {
                    self.settings.handshake_timeout_s
                } else {
                    self.settings.head_timeout_s
                };
            self.timers
                .set(&mut down.deadline, due, Owner::Down, key, self.serial);
            entry.insert(down);
            self.metrics.accepted += 1;
        }
        self.again.push_back(listener_token(at));
    }
}
