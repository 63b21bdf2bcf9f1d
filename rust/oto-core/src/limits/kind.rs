//! What the words of a slot count, and when they say nothing any more.

use super::calendar::Calendar;
use super::now::Now;
use super::token_bucket::Refill;
use super::windows::{period, window};

/// What the values of a slot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[window]`, with the window's length in milliseconds.
    Window { duration_ms: u64 },
    /// `[window, day, month]`, with the window's length.
    Account { duration_ms: u64 },
    /// `[spent]`, a token bucket.
    Bucket(Refill),
    /// `[window of failures, banned until in ms]`, with the window's length.
    Ban { duration_ms: u64 },
}

impl Kind {
    pub(super) fn words(self) -> [u64; 3] {
        match self {
            Self::Window { duration_ms } => [1, duration_ms, 0],
            // In one word: the other two are what other machines counted.
            Self::Account { duration_ms } => [2 | duration_ms << 8, 0, 0],
            Self::Bucket(refill) => {
                let (rates, capacity) = refill.words();
                [3, rates, capacity]
            }
            Self::Ban { duration_ms } => [4, duration_ms, 0],
        }
    }

    pub(super) fn from_words(words: [u64; 3]) -> Option<Self> {
        let duration_ms = words[1];
        Some(match words[0] {
            1 => Self::Window { duration_ms },
            3 => Self::Bucket(Refill::from_words(words[1], words[2])?),
            4 => Self::Ban { duration_ms },
            word if word & 0xff == 2 => Self::Account {
                duration_ms: word >> 8,
            },
            _ => return None,
        })
    }

    pub(super) fn values(self) -> usize {
        match self {
            Self::Window { .. } | Self::Bucket(_) => 1,
            Self::Ban { .. } => 2,
            Self::Account { .. } => 3,
        }
    }

    /// The values of a key that was never seen; they differ from all that an older key can hold.
    pub(super) fn fresh(self, now: Now, calendar: Calendar) -> [u64; 3] {
        let begun = window::fresh(now.mono_ms);
        match self {
            Self::Window { .. } => [begun, 0, 0],
            Self::Account { .. } => [
                begun,
                period::make(calendar.day(now.unix_s), 0),
                period::make(calendar.month(now.unix_s), 0),
            ],
            Self::Bucket(refill) => [refill.full(now.mono_ms), 0, 0],
            Self::Ban { .. } => [begun, now.mono_ms, 0],
        }
    }

    /// Whether a value says nothing any more.
    pub(super) fn is_over(self, at: usize, word: u64, now: Now, calendar: Calendar) -> bool {
        match (self, at) {
            (
                Self::Window { duration_ms }
                | Self::Account { duration_ms }
                | Self::Ban { duration_ms },
                0,
            ) => window::age_ms(word, duration_ms, now.mono_ms).is_none(),
            (Self::Account { .. }, 1) => !period::is_now(word, calendar.day(now.unix_s)),
            (Self::Account { .. }, 2) => !period::is_now(word, calendar.month(now.unix_s)),
            (Self::Ban { .. }, 1) => word < now.mono_ms,
            (Self::Bucket(refill), 0) => refill.is_idle(word, now.mono_ms),
            _ => true,
        }
    }
}
