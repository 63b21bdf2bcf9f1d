//! The backend's side: what its connections do, and their reuse.

use std::io::ErrorKind;
use std::sync::Arc;

use mio::net::{TcpStream, UnixStream};
use oto_core::balance::{is_below, unix_path_problem};

use crate::attempt::Failure;
use crate::connection::{DownPhase, Up, UpPhase};
use crate::engine::Engine;
use crate::event::Event;
use crate::io::Got;
use crate::pool::Place;
use crate::socket::{HandshakeError, as_stream, is_connected};

impl Engine {
    /// Begin a connection to a backend.
    pub(crate) fn dial(&mut self, to: &Place) -> std::io::Result<TcpStream> {
        let path = match to {
            Place::Ip(address) => {
                let stream = TcpStream::connect(*address)?;
                // Best effort: a connection without it is slower, not wrong.
                stream.set_nodelay(true).unwrap_or(());
                return Ok(stream);
            }
            Place::Unix(path) => path,
        };
        // Whoever may write a route would otherwise speak to every daemon of the machine as the gateway.
        let refused =
            |problem: &'static str| Err(std::io::Error::new(ErrorKind::PermissionDenied, problem));
        let dialled = if let Some(problem) = unix_path_problem(path) {
            refused(problem)
        } else if is_below(path, &self.settings.unix_targets) {
            UnixStream::connect(&**path)
        } else {
            refused("the setting unix_targets has neither this socket nor a folder above it")
        };
        dialled.map(as_stream)
    }

    /// Do all that a backend's connection allows now.
    pub(crate) fn drive_up(&mut self, at: usize) {
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let phase = up.phase;
        if up.carrying.dialled.is_some() {
            // There is no socket to work on.
            return;
        }
        match phase {
            UpPhase::Flushing => {
                self.flush_up(at);
                return;
            }
            UpPhase::Carried(id) => {
                if up.ready.broken {
                    self.drop_up(at);
                    return;
                }
                let had_output = !up.output.is_empty();
                match up.output.flush(&mut up.stream) {
                    Ok(true) if had_output => self.raised.push(Event::Writable(id)),
                    Ok(_) => {}
                    Err(_) => {
                        self.drop_up(at);
                        return;
                    }
                }
                self.pump_carrier(at, id);
                return;
            }
            UpPhase::Leaving => {
                self.read_over(at);
                return;
            }
            UpPhase::Idle => {
                // Nothing is expected: bytes or an end both spoil the connection. Under TLS the
                // bytes may be tickets, which are none of the connection's.
                let is_quiet = matches!(up.ready.read(&mut up.stream, &mut [0]), Ok(Got::Nothing));
                if !is_quiet || up.ready.broken {
                    let address = Arc::clone(&up.address);
                    self.pool.forget(&address, at);
                    self.drop_up(at);
                }
                return;
            }
            UpPhase::Connecting(key) => {
                if up.ready.broken
                    || !matches!(up.stream.tcp().and_then(|tcp| tcp.take_error()), Ok(None))
                {
                    self.attempt_failed(key, Failure::Connect);
                    return;
                }
                if !up.stream.tcp().is_ok_and(|tcp| is_connected(tcp)) {
                    // A backend of this machine refuses at once, and the first write, of TLS, was told why.
                    if up.ready.closing {
                        self.attempt_failed(key, Failure::Connect);
                    }
                    return;
                }
                if !self.is_connected(at, key) {
                    return;
                }
                let Some(up) = self.ups.get_mut(at) else {
                    return;
                };
                if up.carrying.dials {
                    self.reached(at, key);
                    return;
                }
                up.phase = UpPhase::Head(key);
                let call = self.call_timeout(key);
                self.set_up_deadline(at, call);
            }
            _ => {}
        }
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let Some(key) = up.phase.owner() else { return };
        let begins = matches!(phase, UpPhase::Connecting(_));
        if (begins || !up.output.is_empty()) && !up.deaf {
            match up.output.flush(&mut up.stream) {
                Ok(true) if matches!(up.phase, UpPhase::Tunnel(_)) => {}
                Ok(true) => {
                    self.pump_request(key);
                    self.end_call_body(key, at);
                }
                Ok(false) => {}
                Err(_) => up.deaf = true,
            }
        }
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        if up.ready.broken {
            // What the backend said before it broke off may still be readable.
            up.ready.readable = true;
        }
        match up.phase {
            UpPhase::Tunnel(key) => self.pump_tunnel(key, at),
            UpPhase::Head(_) | UpPhase::Body(_) => self.pump_response(at, key),
            UpPhase::Gathering(_) => self.gather(at, key),
            UpPhase::Held(_)
            | UpPhase::Connecting(_)
            | UpPhase::Idle
            | UpPhase::Carried(_)
            | UpPhase::Flushing
            | UpPhase::Leaving => {}
        }
    }

    /// Write what waits for a backend, and close the connection behind it.
    pub(crate) fn flush_up(&mut self, at: usize) {
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        if !up.ready.broken && matches!(up.output.flush(&mut up.stream), Ok(false)) {
            return;
        }
        self.drop_up(at);
    }

    /// Go on with a TLS handshake; tells whether requests may be sent now.
    fn is_connected(&mut self, at: usize, key: usize) -> bool {
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        if up.stream.session().is_none() {
            return true;
        }
        let shaken = up.stream.handshake();
        // Even a failed handshake owes an alert.
        let flushed = up.output.flush(&mut up.stream);
        match shaken {
            Ok(true) if flushed.is_ok() => return true,
            Ok(false) if flushed.is_ok() => up.ready.readable = false,
            Err(HandshakeError::Tls(error)) => {
                self.notice_attempt("TLS to a backend", key, &error.to_string());
                self.attempt_failed(key, Failure::Tls);
            }
            _ => self.attempt_failed(key, Failure::Closed),
        }
        false
    }

    /// Part the exchange from its backend connection: into the pool if it may be used again.
    pub(crate) fn release_up(&mut self, key: usize, reusable: bool) {
        let Some(at) = self
            .downs
            .get_mut(key)
            .and_then(|down| down.exchange.as_mut()?.up.take())
        else {
            return;
        };
        let Some(up) = self.ups.get_mut(at) else {
            return;
        };
        let clean = reusable
            && !up.stream.is_stream()
            && up.keep_alive
            && !up.deaf
            && up.body.is_done()
            && up.output.is_empty()
            && up.input.is_empty()
            && !up.ready.closing
            && !up.ready.readable
            && up.holds_terms()
            && !self.draining;
        let most = self.settings.pool_idle_per_target;
        if !clean || !self.pool.put(&up.address, at, most) {
            self.drop_up(at);
            return;
        }
        up.phase = UpPhase::Idle;
        let due = self.now_s + self.settings.pool_idle_s;
        self.set_up_deadline(at, due);
    }

    /// Close unused connections whose terms are over. Those in use end with their exchange.
    pub(crate) fn drop_outdated(&mut self) {
        let is_unused = |up: &Up| match up.phase {
            UpPhase::Carried(_) => up.carrying.used == 0 && up.carrying.waiting.is_empty(),
            phase => phase == UpPhase::Idle,
        };
        let is_outdated = |up: &Up| is_unused(up) && !up.holds_terms();
        let found = self.ups.iter().filter(|(_, up)| is_outdated(up));
        for at in found.map(|(at, _)| at).collect::<Vec<_>>() {
            self.drop_up(at);
        }
    }

    pub(crate) fn drop_up(&mut self, at: usize) {
        if let Some(mut up) = self.ups.try_remove(at) {
            if up.phase == UpPhase::Idle {
                self.pool.forget(&up.address, at);
            }
            self.forget_carried(&mut up);
            // Closing the socket takes it out of the set too; this keeps the set tidy before that.
            up.stream.say_end();
            if let Ok(tcp) = up.stream.tcp() {
                self.poll.registry().deregister(tcp).unwrap_or(());
            }
        }
    }

    /// Whether a client's connection is in this phase; for tunnels.
    pub(crate) fn is_down_in(&self, key: usize, phase: DownPhase) -> bool {
        self.downs.get(key).is_some_and(|down| down.phase == phase)
    }
}
