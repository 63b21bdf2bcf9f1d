//! The rich part of a record: all that an event tells of an exchange, copied while it passes and
//! encoded, without its secrets, when the ring is emptied.

use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Map, Value};

use super::msgpack;
use super::redaction::{MASK, Redaction};
use crate::http1::{Headers, Version};
use crate::plan::{Alert, RefusalFacts, Trace};
use crate::tls::ClientCertificate;

/// Header bytes kept of each of the four heads; what does not fit is left out, field by field.
pub const HEAD_BYTES: usize = 8 * 1024;

/// Milliseconds of Unix time at which Otoroshi's ids begin.
const SNOWFLAKE_EPOCH_MS: u64 = 1_288_834_974_657;

/// An id in Otoroshi's form: 42 bits of milliseconds, 10 of the instance, 12 of a counter.
#[must_use]
pub fn snowflake(unix_s: f64, instance: u16, counter: u64) -> u64 {
    let now_ms = (unix_s * 1000.0).round().max(0.0) as u64;
    (now_ms.saturating_sub(SNOWFLAKE_EPOCH_MS) << 22)
        | (u64::from(instance & 0x3ff) << 12)
        | (counter & 0xfff)
}

/// Which head of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// As the client sent it.
    Request,
    /// As the backend got it.
    ToBackend,
    /// As the backend sent it.
    FromBackend,
    /// As the client got it.
    Response,
}

/// Header fields of the four heads, in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    bytes: Vec<u8>,
    /// Where each head begins and ends.
    spans: [(u32, u32); 4],
    /// Fields left out because a head was too large.
    pub left_out: u32,
}

impl Heads {
    /// Copy a head; a second copy of the same one replaces the first.
    pub fn copy(&mut self, head: Head, headers: &Headers) {
        let start = self.bytes.len();
        for (name, value, _) in headers.iter() {
            let (Ok(name_len), Ok(value_len)) =
                (u16::try_from(name.len()), u16::try_from(value.len()))
            else {
                self.left_out += 1;
                continue;
            };
            if self.bytes.len() - start + 4 + name.len() + value.len() > HEAD_BYTES {
                self.left_out += 1;
                continue;
            }
            self.bytes.extend_from_slice(&name_len.to_be_bytes());
            self.bytes.extend_from_slice(&value_len.to_be_bytes());
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
        }
        let end = self.bytes.len();
        if let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) {
            self.spans[head as usize] = (start, end);
        }
    }

    /// The fields of a head.
    pub fn fields(&self, head: Head) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (start, end) = self.spans[head as usize];
        let mut rest = self
            .bytes
            .get(start as usize..end as usize)
            .unwrap_or_default();
        std::iter::from_fn(move || {
            let (lens, tail) = rest.split_first_chunk::<4>()?;
            let name_len = usize::from(u16::from_be_bytes([lens[0], lens[1]]));
            let value_len = usize::from(u16::from_be_bytes([lens[2], lens[3]]));
            let (name, tail) = tail.split_at_checked(name_len)?;
            let (value, tail) = tail.split_at_checked(value_len)?;
            rest = tail;
            Some((name, value))
        })
    }

    /// Overwrite a secret wherever it stands.
    fn blot(&mut self, secret: &[u8]) {
        blot(&mut self.bytes, secret);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.spans = [(0, 0); 4];
        self.left_out = 0;
    }
}

/// Overwrite a secret of four bytes or more wherever it stands.
pub fn blot(bytes: &mut [u8], secret: &[u8]) {
    if secret.len() < 4 {
        return;
    }
    let mut from = 0;
    while let Some(at) = bytes
        .get(from..)
        .and_then(|rest| memchr::memmem::find(rest, secret))
    {
        let end = from + at + secret.len();
        if let Some(found) = bytes.get_mut(from + at..end) {
            found.fill(b'*');
        }
        from = end;
    }
}

/// What an event tells beyond a record.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// Otoroshi's id of the request.
    pub request_id: u64,
    /// The client's address, as a trusted proxy or the socket says.
    pub client: String,
    /// The request's query.
    pub query: Vec<u8>,
    /// The request's version.
    pub version: Version,
    /// Whether the request counts as HTTPS.
    pub secured: bool,
    /// Whether the backend was spoken to in TLS.
    pub target_tls: bool,
    /// The four heads.
    pub heads: Heads,
    /// The status that the backend sent; 0 when there was none.
    pub backend_status: u16,
    /// Whether the backend's body came in chunks.
    pub chunked: bool,
    /// Bytes of the head sent to the client.
    pub head_out: u64,
    /// The route's name.
    pub route_name: Box<str>,
    /// The route's metadata, a JSON object.
    pub route_metadata: Option<Arc<str>>,
    /// Why the gateway refused.
    pub refusal: Option<RefusalFacts>,
    /// Who called, in the shape of the event's `identity`; no secret in it.
    pub identity: Option<Value>,
    /// Extra data of steps.
    pub extra: Map<String, Value>,
    /// Alerts of steps.
    pub alerts: Vec<Alert>,
    /// What is left of the caller's quotas.
    pub quotas: Option<Value>,
    /// The certificate the client proved to own.
    pub client_cert: Option<Arc<ClientCertificate>>,
    /// The trace it is part of.
    pub trace: Option<Trace>,
}

impl Details {
    /// The names of the items, in the order they are encoded.
    pub const FIELDS: [&'static str; 24] = [
        "request_id",
        "client",
        "query",
        "version",
        "secured",
        "target_tls",
        "headers",
        "headers_in",
        "headers_out",
        "response_headers",
        "fields_left_out",
        "backend_status",
        "chunked",
        "head_out",
        "route_name",
        "route_metadata",
        "message",
        "cause",
        "identity",
        "extra",
        "alerts",
        "quotas",
        "client_certificates",
        "trace",
    ];

    /// Take a secret out of everything that may hold it.
    pub fn hide(&mut self, secret: &[u8]) {
        self.heads.blot(secret);
        blot(&mut self.query, secret);
        let Ok(text) = std::str::from_utf8(secret) else {
            return;
        };
        self.extra
            .values_mut()
            .chain(self.alerts.iter_mut().map(|alert| &mut alert.fields))
            .for_each(|value| blot_json(value, text));
        if let Some(refusal) = &mut self.refusal {
            if is_told(&refusal.message, text) {
                refusal.message = MASK.into();
            }
        }
    }

    /// Forget everything but the memory.
    pub fn clear(&mut self) {
        let mut heads = std::mem::take(&mut self.heads);
        let mut query = std::mem::take(&mut self.query);
        heads.clear();
        query.clear();
        *self = Self {
            heads,
            query,
            ..Self::default()
        };
    }

    /// Bytes of memory it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.heads.bytes.capacity()
            + self.query.capacity()
            + 64 * (self.extra.len() + self.alerts.len())
    }

    pub(super) fn encode(&self, redaction: &Redaction, out: &mut Vec<u8>) {
        msgpack::array(Self::FIELDS.len(), out);
        msgpack::text(self.request_id.to_string().as_bytes(), out);
        msgpack::text(redaction.text(&self.client).as_bytes(), out);
        let query = redaction.query(&String::from_utf8_lossy(&self.query));
        msgpack::text(query.as_bytes(), out);
        msgpack::text(self.version.text().as_bytes(), out);
        msgpack::boolean(self.secured, out);
        msgpack::boolean(self.target_tls, out);
        for head in [
            Head::Request,
            Head::ToBackend,
            Head::FromBackend,
            Head::Response,
        ] {
            self.encode_head(head, redaction, out);
        }
        msgpack::unsigned(u64::from(self.heads.left_out), out);
        msgpack::unsigned(u64::from(self.backend_status), out);
        msgpack::boolean(self.chunked, out);
        msgpack::unsigned(self.head_out, out);
        msgpack::text(self.route_name.as_bytes(), out);
        let metadata = self.route_metadata.as_deref();
        let metadata = metadata.and_then(|text| serde_json::from_str(text).ok());
        encode_json(metadata, redaction, out);
        let refusal = self.refusal.as_ref();
        let message = refusal.map(|refusal| redaction.text(&refusal.message));
        msgpack::maybe_text(message.as_deref(), out);
        msgpack::maybe_text(refusal.map(|refusal| &*refusal.cause), out);
        encode_json(self.identity.clone(), redaction, out);
        let extra = (!self.extra.is_empty()).then(|| Value::Object(self.extra.clone()));
        encode_json(extra, redaction, out);
        msgpack::array(self.alerts.len(), out);
        for alert in &self.alerts {
            msgpack::array(2, out);
            msgpack::text(alert.name.as_bytes(), out);
            encode_json(Some(alert.fields.clone()), redaction, out);
        }
        encode_json(self.quotas.clone(), redaction, out);
        let chain = self.client_cert.as_ref().map(|cert| cert.chain.as_slice());
        let chain = chain.unwrap_or_default();
        msgpack::array(chain.len(), out);
        for der in chain {
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            msgpack::text(text.as_bytes(), out);
        }
        self.encode_trace(out);
    }

    fn encode_head(&self, head: Head, redaction: &Redaction, out: &mut Vec<u8>) {
        let told: Vec<(&[u8], String)> = self
            .heads
            .fields(head)
            .filter_map(|(name, value)| {
                let told = redaction.header(&String::from_utf8_lossy(name), &as_text(value))?;
                Some((name, told))
            })
            .collect();
        msgpack::array(told.len() * 2, out);
        for (name, value) in told {
            msgpack::text(name, out);
            msgpack::text(value.as_bytes(), out);
        }
    }

    fn encode_trace(&self, out: &mut Vec<u8>) {
        let Some(trace) = &self.trace else {
            out.push(msgpack::NIL);
            return;
        };
        msgpack::array(4, out);
        msgpack::text(hex(&trace.trace_id).as_bytes(), out);
        msgpack::text(hex(&trace.span_id).as_bytes(), out);
        let parent = trace.parent_id.map(|id| hex(&id));
        msgpack::maybe_text(parent.as_deref(), out);
        msgpack::boolean(trace.sampled, out);
    }
}

/// Whether a text has a secret of four bytes or more in it.
fn is_told(text: &str, secret: &str) -> bool {
    secret.len() >= 4 && text.contains(secret)
}

/// Mask the texts of a JSON value that have a secret in them.
fn blot_json(value: &mut Value, secret: &str) {
    match value {
        Value::String(text) if is_told(text, secret) => MASK.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| blot_json(item, secret)),
        Value::Object(members) => members
            .values_mut()
            .for_each(|member| blot_json(member, secret)),
        _ => {}
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A header's value as text: UTF-8 where it is that, else Latin-1.
fn as_text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    }
}

fn encode_json(value: Option<Value>, redaction: &Redaction, out: &mut Vec<u8>) {
    let Some(mut value) = value else {
        out.push(msgpack::NIL);
        return;
    };
    redaction.json(&mut value);
    msgpack::text(value.to_string().as_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_kept_apart_and_bounded() {
        let mut heads = Heads::default();
        let mut headers = Headers::default();
        headers.add(b"a", b"1");
        heads.copy(Head::Request, &headers);
        headers.add(b"big", &[b'x'; HEAD_BYTES]);
        headers.add(b"c", b"secret-value");
        heads.copy(Head::Response, &headers);
        let read = |heads: &Heads, head| -> Vec<(Vec<u8>, Vec<u8>)> {
            heads
                .fields(head)
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect()
        };
        assert_eq!(read(&heads, Head::Request).len(), 1);
        assert_eq!(read(&heads, Head::Response).len(), 2);
        assert!(read(&heads, Head::FromBackend).is_empty());
        assert_eq!(heads.left_out, 1);
        heads.blot(b"secret");
        assert_eq!(read(&heads, Head::Response)[1].1, b"******-value");
    }

    #[test]
    fn a_secret_is_hidden_wherever_it_stands() {
        let mut headers = Headers::default();
        headers.add(b"X-Odd", b"planted-secret");
        let mut details = Details::default();
        details.heads.copy(Head::ToBackend, &headers);
        details.query.extend_from_slice(b"q=planted-secret");
        details
            .extra
            .insert("k".into(), serde_json::json!({"l": ["a planted-secret"]}));
        details.alerts.push(Alert {
            name: "A".into(),
            fields: serde_json::json!({"m": "planted-secret", "n": "other"}),
        });
        details.refusal = Some(RefusalFacts {
            message: "no planted-secret".into(),
            cause: "c".into(),
        });
        details.hide(b"planted-secret");
        details.hide(b"abc");
        let mut out = Vec::new();
        details.encode(&Redaction::default(), &mut out);
        let told = String::from_utf8_lossy(&out).into_owned();
        assert!(!told.contains("planted"), "{told}");
        assert!(told.contains("other"), "{told}");
    }

    #[test]
    fn ids_grow_with_time_and_differ_within_a_millisecond() {
        let at = 1_793_356_200.123;
        assert!(snowflake(at, 1, 0) < snowflake(at + 0.002, 0, 0));
        assert_ne!(snowflake(at, 0, 1), snowflake(at, 0, 2));
        assert_ne!(snowflake(at, 1, 1), snowflake(at, 2, 1));
        let ms = (snowflake(at, 3, 7) >> 22) + SNOWFLAKE_EPOCH_MS;
        assert_eq!(ms, 1_793_356_200_123);
    }
}
