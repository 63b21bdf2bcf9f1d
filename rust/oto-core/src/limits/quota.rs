//! Quotas, the strategies that count against them, and what a call has left.

use serde::Deserialize;
use serde_json::{Value, json};

use super::token_bucket::Refill;
use super::windows::LONGEST_WINDOW_MS;

/// Otoroshi's number for "no limit" (`RemainingQuotas.MaxValue`): a limit of just that is none.
pub const UNLIMITED: u64 = 10_000_000;

/// How many calls in a window, a day and a month.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Quota {
    /// Calls in a throttling window.
    pub window: u64,
    /// Calls in a day of the server's time zone.
    pub daily: u64,
    /// Calls in a month of the server's time zone.
    pub monthly: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            window: UNLIMITED,
            daily: UNLIMITED,
            monthly: UNLIMITED,
        }
    }
}

impl Quota {
    /// Whether days and months are bounded at all.
    #[must_use]
    pub fn bounds_calendar(&self) -> bool {
        self.daily != UNLIMITED || self.monthly != UNLIMITED
    }
}

/// What is counted against a limit, and what is left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls so far, this one and refused ones included; for a bucket, tokens that are missing.
    pub used: u64,
    /// Calls that are let through; [`UNLIMITED`] lets all through.
    pub limit: u64,
    /// Length of what is counted in, in milliseconds: the window, the day, the month.
    pub length_ms: u64,
    /// Milliseconds until it begins anew; for a bucket, until the next token.
    pub left_ms: u64,
}

/// A count without limit.
pub(super) const UNBOUNDED: Count = Count {
    used: 0,
    limit: UNLIMITED,
    length_ms: 0,
    left_ms: 0,
};

impl Count {
    /// Whether the limit holds.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.used <= self.limit || self.limit == UNLIMITED
    }

    /// Calls that are left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Whole seconds until it begins anew, at least 1: what `Retry-After` says.
    #[must_use]
    pub fn left_s(&self) -> u64 {
        self.left_ms.div_ceil(1000).max(1)
    }
}

/// Which limit a call broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// That of the throttling window, the fixed window or the token bucket.
    Window,
    /// That of the day.
    Daily,
    /// That of the month.
    Monthly,
}

/// What one call did to the quotas, or what they are (`peek`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The throttling window, the fixed window or the token bucket.
    pub window: Count,
    /// The day.
    pub daily: Count,
    /// The month.
    pub monthly: Count,
    /// Whether the bucket refused; a bucket counts no refused calls.
    pub(super) refused: bool,
}

impl Usage {
    /// What is used and what is left, in Otoroshi's JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "authorizedCallsPerWindow": self.window.limit,
            "throttlingCallsPerWindow": self.window.used,
            "remainingCallsPerWindow": self.window.remaining(),
            "authorizedCallsPerDay": self.daily.limit,
            "currentCallsPerDay": self.daily.used,
            "remainingCallsPerDay": self.daily.remaining(),
            "authorizedCallsPerMonth": self.monthly.limit,
            "currentCallsPerMonth": self.monthly.used,
            "remainingCallsPerMonth": self.monthly.remaining(),
        })
    }

    /// A window by itself.
    #[must_use]
    pub fn of_window(window: Count) -> Self {
        Self {
            window,
            daily: UNBOUNDED,
            monthly: UNBOUNDED,
            refused: false,
        }
    }

    /// The first limit that does not hold; none lets the call through.
    #[must_use]
    pub fn broken(&self) -> Option<Broken> {
        if self.refused || !self.window.is_within() {
            Some(Broken::Window)
        } else if !self.daily.is_within() {
            Some(Broken::Daily)
        } else if !self.monthly.is_within() {
            Some(Broken::Monthly)
        } else {
            None
        }
    }

    /// When to come back: the end of what holds longest of all that is broken.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        let window = self.refused || !self.window.is_within();
        [
            (window, self.window),
            (!self.daily.is_within(), self.daily),
            (!self.monthly.is_within(), self.monthly),
        ]
        .into_iter()
        .filter(|(broken, _)| *broken)
        .map(|(_, count)| count.left_s())
        .max()
    }
}

/// How calls are counted: Otoroshi's `throttlingStrategy`, told apart by `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Window, day and month of the throttling window's length.
    Legacy {
        /// The quotas.
        quota: Quota,
        /// The key to count by, an expression; empty for the key's own id.
        bucket_key: String,
    },
    /// A window of its own length.
    FixedWindow {
        /// The quotas.
        quota: Quota,
        /// See `Legacy`.
        bucket_key: String,
        /// The window.
        duration_ms: u64,
    },
    /// A token bucket, beside day and month.
    TokenBucket {
        /// The quotas; `window` has no meaning here.
        quota: Quota,
        /// See `Legacy`.
        bucket_key: String,
        /// The bucket.
        refill: Refill,
    },
}

#[derive(Deserialize)]
#[serde(tag = "id")]
enum StrategyJson {
    #[serde(rename = "LegacyThrottlingStrategyConfig")]
    Legacy(Plain),
    // On one machine the count is exact without Redis; between machines every account is shared.
    #[serde(rename = "DistributedRedisThrottlingStrategyConfig")]
    Redis(Plain),
    #[serde(rename = "LuaDistributedRedisThrottlingStrategyConfig")]
    Lua(Plain),
    #[serde(rename = "FixedWindowStrategyConfig")]
    FixedWindow(Fixed),
    #[serde(rename = "LocalTokensBucketStrategyConfig")]
    TokenBucket(Tokens),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plain {
    #[serde(default)]
    quota: Quota,
    #[serde(default)]
    bucket_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixed {
    #[serde(default)]
    quota: Quota,
    #[serde(default)]
    bucket_key: Option<String>,
    #[serde(default = "ten_seconds")]
    window_duration_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tokens {
    #[serde(default)]
    quota: Quota,
    #[serde(default)]
    bucket_key: Option<String>,
    #[serde(default = "three_hundred")]
    capacity: u64,
    #[serde(default = "fifty")]
    refill_request_interval_ms: u64,
    #[serde(default = "fifty")]
    refill_requested_tokens: u64,
}

fn ten_seconds() -> u64 {
    10_000
}

fn three_hundred() -> u64 {
    300
}

fn fifty() -> u64 {
    50
}

impl Strategy {
    /// Read Otoroshi's JSON.
    ///
    /// # Errors
    /// An unknown `id`, or a number that cannot be; field, problem and fix in one line.
    pub fn read(json: serde_json::Value) -> Result<Self, String> {
        let read = serde_json::from_value(json).map_err(|error| error.to_string())?;
        Ok(match read {
            StrategyJson::Legacy(plain) | StrategyJson::Redis(plain) | StrategyJson::Lua(plain) => {
                Self::Legacy {
                    quota: plain.quota,
                    bucket_key: plain.bucket_key.unwrap_or_default(),
                }
            }
            StrategyJson::FixedWindow(fixed) => {
                let duration_ms = fixed.window_duration_ms;
                if !(1..=LONGEST_WINDOW_MS).contains(&duration_ms) {
                    return Err(format!(
                        "windowDurationMs: {duration_ms} cannot be; use 1 to {LONGEST_WINDOW_MS}"
                    ));
                }
                Self::FixedWindow {
                    quota: fixed.quota,
                    bucket_key: fixed.bucket_key.unwrap_or_default(),
                    duration_ms,
                }
            }
            StrategyJson::TokenBucket(tokens) => Self::TokenBucket {
                quota: tokens.quota,
                bucket_key: tokens.bucket_key.unwrap_or_default(),
                refill: Refill::new(
                    tokens.capacity,
                    tokens.refill_request_interval_ms,
                    tokens.refill_requested_tokens,
                )?,
            },
        })
    }

    /// The expression of the key to count by; empty for the key's own id.
    #[must_use]
    pub fn bucket_key(&self) -> &str {
        match self {
            Self::Legacy { bucket_key, .. }
            | Self::FixedWindow { bucket_key, .. }
            | Self::TokenBucket { bucket_key, .. } => bucket_key,
        }
    }

    /// Its quotas.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        match self {
            Self::Legacy { quota, .. }
            | Self::FixedWindow { quota, .. }
            | Self::TokenBucket { quota, .. } => quota,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Strategy, String> {
        Strategy::read(serde_json::from_str(json).expect("JSON"))
    }

    #[test]
    fn strategies_are_read_with_their_defaults() {
        let quota = Quota::default();
        assert_eq!(
            read(r#"{"id":"LocalTokensBucketStrategyConfig"}"#),
            Ok(Strategy::TokenBucket {
                quota,
                bucket_key: String::new(),
                refill: Refill::new(300, 50, 50).expect("valid"),
            })
        );
        assert_eq!(
            read(r#"{"id":"FixedWindowStrategyConfig","bucketKey":"k","quota":{"window":5}}"#),
            Ok(Strategy::FixedWindow {
                quota: Quota { window: 5, ..quota },
                bucket_key: "k".to_owned(),
                duration_ms: 10_000,
            })
        );
        for id in ["Legacy", "DistributedRedis", "LuaDistributedRedis"] {
            let json = format!(r#"{{"id":"{id}ThrottlingStrategyConfig","bucketKey":null}}"#);
            assert!(matches!(read(&json), Ok(Strategy::Legacy { .. })), "{id}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let problem = read(r#"{"id":"FixedWindowStrategyConfig","windowDurationMs":0}"#);
        assert!(problem.is_err_and(|text| text.contains("windowDurationMs")));
        let problem = read(r#"{"id":"LocalTokensBucketStrategyConfig","capacity":0}"#);
        assert!(problem.is_err_and(|text| text.contains("capacity")));
        assert!(read(r#"{"id":"Other"}"#).is_err());
    }
}
