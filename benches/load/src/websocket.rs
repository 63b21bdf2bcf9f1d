//! WebSockets: the upstream's echo, and clients that wait for it.
//!
//! Only what both ends of a bench send is read: whole messages of one frame, without extensions.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::client::{ANSWER_TIMEOUT, Destination, fault};
use crate::idle::percentile_ms;
use crate::message;

/// RFC 6455 section 1.3.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY: &str = "b3RvLWJlbmNoLXNvY2tldA==";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// Longest payload that an echo takes; a length beyond it is taken for a broken stream.
const LARGEST: usize = 1 << 20;

/// What a server answers to a client's key (RFC 6455 section 4.2.2).
pub fn accept(key: &str) -> String {
    base64(
        digest(
            &SHA1_FOR_LEGACY_USE_ONLY,
            format!("{key}{MAGIC}").as_bytes(),
        )
        .as_ref(),
    )
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut group = 0_usize;
        for place in 0..3 {
            group = group << 8 | usize::from(*three.get(place).unwrap_or(&0));
        }
        for place in 0..4 {
            text.push(if place > three.len() {
                '='
            } else {
                char::from(DIGITS[group >> (18 - 6 * place) & 63])
            });
        }
    }
    text
}

/// A message of one frame; masked as a client's has to be.
fn frame(payload: &[u8], masked: bool) -> Vec<u8> {
    let mut bytes = vec![BINARY];
    let bit = if masked { MASKED } else { 0 };
    if let Ok(short @ 0..=125) = u8::try_from(payload.len()) {
        bytes.push(bit | short);
    } else if let Ok(medium) = u16::try_from(payload.len()) {
        bytes.push(bit | 126);
        bytes.extend(medium.to_be_bytes());
    } else {
        bytes.push(bit | 127);
        bytes.extend((payload.len() as u64).to_be_bytes());
    }
    if masked {
        bytes.extend(MASK);
        bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b));
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// A frame that is there whole.
struct Found {
    /// Size of its head, the mask included.
    head: usize,
    mask: Option<[u8; 4]>,
    /// Size of its payload.
    size: usize,
}

/// The frame at the start of `bytes`; `None` means that it is not there whole.
fn measured(bytes: &[u8]) -> io::Result<Option<Found>> {
    let Some(&[_, second]) = bytes.get(..2) else {
        return Ok(None);
    };
    let (mut head, size) = match second & 127 {
        126 => match bytes.get(2..4) {
            Some(&[high, low]) => (4, usize::from(u16::from_be_bytes([high, low]))),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|eight| eight.try_into().ok()) {
            Some(eight) => (
                10,
                usize::try_from(u64::from_be_bytes(eight)).unwrap_or(usize::MAX),
            ),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    if size > LARGEST {
        return Err(fault(format!("a frame of {size} octets")));
    }
    let mask = if second & MASKED == 0 {
        None
    } else {
        let Some(mask) = bytes.get(head..head + 4).and_then(|m| m.try_into().ok()) else {
            return Ok(None);
        };
        head += 4;
        Some(mask)
    };
    Ok((bytes.len() >= head + size).then_some(Found { head, mask, size }))
}

/// Answers each whole message in `input` with itself; what is left there is the start of the next.
pub fn echo(input: &mut Vec<u8>, output: &mut Vec<u8>) -> io::Result<()> {
    let mut at = 0;
    while let Some(Found { head, mask, size }) = measured(&input[at..])? {
        let mask = mask.ok_or_else(|| fault("a client's frame without a mask"))?;
        let payload = &mut input[at + head..at + head + size];
        for (place, octet) in payload.iter_mut().enumerate() {
            *octet ^= mask[place % 4];
        }
        output.extend(frame(payload, false));
        at += head + size;
    }
    input.drain(..at);
    Ok(())
}

/// Opens a WebSocket and has one message echoed; the stream blocks.
pub fn open(to: &Destination, payload: &[u8]) -> io::Result<std::net::TcpStream> {
    let mut stream = to.connect()?;
    let fields = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    );
    stream.write_all(&to.request("GET", &fields))?;
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    let head = loop {
        if let Some(head) = message::head(&bytes) {
            break head;
        }
        match stream.read(&mut part)? {
            0 => return Err(fault("closed before a WebSocket was opened")),
            got => bytes.extend_from_slice(&part[..got]),
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    if head.status() != 101 || !text.contains(&accept(KEY)) {
        return Err(fault(format!("no WebSocket but {:?}", head.first_line)));
    }
    bytes.drain(..head.size);
    stream.write_all(&frame(payload, true))?;
    let wanted = frame(payload, false);
    while bytes.len() < wanted.len() {
        match stream.read(&mut part)? {
            0 => return Err(fault("closed before the echo")),
            got => bytes.extend_from_slice(&part[..got]),
        }
    }
    if bytes != wanted {
        return Err(fault("the echo is another message"));
    }
    Ok(stream)
}

struct Lane {
    stream: TcpStream,
    sent: Instant,
    input: Vec<u8>,
}

/// Keeps `connections` WebSockets busy for a while, each sending its next message after an echo.
pub fn run(to: &Destination, connections: usize, size: usize, time: Duration) -> io::Result<()> {
    let payload = vec![b'x'; size];
    let (message, wanted) = (frame(&payload, true), frame(&payload, false));
    let mut poll = Poll::new()?;
    let mut lanes = Vec::with_capacity(connections);
    for slot in 0..connections {
        let stream = open(to, &payload)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(slot), Interest::READABLE)?;
        lanes.push(Lane {
            stream,
            sent: Instant::now(),
            input: Vec::with_capacity(wanted.len()),
        });
    }
    let start = Instant::now();
    let end = start + time;
    let mut latencies = Vec::new();
    for lane in &mut lanes {
        lane.send(&message)?;
    }
    let mut under_way = connections;
    let mut events = Events::with_capacity(connections);
    let mut part = vec![0; 64 * 1024];
    while under_way > 0 {
        poll.poll(&mut events, Some(ANSWER_TIMEOUT))?;
        if events.is_empty() {
            return Err(fault(format!("{under_way} echoes did not come")));
        }
        for event in &events {
            let lane = &mut lanes[event.token().0];
            if !lane.heard(&wanted, &mut part)? {
                continue;
            }
            let now = Instant::now();
            latencies.push(now - lane.sent);
            if now < end {
                lane.send(&message)?;
            } else {
                under_way -= 1;
            }
        }
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    println!(
        "{{\"requests\":{},\"seconds\":{:.6},\"p50_ms\":{:.6},\"p99_ms\":{:.6}}}",
        latencies.len(),
        elapsed.as_secs_f64(),
        percentile_ms(&latencies, 0.50),
        percentile_ms(&latencies, 0.99),
    );
    Ok(())
}

impl Lane {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.sent = Instant::now();
        // One message is under way: the socket has room for a small one.
        if self.stream.write(message)? != message.len() {
            return Err(fault("a message did not fit into the socket"));
        }
        Ok(())
    }

    /// Reads what is there; true when the echo is whole.
    fn heard(&mut self, wanted: &[u8], part: &mut [u8]) -> io::Result<bool> {
        loop {
            let got = match self.stream.read(part) {
                Ok(0) => return Err(fault("a WebSocket was closed")),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            self.input.extend_from_slice(&part[..got]);
            if self.input.len() < wanted.len() {
                continue;
            }
            if self.input != wanted {
                return Err(fault("an echo is another message"));
            }
            self.input.clear();
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_key_is_that_of_the_rfc() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn messages_of_every_length_are_echoed_in_whatever_pieces_they_come() {
        for size in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..=255).cycle().take(size).collect();
            let mut sent = frame(&payload, true);
            sent.extend(frame(&payload, true));
            let (mut input, mut output) = (Vec::new(), Vec::new());
            for piece in sent.chunks(sent.len() / 3) {
                input.extend_from_slice(piece);
                echo(&mut input, &mut output).unwrap();
            }
            assert!(input.is_empty());
            assert_eq!(
                output,
                [frame(&payload, false), frame(&payload, false)].concat()
            );
        }
    }

    #[test]
    fn what_a_client_may_not_send_is_an_error() {
        assert!(echo(&mut frame(b"bare", false), &mut Vec::new()).is_err());
        let mut huge = vec![BINARY, MASKED | 127];
        huge.extend([0xff; 12]);
        assert!(echo(&mut huge, &mut Vec::new()).is_err());
    }
}
