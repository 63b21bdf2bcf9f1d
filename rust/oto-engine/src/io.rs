//! Non-blocking reads and writes on one connection, edge-triggered.

use std::io::{self, IoSlice, Read, Write};

use mio::net::TcpStream;

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

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Write what waits. True when nothing is left.
    pub(crate) fn flush(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        while self.sent < self.bytes.len() {
            match stream.write(&self.bytes[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // An idle connection owns no buffer.
        *self = Self::default();
        Ok(true)
    }

    /// Write two parts as one, keeping what the connection does not take.
    pub(crate) fn send(
        &mut self,
        stream: &mut TcpStream,
        first: &[u8],
        second: &[u8],
    ) -> io::Result<()> {
        let mut written = 0;
        if self.is_empty() {
            written = loop {
                let result = if second.is_empty() {
                    stream.write(first)
                } else {
                    stream.write_vectored(&[IoSlice::new(first), IoSlice::new(second)])
                };
                match result {
                    Ok(written) => break written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break 0,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            };
        }
        if written < first.len() {
            self.push(&first[written..]);
            self.push(second);
        } else if written - first.len() < second.len() {
            self.push(&second[written - first.len()..]);
        }
        Ok(())
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
    /// Whether the other side said nothing that was not read, and did not end.
    pub(crate) fn is_quiet(&self) -> bool {
        !(self.readable || self.closing || self.closed || self.broken)
    }

    /// Read once into `space`, which is not empty.
    pub(crate) fn read(&mut self, stream: &mut TcpStream, space: &mut [u8]) -> io::Result<Got> {
        if self.closed {
            return Ok(Got::End);
        }
        loop {
            if !self.readable {
                return Ok(Got::Nothing);
            }
            match stream.read(space) {
                Ok(0) => {
                    self.closed = true;
                    self.readable = false;
                    return Ok(Got::End);
                }
                Ok(count) => {
                    // A short read emptied the socket: the next bytes make a new edge (epoll(7)).
                    self.readable = count == space.len() || self.closing;
                    return Ok(Got::Bytes(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
