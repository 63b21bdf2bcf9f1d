//! How connections of TCP services reach a target: one after the other, until one is there.

use std::sync::Arc;

use mio::Interest;
use oto_core::tcp::{TcpTarget, proxy_protocol};
use rustls::pki_types::ServerName;

use super::{Phase, RELAY_BIT, Side, relay_token, target_token};
use crate::engine::Engine;
use crate::event::Event;
use crate::io::{Output, Readiness};
use crate::pool::{Lookup, MOST_ADDRESSES, Place};
use crate::socket::{HandshakeError, Socket, is_connected};
use crate::tls::Session;

impl Engine {
    /// Connect to the next target that was not tried.
    pub(super) fn reach(&mut self, key: usize) {
        loop {
            let Some(relay) = self.relays.get_mut(key) else {
                return;
            };
            let Some(attempt) = relay.attempt.as_mut() else {
                return;
            };
            let Some(target) = attempt.pool.target(attempt.turn, attempt.failed) else {
                self.metrics.tcp_failed += 1;
                self.end_relay(key, Some("no target could be reached"));
                return;
            };
            let target = Arc::clone(target);
            attempt.target = Some(Arc::clone(&target));
            attempt.is_greeted = false;
            let wait_s = relay.service.as_ref().map_or(0.0, |it| it.connect_s);
            let serial = relay.serial;
            let due = self.now_s + wait_s;
            let found = match self.addresses.find(&target.host, target.port, self.now_s) {
                Lookup::Found(found, ask) => {
                    if ask {
                        self.raised.push(Event::Resolve(target.host.to_string()));
                    }
                    Some(found)
                }
                Lookup::Unknown(ask) => {
                    if ask {
                        self.raised.push(Event::Resolve(target.host.to_string()));
                    }
                    relay.phase = Phase::Resolving;
                    let waits = (key | RELAY_BIT, u64::from(serial));
                    self.addresses.wait(&target.host, waits.0, waits.1);
                    self.set_relay_deadline(key, due);
                    return;
                }
                Lookup::Failed => None,
            };
            attempt.to = found.as_ref().and_then(Place::ip);
            let connected = match found {
                Some(found) => self.relay_connect(key, &target, &found),
                None => Err("there is no such host".to_owned()),
            };
            match connected {
                Ok(()) => {
                    self.set_relay_deadline(key, due);
                    return;
                }
                Err(problem) => self.target_failed(key, &problem),
            }
        }
    }

    fn relay_connect(&mut self, key: usize, target: &TcpTarget, to: &Place) -> Result<(), String> {
        let session = match &target.tls {
            Some(tls) => {
                let unix_s = self.now_s + self.unix_offset_s;
                let terms = self.clients.terms(&self.snapshot, tls, unix_s)?;
                let mut config = (**terms.config(false)).clone();
                let relay = self.relays.get(key);
                let offered = relay.and_then(|relay| relay.protocol.clone());
                config.alpn_protocols = offered.into_iter().collect();
                let bare = target.name.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(bare.to_owned())
                    .map_err(|_| format!("{bare} is no name that a certificate can have"))?;
                let session = Session::client(Arc::new(config), name);
                Some(session.map_err(|error| error.to_string())?)
            }
            None => None,
        };
        let mut stream = self.dial(to).map_err(|error| error.to_string())?;
        self.poll
            .registry()
            .register(
                &mut stream,
                target_token(key),
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(|error| error.to_string())?;
        self.metrics.connected += 1;
        if let Some(relay) = self.relays.get_mut(key) {
            relay.phase = Phase::Connecting;
            relay.up = Some(Side {
                stream: match session {
                    Some(session) => Socket::tls(stream, session),
                    None => Socket::Plain(stream),
                },
                ready: Readiness::default(),
                output: Output::default(),
            });
        }
        Ok(())
    }

    /// Forget a target that cannot be used; the next one may do.
    fn target_failed(&mut self, key: usize, problem: &str) {
        self.metrics.upstream_failures += 1;
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let up = relay.up.take();
        let Some(attempt) = relay.attempt.as_mut() else {
            return;
        };
        let target = attempt.target.take();
        let (target_of, ip) = (target.as_ref(), attempt.to.take());
        let elsewhere = target_of.zip(ip).is_some_and(|(target, ip)| {
            self.addresses.shun(&target.host, ip, self.now_s) && attempt.addresses < MOST_ADDRESSES
        });
        if elsewhere {
            attempt.addresses += 1;
        } else {
            attempt.failed += 1;
        }
        let address = target.map(|target| Arc::clone(&target.address));
        let service = relay
            .service
            .as_ref()
            .map(|service| Arc::clone(&service.id));
        if let Some(up) = up {
            self.close_side(up);
        }
        let told = format!(
            "service {}, target {}: {problem}",
            service.as_deref().unwrap_or_default(),
            address.as_deref().unwrap_or_default(),
        );
        self.notice("target of a TCP service", &told);
    }

    /// Go on with a connection to a target.
    pub(super) fn relay_connecting(&mut self, key: usize) {
        match self.is_target_there(key) {
            Ok(true) => self.target_there(key),
            Ok(false) => {}
            Err(problem) => {
                self.target_failed(key, &problem);
                self.reach(key);
            }
        }
    }

    fn is_target_there(&mut self, key: usize) -> Result<bool, String> {
        let Some(relay) = self.relays.get_mut(key) else {
            return Ok(false);
        };
        let (Some(up), Some(attempt)) = (relay.up.as_mut(), relay.attempt.as_mut()) else {
            return Ok(false);
        };
        let tcp = up.stream.tcp().map_err(|error| error.to_string())?;
        if let Some(error) = tcp.take_error().map_err(|error| error.to_string())? {
            return Err(error.to_string());
        }
        if !is_connected(tcp) {
            return Ok(false);
        }
        let version = relay
            .service
            .as_ref()
            .and_then(|service| service.send_proxy.version());
        if let Some(version) = version.filter(|_| !attempt.is_greeted) {
            let mut header = Vec::with_capacity(128);
            proxy_protocol::write(version, relay.peer, relay.destination, &mut header);
            // Nothing was written before, so it fits or the connection is broken.
            let written = up.stream.write_prepared(&header);
            if !written.is_ok_and(|count| count == header.len()) {
                return Err("it took no PROXY header".to_owned());
            }
        }
        attempt.is_greeted = true;
        if up.stream.session().is_none() {
            return Ok(true);
        }
        let shaken = up.stream.handshake();
        // Even a failed handshake owes an alert.
        let flushed = up.output.flush(&mut up.stream);
        match shaken {
            Ok(true) if flushed.is_ok() => Ok(true),
            Ok(false) if flushed.is_ok() => {
                up.ready.readable = false;
                Ok(false)
            }
            Err(HandshakeError::Tls(error)) => Err(error.to_string()),
            _ => Err("it broke off the TLS handshake".to_owned()),
        }
    }

    /// The target is there: bytes go both ways from now on.
    fn target_there(&mut self, key: usize) {
        let now_s = self.now_s;
        let Some(relay) = self.relays.get_mut(key) else {
            return;
        };
        let Some(up) = relay.up.as_mut() else {
            return;
        };
        relay.phase = Phase::Passing;
        relay.connected_s = Some(now_s);
        relay.down.ready.readable = true;
        up.ready.readable = true;
        let input = std::mem::take(&mut relay.input);
        relay.forth.bytes += input.len() as u64;
        if up.output.send(&mut up.stream, &input, &[]).is_err() {
            self.end_relay(key, Some("the target left"));
            return;
        }
        let (idle_s, end_by_s) = self.relay_bounds(key);
        self.set_relay_deadline(key, (now_s + idle_s).min(end_by_s));
        self.again.push_back(relay_token(key));
    }

    /// Addresses of a host were found, or not: go on.
    pub(crate) fn relay_resolved(&mut self, key: usize, serial: u64) {
        let waits = self.relays.get(key).is_some_and(|relay| {
            u64::from(relay.serial) == serial && relay.phase == Phase::Resolving
        });
        if waits {
            self.reach(key);
        }
    }

    /// A target took too long.
    pub(super) fn target_late(&mut self, key: usize) {
        self.target_failed(key, "it took too long");
        self.reach(key);
    }
}
