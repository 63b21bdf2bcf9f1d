//! When something happens, and the luck it has: all that a decision may know of the world's clocks.

/// A moment as the driver of a flow sees it; nothing in the core reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// The driver's clock in seconds: only differences mean something (windows, buckets, waits).
    pub mono_s: f64,
    /// Unix time in seconds: what calendars and tokens speak of.
    pub unix_s: f64,
    /// Random bits for one decision.
    pub random: u64,
}

/// How far an exchange has come, and when, on the clocks of its moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeline {
    /// When the request was here.
    pub begun: Moment,
    called_s: Option<f64>,
    answered_s: Option<f64>,
}

impl Timeline {
    pub(super) fn begin(begun: Moment) -> Self {
        Self {
            begun,
            called_s: None,
            answered_s: None,
        }
    }

    /// The backend is asked, or what answers in its place; only the first time counts.
    pub(super) fn call(&mut self, now: Moment) {
        self.called_s.get_or_insert(now.mono_s);
    }

    /// There is an answer.
    pub(super) fn answer(&mut self, now: Moment) {
        self.answered_s.get_or_insert(now.mono_s);
    }

    /// What answered is asked again.
    pub(super) fn forget_answer(&mut self) {
        self.answered_s = None;
    }

    /// Milliseconds from the request to the call of the backend; to its answer when nobody was
    /// called, and 0 before.
    #[must_use]
    pub fn proxy_ms(&self) -> u64 {
        let until_s = self.called_s.or(self.answered_s);
        until_s.map_or(0, |until_s| whole_ms(until_s - self.begun.mono_s))
    }

    /// Milliseconds from the first call of the backend to the answer, attempts that failed included;
    /// none when it was not called, or did not answer yet.
    #[must_use]
    pub fn upstream_ms(&self) -> Option<u64> {
        Some(whole_ms(self.answered_s? - self.called_s?))
    }
}

/// Whole milliseconds; a clock that goes backwards says 0.
fn whole_ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_s: f64) -> Moment {
        Moment {
            mono_s,
            ..Moment::default()
        }
    }

    #[test]
    fn only_the_first_call_and_the_first_answer_count() {
        let mut timeline = Timeline::begin(at(10.0));
        assert_eq!((timeline.proxy_ms(), timeline.upstream_ms()), (0, None));
        timeline.call(at(10.02));
        timeline.call(at(11.0));
        assert_eq!((timeline.proxy_ms(), timeline.upstream_ms()), (20, None));
        timeline.answer(at(10.5));
        timeline.answer(at(12.0));
        assert_eq!(timeline.upstream_ms(), Some(480));
    }

    #[test]
    fn an_answer_without_a_call_has_no_upstream_time() {
        let mut timeline = Timeline::begin(at(10.0));
        timeline.answer(at(10.25));
        assert_eq!((timeline.proxy_ms(), timeline.upstream_ms()), (250, None));
        let mut backwards = Timeline::begin(at(10.0));
        backwards.call(at(9.0));
        assert_eq!(backwards.proxy_ms(), 0);
    }
}
