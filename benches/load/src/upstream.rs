//! The upstream behind every proxy: `GET …/bytes/N` answers N octets, a request with a body is
//! read to its end and answered with the octets it had, and a WebSocket says what it hears.
//! Keep-alive without limit, one thread.
//!
//! It is cheap on purpose (one read and one write a request): it shares its core with the load
//! generator, and the proxy on the other core has to be what is measured.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::message::{self, Body};
use crate::websocket;

const LISTENER: Token = Token(usize::MAX);
/// Answers up to this size are kept whole, so that each takes one write.
const KEPT_BYTES: u64 = 256 * 1024;
const BLOCK_BYTES: usize = 256 * 1024;

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Body of the request being read, with the content octets seen so far.
    body: Option<(Body, u64)>,
    /// Octets waiting to be written.
    output: Vec<u8>,
    written: usize,
    /// Filler octets that follow `output`.
    filler: u64,
    closing: bool,
    is_websocket: bool,
}

/// Serves on `address` until the process is ended.
pub fn serve(address: SocketAddr) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{{\"listening\":\"{}\"}}", listener.local_addr()?);
    let mut server = Server {
        connections: Vec::new(),
        free: Vec::new(),
        answers: HashMap::new(),
        block: vec![b'x'; BLOCK_BYTES],
        input: vec![0; BLOCK_BYTES],
    };
    let mut events = Events::with_capacity(1024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                server.accept(&listener, &poll)?;
                continue;
            }
            let token = event.token().0;
            if server.turn(token, event.is_read_closed()).is_err() {
                server.drop_connection(token);
            }
        }
    }
}

struct Server {
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Whole answers by body size.
    answers: HashMap<u64, Vec<u8>>,
    block: Vec<u8>,
    input: Vec<u8>,
}

impl Server {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A connection that was reset before it was accepted is no reason to stop.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            poll.registry().register(
                &mut stream,
                Token(slot),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.connections[slot] = Some(Connection {
                stream,
                input: Vec::new(),
                body: None,
                output: Vec::new(),
                written: 0,
                filler: 0,
                closing: false,
                is_websocket: false,
            });
        }
    }

    fn drop_connection(&mut self, slot: usize) {
        if self.connections[slot].take().is_some() {
            self.free.push(slot);
        }
    }

    /// Moves one connection on as far as its socket lets it; an error means that it is over.
    fn turn(&mut self, slot: usize, read_closed: bool) -> io::Result<()> {
        let Some(connection) = self.connections[slot].as_mut() else {
            return Ok(());
        };
        if !connection.flush(&self.block)? {
            return Ok(());
        }
        loop {
            let got = match connection.stream.read(&mut self.input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if !connection.take(&self.input[..got], &mut self.answers, &self.block)? {
                return Ok(());
            }
            // A short read has emptied the socket: the next octets raise a new event.
            if got < self.input.len() && !read_closed {
                return Ok(());
            }
        }
    }
}

impl Connection {
    /// Handles newly read octets; false when the answer could not be written whole.
    fn take(
        &mut self,
        mut new: &[u8],
        answers: &mut HashMap<u64, Vec<u8>>,
        block: &[u8],
    ) -> io::Result<bool> {
        loop {
            if self.is_websocket {
                self.input.extend_from_slice(new);
                websocket::echo(&mut self.input, &mut self.output)?;
                return self.flush(block);
            }
            if let Some((body, seen)) = self.body.as_mut() {
                let (taken, content) = body.take(new)?;
                *seen += content;
                new = &new[taken..];
                if *body != Body::Done {
                    return Ok(true);
                }
                let text = format!("{{\"received\":{seen}}}\n");
                self.body = None;
                self.output.extend_from_slice(
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
                        text.len()
                    )
                    .as_bytes(),
                );
            } else {
                if new.is_empty() {
                    return Ok(true);
                }
                // Heads come whole in nearly every read; only a cut one is copied.
                let head = if self.input.is_empty() {
                    message::head(new)
                } else {
                    self.input.extend_from_slice(new);
                    message::head(&self.input)
                };
                let Some(head) = head else {
                    if self.input.is_empty() {
                        self.input.extend_from_slice(new);
                    }
                    return Ok(true);
                };
                let before = self.input.len().saturating_sub(new.len());
                new = &new[head.size - before..];
                self.input.clear();
                self.closing = head.close;
                if let Some(key) = &head.websocket_key {
                    self.is_websocket = true;
                    self.output.extend_from_slice(
                        format!(
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                            websocket::accept(key)
                        )
                        .as_bytes(),
                    );
                    continue;
                }
                if head.expects_continue {
                    self.output
                        .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                match Body::after(&head) {
                    Body::Done => self.answer(&head, answers),
                    body => self.body = Some((body, 0)),
                }
            }
            if !self.flush(block)? {
                if !new.is_empty() && self.body.is_none() {
                    // No proxy measured here pipelines to its upstream.
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "pipelined request",
                    ));
                }
                return Ok(false);
            }
        }
    }

    fn answer(&mut self, head: &message::Head, answers: &mut HashMap<u64, Vec<u8>>) {
        let target = head.first_line.split(' ').nth(1).unwrap_or("/");
        let path = target.split('?').next().unwrap_or(target);
        let size = path
            .rsplit_once("/bytes/")
            .and_then(|(_, number)| number.parse::<u64>().ok());
        let Some(size) = size else {
            self.output
                .extend_from_slice(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            return;
        };
        let start = || {
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n")
                .into_bytes()
        };
        if size > KEPT_BYTES {
            self.output.extend_from_slice(&start());
            self.filler = size;
            return;
        }
        let whole = answers.entry(size).or_insert_with(|| {
            let mut whole = start();
            whole.resize(whole.len() + usize::try_from(size).unwrap_or(0), b'x');
            whole
        });
        self.output.extend_from_slice(whole);
    }

    /// Writes what waits; true when all of it is gone.
    fn flush(&mut self, block: &[u8]) -> io::Result<bool> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        while self.filler > 0 {
            let size = usize::try_from(self.filler).map_or(block.len(), |f| f.min(block.len()));
            match self.stream.write(&block[..size]) {
                Ok(count) => self.filler -= count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        if self.closing && self.body.is_none() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(true)
    }
}
