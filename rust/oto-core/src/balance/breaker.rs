//! The circuit breaker of one target.
//!
//! Closed until `max_errors` failures in a row; then open for `sample_interval`; then half-open,
//! when one attempt may pass: its success closes, its failure opens again.
//!
//! Source: Otoroshi, engine_backend.md ("Breaker").

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::ClientSettings;

/// Failure count and state of one target; shared by all exchanges of a worker.
#[derive(Debug, Default)]
pub struct Breaker {
    failures: AtomicU32,
    // Bits of the time (seconds) until which nothing passes; 0.0 when closed.
    open_until: AtomicU64,
}

impl Breaker {
    /// Whether an attempt may pass now. In the half-open state the caller that is told `true` holds
    /// the one trial; others wait another interval.
    pub fn admits(&self, now_s: f64, settings: &ClientSettings) -> bool {
        let until = self.open_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        if now_s < f64::from_bits(until) {
            return false;
        }
        let next = (now_s + settings.sample_interval_s).to_bits();
        self.open_until
            .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// An attempt got an answer.
    pub fn succeeded(&self) {
        // Loads first: in the steady state nothing is written.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.open_until.load(Ordering::Relaxed) != 0 {
            self.open_until.store(0, Ordering::Relaxed);
        }
    }

    /// An attempt failed to connect, timed out or broke off.
    pub fn failed(&self, now_s: f64, settings: &ClientSettings) {
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if failures >= settings.max_errors.max(1) {
            let until = (now_s + settings.sample_interval_s).to_bits();
            self.open_until.store(until, Ordering::Relaxed);
        }
    }

    /// Whether the target is shut out at this time.
    #[must_use]
    pub fn is_open(&self, now_s: f64) -> bool {
        let until = self.open_until.load(Ordering::Relaxed);
        until != 0 && now_s < f64::from_bits(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_lets_one_try_and_closes() {
        let settings = ClientSettings {
            max_errors: 2,
            sample_interval_s: 2.0,
            ..ClientSettings::default()
        };
        let breaker = Breaker::default();
        breaker.failed(1.0, &settings);
        assert!(breaker.admits(1.0, &settings));
        breaker.failed(1.0, &settings);
        assert!(!breaker.admits(2.9, &settings) && breaker.is_open(2.9));
        assert!(breaker.admits(3.0, &settings), "the one trial");
        assert!(!breaker.admits(3.0, &settings), "and no second");
        breaker.succeeded();
        assert!(breaker.admits(3.0, &settings) && breaker.admits(3.0, &settings));
    }
}
