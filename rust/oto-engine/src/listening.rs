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
use crate::io::{Output, Readiness};
use crate::socket::{Socket, as_stream};
use crate::timer::{Deadline, Owner};

/// Connections accepted from one listener before others have their turn.
const ACCEPTS: usize = 64;
/// Rounds of these in which a listener that is released accepts what it has queued.
const LAST_ACCEPTS: usize = 64;
/// Wait after descriptors or memory ran out.
const ACCEPT_PAUSE_S: f64 = 0.1;

pub(crate) struct Listener {
    /// None once the engine drains: whoever handed it down may then close the last descriptor.
    pub(crate) socket: Option<Acceptor>,
    pub(crate) id: Arc<str>,
    pub(crate) secured: bool,
    /// Whether it takes connections of TCP services: its id is their port's.
    pub(crate) is_tcp: bool,
    /// Names it from outside.
    handle: u64,
    /// What is asked of clients; none follows the settings of the snapshot.
    pub(crate) client_auth: Option<ClientAuth>,
    /// Whether clients may speak HTTP/2: by ALPN under TLS, by its preface without.
    pub(crate) http2: bool,
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
    /// Take over a listening socket. `secured` has it speak TLS; `client_auth` is what is asked of
    /// clients then, none follows the settings of the snapshot. `http2` lets clients speak it. Gives what
    /// [`Engine::release`] takes.
    ///
    /// # Errors
    /// When it cannot be made non-blocking or watched.
    pub fn adopt(
        &mut self,
        socket: OwnedFd,
        id: &str,
        secured: bool,
        client_auth: Option<ClientAuth>,
        http2: bool,
    ) -> io::Result<u64> {
        let listener = Listener {
            socket: None,
            id: Arc::from(id),
            secured,
            is_tcp: false,
            handle: 0,
            client_auth,
            http2,
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
            secured: false,
            is_tcp: true,
            handle: 0,
            client_auth: None,
            http2: false,
        };
        self.adopt_as(socket, listener)
    }

    fn adopt_as(&mut self, socket: OwnedFd, listener: Listener) -> io::Result<u64> {
        let mut socket = Acceptor::of(socket)?;
        let at = self.free_place();
        let token = listener_token(at);
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        self.adopted += 1;
        let listener = Listener {
            socket: Some(socket),
            handle: self.adopted,
            ..listener
        };
        match self.listeners.get_mut(at) {
            Some(place) => *place = listener,
            None => self.listeners.push(listener),
        }
        // Connections may be waiting already; the edge for them is past.
        self.again.push_back(token);
        Ok(self.adopted)
    }

    /// The place of a listener that was released and that no connection remembers, or the next one.
    fn free_place(&self) -> usize {
        let is_free = |(at, listener): &(usize, &Listener)| {
            listener.socket.is_none() && !self.downs.iter().any(|(_, down)| down.listener == *at)
        };
        let mut places = self.listeners.iter().enumerate();
        places
            .find(is_free)
            .map_or(self.listeners.len(), |(at, _)| at)
    }

    /// Accept what a listener has queued, and nothing after it. Its connections go on.
    pub fn release(&mut self, handle: u64, now_s: f64) {
        self.now_s = now_s;
        let mut listeners = self.listeners.iter();
        let Some(at) = listeners.position(|listener| listener.handle == handle) else {
            return;
        };
        for _ in 0..LAST_ACCEPTS {
            self.accept(at);
        }
        self.close_listener(at);
    }

    /// Let go of a listener's socket.
    pub(crate) fn close_listener(&mut self, at: usize) {
        let listener = self.listeners.get_mut(at);
        if let Some(mut socket) = listener.and_then(|listener| listener.socket.take()) {
            // Other descriptors of the socket may still be open, so closing ours would leave it in
            // the set; an unknown registration means it is out already.
            self.poll.registry().deregister(&mut socket).unwrap_or(());
        }
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
            let (secured, is_tcp) = (listener.secured, listener.is_tcp);
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
