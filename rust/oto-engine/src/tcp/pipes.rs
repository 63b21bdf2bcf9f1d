//! Pipes through which the kernel moves bytes from one socket to another without showing them
//! (splice(2)). Where there is no such call there are no pipes, and bytes are copied.

#[cfg(target_os = "linux")]
pub(super) use linux::{moved_in, moved_out};

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

/// Bytes a pipe is asked to hold; the kernel may give less.
pub(super) const PIPE_BYTES: usize = 512 * 1024;
/// Empty pipes kept.
const SPARES: usize = 32;
/// Pipes in use at once: beyond them bytes are copied.
const MOST: usize = 512;

/// A pipe, and how much is in it.
pub(super) struct Pipe {
    #[cfg(target_os = "linux")]
    reads: OwnedFd,
    #[cfg(target_os = "linux")]
    writes: OwnedFd,
    pub(super) held: usize,
}

/// The pipes of an engine.
#[derive(Default)]
pub(crate) struct Pipes {
    spare: Vec<Pipe>,
    in_use: usize,
}

impl Pipes {
    /// An empty pipe; none when there are too many, or the system has none.
    pub(super) fn take(&mut self) -> Option<Pipe> {
        if self.in_use >= MOST {
            return None;
        }
        let pipe = self.spare.pop().or_else(make)?;
        self.in_use += 1;
        Some(pipe)
    }

    /// Take a pipe back; one that is not empty is closed.
    pub(super) fn give(&mut self, pipe: Pipe) {
        self.in_use = self.in_use.saturating_sub(1);
        if pipe.held == 0 && self.spare.len() < SPARES {
            self.spare.push(pipe);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn make() -> Option<Pipe> {
    None
}

#[cfg(target_os = "linux")]
use linux::make;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    use mio::net::TcpStream;
    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

    use super::{PIPE_BYTES, Pipe};

    pub(super) fn make() -> Option<Pipe> {
        let (reads, writes) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        // Less than wished for works too.
        fcntl_setpipe_size(&writes, PIPE_BYTES).unwrap_or(0);
        Some(Pipe {
            reads,
            writes,
            held: 0,
        })
    }

    fn moved(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        loop {
            match splice(from, None, to, None, most, flags) {
                Err(rustix::io::Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    /// Move bytes from a socket into an empty pipe; 0 at the end.
    pub(in super::super) fn moved_in(
        pipe: &mut Pipe,
        source: &TcpStream,
        most: usize,
    ) -> io::Result<usize> {
        let count = moved(source.as_fd(), pipe.writes.as_fd(), most)?;
        pipe.held += count;
        Ok(count)
    }

    /// Move what a pipe holds into a socket.
    pub(in super::super) fn moved_out(pipe: &mut Pipe, sink: &TcpStream) -> io::Result<()> {
        while pipe.held > 0 {
            match moved(pipe.reads.as_fd(), sink.as_fd(), pipe.held)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => pipe.held = pipe.held.saturating_sub(count),
            }
        }
        Ok(())
    }
}
