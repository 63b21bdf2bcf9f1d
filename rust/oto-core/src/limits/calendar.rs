//! Days and months of the server's own time zone, from Unix time and its distance to UTC.

/// How far the server's clock on the wall is from UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// Seconds east of UTC.
    pub offset_s: i64,
}

const DAY_S: i64 = 86_400;

/// Where a moment is in its day and its month, worked out once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Today {
    pub(super) day: u64,
    pub(super) day_left_s: u64,
    pub(super) month: u64,
    pub(super) month_left_s: u64,
    pub(super) month_length_s: u64,
}

impl Calendar {
    fn local(self, unix_s: i64) -> i64 {
        unix_s.saturating_add(self.offset_s).max(0)
    }

    pub(super) fn today(self, unix_s: i64) -> Today {
        let local = self.local(unix_s);
        let (day, of_day) = (local / DAY_S, local % DAY_S);
        let (year, month, of_month) = civil(day);
        let length = month_length(year, month);
        let day_left_s = (DAY_S - of_day).unsigned_abs();
        Today {
            day: day.unsigned_abs(),
            day_left_s,
            month: ((year - 1970) * 12 + month - 1).unsigned_abs(),
            month_left_s: day_left_s + ((length - of_month) * DAY_S).unsigned_abs(),
            month_length_s: (length * DAY_S).unsigned_abs(),
        }
    }

    /// Which day it is, counted from 1970.
    #[must_use]
    pub fn day(self, unix_s: i64) -> u64 {
        (self.local(unix_s) / DAY_S).unsigned_abs()
    }

    /// Which month it is, counted from January 1970.
    #[must_use]
    pub fn month(self, unix_s: i64) -> u64 {
        let (year, month, _) = civil(self.local(unix_s) / DAY_S);
        ((year - 1970) * 12 + month - 1).unsigned_abs()
    }
}

/// Days of a month.
fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from 1970-01-01.
///
/// Years are taken to begin in March, so that the leap day is the last one and months of 31 and 30
/// days follow one rule.
fn civil(day: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097; // 400 years
    let shifted = day + 719_468; // days since 0000-03-01
    let era = shifted.div_euclid(ERA_DAYS);
    let of_era = shifted.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: Calendar = Calendar { offset_s: 0 };

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for count in 0..146_097 {
            assert_eq!(civil(count), (year, month, day));
            let length = month_length(year, month);
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn a_month_ends_at_local_midnight() {
        let last = 1_709_251_199; // 2024-02-29T23:59:59Z
        let today = UTC.today(last);
        assert_eq!((today.day_left_s, today.month_left_s), (1, 1));
        assert_eq!(today.month_length_s, 29 * 86_400);
        assert_eq!((today.day, today.month), (UTC.day(last), UTC.month(last)));
        assert_eq!(UTC.month(last) + 1, UTC.month(last + 1));
        assert_eq!(UTC.day(last) + 1, UTC.day(last + 1));
        let paris = Calendar { offset_s: 3_600 };
        assert_eq!(
            paris.month(last),
            UTC.month(last) + 1,
            "there it is March already"
        );
        assert_eq!(paris.today(last).day_left_s, 86_400 - 3_599);
        let december = 1_767_225_599; // 2025-12-31T23:59:59Z
        assert_eq!(UTC.today(december).month_left_s, 1);
        assert_eq!(UTC.month(december + 1), (2026 - 1970) * 12);
    }
}
