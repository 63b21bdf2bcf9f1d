//! Records of connections of TCP services, kept in a bounded ring like those of exchanges.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::msgpack;

/// One finished connection.
#[derive(Clone, Debug)]
pub struct TcpRecord {
    /// When it was accepted, in the engine's time (seconds).
    pub started_s: f64,
    /// From there to its end.
    pub duration_s: f64,
    /// Of that, until its target was connected.
    pub overhead_s: f64,
    /// Id and name of the service; none when no service took it.
    pub service: Option<(Arc<str>, Arc<str>)>,
    /// `host:port` of its target; none when none was reached.
    pub target: Option<Arc<str>>,
    /// The client, as far as it is known.
    pub remote: SocketAddr,
    /// Where it was accepted.
    pub local: SocketAddr,
    /// The server name it asked for.
    pub server_name: Option<Box<str>>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Why it ended, if not by its two sides.
    pub error: Option<&'static str>,
}

/// The bounded queue of them.
#[derive(Debug, Default)]
pub struct TcpRing {
    records: VecDeque<TcpRecord>,
    capacity: usize,
    dropped: u64,
}

impl TcpRing {
    /// Keep so many from now on; 0 keeps none and counts none as dropped.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Keep a record, or count it as dropped.
    pub fn push(&mut self, record: TcpRecord) {
        if self.capacity == 0 {
            return;
        }
        if self.records.len() >= self.capacity {
            self.dropped += 1;
            return;
        }
        self.records.push_back(record);
    }

    /// Records lost because the ring was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Append up to `most` records to `out` as one msgpack array and forget them.
    pub fn drain(&mut self, most: usize, out: &mut Vec<u8>) {
        let count = self.records.len().min(most);
        msgpack::array(count, out);
        for record in self.records.drain(..count) {
            record.encode(out);
        }
    }
}

impl TcpRecord {
    /// The names of a record's items, in the order they are encoded.
    pub const FIELDS: [&'static str; 12] = [
        "started_s",
        "duration_s",
        "overhead_s",
        "service",
        "name",
        "target",
        "remote",
        "local",
        "server_name",
        "bytes_in",
        "bytes_out",
        "error",
    ];

    fn encode(&self, out: &mut Vec<u8>) {
        msgpack::array(Self::FIELDS.len(), out);
        for seconds in [self.started_s, self.duration_s, self.overhead_s] {
            msgpack::float(seconds, out);
        }
        let service = self.service.as_ref();
        msgpack::maybe_text(service.map(|(id, _)| &**id), out);
        msgpack::maybe_text(service.map(|(_, name)| &**name), out);
        msgpack::maybe_text(self.target.as_deref(), out);
        msgpack::text(self.remote.to_string().as_bytes(), out);
        msgpack::text(self.local.to_string().as_bytes(), out);
        msgpack::maybe_text(self.server_name.as_deref(), out);
        msgpack::unsigned(self.bytes_in, out);
        msgpack::unsigned(self.bytes_out, out);
        msgpack::maybe_text(self.error, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_counts_what_it_drops() {
        let record = TcpRecord {
            started_s: 1.0,
            duration_s: 2.0,
            overhead_s: 0.5,
            service: Some(("id".into(), "a name".into())),
            target: None,
            remote: ([127, 0, 0, 1], 5000).into(),
            local: ([127, 0, 0, 1], 5432).into(),
            server_name: None,
            bytes_in: 3,
            bytes_out: 4,
            error: Some("refused"),
        };
        let mut ring = TcpRing::default();
        ring.push(record.clone());
        assert_eq!(ring.dropped(), 0, "nobody wants any");
        ring.set_capacity(2);
        for _ in 0..5 {
            ring.push(record.clone());
        }
        assert_eq!(ring.dropped(), 3);
        let mut out = Vec::new();
        ring.drain(1, &mut out);
        assert_eq!(out[..2], [0x91, 0x90 | TcpRecord::FIELDS.len() as u8]);
        assert!(out.windows(14).any(|part| part == b"127.0.0.1:5000"));
        out.clear();
        ring.drain(10, &mut out);
        ring.drain(10, &mut out);
        assert_eq!((out[0], out.last()), (0x91, Some(&0x90)));
    }
}
