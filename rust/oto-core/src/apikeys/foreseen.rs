//! What a request will need of its client, asked for before its turn comes.
//!
//! Key, texts and counters of one client among 100,000 lie in lines that are in no cache, and each is
//! found through the one before. Where a request says in a usual place who its client is, these lines
//! can be asked for one after the other. It is a hint, taken from what nobody has checked: nothing is
//! decided by it.

use std::sync::Arc;

use super::entity::ApiKey;
use super::extract::BEARER_START;
use super::table::ApiKeys;
use crate::ahead::{FEW, fetch_shared};
use crate::http1::Request;
use crate::limits::{Key, Limits, Space};
use crate::router::hamt::{Search, Searched, hash_of_bytes};

/// The longest id that is looked at, in bytes.
const LONGEST: usize = 128;

/// A client that will probably be looked up.
#[derive(Clone, Copy, Debug)]
pub struct ForeseenKey {
    hash: u64,
    counter: Key,
}

impl ForeseenKey {
    /// The client that a request shows; none where all keys stay in the caches.
    #[inline]
    #[must_use]
    pub fn of(request: &Request, keys: &ApiKeys, limits: &Limits) -> Option<Self> {
        if keys.len() < FEW {
            return None;
        }
        let client_id = shown(request)?;
        let counter = limits.key(Space::ApiKey, &[client_id]);
        limits.approach(counter);
        Some(Self {
            hash: hash_of_bytes(client_id),
            counter,
        })
    }

    /// Begin to ask for the key and its counters.
    #[inline]
    #[must_use]
    pub fn begin<'a>(&self, keys: &'a ApiKeys, limits: &'a Limits) -> KeyWay<'a> {
        limits.come_near(self.counter);
        KeyWay(State::Searching(keys.search(self.hash)))
    }
}

/// How far a key's lines are asked for.
pub struct KeyWay<'a>(State<'a>);

enum State<'a> {
    Searching(Search<'a, Arc<ApiKey>>),
    Found(&'a ApiKey),
    Done,
}

impl KeyWay<'_> {
    /// Ask for the next lines; whether there may be more.
    #[inline]
    pub fn step(&mut self) -> bool {
        self.0 = match std::mem::replace(&mut self.0, State::Done) {
            State::Searching(search) => match search.step() {
                Searched::On(search) => State::Searching(search),
                Searched::Found(key) => {
                    fetch_shared(key);
                    State::Found(key)
                }
                Searched::Missing => State::Done,
            },
            State::Found(key) => {
                key.fetch_texts();
                State::Done
            }
            State::Done => State::Done,
        };
        !matches!(self.0, State::Done)
    }
}

/// The client's id where it can be read without decoding anything.
fn shown(request: &Request) -> Option<&[u8]> {
    let headers = &request.headers;
    let client_id = headers
        .find(b"otoroshi-client-id")
        .or_else(|| of_bearer(headers.find(b"authorization")?))
        .or_else(|| headers.find(b"x-api-key"))?;
    (client_id.len() <= LONGEST).then_some(client_id)
}

/// The id in `Bearer otoapk_<id>_<hex>`.
fn of_bearer(value: &[u8]) -> Option<&[u8]> {
    let at = memchr::memchr(b' ', value)?;
    let rest = value[at + 1..].strip_prefix(BEARER_START.as_bytes())?;
    let end = memchr::memrchr(b'_', rest)?;
    Some(&rest[..end])
}
