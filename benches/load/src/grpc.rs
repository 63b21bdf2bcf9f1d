//! An upstream that answers unary gRPC calls over HTTP/2 without TLS: the message comes back.
//!
//! It is cheap on purpose, like the other upstream. Nothing of a request's head matters to it, so it
//! decodes none; its own heads are the same each time, and go through the dynamic table as those of
//! real servers do, where the client has one. A request without a body gets 64 octets: that is how a
//! bench asks whether a proxy is ready.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::client::fault;

const LISTENER: Token = Token(usize::MAX);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_SIZE: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const HEADER_TABLE_SIZE: u16 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// What a client may send on a stream: more than any message here, so it is never given back.
const STREAM_WINDOW: u32 = 1 << 20;
/// What a client may send on the connection; half of it used up, it gets that back.
const CONNECTION_WINDOW: u32 = 1 << 30;
const DEFAULT_WINDOW: u32 = 65_535;
/// What both fields need in a dynamic table, each with the 32 octets that it counts for itself.
const TABLE_NEEDED: u32 = 128;
const READY_BODY: [u8; 64] = [b'x'; 64];

/// `:status: 200`, and `content-type: application/grpc` put into the table.
const HEAD_FIRST: &[u8] = b"\x88\x5f\x10application/grpc";
/// The same once it is there, behind the trailer.
const HEAD_AGAIN: &[u8] = b"\x88\xbf";
/// The same for a client without a table: the first says that it is not used (RFC 7541 section 4.2).
const HEAD_PLAIN_FIRST: &[u8] = b"\x20\x88\x0f\x10\x10application/grpc";
const HEAD_PLAIN: &[u8] = b"\x88\x0f\x10\x10application/grpc";
/// `grpc-status: 0`, likewise.
const TRAILERS_FIRST: &[u8] = b"\x40\x0bgrpc-status\x010";
const TRAILERS_AGAIN: &[u8] = b"\xbe";
const TRAILERS_PLAIN: &[u8] = b"\x00\x0bgrpc-status\x010";

/// Serves on `address` until the process is ended.
pub fn serve(address: SocketAddr) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{{\"listening\":\"{}\"}}", listener.local_addr()?);
    let mut connections: Vec<Option<(TcpStream, Session)>> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut space = vec![0; 256 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections)?;
                continue;
            }
            let slot = &mut connections[event.token().0];
            let over = slot
                .as_mut()
                .is_some_and(|(stream, session)| turn(stream, session, &mut space).is_err());
            if over {
                *slot = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Vec<Option<(TcpStream, Session)>>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        // Few are opened in a bench, so places are not used again.
        poll.registry().register(
            &mut stream,
            Token(connections.len()),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        connections.push(Some((stream, Session::new())));
    }
}

fn turn(stream: &mut TcpStream, session: &mut Session, space: &mut [u8]) -> io::Result<()> {
    loop {
        let got = match stream.read(space) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        };
        session.receive(&space[..got])?;
        if got < space.len() {
            break;
        }
    }
    while !session.output.is_empty() {
        match stream.write(&session.output) {
            Ok(count) => drop(session.output.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One connection of a proxy.
struct Session {
    greeted: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Messages that are not whole yet, by stream.
    messages: HashMap<u32, Vec<u8>>,
    /// Answers that the connection's window does not let out yet.
    waiting: VecDeque<(u32, Vec<u8>)>,
    window: i64,
    unreturned: u32,
    has_table: bool,
    introduced: bool,
}

impl Session {
    fn new() -> Self {
        let mut output = Vec::new();
        let mut settings = Vec::new();
        for (name, value) in [
            (MAX_CONCURRENT_STREAMS, 1024),
            (INITIAL_WINDOW_SIZE, STREAM_WINDOW),
        ] {
            settings.extend(name.to_be_bytes());
            settings.extend(value.to_be_bytes());
        }
        frame(&mut output, SETTINGS, 0, 0, &settings);
        let more = CONNECTION_WINDOW - DEFAULT_WINDOW;
        frame(&mut output, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        Self {
            greeted: false,
            input: Vec::new(),
            output,
            messages: HashMap::new(),
            waiting: VecDeque::new(),
            window: i64::from(DEFAULT_WINDOW),
            unreturned: 0,
            has_table: true,
            introduced: false,
        }
    }

    /// Takes octets of the client; an error means that the connection is over.
    fn receive(&mut self, new: &[u8]) -> io::Result<()> {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(new);
        let mut at = 0;
        if !self.greeted {
            if input.len() < PREFACE.len() {
                self.input = input;
                return Ok(());
            }
            if !input.starts_with(PREFACE) {
                return Err(fault("no HTTP/2"));
            }
            self.greeted = true;
            at = PREFACE.len();
        }
        while let Some(head) = input.get(at..at + HEAD_SIZE) {
            let size =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
            let Some(payload) = input.get(at + HEAD_SIZE..at + HEAD_SIZE + size) else {
                break;
            };
            self.take(kind, flags, stream, payload)?;
            at += HEAD_SIZE + size;
        }
        input.drain(..at);
        self.input = input;
        Ok(())
    }

    fn take(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        match kind {
            HEADERS if flags & END_HEADERS == 0 => return Err(fault("a head in pieces")),
            HEADERS if flags & END_STREAM != 0 => {
                // Trailers end a message; a head ends a request without one.
                let body = self.messages.remove(&stream);
                self.answer(stream, body.unwrap_or_else(|| READY_BODY.to_vec()));
            }
            HEADERS => drop(self.messages.insert(stream, Vec::new())),
            DATA => {
                self.count(payload.len());
                let octets = unpadded(flags, payload)?;
                if flags & END_STREAM != 0 {
                    let mut body = self.messages.remove(&stream).unwrap_or_default();
                    body.extend_from_slice(octets);
                    self.answer(stream, body);
                } else if let Some(body) = self.messages.get_mut(&stream) {
                    body.extend_from_slice(octets);
                }
            }
            RST_STREAM => drop(self.messages.remove(&stream)),
            SETTINGS if flags & ACK == 0 => {
                for one in payload.chunks_exact(6) {
                    if u16::from_be_bytes([one[0], one[1]]) == HEADER_TABLE_SIZE {
                        let size = u32::from_be_bytes([one[2], one[3], one[4], one[5]]);
                        self.has_table = size >= TABLE_NEEDED;
                    }
                }
                frame(&mut self.output, SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => frame(&mut self.output, PING, ACK, 0, payload),
            GOAWAY if self.messages.is_empty() => return Err(fault("goodbye")),
            WINDOW_UPDATE if stream == 0 => {
                let four = payload
                    .try_into()
                    .map_err(|_| fault("a window of odd size"))?;
                self.window += i64::from(u32::from_be_bytes(four));
                while let Some((stream, body)) = self.waiting.pop_front() {
                    if !self.send(stream, &body) {
                        self.waiting.push_front((stream, body));
                        break;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts what came on the connection, and gives it back now and then.
    fn count(&mut self, size: usize) {
        self.unreturned += u32::try_from(size).unwrap_or(0);
        if self.unreturned > CONNECTION_WINDOW / 2 {
            let count = std::mem::take(&mut self.unreturned);
            frame(&mut self.output, WINDOW_UPDATE, 0, 0, &count.to_be_bytes());
        }
    }

    fn answer(&mut self, stream: u32, body: Vec<u8>) {
        if !self.waiting.is_empty() || !self.send(stream, &body) {
            self.waiting.push_back((stream, body));
        }
    }

    /// Sends an answer; false, and nothing, when the window is too small for it.
    fn send(&mut self, stream: u32, body: &[u8]) -> bool {
        let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
        if size > self.window {
            return false;
        }
        self.window -= size;
        let (head, trailers) = match (self.has_table, self.introduced) {
            (false, false) => (HEAD_PLAIN_FIRST, TRAILERS_PLAIN),
            (false, true) => (HEAD_PLAIN, TRAILERS_PLAIN),
            (true, false) => (HEAD_FIRST, TRAILERS_FIRST),
            (true, true) => (HEAD_AGAIN, TRAILERS_AGAIN),
        };
        self.introduced = true;
        let out = &mut self.output;
        frame(out, HEADERS, END_HEADERS, stream, head);
        for part in body.chunks(16 * 1024) {
            frame(out, DATA, 0, stream, part);
        }
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream, trailers);
        true
    }
}

/// The octets of a DATA frame without what pads them.
fn unpadded(flags: u8, payload: &[u8]) -> io::Result<&[u8]> {
    if flags & PADDED == 0 {
        return Ok(payload);
    }
    payload
        .split_first()
        .and_then(|(pad, rest)| rest.get(..rest.len().checked_sub(usize::from(*pad))?))
        .ok_or_else(|| fault("more padding than there is"))
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let size = u32::try_from(payload.len()).unwrap_or(0);
    out.extend_from_slice(&size.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that has greeted, and what it says from there on.
    fn greeted(table: Option<u32>) -> Session {
        let mut session = Session::new();
        let mut settings = Vec::new();
        if let Some(size) = table {
            settings.extend(HEADER_TABLE_SIZE.to_be_bytes());
            settings.extend(size.to_be_bytes());
        }
        let mut sent = PREFACE.to_vec();
        frame(&mut sent, SETTINGS, 0, 0, &settings);
        session.receive(&sent).unwrap();
        session.output.clear();
        session
    }

    fn call(stream: u32, message: &[u8]) -> Vec<u8> {
        let mut sent = Vec::new();
        frame(&mut sent, HEADERS, END_HEADERS, stream, b"\x82");
        frame(&mut sent, DATA, END_STREAM, stream, message);
        sent
    }

    fn answer(stream: u32, head: &[u8], body: &[u8], trailers: &[u8]) -> Vec<u8> {
        let mut wanted = Vec::new();
        frame(&mut wanted, HEADERS, END_HEADERS, stream, head);
        frame(&mut wanted, DATA, 0, stream, body);
        frame(
            &mut wanted,
            HEADERS,
            END_HEADERS | END_STREAM,
            stream,
            trailers,
        );
        wanted
    }

    #[test]
    fn a_message_comes_back_in_whatever_pieces_it_was_sent() {
        let mut session = greeted(None);
        for piece in [call(1, b"one"), call(3, b"two")].concat().chunks(5) {
            session.receive(piece).unwrap();
        }
        let first = answer(1, HEAD_FIRST, b"one", TRAILERS_FIRST);
        let second = answer(3, HEAD_AGAIN, b"two", TRAILERS_AGAIN);
        assert_eq!(session.output, [first, second].concat());
    }

    #[test]
    fn a_client_without_a_table_gets_whole_fields() {
        let mut session = greeted(Some(0));
        session.receive(&call(1, b"one")).unwrap();
        session.receive(&call(3, b"two")).unwrap();
        let first = answer(1, HEAD_PLAIN_FIRST, b"one", TRAILERS_PLAIN);
        let second = answer(3, HEAD_PLAIN, b"two", TRAILERS_PLAIN);
        assert_eq!(session.output, [first, second].concat());
    }

    #[test]
    fn an_answer_waits_for_the_window() {
        let mut session = greeted(None);
        session.window = 2;
        session.receive(&call(1, b"one")).unwrap();
        assert!(session.output.is_empty());
        let mut more = Vec::new();
        frame(&mut more, WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
        session.receive(&more).unwrap();
        assert_eq!(
            session.output,
            answer(1, HEAD_FIRST, b"one", TRAILERS_FIRST)
        );
    }

    #[test]
    fn a_request_without_a_body_gets_what_readiness_asks_for() {
        let mut session = greeted(None);
        let mut sent = Vec::new();
        frame(&mut sent, HEADERS, END_HEADERS | END_STREAM, 1, b"\x82");
        session.receive(&sent).unwrap();
        let wanted = answer(1, HEAD_FIRST, &READY_BODY, TRAILERS_FIRST);
        assert_eq!(session.output, wanted);
    }

    #[test]
    fn padding_is_taken_off() {
        assert_eq!(unpadded(PADDED, b"\x02abXX").unwrap(), b"ab");
        assert!(unpadded(PADDED, b"\x09ab").is_err());
        assert_eq!(unpadded(0, b"ab").unwrap(), b"ab");
    }
}
