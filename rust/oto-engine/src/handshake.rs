//! Handshakes with clients: from the first bytes to the first request.
//!
//! Theory of operation. The first message is read and understood before rustls sees it: the name in it
//! decides the certificate. When there is none but one may be made, the connection waits with
//! the message in hand, Python is told the name, and the handshake begins when it answers.

use std::sync::Arc;

use oto_core::tls::client_hello::{self, MOST_BYTES, Opening};
use oto_core::tls::{Certificate, ClientAuth, ClientCertificate};

use crate::connection::DownPhase;
use crate::engine::{Engine, down_token};
use crate::event::Event;
use crate::io::Got;
use crate::socket::{HandshakeError, HandshakeFacts, Socket};
use crate::tls::{Servers, Session, Shown};

/// Names whose certificate is being made, at most, and connections that wait for one.
pub(crate) const MOST_WANTED: usize = 256;
const MOST_WAITING: usize = 64;

/// Fatal alerts sent before there is a session (RFC 8446 section 6.2, RFC 6066 section 3).
const UNRECOGNIZED_NAME: u8 = 112;
const DECODE_ERROR: u8 = 50;
const INTERNAL_ERROR: u8 = 80;
/// RFC 7507 section 3.
const INAPPROPRIATE_FALLBACK: u8 = 86;

impl Engine {
    /// Collect the client's first message, and begin the handshake once it is whole.
    pub(crate) fn read_hello(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let most = (2 * MOST_BYTES).saturating_sub(down.input.len());
        let space = scratch.get_mut(..most).unwrap_or_default();
        let got = down.ready.read(&mut down.stream, space);
        let count = match got {
            Ok(Got::Bytes(count)) => count,
            Ok(Got::Nothing) => {
                self.scratch = scratch;
                return;
            }
            Ok(Got::End) | Err(_) => {
                self.scratch = scratch;
                self.drop_down(key);
                return;
            }
        };
        down.input.extend_from_slice(&scratch[..count]);
        self.scratch = scratch;
        match client_hello::read(&down.input) {
            Opening::Partial if down.input.len() < 2 * MOST_BYTES => {
                if down.ready.readable {
                    self.again.push_back(down_token(key));
                }
            }
            Opening::Partial => self.refuse_hello(key, DECODE_ERROR, "a ClientHello without end"),
            Opening::Malformed(problem) => self.refuse_hello(key, DECODE_ERROR, problem),
            Opening::Hello(hello) if hello.is_downgraded => {
                self.refuse_hello(
                    key,
                    INAPPROPRIATE_FALLBACK,
                    "a client was made to fall back",
                );
            }
            Opening::Hello(hello) => self.choose_certificate(key, hello.server_name),
        }
    }

    fn choose_certificate(&mut self, key: usize, name: Option<String>) {
        let unix_s = self.now_s + self.unix_offset_s;
        match Servers::choose(&self.snapshot, name.as_deref(), unix_s) {
            Shown::Certificate(certificate) => self.begin_session(key, name, &certificate),
            Shown::Wanted => self.want_certificate(key, name.unwrap_or_default()),
            Shown::Nothing => {
                let name = name.unwrap_or_else(|| "(none)".to_owned());
                self.refuse_hello(
                    key,
                    UNRECOGNIZED_NAME,
                    &format!("there is no certificate for the server name {name}"),
                );
            }
        }
    }

    /// Let the connection wait until a certificate for this name was made, or was not.
    fn want_certificate(&mut self, key: usize, name: String) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let is_new = !self.wanted.contains_key(name.as_str());
        if is_new && self.wanted.len() >= MOST_WANTED {
            self.refuse_hello(key, INTERNAL_ERROR, "too many certificates are being made");
            return;
        }
        let waiting = self.wanted.entry(name.as_str().into()).or_default();
        if waiting.len() >= MOST_WAITING {
            self.refuse_hello(
                key,
                INTERNAL_ERROR,
                "too many connections wait for a certificate",
            );
            return;
        }
        waiting.push((key, down.serial));
        down.phase = DownPhase::AwaitingCertificate;
        if is_new {
            self.raised.push(Event::Certificate(name));
        }
    }

    /// A certificate that was asked for is in the snapshot now, or there will be none. `unsaved` is
    /// the JSON of one that is only for the connections that wait; empty otherwise.
    pub fn certificate_told(&mut self, name: &str, unsaved: &[u8], now_s: f64) -> Vec<Event> {
        self.now_s = now_s;
        let unsaved = Certificate::read(name, unsaved).ok().map(Arc::new);
        self.relays_told(name, unsaved.as_ref());
        for (key, serial) in self.wanted.remove(name).unwrap_or_default() {
            let waits = self.downs.get(key).is_some_and(|down| {
                down.serial == serial && down.phase == DownPhase::AwaitingCertificate
            });
            if !waits {
                continue;
            }
            let unix_s = now_s + self.unix_offset_s;
            let shown = match &unsaved {
                Some(certificate) => Shown::Certificate(Arc::clone(certificate)),
                None => Servers::choose(&self.snapshot, Some(name), unix_s),
            };
            match shown {
                Shown::Certificate(certificate) => {
                    self.begin_session(key, Some(name.to_owned()), &certificate);
                }
                Shown::Wanted | Shown::Nothing => self.refuse_hello(
                    key,
                    UNRECOGNIZED_NAME,
                    &format!("no certificate could be made for the server name {name}"),
                ),
            }
        }
        std::mem::take(&mut self.raised)
    }

    pub(crate) fn client_auth(&self, listener: usize) -> ClientAuth {
        self.listeners
            .get(listener)
            .and_then(|listener| listener.ways.client_auth)
            .unwrap_or(self.snapshot.settings.tls.client_auth)
    }

    fn begin_session(&mut self, key: usize, name: Option<String>, certificate: &Arc<Certificate>) {
        let Some(listener) = self.downs.get(key).map(|down| down.listener) else {
            return;
        };
        let (auth, unix_s) = (self.client_auth(listener), self.now_s + self.unix_offset_s);
        let Some(ways) = self.listeners.get(listener).map(|listener| listener.ways) else {
            return;
        };
        let ways = (auth, ways.http1, ways.http2);
        let session = self
            .servers
            .config(&self.snapshot, certificate, ways, unix_s)
            .and_then(|config| Session::server(config).map_err(|error| error.to_string()));
        let session = match session {
            Ok(session) => session,
            Err(problem) => {
                let id = &certificate.id;
                self.refuse_hello(key, INTERNAL_ERROR, &format!("certificate {id}: {problem}"));
                return;
            }
        };
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.phase = DownPhase::Handshake;
        let plain = std::mem::replace(&mut down.stream, Socket::None);
        let Socket::Plain(tcp) = plain else { return };
        down.stream = Socket::tls(tcp, session);
        down.stream.begin_with(std::mem::take(&mut down.input));
        down.stream.set_facts(HandshakeFacts {
            server_name: name.map(Into::into),
            certificate: Arc::clone(certificate),
            client_cert: None,
        });
        self.shake_hands(key);
    }

    /// Go on with the handshake as far as the client's bytes allow.
    pub(crate) fn shake_hands(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let outcome = down.stream.handshake();
        // Even a failed handshake owes an alert.
        let flushed = down.output.flush(&mut down.stream);
        match outcome {
            Ok(false) if flushed.is_ok() => down.ready.readable = false,
            Ok(true) if flushed.is_ok() => self.handshake_over(key),
            Err(HandshakeError::Tls(error)) => {
                self.metrics.handshake_failures += 1;
                self.notice("TLS handshake with a client", &error.to_string());
                self.drop_down(key);
            }
            _ => {
                self.metrics.handshake_failures += 1;
                self.drop_down(key);
            }
        }
    }

    fn handshake_over(&mut self, key: usize) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let (listener, facts) = (down.listener, down.stream.session().map(Session::facts));
        let is_resumed =
            facts.and_then(|facts| facts.handshake_kind()) == Some(rustls::HandshakeKind::Resumed);
        let is_http2 = facts.and_then(|facts| facts.alpn_protocol()) == Some(b"h2");
        let chain = facts.and_then(|facts| facts.peer_certificates().map(<[_]>::to_vec));
        let auth = self.client_auth(listener);
        let client_cert =
            chain.and_then(|chain| self.servers.client_cert(&self.snapshot, auth, &chain));
        if is_resumed && !self.may_go_on(auth, client_cert.as_deref()) {
            self.metrics.handshake_failures += 1;
            let problem = "the client certificate of a resumed session is trusted no more";
            self.notice("TLS handshake with a client", problem);
            self.drop_down(key);
            return;
        }
        self.metrics.handshakes += 1;
        self.metrics.resumed += u64::from(is_resumed);
        if let Some(down) = self.downs.get_mut(key)
            && client_cert.is_some()
        {
            down.stream.set_client_cert(client_cert);
        }
        let due = self.now_s + self.settings.head_timeout_s;
        self.set_down_deadline(key, due);
        if is_http2 {
            self.begin_carried(key);
            return;
        }
        if let Some(down) = self.downs.get_mut(key) {
            down.phase = DownPhase::Head;
            // The first request may have come with the last message of the handshake.
            down.ready.readable = true;
            self.again.push_back(down_token(key));
        }
    }

    /// Whether a session may go on with the client certificate that it began with: nobody checked it
    /// again, and it may have expired, or its authority may have lost our trust.
    pub(crate) fn may_go_on(
        &self,
        auth: ClientAuth,
        client_cert: Option<&ClientCertificate>,
    ) -> bool {
        match client_cert {
            Some(shown) => shown.is_trusted || !self.snapshot.settings.tls.strict,
            None => auth != ClientAuth::Need,
        }
    }

    /// End a connection that cannot even begin its handshake, with an alert.
    fn refuse_hello(&mut self, key: usize, alert: u8, problem: &str) {
        self.metrics.handshake_failures += 1;
        self.notice("TLS handshake with a client", problem);
        if let Some(down) = self.downs.get_mut(key) {
            let record = [21, 3, 3, 0, 2, 2, alert];
            // Best effort: the connection is over anyway.
            down.output
                .send(&mut down.stream, &record, &[])
                .unwrap_or(());
        }
        self.drop_down(key);
    }

    /// Tell an operator something, unless it was said too often in this second.
    pub(crate) fn notice(&mut self, what: &'static str, problem: &str) {
        if self.now_s - self.notices.0 >= 1.0 {
            self.notices = (self.now_s, 0);
        }
        self.notices.1 += 1;
        if self.notices.1 <= NOTICES_A_SECOND {
            self.raised
                .push(Event::Notice(format!("{what}: {problem}")));
        }
    }
}

const NOTICES_A_SECOND: u32 = 5;

/// Whether a request for a host may come over a connection: its name, or one that the certificate
/// shown is for. A client that named no server gets what the default certificate is for, and asked
/// for by address it cannot name one.
pub(crate) fn is_misdirected(facts: &HandshakeFacts, host: &str) -> bool {
    facts
        .server_name
        .as_deref()
        .is_some_and(|name| name != host && !facts.certificate.covers(host))
}
