//! Session tickets that every worker of a gateway can open.
//!
//! Theory of operation. All workers are handed one secret. The key of a period is derived from it and
//! the period's number, so that keys rotate everywhere at the same moment without a word between the
//! workers; tickets of the present and the previous period are taken. A ticket is the period's number,
//! a random nonce and the session under AES-256-GCM, as RFC 5077 section 4 recommends.
//!
//! Each way to ask clients for certificates has keys of its own: a session that began without one
//! cannot go on where one is needed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};
use rustls::server::ProducesTickets;

use super::clock::Clock;

/// How long a key makes tickets.
const PERIOD_S: u64 = 6 * 3600;
const PERIOD_BYTES: usize = 8;

/// Makes and opens tickets.
pub(super) struct Tickets {
    secret: hmac::Key,
    /// What the keys are for; other uses of the same secret have other keys.
    purpose: &'static str,
    clock: Arc<Clock>,
    /// The keys of the last periods that were used.
    keys: Mutex<Vec<(u64, Arc<LessSafeKey>)>>,
}

/// No key is ever shown.
impl fmt::Debug for Tickets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tickets")
    }
}

impl Tickets {
    pub(super) fn new(secret: &[u8], purpose: &'static str, clock: Arc<Clock>) -> Self {
        Self {
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
            purpose,
            clock,
            keys: Mutex::new(Vec::new()),
        }
    }

    fn key(&self, period: u64) -> Option<Arc<LessSafeKey>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = keys.iter().find(|(known, _)| *known == period) {
            return Some(Arc::clone(key));
        }
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(b"oto-trio session tickets");
        context.update(&period.to_be_bytes());
        context.update(self.purpose.as_bytes());
        let key = UnboundKey::new(&AES_256_GCM, context.sign().as_ref()).ok()?;
        let key = Arc::new(LessSafeKey::new(key));
        let oldest = (self.clock.second() / PERIOD_S).saturating_sub(1);
        keys.retain(|(known, _)| *known >= oldest);
        keys.push((period, Arc::clone(&key)));
        Some(key)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD_S as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let period = self.clock.second() / PERIOD_S;
        let key = self.key(period)?;
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut body = plain.to_vec();
        let name = period.to_be_bytes();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name),
            &mut body,
        )
        .ok()?;
        Some([&name[..], &nonce, &body].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<PERIOD_BYTES>()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
        let period = u64::from_be_bytes(*name);
        let present = self.clock.second() / PERIOD_S;
        if period > present || present - period > 1 {
            return None;
        }
        let key = self.key(period)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key
            .open_in_place(nonce, Aad::from(*name), &mut body)
            .ok()?
            .len();
        body.truncate(length);
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_open_each_others_tickets_for_two_periods() {
        let clock = Arc::new(Clock::default());
        let [first, second, other, stricter] = [("s", ""), ("s", ""), ("t", ""), ("s", "Need")]
            .map(|(secret, purpose)| Tickets::new(secret.as_bytes(), purpose, Arc::clone(&clock)));
        clock.set(1e9);
        let ticket = first.encrypt(b"session").expect("a ticket");
        assert_eq!(second.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
        assert_eq!(stricter.decrypt(&ticket), None);
        assert_ne!(first.encrypt(b"session"), Some(ticket.clone()));
        clock.set(1e9 + PERIOD_S as f64);
        assert!(second.decrypt(&ticket).is_some());
        clock.set(1e9 + 2.0 * PERIOD_S as f64);
        assert_eq!(second.decrypt(&ticket), None);
        clock.set(1e9 - 2.0 * PERIOD_S as f64);
        assert_eq!(second.decrypt(&ticket), None, "from the future");
    }

    #[test]
    fn broken_tickets_are_refused() {
        let tickets = Tickets::new(b"s", "", Arc::new(Clock::default()));
        let ticket = tickets.encrypt(b"session").expect("a ticket");
        for at in 0..ticket.len() {
            let mut broken = ticket.clone();
            broken[at] ^= 1;
            assert_eq!(tickets.decrypt(&broken), None, "bit {at}");
            assert_eq!(tickets.decrypt(&ticket[..at]), None);
        }
    }
}
