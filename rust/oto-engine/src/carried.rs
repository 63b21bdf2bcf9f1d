//! Connections whose protocol is spoken elsewhere: HTTP/2, decoded in Python.
//!
//! The engine keeps the socket, its TLS and its deadline; bytes go up as they come, and what is sent
//! comes down. Requests come back as streams ([`crate::pipe`]).

use crate::connection::{DownPhase, UpPhase};
use crate::engine::{Engine, down_token, up_token};
use crate::event::Event;
use crate::io::Got;

/// What a client that speaks HTTP/2 without TLS begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Output that waits, at most, before nothing more is read: a client that takes no answers asks for none.
pub(crate) const MOST_WAITING: usize = 256 * 1024;

impl Engine {
    /// Whether the first bytes of a connection are the preface of HTTP/2, or may become it: true when all of it
    /// is there. None when they are something else.
    pub(crate) fn sees_preface(&self, key: usize, bytes: &[u8]) -> Option<bool> {
        let down = self.downs.get(key)?;
        let listener = self.listeners.get(down.listener)?;
        if !down.is_fresh || !listener.ways.http2 || listener.ways.secured {
            return None;
        }
        let seen = &bytes[..bytes.len().min(PREFACE.len())];
        PREFACE
            .starts_with(seen)
            .then_some(seen.len() == PREFACE.len())
    }

    /// Keep the beginning of a preface, or carry the connection from its end on.
    pub(crate) fn preface_read(&mut self, key: usize, bytes: Vec<u8>, is_whole: bool) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.input = bytes;
        if is_whole {
            self.begin_carried(key);
        } else if down.ready.readable || down.ready.closed {
            self.again.push_back(down_token(key));
        }
    }

    /// Hand a connection's bytes up from now on.
    pub(crate) fn begin_carried(&mut self, key: usize) {
        let id = self.next_exchange_id(key);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(listener) = self.listeners.get(down.listener) else {
            return;
        };
        if listener.leaves_by_s.is_some() {
            // Those that were carried when it went were told; nothing was asked on this one.
            self.drop_down(key);
            return;
        }
        down.phase = DownPhase::Carried(id);
        down.is_fresh = false;
        down.ready.readable = true;
        let early = std::mem::take(&mut down.input);
        let told = Event::Carried(id, listener.id.clone(), listener.ways.secured);
        self.raised.push(told);
        if !early.is_empty() {
            self.raised.push(Event::Bytes(id, early));
        }
        self.again.push_back(down_token(key));
    }

    /// Read once in a turn, unless too much waits to be written.
    pub(crate) fn pump_carried(&mut self, key: usize, id: u64) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(down) = self.downs.get_mut(key) else {
            self.scratch = scratch;
            return;
        };
        if down.appetite.turn == self.turns {
            if down.ready.readable || down.ready.closed {
                self.later.push(down_token(key));
            }
            self.scratch = scratch;
            return;
        }
        let most = down.appetite.most.clamp(1, scratch.len());
        let got = if down.output.len() > MOST_WAITING || down.ready.held {
            Ok(Got::Nothing)
        } else {
            down.ready.read(&mut down.stream, &mut scratch[..most])
        };
        match got {
            Ok(Got::Bytes(count)) => {
                down.appetite.turn = self.turns;
                let more = down.ready.readable || down.ready.closed;
                let bytes = scratch[..count].to_vec();
                self.raised.push(Event::Bytes(id, bytes));
                if more {
                    self.later.push(down_token(key));
                }
            }
            Ok(Got::Nothing) => {}
            Ok(Got::End) | Err(_) => self.drop_down(key),
        }
        self.scratch = scratch;
    }

    /// The place of a carried connection.
    fn carried(&self, id: u64) -> Option<usize> {
        let key = (id & 0xffff_ffff) as usize;
        let down = self.downs.get(key)?;
        (down.phase == DownPhase::Carried(id)).then_some(key)
    }

    /// The place of a carried connection to a backend.
    fn carrier(&self, id: u64) -> Option<usize> {
        let at = (id & 0xffff_ffff) as usize;
        let up = self.ups.get(at)?;
        (up.phase == UpPhase::Carried(id)).then_some(at)
    }

    fn send_up(&mut self, id: u64, bytes: &[u8]) -> bool {
        let Some(at) = self.carrier(id) else {
            return true;
        };
        let Some(up) = self.ups.get_mut(at) else {
            return true;
        };
        if up.output.send(&mut up.stream, bytes, &[]).is_err() {
            self.drop_up(at);
            return true;
        }
        up.output.is_empty()
    }

    /// Write bytes; false when some of them wait, and [`Event::Writable`] will follow.
    pub fn send(&mut self, id: u64, bytes: &[u8]) -> bool {
        let Some(key) = self.carried(id) else {
            return self.send_up(id, bytes);
        };
        let Some(down) = self.downs.get_mut(key) else {
            return true;
        };
        if down.output.send(&mut down.stream, bytes, &[]).is_err() {
            self.drop_down(key);
            return true;
        }
        down.output.is_empty()
    }

    /// Read nothing of a connection for now, or go on.
    pub fn hold(&mut self, id: u64, is_held: bool) {
        let (ready, token) = if let Some(key) = self.carried(id) {
            let down = self.downs.get_mut(key);
            (down.map(|down| &mut down.ready), down_token(key))
        } else if let Some(at) = self.carrier(id) {
            (self.ups.get_mut(at).map(|up| &mut up.ready), up_token(at))
        } else {
            return;
        };
        if let Some(ready) = ready {
            ready.held = is_held;
            if !is_held {
                self.again.push_back(token);
            }
        }
    }

    /// Raise [`Event::Idle`] at this time.
    pub fn set_patience(&mut self, id: u64, due_s: f64) {
        if let Some(key) = self.carried(id) {
            self.set_down_deadline(key, due_s);
        } else if let Some(at) = self.carrier(id) {
            self.set_up_deadline(at, due_s);
        }
    }

    /// Read no more than so many bytes of a client's connection in a turn.
    pub fn set_appetite(&mut self, id: u64, most: usize) {
        if let Some(key) = self.carried(id)
            && let Some(down) = self.downs.get_mut(key)
        {
            down.appetite.most = most;
        }
    }

    /// Write what waits, then close. Nothing more is told of the connection.
    pub fn hang_up(&mut self, id: u64, now_s: f64) {
        self.now_s = now_s;
        if let Some(key) = self.carried(id) {
            self.finish_connection(key);
        } else if let Some(at) = self.carrier(id) {
            if self.is_left(at) {
                return;
            }
            let due = now_s + self.settings.linger_s;
            if let Some(up) = self.ups.get_mut(at) {
                up.phase = UpPhase::Flushing;
            }
            // It may be what tells the backend why.
            self.set_up_deadline(at, due);
            self.flush_up(at);
        }
    }
}
