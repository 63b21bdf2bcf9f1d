//! What the steps of one exchange tell each other and the access record: Otoroshi's "attrs".

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use smallvec::SmallVec;

use crate::limits::{Count, Key, Limits, Now};

use crate::apikeys::{ApiKey, Extractors, Found};
use crate::grpc_web::Bridged;
use crate::jose::Header;
use crate::jwt::Injection;
use crate::limits::Usage;

/// Something an operator should see: becomes an `AlertEvent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Otoroshi's name of the alert, such as `RevokedApiKeyUsageAlert`.
    pub name: Cow<'static, str>,
    /// Its own fields; no secret may be in them.
    pub fields: Value,
}

/// Why the gateway answered with an error of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalFacts {
    /// What the client was told.
    pub message: Box<str>,
    /// Otoroshi's cause id.
    pub cause: Box<str>,
}

/// A trace that an exchange is part of, by W3C trace context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Id of the whole trace.
    pub trace_id: [u8; 16],
    /// Id of our span: the backend's parent.
    pub span_id: [u8; 8],
    /// Id of the client's span; none when the trace begins here.
    pub parent_id: Option<[u8; 8]>,
    /// Whether somebody records it.
    pub sampled: bool,
}

/// Client id and secret as they were sent, each if it was.
pub(super) type SentKey = [Option<Box<[u8]>>; 2];

/// What is known of the caller and of the exchange beyond its messages.
#[derive(Debug, Default)]
pub struct Attrs {
    /// The API key of the caller.
    pub apikey: Option<Arc<ApiKey>>,
    /// Texts of the exchange that are secrets, under whatever name they stand: taken out of events.
    pub hidden: SmallVec<[Box<[u8]>; 2]>,
    /// The API key that the caller named, let in or not: its secrets are taken out of events.
    pub shown_key: Option<Arc<ApiKey>>,
    /// The id of a key that came over plain HTTP and is to be taken out of use.
    pub leaked_key: Option<Arc<str>>,
    /// The claims of the token that the caller signed with its key, for expressions.
    pub apikey_claims: Option<Arc<Value>>,
    /// Where the caller's credential stands in the request, to be taken away before the backend
    /// gets it.
    pub credential: Option<(Arc<Extractors>, Found)>,
    /// Client id and secret as the caller sent them in their usual headers, for a backend that is
    /// to have them all the same.
    pub sent_key: Option<Box<SentKey>>,
    /// What the caller's key has used of its quotas.
    pub quota: Option<Usage>,
    /// The logged-in user, in Otoroshi's JSON.
    pub user: Option<Arc<Value>>,
    /// The payload of the last token that was verified.
    pub claims: Option<Arc<Value>>,
    /// The payload of the token that the backend gets.
    pub claims_out: Option<Arc<Value>>,
    /// The token that was verified, as it was sent.
    pub token_in: Option<Arc<str>>,
    /// The token that the backend gets.
    pub token_out: Option<Arc<str>>,
    /// The query that the backend gets, when a step changed it; empty means none.
    pub query: Option<Box<str>>,
    /// Texts for the expressions `ctx`, `token`, `item` and `params`, by name.
    pub context: BTreeMap<Box<str>, Box<str>>,
    /// The header of the token that was verified.
    pub token_header: Option<Arc<Header>>,
    /// What puts the backend's token into its request.
    pub injection: Option<Arc<Injection>>,
    /// The key set that an undecided step needs first: its settings as JSON.
    pub wanted_key_set: Option<Arc<str>>,
    /// Extra data of the exchange's event, such as `apikey_rejection_reason`.
    pub extra: Map<String, Value>,
    /// Why the gateway refused, the last time it did.
    pub refusal: Option<RefusalFacts>,
    /// The trace the exchange is part of.
    pub trace: Option<Trace>,
    /// Alerts to raise when the exchange is over.
    pub alerts: Vec<Alert>,
    /// States that the backend has to send back, by what its answer is found under.
    pub challenges: Vec<(Box<str>, Box<str>)>,
    /// What was counted for it.
    pub counted: Counted,
    /// The call came as one of gRPC-Web, and goes on as one of gRPC.
    pub bridged: Option<Bridged>,
    /// The application of this process that answers in the backend's place, by the name that its caller knows.
    pub mount: Option<Arc<str>>,
}

/// What limits have counted of an exchange, each once.
#[derive(Debug, Default)]
pub struct Counted {
    /// The calls of its address, when they were counted.
    pub address: Option<Count>,
    /// All calls, when they were counted.
    pub global: Option<Count>,
    /// The identifiers whose failure this exchange is.
    pub(super) failures: SmallVec<[Key; 1]>,
    /// What the client is told in `RateLimit`: names of policies, and how they stand.
    pub(super) told: SmallVec<[(&'static str, Count); 3]>,
}

/// More texts than this are not taken into the context of one exchange.
const CONTEXT: usize = 256;

/// More texts than this are not hidden.
const HIDDEN: usize = 16;

/// More alerts than this from one exchange are not kept.
const ALERTS: usize = 16;

impl Attrs {
    /// Give expressions a text; past 256 of them it is dropped.
    pub fn tell(&mut self, name: &str, value: &str) {
        if self.context.len() < CONTEXT || self.context.contains_key(name) {
            self.context.insert(name.into(), value.into());
        }
    }

    /// Take a text out of whatever events and the access log tell; past 16 of them it is not.
    pub fn hide(&mut self, secret: &[u8]) {
        let is_known = self.hidden.iter().any(|hidden| **hidden == *secret);
        if !secret.is_empty() && !is_known && self.hidden.len() < HIDDEN {
            self.hidden.push(secret.into());
        }
    }

    /// Raise an alert.
    pub fn alert(&mut self, name: impl Into<Cow<'static, str>>, fields: Value) {
        if self.alerts.len() < ALERTS {
            self.alerts.push(Alert {
                name: name.into(),
                fields,
            });
        }
    }
}

/// What the bodies of an exchange may be: set by steps, kept by whoever moves the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// The request's.
    pub request: BodyBound,
    /// The response's.
    pub response: BodyBound,
}

/// What one body may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BodyBound {
    /// Bytes it may have.
    pub bytes: u64,
    /// Whether what is beyond is dropped. Otherwise the request is answered with 413, and a
    /// response that has begun is cut off.
    pub truncates: bool,
    /// How fast it may pass.
    pub rate: Option<Rate>,
    /// What it may use of what bodies of its group share.
    pub share: Option<Share>,
}

/// Bytes in a window that many bodies share, counted among all workers of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The counter.
    pub key: Key,
    /// Bytes in a window.
    pub bytes: u64,
    /// The window in milliseconds.
    pub window_ms: u64,
}

impl Share {
    /// Whether all of it is used up, one byte more included.
    #[must_use]
    pub fn is_used_up(&self, limits: &Limits, now: Now) -> bool {
        let count = limits.peek_window(self.key, self.bytes, self.window_ms, now);
        count.remaining() == 0
    }

    /// Use some of it; false when that is more than there was.
    #[must_use]
    pub fn takes(&self, limits: &Limits, bytes: u64, now: Now) -> bool {
        let (key, window_ms) = (self.key, self.window_ms);
        limits
            .throttle_many(key, bytes, self.bytes, window_ms, now)
            .is_within()
    }
}

/// Bytes in a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Bytes in a window, and at once; at least one.
    pub bytes: u64,
    /// The window in seconds.
    pub window_s: f64,
    /// Whether a body that comes faster fails; otherwise it is slowed down.
    pub fails: bool,
}

impl Default for BodyBound {
    fn default() -> Self {
        Self {
            bytes: u64::MAX,
            truncates: false,
            rate: None,
            share: None,
        }
    }
}

impl BodyBound {
    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.bytes == u64::MAX && self.rate.is_none() && self.share.is_none()
    }

    /// The length that a body of an announced length has after its bound.
    #[must_use]
    pub fn length(&self, announced: u64) -> u64 {
        if self.truncates {
            announced.min(self.bytes)
        } else {
            announced
        }
    }
}
