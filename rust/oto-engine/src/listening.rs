//! Listening sockets: taken over, and accepted from.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mio::Interest;
use mio::net::TcpListener;
use oto_core::tls::ClientAuth;

use crate::connection::{Down, DownPhase};
use crate::engine::{Engine, down_token, listener_token};
use crate::io::{Output, Readiness};
use crate::socket::Socket;
use crate::timer::{Deadline, Owner};

/// Connections accepted from one listener before others have their turn.
const ACCEPTS: usize = 64;
/// Wait after descriptors or memory ran out.
const ACCEPT_PAUSE_S: f64 = 0.1;

pub(crate) struct Listener {
    /// None once the engine drains: whoever handed it down may then close the last descriptor.
    pub(crate) socket: Option<TcpListener>,
    pub(crate) id: Arc<str>,
    pub(crate) secured: bool,
    /// What is asked of clients; none follows the settings of the snapshot.
    pub(crate) client_auth: Option<ClientAuth>,
    /// Whether clients may speak HTTP/2: by ALPN under TLS, by its preface without.
    pub(crate) http2: bool,
}

impl Engine {
    /// Take over a listening socket. `secured` has it speak TLS; `client_auth` is what is asked of
    /// clients then, none follows the settings of the snapshot. `http2` lets clients speak it.
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
    ) -> io::Result<()> {
        let socket = std::net::TcpListener::from(socket);
        socket.set_nonblocking(true)?;
        let mut socket = TcpListener::from_std(socket);
        let token = listener_token(self.listeners.len());
        self.poll
            .registry()
            .register(&mut socket, token, Interest::READABLE)?;
        self.listeners.push(Listener {
            socket: Some(socket),
            id: Arc::from(id),
            secured,
            client_auth,
            http2,
        });
        // Connections may be waiting already; the edge for them is past.
        self.again.push_back(token);
        Ok(())
    }

    /// Accept what is queued, a bounded number at a time.
    pub(crate) fn accept(&mut self, at: usize) {
        for _ in 0..ACCEPTS {
            if self.draining || self.accepts_at_s > self.now_s {
                return;
            }
            if self.downs.len().saturating_sub(self.streams) >= self.settings.max_connections {
                self.accepts_at_s = self.now_s + ACCEPT_PAUSE_S;
                return;
            }
            let Some(listener) = self.listeners.get(at) else {
                return;
            };
            let secured = listener.secured;
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
                Err(_) => {
                    self.metrics.accept_errors += 1;
                    self.accepts_at_s = self.now_s + ACCEPT_PAUSE_S;
                    return;
                }
            };
            // Best effort: a connection without it is slower, not wrong.
            stream.set_nodelay(true).unwrap_or(());
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
                ip: unmapped(address.ip()),
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

/// An IPv4 client of a dual-stack listener is an IPv4 client.
fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}
