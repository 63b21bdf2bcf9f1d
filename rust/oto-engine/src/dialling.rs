//! Connections to backends over QUIC: made and spoken elsewhere, kept and shared here.
//!
//! Theory of operation. The engine has no datagrams. When a request needs a connection, it asks for one
//! ([`Event::Dial`]) and keeps a place for it, with the deadline of any connection that is being made. Whoever makes it
//! has the backend's certificate checked here, on the terms of every target ([`Engine::check_backend`]), and says
//! how it ended: [`Engine::dialled`], and requests come as on every shared connection
//! ([`crate::calls`]), or [`Engine::dial_failed`]. [`Event::Lost`] says that nobody wants it any more.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use oto_core::http1::Decoder;
use oto_core::tls::Certificate;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::attempt::{Failure, Secured};
use crate::connection::{Carrying, Up, UpPhase};
use crate::engine::{Engine, up_token};
use crate::event::Event;
use crate::io::{Output, Readiness};
use crate::socket::Socket;
use crate::timer::Deadline;

/// A connection that is to be made.
pub struct Dial {
    /// Its number from now on.
    pub id: u64,
    /// Where the backend is.
    pub to: SocketAddr,
    /// The name that its certificate should have: a host name, or an address without brackets.
    pub name: String,
    /// What to show to a backend that asks for a certificate.
    pub shown: Option<Arc<Certificate>>,
}

/// No key is ever shown.
impl fmt::Debug for Dial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Dial {{ id: {}, to: {} }}", self.id, self.to)
    }
}

impl Engine {
    /// Have a connection made for an exchange.
    pub(crate) fn dial_quic(
        &mut self,
        key: usize,
        to: SocketAddr,
        (tls, host): &Secured,
        pool_key: Arc<str>,
    ) {
        let terms = match self.terms(tls, host) {
            Ok((terms, _)) => terms,
            Err(problem) => {
                self.notice_attempt("TLS to a backend", key, &problem);
                self.attempt_failed(key, Failure::Tls);
                return;
            }
        };
        let at = self.ups.vacant_key();
        let id = self.next_exchange_id(at);
        let serial = self.next_serial();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        self.raised.push(Event::Dial(Box::new(Dial {
            id,
            to,
            name: name.to_owned(),
            shown: terms.shown().map(Arc::clone),
        })));
        self.ups.insert(Up {
            stream: Socket::None,
            address: Arc::clone(&pool_key),
            terms: Some(terms),
            serial,
            ready: Readiness::default(),
            input: Vec::new(),
            output: Output::default(),
            phase: UpPhase::Connecting(key),
            body: Decoder::default(),
            reused: false,
            keep_alive: false,
            answered: false,
            deaf: false,
            carrying: Carrying {
                dials: true,
                dialled: Some(id),
                ..Carrying::default()
            },
            deadline: Deadline::never(),
        });
        self.metrics.connected += 1;
        self.dials.entry(pool_key).or_default();
        self.send_request(key, at);
    }

    /// A connection that is being made, and the exchange that it is for.
    fn dialling(&self, id: u64) -> Option<(usize, usize)> {
        let at = (id & 0xffff_ffff) as usize;
        let up = self.ups.get(at)?;
        match up.phase {
            UpPhase::Connecting(key) if up.carrying.dialled == Some(id) => Some((at, key)),
            _ => None,
        }
    }

    /// Check the chain that a backend showed, its own certificate first.
    ///
    /// # Errors
    /// What is wrong with it; or the connection is wanted no more.
    pub fn check_backend(&self, id: u64, name: &str, chain: Vec<Vec<u8>>) -> Result<(), String> {
        let up = self.dialling(id).and_then(|(at, _)| self.ups.get(at));
        let Some(terms) = up.and_then(|up| up.terms.as_ref()) else {
            return Err("nobody waits for it any more".to_owned());
        };
        let name = ServerName::try_from(name)
            .map_err(|_| format!("{name} is no name that a certificate can have"))?;
        let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
        terms.check(&chain, &name, self.now_s + self.unix_offset_s)
    }

    /// A connection is made; its backend takes so many requests at once.
    pub fn dialled(&mut self, id: u64, room: u32, now_s: f64) {
        self.now_s = now_s;
        if let Some((at, key)) = self.dialling(id) {
            self.guarded(up_token(at), |engine| {
                engine.dial_ended(at, key, (id, room))
            });
        }
    }

    fn dial_ended(&mut self, at: usize, key: usize, made: (u64, u32)) {
        let Some(up) = self.ups.get(at) else { return };
        let pool_key = Arc::clone(&up.address);
        self.carry_calls(at, key, made);
        self.begin_waiting(&pool_key);
    }

    /// No connection could be made; `is_tls`: the two did not agree in the handshake.
    pub fn dial_failed(&mut self, id: u64, problem: &str, is_tls: bool, now_s: f64) {
        self.now_s = now_s;
        let Some((at, key)) = self.dialling(id) else {
            return;
        };
        if let Some(up) = self.ups.get_mut(at) {
            // Whoever made it knows that it is gone.
            up.carrying.dialled = None;
            self.notice_attempt("QUIC to a backend", key, problem);
        }
        let failure = match is_tls {
            true => Failure::Tls,
            false => Failure::Connect,
        };
        self.guarded(up_token(at), |engine| engine.attempt_failed(key, failure));
    }
}
