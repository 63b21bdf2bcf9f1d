//! How connections of TCP services begin: who the client is, what it asks for, and the handshake with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::Interest;
use mio::net::TcpStream;
use oto_core::tcp::{TlsMode, proxy_protocol};
use oto_core::tls::client_hello::{self, ClientHello};
use oto_core::tls::{Certificate, ClientAuth};

use super::{Attempt, Phase, Relay, Side, Way, relay_token};
use crate::engine::Engine;
use crate::event::Event;
use crate::io::{Got, Output, Readiness};
use crate::socket::{HandshakeError, Socket};
use crate::timer::{Deadline, Owner};
use crate::tls::{Servers, Session, Shown};

/// Bytes read from a client before its service is known.
const OPENING_BYTES: usize = proxy_protocol::MOST_BYTES + 2 * client_hello::MOST_BYTES;
/// Names whose certificate is being made, at most, and connections that wait for one.
const MOST_WANTED: usize = 256;
const MOST_WAITING: usize = 64;

/// Fatal alerts (RFC 8446 section 6.2, RFC 6066 section 3, RFC 7507 section 3).
const DECODE_ERROR: u8 = 50;
const INTERNAL_ERROR: u8 = 80;
const INAPPROPRIATE_FALLBACK: u8 = 86;
const UNRECOGNIZED_NAME: u8 = 112;

impl Engine {
    /// Take over a connection that a listener of TCP services accepted.
    pub(crate) fn begin_relay(&mut self, at: usize, mut stream: TcpStream, peer: SocketAddr) {
        self.metrics.tcp_accepted += 1;
        let id = self
            .listeners
            .get(at)
            .map(|listener| Arc::clone(&listener.id));
        let port = id.and_then(|id| self.snapshot.tables.tcp_ports.get(&id).map(Arc::clone));
        let (Some(port), Ok(local)) = (port, stream.local_addr()) else {
            // Its services are gone, and the listener will be soon.
            self.metrics.tcp_refused += 1;
            return;
        };
        let serial = self.next_serial();
        let entry = self.relays.vacant_entry();
        let key = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if registry
            .register(&mut stream, relay_token(key), interest)
            .is_err()
        {
            self.metrics.accept_errors += 1;
            return;
        }
        let begins = if port.accepts_proxy {
            Phase::Proxy
        } else {
            Phase::Hello
        };
        let local = canonical(local);
        entry.insert(Relay {
            port,
            service: None,
            peer: canonical(peer),
            destination: local,
            local,
            server_name: None,
            protocol: None,
            phase: begins,
            down: Side {
                stream: Socket::Plain(stream),
                ready: Readiness::default(),
                output: Output::default(),
            },
            up: None,
            attempt: None,
            input: Vec::new(),
            serial,
            deadline: Deadline::never(),
            started_s: self.now_s,
            connected_s: None,
            end_by_s: f64::INFINITY,
            forth: Way::default(),
            back: Way::default(),
        });
        let due = self.now_s + self.settings.handshake_timeout_s;
        self.set_relay_deadline(key, due);
        if begins == Phase::Proxy {
            let peer = peer.ip();
            let is_trusted = self.relays.get(key).is_some_and(|relay| {
                let trusted = &relay.port.trusted_proxies;
                trusted.is_empty() || trusted.contains_ip(peer)
            });
            if !is_trusted {
                self.refuse_relay(key, None, "the proxy before this one is not trusted");
            }
        } else {
            self.relay_client_known(key);
        }
    }

    pub(crate) fn set_relay_deadline(&mut self, key: usize, at_s: f64) {
        if let Some(relay) = self.relays.get_mut(key) {
            let serial = relay.serial;
            self.timers
                .set(&mut relay.deadline, at_s, Owner::Relay, key, serial);
        }
    }

    /// Do all that a relay allows now.
    pub(crate) fn drive_relay(&mut self, key: usize) {
        let Some(relay) = self.relays.get(key) else {
            return;
        };
        if relay.down.ready.broken && relay.phase != Phase::Passing {
            self.end_relay(key, Some("the client left"));
            return;
        }
        match relay.phase {
            Phase::Proxy | Phase::Hello => self.read_opening(key),
            Phase::Handshake => self.relay_handshake(key),
            // Whoever leaves meanwhile is found gone when the answer is there.
            Phase::Certificate | Phase::Resolving => {}
            Phase::Connecting => self.relay_connecting(key),
            Phase::Passing => self.pump_relay(key),
        }
    }

    /// Read what a client begins with, as far as it decides anything.
    fn read_opening(&mut self, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let got = self.relays.get_mut(key).map(|relay| {
            let most = OPENING_BYTES.saturating_sub(relay.input.len());
            let space = scratch.get_mut(..most).unwrap_or_default();
            let got = relay.down.ready.read(&mut relay.down.stream, space);
            if let Ok(Got::Bytes(count)) = got {
                relay.input.extend_from_slice(&space[..count]);
            }
            got
        });
        self.scratch = scratch;
        match got {
            Some(Ok(Got::Bytes(_))) => {}
            None | Some(Ok(Got::Nothing)) => return,
            Some(Ok(Got::End) | Err(_)) => {
                self.end_relay(key, Some("the client left"));
                return;
            }
        }
        if self.is_relay_in(key, Phase::Proxy) {
            self.read_proxy_header(key);
        }
        if self.is_relay_in(key, Phase::Hello) {
            self.read_relay_hello(key);
        }
        let waits = |relay: &Relay| matches!(relay.phase, Phase::Proxy | Phase::Hello);
        if self
            .relays
            .get(key)
            .is_some_and(|relay| waits(relay) && relay.down.ready.readable)
        {
            self.again.push_back(relay_token(key));
        }
    }

    pub(super) fn is_relay_in(&self, key: usize, phase: Phase) -> bool {
        self.relays
            .get(key)
            .is_some_and(|relay| relay.phase == phase)
    }

    fn read_proxy_header(&mut self, key: usize) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        match proxy_protocol::read(&relay.input) {
            proxy_protocol::Opening::Partial => {}
            proxy_protocol::Opening::Malformed(problem) => {
                let (port, client) = (relay.local.port(), relay.peer.ip());
                let told = format!("port {port}, client {client}: {problem}");
                self.notice("TCP service", &told);
                self.refuse_relay(key, None, problem);
            }
            proxy_protocol::Opening::Header { used, told } => {
                relay.input.drain(..used);
                if let Some(told) = told {
                    relay.peer = canonical(told.source);
                    relay.destination = canonical(told.destination);
                }
                self.relay_client_known(key);
            }
        }
    }

    /// Go on once it is known who the client is.
    fn relay_client_known(&mut self, key: usize) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        relay.phase = Phase::Hello;
        let (ip, needs_hello) = (relay.peer.ip(), relay.port.needs_hello());
        if !self.is_welcome(ip) {
            self.refuse_relay(key, None, "the address is not let in");
        } else if !needs_hello && self.choose_service(key) {
            self.reach(key);
        }
    }

    /// Whether an address may use the gateway at all (`ipFiltering`, `endlessIpAddresses`).
    fn is_welcome(&self, ip: IpAddr) -> bool {
        let settings = &self.snapshot.settings;
        (settings.ip_allowed.is_empty() || settings.ip_allowed.contains_ip(ip))
            && !settings.ip_blocked.contains_ip(ip)
            && !settings.ip_endless.contains_ip(ip)
    }

    fn read_relay_hello(&mut self, key: usize) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        if relay.input.is_empty() {
            return;
        }
        match client_hello::read(&relay.input) {
            client_hello::Opening::Partial if relay.input.len() < 2 * client_hello::MOST_BYTES => {}
            client_hello::Opening::Partial => {
                self.refuse_relay(key, Some(DECODE_ERROR), "a ClientHello without end");
            }
            client_hello::Opening::Malformed(problem) => {
                self.refuse_relay(key, Some(DECODE_ERROR), problem);
            }
            client_hello::Opening::Hello(hello) => self.hello_read(key, hello),
        }
    }

    fn hello_read(&mut self, key: usize, mut hello: ClientHello) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        relay.server_name = hello.server_name.as_deref().map(Into::into);
        if hello.protocols.len() == 1 {
            relay.protocol = hello.protocols.pop();
        }
        let terminates = relay.port.tls == TlsMode::Enabled;
        if terminates && hello.is_downgraded {
            let problem = "a client was made to fall back";
            self.refuse_relay(key, Some(INAPPROPRIATE_FALLBACK), problem);
            return;
        }
        if !self.choose_service(key) {
            return;
        }
        if !terminates {
            self.reach(key);
            return;
        }
        let unix_s = self.now_s + self.unix_offset_s;
        match Servers::choose(&self.snapshot, hello.server_name.as_deref(), unix_s) {
            Shown::Certificate(certificate) => self.begin_relay_session(key, &certificate),
            Shown::Wanted => self.relay_wants(key, hello.server_name.unwrap_or_default()),
            Shown::Nothing => {
                let problem = "there is no certificate for the server name";
                self.refuse_relay(key, Some(UNRECOGNIZED_NAME), problem);
            }
        }
    }

    /// Choose who takes the connection; tells whether anybody does.
    fn choose_service(&mut self, key: usize) -> bool {
        let Some(relay) = self.relays.get_mut(key) else {
            return false;
        };
        let chosen = relay.port.choose(relay.server_name.as_deref());
        let Some((service, pool)) =
            chosen.map(|(service, pool)| (Arc::clone(service), Arc::clone(pool)))
        else {
            let alert = relay.port.needs_hello().then_some(UNRECOGNIZED_NAME);
            self.refuse_relay(key, alert, "no rule takes the server name");
            return false;
        };
        let ip = relay.peer.ip();
        let is_let_in = (service.allowed.is_empty() || service.allowed.contains_ip(ip))
            && !service.blocked.contains_ip(ip);
        if !is_let_in {
            self.refuse_relay(key, None, "the address is not let in");
            return false;
        }
        let count = self.tcp_counts.entry(Arc::clone(&service.id)).or_default();
        if *count >= service.most_connections {
            self.refuse_relay(key, None, "too many connections");
            return false;
        }
        *count += 1;
        relay.end_by_s = self.now_s + service.total_s;
        relay.attempt = Some(Attempt {
            turn: pool.begin(),
            pool,
            failed: 0,
            target: None,
            to: None,
            addresses: 0,
            is_greeted: false,
        });
        relay.service = Some(service);
        true
    }

    /// Let the connection wait until a certificate for this name was made, or was not.
    fn relay_wants(&mut self, key: usize, name: String) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let is_new = !self.relays_wanted.contains_key(name.as_str());
        let has_room = !is_new || self.relays_wanted.len() < MOST_WANTED;
        let waiting = self.relays_wanted.get(name.as_str()).map_or(0, Vec::len);
        if !has_room || waiting >= MOST_WAITING {
            let problem = "too many connections wait for a certificate";
            self.refuse_relay(key, Some(INTERNAL_ERROR), problem);
            return;
        }
        relay.phase = Phase::Certificate;
        let waiting = self.relays_wanted.entry(name.as_str().into()).or_default();
        waiting.push((key, relay.serial));
        if is_new {
            self.raised.push(Event::Certificate(name));
        }
    }

    /// A certificate that was asked for is there now, or there will be none.
    pub(crate) fn relays_told(&mut self, name: &str, unsaved: Option<&Arc<Certificate>>) {
        for (key, serial) in self.relays_wanted.remove(name).unwrap_or_default() {
            let waits = self
                .relays
                .get(key)
                .is_some_and(|relay| relay.serial == serial && relay.phase == Phase::Certificate);
            if !waits {
                continue;
            }
            let unix_s = self.now_s + self.unix_offset_s;
            let shown = match unsaved {
                // It is only there for HTTP to say that there is none.
                Some(_) => Shown::Nothing,
                None => Servers::choose(&self.snapshot, Some(name), unix_s),
            };
            match shown {
                Shown::Certificate(certificate) => self.begin_relay_session(key, &certificate),
                Shown::Wanted | Shown::Nothing => {
                    let problem = "no certificate could be made for the server name";
                    self.refuse_relay(key, Some(UNRECOGNIZED_NAME), problem);
                }
            }
        }
    }

    fn relay_auth(&self, key: usize) -> ClientAuth {
        self.relays
            .get(key)
            .and_then(|relay| relay.port.client_auth)
            .unwrap_or(self.snapshot.settings.tls.client_auth)
    }

    fn begin_relay_session(&mut self, key: usize, certificate: &Arc<Certificate>) {
        let (auth, unix_s) = (self.relay_auth(key), self.now_s + self.unix_offset_s);
        let config = self
            .servers
            .config(&self.snapshot, certificate, (auth, true, false), unix_s);
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let session = config.and_then(|config| {
            let mut config = (*config).clone();
            // What is inside is not known here; who offers one protocol alone means it.
            config.alpn_protocols = relay.protocol.iter().cloned().collect();
            Session::server(Arc::new(config)).map_err(|error| error.to_string())
        });
        let session = match session {
            Ok(session) => session,
            Err(problem) => {
                let told = format!("certificate {}: {problem}", certificate.id);
                self.notice("TCP service", &told);
                let problem = "the certificate cannot be used";
                self.refuse_relay(key, Some(INTERNAL_ERROR), problem);
                return;
            }
        };
        relay.phase = Phase::Handshake;
        let plain = std::mem::replace(&mut relay.down.stream, Socket::None);
        let Socket::Plain(tcp) = plain else { return };
        relay.down.stream = Socket::tls(tcp, session);
        relay
            .down
            .stream
            .begin_with(std::mem::take(&mut relay.input));
        self.relay_handshake(key);
    }

    /// Go on with the handshake as far as the client's bytes allow.
    fn relay_handshake(&mut self, key: usize) {
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let down = &mut relay.down;
        let outcome = down.stream.handshake();
        // Even a failed handshake owes an alert.
        let flushed = down.output.flush(&mut down.stream);
        match outcome {
            Ok(false) if flushed.is_ok() => down.ready.readable = false,
            Ok(true) if flushed.is_ok() => self.relay_handshake_over(key),
            outcome => {
                self.metrics.handshake_failures += 1;
                if let Err(HandshakeError::Tls(error)) = outcome {
                    let (port, client) = (relay.local.port(), relay.peer.ip());
                    let told = format!("port {port}, client {client}: {error}");
                    self.notice("TLS handshake with a client of a TCP service", &told);
                }
                self.refuse_relay(key, None, "the TLS handshake failed");
            }
        }
    }

    fn relay_handshake_over(&mut self, key: usize) {
        let auth = self.relay_auth(key);
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        // What came with the last message of the handshake is read once the target is there.
        relay.down.ready.readable = true;
        let facts = relay.down.stream.session().map(Session::facts);
        let is_resumed =
            facts.and_then(|facts| facts.handshake_kind()) == Some(rustls::HandshakeKind::Resumed);
        let chain = facts.and_then(|facts| facts.peer_certificates().map(<[_]>::to_vec));
        if is_resumed {
            let shown =
                chain.and_then(|chain| self.servers.client_cert(&self.snapshot, auth, &chain));
            if !self.may_go_on(auth, shown.as_deref()) {
                self.metrics.handshake_failures += 1;
                let problem = "the client certificate of a resumed session is trusted no more";
                self.refuse_relay(key, None, problem);
                return;
            }
        }
        self.metrics.handshakes += 1;
        self.metrics.resumed += u64::from(is_resumed);
        self.reach(key);
    }

    /// End a connection that nobody takes, under TLS with an alert.
    fn refuse_relay(&mut self, key: usize, alert: Option<u8>, problem: &'static str) {
        self.metrics.tcp_refused += 1;
        if let Some((alert, relay)) = alert.zip(self.relays.get_mut(key)) {
            let record = [21, 3, 3, 0, 2, 2, alert];
            let down = &mut relay.down;
            // Best effort: the connection is over anyway.
            down.output
                .send(&mut down.stream, &record, &[])
                .unwrap_or(());
        }
        self.end_relay(key, Some(problem));
    }
}

/// An address of IPv4 that is written as one of IPv6 becomes what it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
