//! What of a body may pass, and when: the bounds that steps set, kept while bytes move.

use oto_core::limits::Limits;
use oto_core::plan::{BodyBound, Moment};

/// Fewer bytes than this are not worth a read of their own while a rate holds a body back.
const WORTH_A_READ: f64 = 4096.0;

/// How much of one body has passed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    passed: u64,
    /// Bytes that may pass at once, as of `at_s`; none before the first look.
    tokens: Option<f64>,
    at_s: f64,
}

/// What becomes of a piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// So many of its first bytes pass; the rest is dropped.
    Part(usize),
    /// It goes beyond what is allowed.
    TooMuch,
    /// It comes faster than is allowed.
    TooFast,
}

impl Meter {
    /// How many bytes may be read now; 0 means wait until the time that [`Meter::ready_s`] tells.
    pub(crate) fn room(&mut self, bound: &BodyBound, now_s: f64) -> usize {
        let Some(rate) = bound.rate.filter(|rate| !rate.fails) else {
            return usize::MAX;
        };
        let tokens = self.refill(rate.bytes as f64, rate.window_s, now_s);
        if tokens < WORTH_A_READ.min(rate.bytes as f64) {
            return 0;
        }
        tokens as usize
    }

    /// When there is room again.
    pub(crate) fn ready_s(&self, bound: &BodyBound) -> f64 {
        let Some(rate) = bound.rate else {
            return f64::INFINITY;
        };
        let wanted = WORTH_A_READ.min(rate.bytes as f64) - self.tokens.unwrap_or(0.0);
        self.at_s + wanted.max(0.0) * rate.window_s / rate.bytes as f64
    }

    /// Count a piece of the body; what it shares with others is counted in `limits`.
    pub(crate) fn admit_among(
        &mut self,
        bound: &BodyBound,
        count: usize,
        limits: &Limits,
        moment: Moment,
    ) -> Admitted {
        if let Some(share) = &bound.share {
            if !share.takes(limits, count as u64, limits.now(moment)) {
                return Admitted::TooFast;
            }
        }
        self.admit(bound, count, moment.mono_s)
    }

    fn admit(&mut self, bound: &BodyBound, count: usize, now_s: f64) -> Admitted {
        if let Some(rate) = bound.rate {
            let tokens = self.refill(rate.bytes as f64, rate.window_s, now_s);
            if rate.fails && count as f64 > tokens {
                return Admitted::TooFast;
            }
            self.tokens = Some(tokens - count as f64);
        }
        let left = bound.bytes.saturating_sub(self.passed);
        self.passed = self.passed.saturating_add(count as u64);
        if count as u64 <= left {
            return Admitted::Part(count);
        }
        if bound.truncates {
            return Admitted::Part(left as usize);
        }
        Admitted::TooMuch
    }

    /// A bucket that starts full and fills up once in a window.
    fn refill(&mut self, most: f64, window_s: f64, now_s: f64) -> f64 {
        let tokens = self.tokens.map_or(most, |tokens| {
            (tokens + (now_s - self.at_s).max(0.0) * most / window_s).min(most)
        });
        self.tokens = Some(tokens);
        self.at_s = now_s;
        tokens
    }
}

#[cfg(test)]
mod tests {
    use oto_core::plan::Rate;

    use super::*;

    fn bound(bytes: u64, truncates: bool) -> BodyBound {
        BodyBound {
            bytes,
            truncates,
            ..BodyBound::default()
        }
    }

    #[test]
    fn a_body_ends_at_its_bound() {
        let mut meter = Meter::default();
        assert_eq!(meter.admit(&bound(5, true), 3, 0.0), Admitted::Part(3));
        assert_eq!(meter.admit(&bound(5, true), 3, 0.0), Admitted::Part(2));
        assert_eq!(meter.admit(&bound(5, true), 3, 0.0), Admitted::Part(0));
        let mut meter = Meter::default();
        assert_eq!(meter.admit(&bound(5, false), 5, 0.0), Admitted::Part(5));
        assert_eq!(meter.admit(&bound(5, false), 1, 0.0), Admitted::TooMuch);
    }

    #[test]
    fn a_rate_holds_back_or_fails() {
        let mut slow = bound(u64::MAX, false);
        slow.rate = Some(Rate {
            bytes: 10_000,
            window_s: 1.0,
            fails: false,
        });
        let mut meter = Meter::default();
        assert_eq!(meter.room(&slow, 0.0), 10_000);
        assert_eq!(meter.admit(&slow, 10_000, 0.0), Admitted::Part(10_000));
        assert_eq!(meter.room(&slow, 0.0), 0);
        let ready = meter.ready_s(&slow);
        assert!((ready - 0.4096).abs() < 1e-9, "{ready}");
        assert_eq!(meter.room(&slow, ready + 1e-6), 4096);
        let mut failing = slow;
        failing.rate = slow.rate.map(|rate| Rate {
            fails: true,
            ..rate
        });
        assert_eq!(meter.room(&failing, 0.5), usize::MAX);
        assert_eq!(meter.admit(&failing, 9_000, 0.5), Admitted::TooFast);
    }
}
