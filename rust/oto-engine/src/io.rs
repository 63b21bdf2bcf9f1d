//! Non-blocking reads and writes on one connection, edge-triggered.

use std::io;

use crate::socket::Socket;

/// Bytes that a connection did not take yet.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    sent: usize,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Keep bytes until the connection is there.
    pub(crate) fn hold(&mut self, stream: &mut Socket, bytes: &[u8]) {
        match stream {
            // Nothing is written before the handshake is over, and nothing can fail.
            Socket::Tls(_) => stream.write(bytes, &[], &mut self.bytes).unwrap_or(()),
            _ => self.bytes.extend_from_slice(bytes),
        }
    }

    /// Write what waits. True when nothing is left.
    pub(crate) fn flush(&mut self, stream: &mut Socket) -> io::Result<bool> {
        loop {
            while self.sent < self.bytes.len() {
                match stream.write_prepared(&self.bytes[self.sent..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => self.sent += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            // An idle connection owns no buffer.
            *self = Self::default();
            if !stream.owes() {
                return Ok(true);
            }
            stream.write(&[], &[], &mut self.bytes)?;
        }
    }

    /// Write two parts as one, keeping what the connection does not take.
    pub(crate) fn send(
        &mut self,
        stream: &mut Socket,
        first: &[u8],
        second: &[u8],
    ) -> io::Result<()> {
        stream.write(first, second, &mut self.bytes)
    }
}

/// Whether a connection may have bytes to read. Epoll tells once; this remembers.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// A read may give something.
    pub(crate) readable: bool,
    /// The other side closed its sending side; reads go on until they say so.
    pub(crate) closing: bool,
    /// A read said so.
    pub(crate) closed: bool,
    /// The kernel reported an error, or both directions closed.
    pub(crate) broken: bool,
    /// Whoever carries the connection wants nothing read for now.
    pub(crate) held: bool,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The end.
    End,
}

impl Readiness {
    /// Whether a read may give something new: the kernel goes on saying so of a side whose end was read.
    pub(crate) fn has_more(&self) -> bool {
        self.readable && !self.closed
    }

    /// Whether the other side said nothing that was not read, and did not end.
    pub(crate) fn is_quiet(&self) -> bool {
        !(self.readable || self.closing || self.closed || self.broken)
    }

    /// Read once into `space`, which is not empty.
    pub(crate) fn read(&mut self, stream: &mut Socket, space: &mut [u8]) -> io::Result<Got> {
        if self.closed {
            return Ok(Got::End);
        }
        loop {
            if !self.readable {
                return Ok(Got::Nothing);
            }
            match stream.read(space) {
                Ok((0, _)) => {
                    self.closed = true;
                    self.readable = false;
                    return Ok(Got::End);
                }
                Ok((count, more)) => {
                    self.readable = more || self.closing;
                    return Ok(Got::Bytes(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
