//! What clients are told of limits: `RateLimit`, `RateLimit-Policy` and `Retry-After`.
//!
//! Source: draft-ietf-httpapi-ratelimit-headers-10 (lists of strings with the parameters `q`, `w`, `r`
//! and `t`); RFC 9110 §10.2.3 for `Retry-After`.

use smallvec::SmallVec;

use super::flow::Flow;
use super::reply::Reply;
use crate::limits::{Count, Now, Space, UNLIMITED, Usage};

/// Policies told of at most.
const MOST_TOLD: usize = 8;

impl Flow {
    /// This moment in the units of counters.
    #[must_use]
    pub fn now(&self) -> Now {
        self.snapshot.limits.now(self.moment)
    }

    /// Count the exchange as under way (Otoroshi's `limitConcurrentRequests`).
    pub(super) fn enter(&mut self) {
        if let Some(most) = self.snapshot.settings.most_at_once {
            let (guard, count) = self.snapshot.limits.enter();
            self.under_way = Some(guard);
            self.is_one_too_many = count > most && !self.is_monitoring();
        }
    }

    /// Refuse the exchange when it is one too many.
    pub(super) fn turn_away(&mut self) -> bool {
        if !std::mem::take(&mut self.is_one_too_many) {
            return false;
        }
        self.under_way = None;
        self.refuse(
            429,
            "Cannot process more request",
            "errors.cant.process.more.request",
        );
        true
    }

    /// Count the call for its address, once; none when the global configuration sets no limit.
    pub fn count_address(&mut self) -> Option<Count> {
        let limit = self.snapshot.settings.address_quota;
        if limit == UNLIMITED {
            return None;
        }
        let count = self.attrs.counted.address.unwrap_or_else(|| {
            let limits = &self.snapshot.limits;
            let key = self.with_address(|address| limits.key(Space::Address, &[address]));
            limits.throttle(key, limit, limits.window_ms(), self.now())
        });
        self.attrs.counted.address = Some(count);
        Some(count)
    }

    /// Count the call for everybody, once; none when the global configuration sets no limit.
    pub fn count_all(&mut self) -> Option<Count> {
        let limit = self.snapshot.settings.global_quota;
        if limit == UNLIMITED {
            return None;
        }
        let count = self.attrs.counted.global.unwrap_or_else(|| {
            let limits = &self.snapshot.limits;
            let key = limits.key(Space::Global, &[]);
            limits.throttle(key, limit, limits.window_ms(), self.now())
        });
        self.attrs.counted.global = Some(count);
        Some(count)
    }

    /// Tell the client of a limit under a policy's name; of one that is none it is told nothing.
    pub fn tell_limit(&mut self, policy: &'static str, count: Count) {
        let told = &mut self.attrs.counted.told;
        if count.limit == UNLIMITED || !self.snapshot.settings.rate_limit_fields {
            return;
        }
        if let Some((_, before)) = told.iter_mut().find(|(name, _)| *name == policy) {
            // Two limits of one name: the client needs to know of the tighter one.
            if count.remaining() < before.remaining() {
                *before = count;
            }
        } else if told.len() < MOST_TOLD {
            told.push((policy, count));
        }
    }

    /// Tell the client of the window, the day and the month of a call.
    pub fn tell_usage(&mut self, usage: &Usage) {
        self.tell_limit("window", usage.window);
        self.tell_limit("daily", usage.daily);
        self.tell_limit("monthly", usage.monthly);
    }

    /// Tell the client when to come back, whose key's quotas just refused it; how they stand it was told
    /// when its call was counted.
    pub fn tell_broken_quota(&mut self) {
        let after_s = self.attrs.quota.and_then(|usage| usage.retry_after_s());
        if let Some(after_s) = after_s {
            self.add_to_response(b"Retry-After", after_s.to_string().as_bytes());
        }
    }

    /// An error answer that says when to come back.
    pub fn limit_refusal(
        &mut self,
        status: u16,
        message: &str,
        cause: &str,
        retry_after_s: u64,
    ) -> Reply {
        self.add_to_response(b"Retry-After", retry_after_s.to_string().as_bytes());
        self.refusal(status, message, cause)
    }

    /// Write the fields for what was told.
    pub(super) fn write_rate_limits(&mut self) {
        let told = std::mem::take(&mut self.attrs.counted.told);
        if told.is_empty() {
            return;
        }
        let (mut policies, mut limits) = (Field::new(), Field::new());
        for (name, count) in &told {
            for (field, first, second) in [
                (
                    &mut policies,
                    (b";q=", count.limit),
                    (b";w=", count.length_ms.div_ceil(1000)),
                ),
                (
                    &mut limits,
                    (b";r=", count.remaining()),
                    (b";t=", count.left_ms.div_ceil(1000)),
                ),
            ] {
                if !field.is_empty() {
                    field.extend_from_slice(b", ");
                }
                field.push(b'"');
                field.extend_from_slice(name.as_bytes());
                field.push(b'"');
                for (key, number) in [first, second] {
                    field.extend_from_slice(key);
                    digits(number, field);
                }
            }
        }
        self.response.headers.set(b"RateLimit-Policy", &policies);
        self.response.headers.set(b"RateLimit", &limits);
    }
}

/// The text of a field: three limits of usual size need no allocation.
type Field = SmallVec<[u8; 128]>;

/// Append a number in decimal, without an allocation.
fn digits(mut number: u64, out: &mut Field) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use super::{Field, digits};

    #[test]
    fn numbers_are_written_as_they_are() {
        for number in [0, 9, 10, 4_200, u64::MAX] {
            let mut out = Field::new();
            digits(number, &mut out);
            assert_eq!(out.to_vec(), number.to_string().into_bytes());
        }
    }
}
