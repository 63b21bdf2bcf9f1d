//! Connections that have no socket here: HTTP/3, whose datagrams, packets and frames are read in Python.
//!
//! Such a connection is carried as one of HTTP/2 is ([`crate::carried`]), without bytes of its own: streams are
//! opened on it, its deadline is kept, and its end frees what was done for it.

use std::net::IpAddr;
use std::sync::Arc;

use oto_core::tls::{Certificate, ClientAuth};

use crate::connection::{Appetite, Down, DownPhase};
use crate::engine::Engine;
use crate::handshake::MOST_WANTED;
use crate::io::{Output, Readiness};
use crate::listening::{Listener, Ways};
use crate::socket::{HandshakeFacts, Socket};
use crate::timer::Deadline;
use crate::tls::{Servers, Shown};

/// What a client that names a server is to be shown.
#[derive(Debug)]
pub enum ToShow {
    /// This certificate, which has a key.
    Certificate(Arc<Certificate>),
    /// One is being made; the client will ask again.
    Later,
    /// Nothing: there is none.
    Nothing,
}

impl Engine {
    /// Make a listener whose datagrams are read elsewhere; `exclusive` and `client_auth` as of [`Ways`]. Gives what
    /// [`Engine::carry`] and [`Engine::release`] take.
    pub fn adopt_datagrams(
        &mut self,
        id: &str,
        exclusive: bool,
        client_auth: Option<ClientAuth>,
    ) -> u64 {
        let at = self.free_place();
        self.adopted += 1;
        let listener = Listener {
            socket: None,
            id: Arc::from(id),
            ways: Ways {
                secured: true,
                client_auth,
                exclusive,
                ..Ways::default()
            },
            is_tcp: false,
            is_leaving: false,
            is_datagrams: true,
            handle: self.adopted,
        };
        match self.listeners.get_mut(at) {
            Some(place) => *place = listener,
            None => self.listeners.push(listener),
        }
        self.adopted
    }

    /// The certificate for a name in lower case, as handshakes over TCP choose it; one that may be made is asked for.
    pub fn to_show(&mut self, name: Option<&str>, now_s: f64) -> ToShow {
        self.now_s = now_s;
        let unix_s = now_s + self.unix_offset_s;
        match Servers::choose(&self.snapshot, name, unix_s) {
            Shown::Certificate(certificate) if certificate.key.is_some() => {
                ToShow::Certificate(certificate)
            }
            Shown::Certificate(_) | Shown::Nothing => ToShow::Nothing,
            Shown::Wanted => {
                self.ask_certificate(name.unwrap_or_default());
                ToShow::Later
            }
        }
    }

    fn ask_certificate(&mut self, name: &str) {
        if self.wanted.contains_key(name) || self.wanted.len() >= MOST_WANTED {
            return;
        }
        self.wanted.insert(name.into(), Vec::new());
        let wanted = crate::engine::Event::Certificate(name.to_owned());
        self.raised.push(wanted);
    }

    /// Take in a connection whose handshake is done elsewhere; `server_name` is what the client asked for, in lower case.
    /// Gives its number, for streams and for [`Engine::hang_up`].
    ///
    /// # Errors
    /// Why there is no place for it.
    pub fn carry(
        &mut self,
        listener: u64,
        ip: IpAddr,
        server_name: Option<&str>,
        now_s: f64,
    ) -> Result<u64, &'static str> {
        self.now_s = now_s;
        let mut listeners = self.listeners.iter();
        let is_it = |it: &Listener| it.is_datagrams && it.handle == listener;
        let Some(at) = listeners.position(is_it) else {
            return Err("its listener is gone");
        };
        // No handshake that is done elsewhere asks for a certificate.
        if self.client_auth(at) == ClientAuth::Need {
            return Err("clients need a certificate here, which HTTP/3 does not ask for");
        }
        let open = self.downs.len().saturating_sub(self.streams) + self.relays.len();
        if self.draining || open >= self.settings.max_connections {
            return Err("no more connections are taken");
        }
        let unix_s = now_s + self.unix_offset_s;
        let facts = match Servers::choose(&self.snapshot, server_name, unix_s) {
            Shown::Certificate(certificate) => Some(Arc::new(HandshakeFacts {
                server_name: server_name.map(Into::into),
                certificate,
                client_cert: None,
            })),
            Shown::Wanted | Shown::Nothing => None,
        };
        let key = self.downs.vacant_key();
        let id = self.next_exchange_id(key);
        let serial = self.next_serial();
        self.downs.insert(Down {
            stream: Socket::Elsewhere(facts),
            peer: ip.into(),
            listener: at,
            serial,
            is_fresh: false,
            ready: Readiness::default(),
            input: Vec::new(),
            output: Output::default(),
            phase: DownPhase::Carried(id),
            exchange: None,
            deadline: Deadline::never(),
            appetite: Appetite::default(),
            is_watched: false,
        });
        self.metrics.accepted += 1;
        self.metrics.handshakes += 1;
        Ok(id)
    }
}
