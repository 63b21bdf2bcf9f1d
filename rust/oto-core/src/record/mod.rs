//! Access records: what happened to one exchange, kept in a bounded ring until somebody drains it.
//!
//! The ring never blocks traffic: when it is full, new records are counted as dropped. While an exchange runs, bytes
//! are copied, within bounds; they are looked at, and their secrets taken out, when the ring is emptied, still inside
//! the worker.

mod access;
mod details;
mod lines;
mod msgpack;
mod redaction;
mod tcp;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;
use smol_str::SmolStr;

use crate::access::Peer;

pub use access::AccessLine;
pub use details::{Details, HEAD_BYTES, Head, Heads, blot, hex, snowflake};
pub use lines::access_lines;
pub use redaction::{Action, MASK, Redaction, RedactionSettings, is_credential};
pub use tcp::{TcpRecord, TcpRing};

/// One finished exchange.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it began, in the engine's time (seconds).
    pub started_s: f64,
    /// From the request head to the end of the response.
    pub duration_s: f64,
    /// Of that, waiting for the backend's response head.
    pub upstream_s: f64,
    /// The client on its connection.
    pub peer: Peer,
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
    /// The status sent; 499 when the client left before, 503 when the gateway ended before.
    pub status: u16,
    /// Attempts made.
    pub attempts: u16,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Bytes to the client, heads included.
    pub bytes_out: u64,
    /// Whether the gateway made the answer.
    pub local: bool,
    /// Otoroshi's id of the request.
    pub request_id: u64,
    /// The id of the API key that called.
    pub apikey: Option<SmolStr>,
    /// What events tell beyond this; none when nobody wants events.
    pub details: Option<Box<Details>>,
}

/// Which records are kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureSettings {
    /// Records kept until they are drained; 0 makes none.
    pub records: usize,
    /// Whether they have details.
    pub details: bool,
    /// Exchanges that raised an alert and are kept, with details, until they are drained, while others have none.
    pub alerts: usize,
    /// What of them may be told.
    pub redaction: RedactionSettings,
}

/// Memory that the details of waiting records may take; beyond it records are kept without.
const DETAILS_BYTES: usize = 64 * 1024 * 1024;
/// Buffers kept for reuse, of each kind.
const SPARES: usize = 1024;

/// The bounded queue of records.
#[derive(Debug, Default)]
pub struct Ring {
    records: VecDeque<Record>,
    spare: Vec<Vec<u8>>,
    // Details travel in their box; taking them out would copy them.
    #[allow(clippy::vec_box)]
    spare_details: Vec<Box<Details>>,
    details_bytes: usize,
    capacity: usize,
    dropped: u64,
    details_dropped: u64,
    /// Whether records have details.
    is_rich: bool,
    /// Exchanges that raised an alert while records have no details.
    alerts: Vec<Record>,
    alerts_capacity: usize,
    alerts_dropped: u64,
    redaction: Redaction,
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

    /// Keep other records from now on.
    ///
    /// # Errors
    /// What is wrong with the settings; nothing is changed then.
    pub fn capture(&mut self, settings: CaptureSettings) -> Result<(), String> {
        let redaction = settings
            .redaction
            .build()
            .map_err(|problem| format!("redaction.{problem}"))?;
        self.capacity = settings.records;
        self.alerts_capacity = settings.alerts;
        self.is_rich = settings.details;
        self.redaction = redaction;
        if !self.is_rich {
            self.spare_details = Vec::new();
        }
        Ok(())
    }

    /// Details to fill for the exchange that begins; none when nobody wants events.
    pub fn details(&mut self) -> Option<Box<Details>> {
        self.is_rich
            .then(|| self.spare_details.pop().unwrap_or_default())
    }

    /// Details lost because those that wait took too much memory.
    #[must_use]
    pub fn details_dropped(&self) -> u64 {
        self.details_dropped
    }

    /// Whether records are wanted at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.capacity > 0
    }

    /// Whether alerts are wanted of exchanges without details.
    #[must_use]
    pub fn wants_alerts(&self) -> bool {
        self.alerts_capacity > 0 && !self.is_rich
    }

    /// Whether another exchange with an alert can be kept; one that cannot is counted.
    pub fn has_room_for_alert(&mut self) -> bool {
        let has_room = self.alerts.len() < self.alerts_capacity;
        self.alerts_dropped += u64::from(!has_room);
        has_room
    }

    /// Keep an exchange that raised an alert; ask whether there is room first.
    pub fn push_alert(&mut self, record: Record) {
        self.alerts.push(record);
    }

    /// Exchanges lost that raised an alert.
    #[must_use]
    pub fn alerts_dropped(&self) -> u64 {
        self.alerts_dropped
    }

    /// Append the exchanges that raised alerts to `out` as one msgpack array and forget them.
    pub fn drain_alerts(&mut self, out: &mut Vec<u8>) {
        msgpack::array(self.alerts.len(), out);
        for record in self.alerts.drain(..) {
            record.encode(&self.redaction, true, out);
        }
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
    pub fn push(&mut self, mut record: Record) {
        if self.records.len() >= self.capacity {
            self.dropped += 1;
            return;
        }
        let bytes = record.details.as_ref().map_or(0, |details| details.bytes());
        if self.details_bytes + bytes > DETAILS_BYTES {
            record.details = None;
            self.details_dropped += 1;
        } else {
            self.details_bytes += bytes;
        }
        self.records.push_back(record);
    }

    /// Append up to `most` records to `out` as one msgpack array and forget them. Those with details
    /// are many times larger: at most `most / 16` of them go at once.
    pub fn drain(&mut self, most: usize, out: &mut Vec<u8>) {
        let rich = self
            .records
            .front()
            .is_some_and(|first| first.details.is_some());
        let most = if rich { (most / 16).max(1) } else { most };
        let count = self.records.len().min(most);
        msgpack::array(count, out);
        let Self {
            records,
            redaction,
            is_rich,
            spare,
            spare_details,
            details_bytes,
            ..
        } = self;
        for mut record in records.drain(..count) {
            record.encode(redaction, *is_rich, out);
            if let Some(mut details) = record.details.take() {
                *details_bytes = details_bytes.saturating_sub(details.bytes());
                if *is_rich && spare_details.len() < SPARES {
                    details.clear();
                    spare_details.push(details);
                }
            }
            if spare.len() < SPARES {
                record.text.clear();
                spare.push(record.text);
            }
        }
    }
}

impl Record {
    /// The names of a record's items, in the order they are encoded.
    pub const FIELDS: [&'static str; 17] = [
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
        "request_id",
        "apikey",
        "details",
    ];

    fn encode(&self, redaction: &Redaction, is_rich: bool, out: &mut Vec<u8>) {
        let (method, rest) = self
            .text
            .split_at(usize::from(self.method_len).min(self.text.len()));
        let (host, path) = rest.split_at(usize::from(self.host_len).min(rest.len()));
        msgpack::array(Self::FIELDS.len(), out);
        for seconds in [self.started_s, self.duration_s, self.upstream_s] {
            msgpack::float(seconds, out);
        }
        msgpack::text(self.peer.to_string().as_bytes(), out);
        for name in [&self.route, &self.target] {
            msgpack::maybe_text(name.as_deref(), out);
        }
        msgpack::text(method, out);
        msgpack::text(host, out);
        let path = String::from_utf8_lossy(path);
        if path.contains('%') || is_credential(&path) {
            msgpack::text(redaction.path(&path).as_bytes(), out);
        } else {
            msgpack::text(path.as_bytes(), out);
        }
        for number in [
            u64::from(self.status),
            u64::from(self.attempts),
            self.bytes_in,
            self.bytes_out,
        ] {
            msgpack::unsigned(number, out);
        }
        msgpack::boolean(self.local, out);
        msgpack::text(self.request_id.to_string().as_bytes(), out);
        msgpack::maybe_text(self.apikey.as_deref(), out);
        match &self.details {
            Some(details) if is_rich => details.encode(redaction, out),
            // Nobody wants events any more.
            _ => out.push(msgpack::NIL),
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
            peer: std::net::IpAddr::from([127, 0, 0, 1]).into(),
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
            request_id: 7,
            apikey: None,
            details: None,
        }
    }

    #[test]
    fn details_are_told_without_secrets_and_only_while_they_are_wanted() {
        let mut ring = Ring::new(0);
        assert!(ring.details().is_none());
        ring.capture(CaptureSettings {
            records: 4,
            details: true,
            ..CaptureSettings::default()
        })
        .expect("valid");
        let mut details = ring.details().expect("wanted");
        let mut headers = crate::http1::Headers::default();
        headers.add(b"Authorization", b"planted-one");
        headers.add(b"Accept", b"text/plain");
        details.heads.copy(Head::Request, &headers);
        details.query.extend_from_slice(b"a=1&token=planted-two");
        let with = |details| Record {
            details,
            ..record()
        };
        ring.push(with(Some(details.clone())));
        let mut out = Vec::new();
        ring.drain(100, &mut out);
        let told = String::from_utf8_lossy(&out).into_owned();
        assert!(
            told.contains("text/plain") && told.contains("a=1&token=***"),
            "{told}"
        );
        assert!(!told.contains("planted"), "{told}");
        ring.push(with(Some(details)));
        ring.capture(CaptureSettings {
            records: 4,
            ..CaptureSettings::default()
        })
        .expect("valid");
        out.clear();
        ring.drain(100, &mut out);
        assert!(!String::from_utf8_lossy(&out).contains("planted"));
    }

    #[test]
    fn alerts_are_kept_within_their_bound_while_records_have_no_details() {
        let mut ring = Ring::new(0);
        assert!(!ring.wants_alerts());
        let wanted = |details| CaptureSettings {
            alerts: 2,
            details,
            ..CaptureSettings::default()
        };
        ring.capture(wanted(false)).expect("valid");
        assert!(ring.wants_alerts() && !ring.is_on());
        for _ in 0..3 {
            if ring.has_room_for_alert() {
                let mut details = Box::<Details>::default();
                details
                    .query
                    .extend_from_slice(b"a=planted-one&token=planted-two");
                details.hide(b"planted-one");
                ring.push_alert(Record {
                    details: Some(details),
                    ..record()
                });
            }
        }
        assert_eq!(ring.alerts_dropped(), 1);
        let mut out = Vec::new();
        ring.drain_alerts(&mut out);
        assert_eq!(out[0], 0x92);
        let told = String::from_utf8_lossy(&out).into_owned();
        assert!(told.contains("a=***********&token=***"), "{told}");
        assert!(!told.contains("planted"), "{told}");
        assert!(ring.has_room_for_alert());
        ring.capture(wanted(true)).expect("valid");
        assert!(!ring.wants_alerts(), "every record has details then");
    }

    #[test]
    fn the_memory_of_details_is_bounded() {
        let mut ring = Ring::new(100_000);
        ring.capture(CaptureSettings {
            records: 100_000,
            details: true,
            ..CaptureSettings::default()
        })
        .expect("valid");
        let mut headers = crate::http1::Headers::default();
        headers.add(b"x", &[b'a'; 8000]);
        for _ in 0..20_000 {
            let mut details = ring.details().expect("wanted");
            details.heads.copy(Head::Request, &headers);
            ring.push(Record {
                details: Some(details),
                ..record()
            });
        }
        assert!(ring.details_dropped() > 0);
        assert_eq!(ring.dropped(), 0);
        assert!(ring.details_bytes <= DETAILS_BYTES);
        let mut out = Vec::new();
        while ring.records.front().is_some() {
            ring.drain(4096, &mut out);
            out.clear();
        }
        assert_eq!(ring.details_bytes, 0);
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
