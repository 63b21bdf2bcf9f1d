//! Counting by a strategy: an API key's, or that of a plugin.

use super::{Key, Limits, Now, Quota, Space, Strategy, Usage};

impl Limits {
    /// Count a call of an API key, by its own quotas or by its strategy.
    ///
    /// # Arguments
    /// `bucket` is the strategy's `bucketKey` with its expressions filled in; empty counts by the
    /// client id.
    #[must_use]
    pub fn consume_quota(
        &self,
        client_id: &str,
        quota: &Quota,
        strategy: Option<(&Strategy, &str)>,
        now: Now,
    ) -> Usage {
        let Some((strategy, bucket)) = strategy else {
            return self.count(self.api_key(client_id), quota, now);
        };
        // The key's own counts go on: they are what the admin API shows.
        let own = self.count(self.api_key(client_id), strategy.quota(), now);
        if bucket.is_empty() || bucket == client_id {
            return match strategy {
                Strategy::Legacy { .. } => own,
                Strategy::FixedWindow { .. } | Strategy::TokenBucket { .. } => {
                    let usage = self.consume_window(strategy, client_id, now);
                    Usage {
                        daily: own.daily,
                        monthly: own.monthly,
                        ..usage
                    }
                }
            };
        }
        self.consume(strategy, bucket, now)
    }

    /// Count a call by a strategy and a key of its own.
    #[must_use]
    pub fn consume(&self, strategy: &Strategy, bucket: &str, now: Now) -> Usage {
        let quota = strategy.quota();
        let is_plain = matches!(strategy, Strategy::Legacy { .. });
        if !is_plain && !quota.bounds_calendar() {
            return self.consume_window(strategy, bucket, now);
        }
        let key = self.key(Space::Strategy, &[bucket.as_bytes()]);
        let counted = self.count(key, quota, now);
        if is_plain {
            return counted;
        }
        Usage {
            daily: counted.daily,
            monthly: counted.monthly,
            ..self.consume_window(strategy, bucket, now)
        }
    }

    fn consume_window(&self, strategy: &Strategy, bucket: &str, now: Now) -> Usage {
        match strategy {
            Strategy::Legacy { .. } => Usage::default(),
            Strategy::FixedWindow {
                quota, duration_ms, ..
            } => {
                let key = self.window_key(strategy, bucket);
                Usage::of_window(self.throttle(key, quota.window, *duration_ms, now))
            }
            Strategy::TokenBucket { refill, .. } => {
                self.take_token(self.window_key(strategy, bucket), *refill, now)
            }
        }
    }

    /// Ask memory for where a strategy's counter is looked for; a hint.
    pub fn foresee(&self, strategy: &Strategy, bucket: &str) {
        self.approach(self.window_key(strategy, bucket));
    }

    /// The key of the counter that a strategy decides by, days and months aside.
    fn window_key(&self, strategy: &Strategy, bucket: &str) -> Key {
        match strategy {
            Strategy::Legacy { .. } => self.key(Space::Strategy, &[bucket.as_bytes()]),
            Strategy::FixedWindow { duration_ms, .. } => {
                let parts = [bucket.as_bytes(), &duration_ms.to_le_bytes()];
                self.key(Space::FixedWindow, &parts)
            }
            Strategy::TokenBucket { refill, .. } => {
                let (rates, capacity) = refill.words();
                let parts = [
                    bucket.as_bytes(),
                    &rates.to_le_bytes(),
                    &capacity.to_le_bytes(),
                ];
                self.key(Space::Bucket, &parts)
            }
        }
    }

    /// What an API key has used, as the admin API shows it; counts nothing.
    #[must_use]
    pub fn peek_quota(&self, client_id: &str, quota: &Quota, now: Now) -> Usage {
        self.peek(self.api_key(client_id), quota, now)
    }

    /// Set an API key's day and month back to 0. Its window goes on: it ends in seconds.
    pub fn reset_quota(&self, client_id: &str, now: Now) {
        self.reset(self.api_key(client_id), false, now);
    }

    /// The key of an API key's counters.
    #[must_use]
    pub fn api_key(&self, client_id: &str) -> Key {
        self.key(Space::ApiKey, &[client_id.as_bytes()])
    }
}
