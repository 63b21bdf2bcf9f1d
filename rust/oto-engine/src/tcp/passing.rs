//! Bytes both ways: through a pipe in the kernel where both sides are plain and much comes at once, else
//! copied. Nothing more is read from one side until the other has taken what was.

use std::io;

use super::pipes::Pipes;
use super::{Side, Way, relay_token};
use crate::engine::Engine;
use crate::io::Got;

/// Reads in one direction before others have their turn.
const READS: usize = 4;
/// One read of so much says that more will come.
const BULK_BYTES: usize = 32 * 1024;

/// What became of one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    Nothing,
    Something,
    /// There was more than is allowed.
    TooMuch,
}

impl Engine {
    /// Pass bytes both ways until neither side has more.
    pub(super) fn pump_relay(&mut self, key: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut pipes = std::mem::take(&mut self.pipes);
        let passed = self.pass_both(key, &mut scratch, &mut pipes);
        self.scratch = scratch;
        self.pipes = pipes;
        match passed {
            Ok(Passed::Nothing) => {}
            Ok(Passed::Something) => {
                let (idle_s, end_by_s) = self.relay_bounds(key);
                self.set_relay_deadline(key, (self.now_s + idle_s).min(end_by_s));
            }
            Ok(Passed::All) => self.end_relay(key, None),
            Err(problem) => self.end_relay(key, Some(problem)),
        }
    }

    fn pass_both(
        &mut self,
        key: usize,
        scratch: &mut [u8],
        pipes: &mut Pipes,
    ) -> Result<Passed, &'static str> {
        let Some(relay) = self.relays.get_mut(key) else {
            return Ok(Passed::Nothing);
        };
        let (Some(up), Some(service)) = (relay.up.as_mut(), relay.service.as_ref()) else {
            return Ok(Passed::Nothing);
        };
        let down = &mut relay.down;
        if relay.forth.bytes > service.most_bytes_in {
            return Err("the client sent too much");
        }
        let left = |_| "the client left";
        let lost = |_| "the target left";
        down.output.flush(&mut down.stream).map_err(left)?;
        up.output.flush(&mut up.stream).map_err(lost)?;
        let mut passes = Passes { scratch, pipes };
        let forth = passes.pass(&mut relay.forth, down, up, service.most_bytes_in);
        let back = passes.pass(&mut relay.back, up, down, service.most_bytes_out);
        let broken = match (down.ready.broken, up.ready.broken) {
            (true, _) => "the client left",
            (_, true) => "the target left",
            _ => "one side left",
        };
        let (forth, back) = (forth.map_err(|_| broken)?, back.map_err(|_| broken)?);
        if forth == Moved::TooMuch {
            return Err("the client sent too much");
        }
        if back == Moved::TooMuch {
            return Err("the target sent too much");
        }
        let is_empty = |side: &Side, way: &Way| side.output.is_empty() && way.pipe.is_none();
        let are_empty = is_empty(up, &relay.forth) && is_empty(down, &relay.back);
        if down.ready.closed && up.ready.closed && are_empty {
            return Ok(Passed::All);
        }
        if down.ready.broken || up.ready.broken {
            return Err(broken);
        }
        let may_go_on = (down.ready.has_more() && is_empty(up, &relay.forth))
            || (up.ready.has_more() && is_empty(down, &relay.back));
        if may_go_on {
            self.again.push_back(relay_token(key));
        }
        let moved = forth == Moved::Something || back == Moved::Something;
        Ok(if moved {
            Passed::Something
        } else {
            Passed::Nothing
        })
    }
}

enum Passed {
    Nothing,
    Something,
    /// Both sides are done.
    All,
}

/// What passing needs besides the two sides.
struct Passes<'a> {
    scratch: &'a mut [u8],
    pipes: &'a mut Pipes,
}

impl Passes<'_> {
    /// Move bytes one way; an end is passed on once everything before it is written.
    fn pass(
        &mut self,
        way: &mut Way,
        from: &mut Side,
        to: &mut Side,
        most: u64,
    ) -> io::Result<Moved> {
        let mut moved = Moved::Nothing;
        if way.pipe.is_some() && !self.empty_pipe(way, to)? {
            return Ok(moved);
        }
        for _ in 0..READS {
            if !to.output.is_empty() || from.ready.closed || way.pipe.is_some() {
                break;
            }
            // One more than is allowed, so that an end behind the last byte is still an end.
            let room = usize::try_from(most.saturating_sub(way.bytes)).unwrap_or(usize::MAX);
            let room = room.saturating_add(1);
            let count = match self.step(way, from, to, room)? {
                Got::Bytes(count) => count,
                Got::Nothing => break,
                Got::End if from.stream.is_cut() => {
                    // Nobody said that this is the end, so nobody is told so.
                    to.stream.end_unsaid().unwrap_or(());
                    return Ok(Moved::Something);
                }
                Got::End => {
                    // The other side may have closed meanwhile; then there is nobody to tell.
                    to.stream.shutdown().unwrap_or(());
                    return Ok(Moved::Something);
                }
            };
            way.bytes += count as u64;
            if way.bytes > most {
                return Ok(Moved::TooMuch);
            }
            moved = Moved::Something;
        }
        Ok(moved)
    }

    /// Move once what is there.
    fn step(
        &mut self,
        way: &mut Way,
        from: &mut Side,
        to: &mut Side,
        room: usize,
    ) -> io::Result<Got> {
        if way.is_bulk
            && let Some(got) = self.splice(way, from, to, room)?
        {
            return Ok(got);
        }
        let most = room.min(self.scratch.len());
        let got = from
            .ready
            .read(&mut from.stream, &mut self.scratch[..most])?;
        if let Got::Bytes(count) = got {
            way.is_bulk = count >= BULK_BYTES;
            // What exceeds the room is cut off with the connection.
            to.output
                .send(&mut to.stream, &self.scratch[..count], &[])?;
        }
        Ok(got)
    }

    #[cfg(not(target_os = "linux"))]
    fn empty_pipe(&mut self, _: &mut Way, _: &mut Side) -> io::Result<bool> {
        Ok(true)
    }

    #[cfg(not(target_os = "linux"))]
    fn splice(
        &mut self,
        way: &mut Way,
        _: &mut Side,
        _: &mut Side,
        _: usize,
    ) -> io::Result<Option<Got>> {
        way.is_bulk = false;
        Ok(None)
    }

    /// Write what a pipe holds, and give it back once it is empty; tells whether it is.
    #[cfg(target_os = "linux")]
    fn empty_pipe(&mut self, way: &mut Way, to: &mut Side) -> io::Result<bool> {
        use super::pipes::moved_out;

        let Some(mut pipe) = way.pipe.take() else {
            return Ok(true);
        };
        let out = to.stream.tcp().and_then(|sink| moved_out(&mut pipe, sink));
        match out {
            Ok(()) => {
                self.pipes.give(pipe);
                Ok(true)
            }
            Err(error) => {
                way.pipe = Some(pipe);
                if error.kind() == io::ErrorKind::WouldBlock {
                    Ok(false)
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Move once through a pipe; none where that cannot be done.
    #[cfg(target_os = "linux")]
    fn splice(
        &mut self,
        way: &mut Way,
        from: &mut Side,
        to: &mut Side,
        room: usize,
    ) -> io::Result<Option<Got>> {
        use super::pipes::{PIPE_BYTES, moved_in};
        use crate::socket::Socket;

        let (Socket::Plain(source), Socket::Plain(_)) = (&from.stream, &to.stream) else {
            way.is_bulk = false;
            return Ok(None);
        };
        if !from.ready.readable {
            return Ok(Some(Got::Nothing));
        }
        let Some(mut pipe) = self.pipes.take() else {
            return Ok(None);
        };
        let count = match moved_in(&mut pipe, source, PIPE_BYTES.min(room)) {
            Ok(count) => count,
            Err(error) => {
                self.pipes.give(pipe);
                if error.kind() != io::ErrorKind::WouldBlock {
                    return Err(error);
                }
                // An end that was told before is still to be read.
                from.ready.readable = false;
                return Ok(Some(Got::Nothing));
            }
        };
        if count == 0 {
            self.pipes.give(pipe);
            from.ready.closed = true;
            from.ready.readable = false;
            return Ok(Some(Got::End));
        }
        way.is_bulk = count >= BULK_BYTES / 2;
        way.pipe = Some(pipe);
        if count < room || room > PIPE_BYTES {
            self.empty_pipe(way, to)?;
        }
        Ok(Some(Got::Bytes(count)))
    }
}
