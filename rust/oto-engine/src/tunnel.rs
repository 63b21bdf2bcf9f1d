//! Upgraded connections: bytes both ways, unread but for where the backend's frames begin when it is a WebSocket.

use oto_core::streamed;
use oto_core::websocket::{Frames, GOING_AWAY};

use crate::connection::{DownPhase, UpPhase};
use crate::engine::{Engine, down_token, up_token};
use crate::io::{Got, Output, Readiness};
use crate::socket::Socket;

/// Reads in one direction before others have their turn.
const READS: usize = 4;

impl Engine {
    /// Join both connections: send the 101 to the client and what the backend said behind it.
    pub(crate) fn begin_tunnel(&mut self, at: usize, key: usize, head: &[u8], rest: &[u8]) -> bool {
        if let Some(watch) = self.take_watch(key) {
            self.begin_watched(key, Some((at, rest)), head, watch);
            return false;
        }
        let Some(down) = self.downs.get_mut(key) else {
            return false;
        };
        let Some(up) = self.ups.get_mut(at) else {
            return false;
        };
        let flow = down.exchange.as_ref().and_then(|it| it.flow.as_ref());
        let is_socket = flow.is_some_and(|flow| streamed::is_websocket(&flow.request));
        down.frames = is_socket.then(Box::default);
        if let Some(frames) = &mut down.frames {
            // Nobody has asked for an end yet: all of it goes on.
            frames.pass(rest);
        }
        let sent = down.output.send(&mut down.stream, head, rest);
        let early = std::mem::take(&mut down.input);
        let passed = up.output.send(&mut up.stream, &early, &[]);
        if sent.is_err() || passed.is_err() {
            self.client_left(key);
            return false;
        }
        down.phase = DownPhase::Tunnel(at);
        up.phase = UpPhase::Tunnel(key);
        if let Some(mut exchange) = down.exchange.take() {
            exchange.up = None;
            exchange.bytes_out += (head.len() + rest.len()) as u64;
            self.account(key, *exchange);
        }
        self.keep_tunnel(key);
        self.set_up_deadline(at, f64::INFINITY);
        self.again.push_back(down_token(key));
        self.again.push_back(up_token(at));
        self.tell_if_leaving(key);
        false
    }

    /// Have the client of a WebSocket told that this is the end, before the backend's next frame. It answers that to the
    /// backend, which takes it for the client's own word, and ends the connection. A client that was told the backend's
    /// end is told nothing behind it, and may go on as long as the drain waits.
    pub(crate) fn close_tunnel(&mut self, key: usize, at: usize) {
        let (Some(down), Some(up)) = (self.downs.get_mut(key), self.ups.get(at)) else {
            return;
        };
        if up.ready.closed {
            return;
        }
        if down.frames.as_mut().is_some_and(|frames| frames.leave()) {
            let sent = down.output.send(&mut down.stream, GOING_AWAY, &[]);
            down.ready.broken |= sent.is_err();
            self.again.push_back(down_token(key));
        }
    }

    /// Pass bytes both ways until neither side has more.
    pub(crate) fn pump_tunnel(&mut self, key: usize, at: usize) {
        if !self.is_down_in(key, DownPhase::Tunnel(at)) {
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let over = self.pump_tunnel_with(key, at, &mut scratch);
        self.scratch = scratch;
        match over {
            Some(true) => {
                self.drop_up(at);
                self.drop_down(key);
            }
            Some(false) => self.keep_tunnel(key),
            None => {}
        }
    }

    /// Whether the tunnel is over; none when nothing moved.
    fn pump_tunnel_with(&mut self, key: usize, at: usize, scratch: &mut [u8]) -> Option<bool> {
        let (Some(down), Some(up)) = (self.downs.get_mut(key), self.ups.get_mut(at)) else {
            return Some(true);
        };
        let flushed = [
            down.output.flush(&mut down.stream),
            up.output.flush(&mut up.stream),
        ];
        if flushed.iter().any(Result::is_err) {
            return Some(true);
        }
        let forth = pass(
            &mut down.ready,
            &mut down.stream,
            &mut up.output,
            &mut up.stream,
            scratch,
            None,
        );
        let back = pass(
            &mut up.ready,
            &mut up.stream,
            &mut down.output,
            &mut down.stream,
            scratch,
            down.frames.as_deref_mut(),
        );
        let (Ok(forth), Ok(back)) = (forth, back) else {
            return Some(true);
        };
        let done =
            down.ready.closed && up.ready.closed && down.output.is_empty() && up.output.is_empty();
        // A stream that was broken off takes nothing any more, and all that it said was passed on.
        let is_cut = up.carrying.is_broken && up.ready.closed && down.output.is_empty();
        if done || is_cut || down.ready.broken || up.ready.broken {
            return Some(true);
        }
        if down.ready.has_more() && up.output.is_empty() {
            self.again.push_back(down_token(key));
        } else if up.ready.has_more() && down.output.is_empty() {
            self.again.push_back(up_token(at));
        }
        (forth || back).then_some(false)
    }
}

/// Move bytes one way, with a close frame of our own where `frames` says so; an end is passed on once everything before it is written.
fn pass(
    from: &mut Readiness,
    source: &mut Socket,
    output: &mut Output,
    sink: &mut Socket,
    scratch: &mut [u8],
    mut frames: Option<&mut Frames>,
) -> std::io::Result<bool> {
    let mut moved = false;
    for _ in 0..READS {
        if !output.is_empty() || from.closed {
            break;
        }
        match from.read(source, scratch)? {
            Got::Bytes(count) => {
                let (passed, closes) = match &mut frames {
                    Some(frames) => frames.pass(&scratch[..count]),
                    None => (count, false),
                };
                let last = if closes { GOING_AWAY } else { &[] };
                if passed > 0 || closes {
                    output.send(sink, &scratch[..passed], last)?;
                }
                moved = true;
            }
            Got::Nothing => break,
            Got::End if source.is_cut() => {
                // Nobody said that this is the end, so nobody is told so; what came is passed on.
                sink.end_unsaid().unwrap_or(());
                moved = true;
            }
            Got::End => {
                // The other side may have closed meanwhile; then there is nobody to tell.
                sink.shutdown().unwrap_or(());
                moved = true;
            }
        }
    }
    Ok(moved)
}
