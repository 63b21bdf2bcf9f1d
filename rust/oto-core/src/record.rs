//! Access records: what happened to one exchange, kept in a bounded ring until somebody drains it.
//!
//! The ring never blocks traffic: when it is full, new records are counted as dropped.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// One finished exchange.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it began, in the engine's time (seconds).
    pub started_s: f64,
    /// From the request head to the end of the response.
    pub duration_s: f64,
    /// Of that, waiting for the backend's response head.
    pub upstream_s: f64,
    /// The client's address on its connection.
    pub ip: IpAddr,
    /// The route's id; none when no route matched.
    pub route: Option<Arc<str>>,
    /// `host:port` of the backend that answered.
    pub target: Option<Arc<str>>,
    /// Method, host and canonical path, one behind the other.
    pub text: Vec<u8>,
    /// Bytes of `text` that are the method.
    pub method_len: u16,
    /// Bytes of `text` that are the host.
    pub host_len: u16,
    /// The status sent; 499 when the client left before.
    pub status: u16,
    /// Attempts made.
    pub attempts: u16,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client, heads included.
    pub bytes_out: u64,
    /// Whether the gateway made the answer.
    pub local: bool,
}

/// The bounded queue of records.
#[derive(Debug, Default)]
pub struct Ring {
    records: VecDeque<Record>,
    spare: Vec<Vec<u8>>,
    capacity: usize,
    dropped: u64,
}

impl Ring {
    /// A ring for so many records; 0 keeps none and counts none as dropped.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// Whether records are wanted at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.capacity > 0
    }

    /// Records lost because the ring was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A buffer for the next record's text.
    pub fn text(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keep a record, or count it as dropped.
    pub fn push(&mut self, record: Record) {
        if self.records.len() < self.capacity {
            self.records.push_back(record);
        } else {
            self.dropped += 1;
        }
    }

    /// Append up to `most` records to `out` as one msgpack array and forget them.
    pub fn drain(&mut self, most: usize, out: &mut Vec<u8>) {
        let count = self.records.len().min(most);
        msgpack::array(count, out);
        for mut record in self.records.drain(..count) {
            record.encode(out);
            if self.spare.len() < 1024 {
                record.text.clear();
                self.spare.push(record.text);
            }
        }
    }
}

impl Record {
    /// The names of a record's items, in the order they are encoded.
    pub const FIELDS: [&'static str; 14] = [
        "started_s",
        "duration_s",
        "upstream_s",
        "ip",
        "route",
        "target",
        "method",
        "host",
        "path",
        "status",
        "attempts",
        "bytes_in",
        "bytes_out",
        "local",
    ];

    fn encode(&self, out: &mut Vec<u8>) {
        let (method, rest) = self
            .text
            .split_at(usize::from(self.method_len).min(self.text.len()));
        let (host, path) = rest.split_at(usize::from(self.host_len).min(rest.len()));
        msgpack::array(Self::FIELDS.len(), out);
        for seconds in [self.started_s, self.duration_s, self.upstream_s] {
            msgpack::float(seconds, out);
        }
        msgpack::text(self.ip.to_string().as_bytes(), out);
        for name in [&self.route, &self.target] {
            match name {
                Some(name) => msgpack::text(name.as_bytes(), out),
                None => out.push(0xc0),
            }
        }
        for part in [method, host, path] {
            msgpack::text(part, out);
        }
        for number in [
            u64::from(self.status),
            u64::from(self.attempts),
            self.bytes_in,
            self.bytes_out,
        ] {
            msgpack::unsigned(number, out);
        }
        out.push(if self.local { 0xc3 } else { 0xc2 });
    }
}

/// The five msgpack forms a record needs.
mod msgpack {
    pub(super) fn array(len: usize, out: &mut Vec<u8>) {
        match len {
            0..=15 => out.push(0x90 | len as u8),
            16..=0xffff => {
                out.push(0xdc);
                out.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                out.push(0xdd);
                out.extend_from_slice(&(len as u32).to_be_bytes());
            }
        }
    }

    pub(super) fn text(bytes: &[u8], out: &mut Vec<u8>) {
        match bytes.len() {
            0..=31 => out.push(0xa0 | bytes.len() as u8),
            32..=0xff => out.extend_from_slice(&[0xd9, bytes.len() as u8]),
            _ => {
                out.push(0xda);
                out.extend_from_slice(&(bytes.len().min(0xffff) as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(&bytes[..bytes.len().min(0xffff)]);
    }

    pub(super) fn float(number: f64, out: &mut Vec<u8>) {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }

    pub(super) fn unsigned(number: u64, out: &mut Vec<u8>) {
        if number < 0x80 {
            out.push(number as u8);
        } else {
            out.push(0xcf);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            started_s: 1.0,
            duration_s: 0.5,
            upstream_s: 0.25,
            ip: IpAddr::from([127, 0, 0, 1]),
            route: Some("r".into()),
            target: None,
            text: b"GETa.b/x".to_vec(),
            method_len: 3,
            host_len: 3,
            status: 200,
            attempts: 1,
            bytes_in: 0,
            bytes_out: 300,
            local: false,
        }
    }

    #[test]
    fn a_full_ring_counts_what_it_drops() {
        let mut ring = Ring::new(2);
        for _ in 0..5 {
            ring.push(record());
        }
        assert_eq!(ring.dropped(), 3);
        let mut out = Vec::new();
        ring.drain(10, &mut out);
        assert_eq!(out[0], 0x92);
        assert!(out.windows(3).any(|part| part == b"GET"));
        out.clear();
        ring.drain(10, &mut out);
        assert_eq!(out, [0x90]);
    }
}
