//! Counts that begin anew: after a time (windows) or with the calendar (periods). One word each.
//!
//! A word holds both when its count began and the count, so that one compare-and-swap is the whole
//! update: nobody sees a new window with an old count.

/// How far a process may lag behind another one's clock reading, which it took at its last turn.
const LAG_MS: i32 = 60_000;

/// The longest window: its beginning is kept in 32 bits of milliseconds.
pub const LONGEST_WINDOW_MS: u64 = 2_000_000_000;

/// What a window counts at most.
pub const MOST_IN_WINDOW: u32 = u32::MAX - 1;
const MOST_IN_PERIOD: u64 = (1 << 48) - 2;
pub(super) const PERIOD_MASK: u64 = (1 << 48) - 1;

/// A fixed window that begins with its first call, as Otoroshi's counters with a time to live do.
///
/// The word: the beginning in milliseconds (32 bits, wrapping) above the count (32 bits).
pub(super) mod window {
    use super::{LAG_MS, MOST_IN_WINDOW};

    pub(in crate::limits) fn fresh(now_ms: u64) -> u64 {
        (now_ms & 0xffff_ffff) << 32
    }

    /// Milliseconds since it began; none when it is over.
    pub(in crate::limits) fn age_ms(word: u64, duration_ms: u64, now_ms: u64) -> Option<u64> {
        let age = ((now_ms & 0xffff_ffff) as u32).wrapping_sub((word >> 32) as u32) as i32;
        if age < 0 {
            // Begun by a process whose clock reading is newer than ours.
            return (age > -LAG_MS).then_some(0);
        }
        let age = u64::from(age.unsigned_abs());
        (age < duration_ms).then_some(age)
    }

    /// Calls in the window that `now_ms` is in.
    pub(in crate::limits) fn count(word: u64, duration_ms: u64, now_ms: u64) -> u64 {
        match age_ms(word, duration_ms, now_ms) {
            Some(_) => word & 0xffff_ffff,
            None => 0,
        }
    }

    /// The word after one more call. A window without a call begins with this one.
    pub(in crate::limits) fn add(word: u64, duration_ms: u64, now_ms: u64) -> u64 {
        add_some(word, 1, duration_ms, now_ms)
    }

    /// The word after so many more.
    pub(in crate::limits) fn add_some(word: u64, more: u32, duration_ms: u64, now_ms: u64) -> u64 {
        let count = word as u32;
        if count == 0 || age_ms(word, duration_ms, now_ms).is_none() {
            return fresh(now_ms) | u64::from(more.min(MOST_IN_WINDOW));
        }
        word - u64::from(count) + u64::from(count.saturating_add(more).min(MOST_IN_WINDOW))
    }

    /// Milliseconds until the window is over; the whole of one that has not begun.
    pub(in crate::limits) fn left_ms(word: u64, duration_ms: u64, now_ms: u64) -> u64 {
        if word as u32 == 0 {
            return duration_ms;
        }
        duration_ms - age_ms(word, duration_ms, now_ms).unwrap_or(0)
    }
}

/// A count of a day or a month.
///
/// The word: the number of the day or month (16 bits: until the year 2149) above the count (48 bits).
pub(super) mod period {
    use super::{MOST_IN_PERIOD, PERIOD_MASK};

    pub(in crate::limits) fn make(number: u64, count: u64) -> u64 {
        number << 48 | count.min(MOST_IN_PERIOD)
    }

    pub(in crate::limits) fn number(word: u64) -> u64 {
        word >> 48
    }

    /// Whether the word counts this period. One period ahead counts as this one: somebody whose
    /// clock reading is newer has begun it, and must not be set back.
    pub(in crate::limits) fn is_now(word: u64, number: u64) -> bool {
        let ahead = (word >> 48).wrapping_sub(number) & 0xffff;
        ahead <= 1
    }

    pub(in crate::limits) fn count(word: u64, number: u64) -> u64 {
        if is_now(word, number) {
            word & PERIOD_MASK
        } else {
            0
        }
    }

    /// The word after some more calls.
    pub(in crate::limits) fn add(word: u64, number: u64, calls: u64) -> u64 {
        if is_now(word, number) {
            let count = (word & PERIOD_MASK).saturating_add(calls);
            word & !PERIOD_MASK | count.min(MOST_IN_PERIOD)
        } else {
            make(number, calls)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_its_first_call_and_ends_on_time() {
        let mut word = window::fresh(0);
        word = window::add(word, 10_000, 4_000);
        assert_eq!(window::left_ms(word, 10_000, 4_000), 10_000);
        word = window::add(word, 10_000, 13_999);
        assert_eq!(window::count(word, 10_000, 13_999), 2);
        assert_eq!(window::count(word, 10_000, 14_000), 0);
        word = window::add(word, 10_000, 14_000);
        assert_eq!(window::count(word, 10_000, 14_000), 1);
    }

    #[test]
    fn a_window_goes_over_the_end_of_its_32_bits() {
        let end = (1u64 << 32) - 10;
        let word = window::add(window::fresh(end), 1_000, end);
        assert_eq!(window::count(word, 1_000, end + 999), 1);
        assert_eq!(window::count(word, 1_000, end + 1_000), 0);
    }

    #[test]
    fn a_reader_that_lags_counts_in_the_newer_window() {
        let word = window::add(window::fresh(5_000), 1_000, 5_000);
        assert_eq!(window::add(word, 1_000, 4_990) & 0xffff_ffff, 2);
        let word = period::make(21, 7);
        assert_eq!(period::add(word, 20, 1), period::make(21, 8));
        assert_eq!(period::add(word, 22, 1), period::make(22, 1));
        assert_eq!(
            period::add(word, 19, 1),
            period::make(19, 1),
            "the clock was set back"
        );
    }

    #[test]
    fn counts_stop_before_they_overflow() {
        let full = window::fresh(1) | u64::from(MOST_IN_WINDOW);
        assert_eq!(window::add(full, 10, 2), full);
        let full = period::make(9, u64::MAX);
        assert_eq!(period::add(full, 9, 5), full);
    }
}
