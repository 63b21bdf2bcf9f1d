//! What other machines counted: their part of an account's window, day and month.
//!
//! The words lie in the account's own slot, beside its counts, so a decision costs no further line. Only
//! the control process writes them, under the lock of the bucket, so that none reaches another key.

use super::kind::Kind;
use super::table::Slot;
use super::windows::{PERIOD_MASK, period, window};
use super::{ATTEMPTS, Key, Limits, Now};

/// The words of a slot that are the others', in the order window, day, month. An account keeps its
/// kind and its window's length in one word to make room for them.
const WORDS: [usize; 3] = [4, 6, 7];

/// A count of others is within so much of 0.
const MOST: i64 = (1 << 47) - 1;

/// How a key stands on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The key.
    pub key: Key,
    /// Whether nothing was ever heard from others about it.
    pub is_new: bool,
    /// Calls in its window, the milliseconds that are left of it, and when it ends by the machine's
    /// clock: always the same number for the same window.
    pub window: (u64, u64, u64),
    /// Number of the day that was counted last, and its calls.
    pub day: (u64, u64),
    /// Number of the month that was counted last, and its calls.
    pub month: (u64, u64),
}

/// What is heard of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Number of the day or month.
    pub number: u64,
    /// What others counted in it, less what was taken back.
    pub elsewhere: i64,
    /// What this machine itself had told before it was started anew.
    pub before: u64,
}

impl Limits {
    /// Give how each key stands whose counts changed since the last time, some at a time.
    ///
    /// # Arguments
    /// `from` is where to go on, 0 at first; about `most` keys are given, up to 63 more.
    ///
    /// Returns where to go on; none at the end.
    pub fn take_standings(
        &self,
        from: usize,
        most: usize,
        now: Now,
        mut visit: impl FnMut(Standing),
    ) -> Option<usize> {
        let mut given = 0;
        for word in from..self.table.marks() {
            if given >= most {
                return Some(word);
            }
            self.table.take_marked_slots(word, |slot| {
                if let Some(standing) = self.standing_of(&slot, now) {
                    given += 1;
                    visit(standing);
                }
            });
        }
        None
    }

    /// How a key stands; none when this machine knows nothing of it.
    #[must_use]
    pub fn standing(&self, key: Key, now: Now) -> Option<Standing> {
        (0..ATTEMPTS).find_map(|_| self.standing_of(&self.table.find(key)?, now))
    }

    fn standing_of(&self, slot: &Slot<'_>, now: Now) -> Option<Standing> {
        let Kind::Account { duration_ms } = slot.kind()? else {
            return None;
        };
        let of = |word| (period::number(word), word & PERIOD_MASK);
        let word = slot.value(0).ok()?;
        let (day, month) = (of(slot.value(1).ok()?), of(slot.value(2).ok()?));
        let left_ms = window::left_ms(word, duration_ms, now.mono_ms);
        Some(Standing {
            key: slot.key(),
            is_new: slot.further(WORDS[1]) == 0,
            window: (
                window::count(word, duration_ms, now.mono_ms),
                left_ms,
                now.mono_ms.saturating_add(left_ms),
            ),
            day,
            month,
        })
    }

    /// Note that a key is to be given by [`Limits::take_standings`] once more.
    pub fn mark_again(&self, key: Key) {
        if let Some(slot) = self.table.find(key) {
            self.table.mark(&slot);
        }
    }

    /// Note what others counted of a key.
    ///
    /// The first time, what this machine had told before it was started anew is added to its own
    /// counts, which count as changed then.
    ///
    /// # Arguments
    /// `window` is their calls in windows under way, and the milliseconds left of the last of these.
    pub fn hear(&self, key: Key, window: (u64, u64), day: Heard, month: Heard, now: Now) {
        let duration_ms = self.window_ms;
        // Kept over attempts, so that nothing is added twice or not at all.
        let (mut is_new, mut added) = (false, [false; 2]);
        self.with_slot(key, Kind::Account { duration_ms }, now, |slot| {
            let words = [
                window_word(window, duration_ms, now.mono_ms),
                period_word(day),
                period_word(month),
            ];
            is_new |= self.table.set_further(slot, WORDS, words) == Some(true);
            if !is_new {
                return Ok(());
            }
            for (at, heard) in [(1, day), (2, month)] {
                if added[at - 1] {
                    continue;
                }
                slot.change(at, |word| {
                    (period::number(word) == heard.number && heard.before > 0)
                        .then(|| period::add(word, heard.number, heard.before))
                })?;
                added[at - 1] = true;
            }
            self.table.mark(slot);
            Ok(())
        });
    }

    /// What others counted, to be added to an account's own window, day and month; and how long
    /// their windows last.
    pub(super) fn elsewhere(&self, slot: &Slot<'_>, now: Now) -> Elsewhere {
        let [window, day, month] = WORDS.map(|at| slot.further(at));
        let (calls, left_ms) = window_of(window, self.window_ms, now.mono_ms);
        Elsewhere {
            window: calls,
            left_ms,
            day,
            month,
        }
    }
}

/// What others counted of an account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Elsewhere {
    /// Calls in windows under way.
    pub(super) window: u64,
    /// Milliseconds left of the last of these windows; 0 when there is none.
    pub(super) left_ms: u64,
    day: u64,
    month: u64,
}

impl Elsewhere {
    /// All calls of a day, from the word of this machine's own.
    pub(super) fn daily(&self, own: u64, number: u64) -> u64 {
        together(own, self.day, number)
    }

    /// All calls of a month.
    pub(super) fn monthly(&self, own: u64, number: u64) -> u64 {
        together(own, self.month, number)
    }
}

/// A machine's own count and that of the others, if they are of the same period.
fn together(own: u64, others: u64, number: u64) -> u64 {
    let mine = period::count(own, number);
    let is_same = if period::is_now(own, number) {
        period::number(own) == period::number(others)
    } else {
        period::is_now(others, number)
    };
    if !is_same {
        return mine;
    }
    let theirs = ((others << 16) as i64) >> 16;
    mine.saturating_add_signed(theirs)
}

fn period_word(heard: Heard) -> u64 {
    let count = heard.elsewhere.clamp(-MOST, MOST);
    (heard.number & 0xffff) << 48 | (count as u64 & PERIOD_MASK)
}

/// The end in milliseconds (32 bits, wrapping) above the calls (32 bits).
///
/// No window lasts longer than ours, whatever the others' clocks say.
fn window_word((calls, left_ms): (u64, u64), duration_ms: u64, now_ms: u64) -> u64 {
    if calls == 0 || left_ms == 0 {
        return 0;
    }
    let end = now_ms.wrapping_add(left_ms.min(duration_ms)) & 0xffff_ffff;
    end << 32 | calls.min(u64::from(super::MOST_IN_WINDOW))
}

/// Calls and milliseconds left; nothing when that is over.
fn window_of(word: u64, duration_ms: u64, now_ms: u64) -> (u64, u64) {
    let left_ms = u64::from(((word >> 32) as u32).wrapping_sub(now_ms as u32));
    let is_under_way = word != 0 && left_ms > 0 && left_ms <= duration_ms;
    if is_under_way {
        (word & 0xffff_ffff, left_ms)
    } else {
        (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{Quota, Space};

    fn heard(number: u64, elsewhere: i64, before: u64) -> Heard {
        Heard {
            number,
            elsewhere,
            before,
        }
    }

    fn standings(limits: &Limits, now: Now) -> Vec<Standing> {
        let mut found = Vec::new();
        assert_eq!(
            limits.take_standings(0, 1000, now, |it| found.push(it)),
            None
        );
        found
    }

    #[test]
    fn what_others_counted_decides_with_ones_own() {
        let limits = Limits::default();
        let quota = Quota {
            window: 100,
            daily: 10,
            monthly: 1000,
        };
        let key = limits.key(Space::ApiKey, &[b"k"]);
        let now = Now::at(5.0, 86_400.0 * 40.0);
        for _ in 0..3 {
            assert_eq!(limits.count(key, &quota, now).broken(), None);
        }
        let standing = Standing {
            key,
            is_new: true,
            window: (3, 10_000, 15_000),
            day: (40, 3),
            month: (1, 3),
        };
        assert_eq!(standings(&limits, now), [standing]);
        assert_eq!(standings(&limits, now), []);
        limits.hear(key, (50, 4_000), heard(40, 6, 0), heard(1, 60, 0), now);
        let usage = limits.count(key, &quota, now);
        assert_eq!((usage.window.used, usage.window.left_ms), (54, 10_000));
        assert_eq!((usage.daily.used, usage.monthly.used), (10, 64));
        assert_eq!(usage.broken(), None);
        assert!(limits.count(key, &quota, now).broken().is_some());
        // Their windows end, and so does the day; the month goes on.
        let later = Now::at(9.0, 86_400.0 * 41.0);
        let usage = limits.count(key, &quota, later);
        assert_eq!((usage.window.used, usage.daily.used), (6, 1));
        assert_eq!(usage.monthly.used, 66);
    }

    #[test]
    fn what_was_taken_back_makes_the_others_part_negative() {
        let limits = Limits::default();
        let (key, quota) = (limits.key(Space::ApiKey, &[b"k"]), Quota::default());
        let now = Now::at(5.0, 86_400.0 * 40.0);
        for _ in 0..5 {
            let _ = limits.count(key, &quota, now);
        }
        limits.hear(key, (0, 0), heard(40, -5, 0), heard(1, -7, 0), now);
        let usage = limits.peek(key, &quota, now);
        assert_eq!((usage.daily.used, usage.monthly.used), (0, 0));
        assert_eq!(limits.count(key, &quota, now).daily.used, 1);
        let standing = limits.standing(key, now).expect("it was counted");
        assert_eq!((standing.day, standing.is_new), ((40, 6), false));
    }

    #[test]
    fn what_was_told_before_a_restart_is_ones_own_once() {
        let limits = Limits::default();
        let (key, quota) = (limits.key(Space::ApiKey, &[b"k"]), Quota::default());
        let now = Now::at(5.0, 86_400.0 * 40.0);
        let _ = limits.count(key, &quota, now);
        assert_eq!(standings(&limits, now).len(), 1);
        for _ in 0..2 {
            limits.hear(key, (0, 0), heard(40, 2, 30), heard(1, 2, 70), now);
            let usage = limits.peek(key, &quota, now);
            assert_eq!((usage.daily.used, usage.monthly.used), (33, 73));
        }
        let changed = standings(&limits, now);
        assert_eq!(changed.len(), 1, "it is to be told");
        assert_eq!((changed[0].day, changed[0].month), ((40, 31), (1, 71)));
        limits.mark_again(key);
        assert_eq!(standings(&limits, now).len(), 1);
    }

    #[test]
    fn a_key_that_was_never_counted_here_is_heard_of_too() {
        let limits = Limits::default();
        let (key, quota) = (limits.key(Space::ApiKey, &[b"k"]), Quota::default());
        let now = Now::at(5.0, 86_400.0 * 40.0);
        assert_eq!(limits.standing(key, now), None);
        limits.hear(key, (1, 500), heard(40, 2, 0), heard(1, 3, 0), now);
        let usage = limits.peek(key, &quota, now);
        assert_eq!((usage.window.used, usage.window.left_ms), (1, 500));
        limits.hear(key, (1, 70_000), heard(40, 2, 0), heard(1, 3, 0), now);
        assert_eq!(limits.peek(key, &quota, now).window.left_ms, 10_000);
        assert_eq!((usage.daily.used, usage.monthly.used), (2, 3));
    }

    #[test]
    fn many_keys_are_given_some_at_a_time() {
        let limits = Limits::default();
        let now = Now::at(5.0, 86_400.0);
        for number in 0_u32..1000 {
            let key = limits.key(Space::ApiKey, &[&number.to_le_bytes()]);
            let _ = limits.count(key, &Quota::default(), now);
        }
        let (mut from, mut turns, mut found) = (Some(0), 0, 0);
        while let Some(at) = from {
            let before = found;
            from = limits.take_standings(at, 100, now, |_| found += 1);
            assert!(found - before < 100 + 64);
            turns += 1;
        }
        assert_eq!(found, 1000);
        assert!(turns >= 7);
    }
}
