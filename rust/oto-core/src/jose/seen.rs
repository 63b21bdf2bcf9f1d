//! Signatures that were found good before, so that a token used again costs a hash and not a curve.
//!
//! A signature of a public key costs 20 to 90 us to check, and clients use one token for minutes. What
//! is remembered is only that some bytes were signed by some key: times and claims are judged for every
//! request. An entry is a SHA-256 of the key's number, the algorithm, the signature and what it signs;
//! keys are numbered as they are made, so a key that was replaced finds nothing.
//!
//! Bounds: [`ENTRIES`] entries of 32 bytes for the process, allocated with the first. One that falls on
//! the place of another takes it. Only good signatures get in, so nobody can push entries out without
//! being able to sign.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

/// Signatures that are remembered at most; a power of two.
const ENTRIES: usize = 4096;

type Entry = [u8; 32];

static SEEN: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
static KEYS: AtomicU64 = AtomicU64::new(1);

/// The number of a key, which no other key of this process has.
#[derive(Debug)]
pub(super) struct KeyNumber(u64);

impl KeyNumber {
    pub(super) fn next() -> Self {
        Self(KEYS.fetch_add(1, Ordering::Relaxed))
    }

    /// What stands for a signature by this key. `algorithm` is any number that tells algorithms apart.
    pub(super) fn mark(&self, algorithm: u8, message: &[u8], signature: &[u8]) -> Mark {
        let mut context = Context::new(&SHA256);
        context.update(&self.0.to_be_bytes());
        context.update(&[algorithm]);
        context.update(&(signature.len() as u64).to_be_bytes());
        context.update(signature);
        context.update(message);
        let mut entry = Entry::default();
        entry.copy_from_slice(context.finish().as_ref());
        Mark(entry)
    }
}

/// A signature, in the form in which it is remembered.
pub(super) struct Mark(Entry);

impl Mark {
    fn place(&self) -> usize {
        usize::from(u16::from_be_bytes([self.0[0], self.0[1]])) % ENTRIES
    }

    /// Whether it was found good before.
    pub(super) fn is_known(&self) -> bool {
        let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(self.place()) == Some(&self.0)
    }

    /// Remember that it is good.
    pub(super) fn remember(self) {
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_empty() {
            seen.resize(ENTRIES, Entry::default());
        }
        if let Some(entry) = seen.get_mut(self.place()) {
            *entry = self.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_of_one_key_one_algorithm_and_one_text() {
        let (key, other) = (KeyNumber::next(), KeyNumber::next());
        assert!(!key.mark(1, b"text", b"signature").is_known());
        key.mark(1, b"text", b"signature").remember();
        assert!(key.mark(1, b"text", b"signature").is_known());
        for unknown in [
            other.mark(1, b"text", b"signature"),
            key.mark(2, b"text", b"signature"),
            key.mark(1, b"Text", b"signature"),
            key.mark(1, b"text", b"signaturE"),
            key.mark(1, b"etext", b"signatur"),
            key.mark(1, b"", b""),
        ] {
            assert!(!unknown.is_known());
        }
    }

    #[test]
    fn many_signatures_take_no_more_room() {
        let key = KeyNumber::next();
        for text in 0..3 * ENTRIES {
            key.mark(1, &text.to_be_bytes(), b"").remember();
        }
        let seen = SEEN.lock().expect("the lock");
        assert_eq!(seen.len(), ENTRIES);
    }
}
