//! Connections that have no socket here: HTTP/3, whose datagrams, packets and frames are read in Python.
//!
//! Such a connection is carried as one of HTTP/2 is ([`crate::carried`]), without bytes of its own: streams are
//! opened on it, its deadline is kept, and its end frees what was done for it.

use std::net::IpAddr;
use std::sync::Arc;

use oto_core::tls::{Certificate, ClientAuth, ClientCertificate};
use rustls::AlertDescription;
use rustls::pki_types::CertificateDer;

use crate::connection::{Appetite, Down, DownPhase};
use crate::engine::Engine;
use crate::event::Event;
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

/// Of alerts: what the client cannot help (RFC 8446 section 6.2).
const INTERNAL_ERROR: u8 = 80;
/// Of alerts: a client showed no certificate where it needs one.
const CERTIFICATE_REQUIRED: u8 = 116;
/// Of alerts: what no other says of a certificate.
const BAD_CERTIFICATE: u8 = 42;

/// How a client is told what is wrong with what it showed.
fn alert_of(error: rustls::Error) -> u8 {
    match error {
        rustls::Error::InvalidCertificate(problem) => AlertDescription::from(problem).into(),
        rustls::Error::NoCertificatesPresented => CERTIFICATE_REQUIRED,
        _ => BAD_CERTIFICATE,
    }
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
            leaves_by_s: None,
            is_datagrams: true,
            handle: self.adopted,
        };
        self.settle_at(at, listener);
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
        let wanted = Event::Certificate(name.to_owned());
        self.raised.push(wanted);
    }

    /// The place of a listener whose datagrams are read elsewhere.
    fn datagram_listener(&self, handle: u64) -> Option<usize> {
        let place = self.place_of(handle);
        place.filter(|at| self.listeners.get(*at).is_some_and(|it| it.is_datagrams))
    }

    /// Whether clients of a listener are asked for a certificate; none when the listener is gone.
    #[must_use]
    pub fn client_auth_of(&self, listener: u64) -> Option<ClientAuth> {
        self.datagram_listener(listener)
            .map(|at| self.client_auth(at))
    }

    /// Check the chain that a client showed, its own certificate first; an empty one when it showed none. That it has
    /// the key of it is for whoever speaks TLS to see.
    ///
    /// # Errors
    /// The alert that refuses it, and what is wrong.
    pub fn check_client(
        &mut self,
        listener: u64,
        chain: Vec<Vec<u8>>,
        now_s: f64,
    ) -> Result<(), (u8, String)> {
        self.now_s = now_s;
        let Some(at) = self.datagram_listener(listener) else {
            return Err((
                INTERNAL_ERROR,
                "the listener of the client is gone".to_owned(),
            ));
        };
        let (auth, unix_s) = (self.client_auth(at), now_s + self.unix_offset_s);
        let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
        let checked = self
            .servers
            .check_client(&self.snapshot, auth, &chain, unix_s);
        checked.map_err(|error| {
            let problem = error.to_string();
            self.metrics.handshake_failures += 1;
            self.notice("QUIC handshake with a client", &problem);
            (alert_of(error), problem)
        })
    }

    /// What is known of a client by the chain it showed; none when it showed none, or nobody asks for one any more.
    ///
    /// # Errors
    /// It would be refused if it came now.
    fn client_of(
        &mut self,
        at: usize,
        chain: Vec<Vec<u8>>,
        unix_s: f64,
    ) -> Result<Option<Arc<ClientCertificate>>, &'static str> {
        let auth = self.client_auth(at);
        let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
        let shown = self
            .servers
            .client_cert_at(&self.snapshot, auth, &chain, unix_s);
        match self.may_go_on(auth, shown.as_deref()) {
            true => Ok(shown),
            false if shown.is_none() => Err("clients need a certificate here"),
            false => Err("the client's certificate is not trusted"),
        }
    }

    /// Take in a connection whose handshake is done elsewhere; `server_name` is what the client asked for, in lower case,
    /// and `chain` the certificates it showed and has the key of, its own first; `is_resumed` says that the handshake went on
    /// with an earlier session.
    /// Gives its number, for streams and for [`Engine::hang_up`].
    ///
    /// # Errors
    /// Why there is no place for it.
    pub fn carry(
        &mut self,
        listener: u64,
        ip: IpAddr,
        server_name: Option<&str>,
        chain: Vec<Vec<u8>>,
        is_resumed: bool,
        now_s: f64,
    ) -> Result<u64, &'static str> {
        self.now_s = now_s;
        let Some(at) = self.datagram_listener(listener) else {
            return Err("its listener is gone");
        };
        let unix_s = now_s + self.unix_offset_s;
        // What was right in the handshake may not be so any more.
        let client_cert = self.client_of(at, chain, unix_s)?;
        let open = self.downs.len().saturating_sub(self.streams) + self.relays.len();
        if self.draining || open >= self.settings.max_connections {
            return Err("no more connections are taken");
        }
        let facts = match Servers::choose(&self.snapshot, server_name, unix_s) {
            Shown::Certificate(certificate) => Arc::new(HandshakeFacts {
                server_name: server_name.map(Into::into),
                certificate,
                client_cert,
            }),
            // It went since the handshake; nothing would tell which names the connection may ask for.
            Shown::Wanted | Shown::Nothing => return Err("its certificate is gone"),
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
            frames: None,
        });
        self.metrics.accepted += 1;
        self.metrics.handshakes += 1;
        self.metrics.resumed += u64::from(is_resumed);
        Ok(id)
    }
}
