//! Dates: `now`, `date(…)` and `date_el(…)`, moved by milliseconds, as ISO-8601, by a pattern or
//! as Unix time.

use super::date_pattern::Pattern;
use super::parse::{Expression, expression};
use super::{Fault, Scope};
use crate::plan::Flow;

/// A date expression.
#[derive(Debug)]
pub(super) struct DateForm {
    base: Base,
    shift_ms: i64,
    output: Output,
}

#[derive(Debug)]
enum Base {
    Now,
    Literal(Date),
    Evaluated(Expression),
}

#[derive(Debug)]
enum Output {
    Iso,
    Pattern(Pattern),
    EpochMs,
    EpochSec,
}

impl DateForm {
    /// Tell whether a text is a date expression; `Some(None)` when it is one that cannot be worked
    /// out.
    ///
    /// # Errors
    /// The expression inside `date_el` cannot be compiled.
    pub(super) fn parse(text: &str, budget: &mut usize) -> Result<Option<Option<Self>>, String> {
        for word in ["date", "now"] {
            if let Some(rest) = text.strip_prefix(word) {
                // `date.plus_ms(1)` is no form of the language; `now.plus_ms(1)` is.
                let moves = word == "now";
                if let Some(form) = with_calls(rest, moves, || Some(Base::Now), true) {
                    return Ok(Some(form));
                }
            }
        }
        if let Some((inside, rest)) = argument(text, "date(") {
            return Ok(with_calls(
                rest,
                true,
                || Date::parse(inside).map(Base::Literal),
                false,
            ));
        }
        if let Some((inside, rest)) = argument(text, "date_el(") {
            let inner = expression(inside, budget)?;
            return Ok(with_calls(
                rest,
                true,
                || Some(Base::Evaluated(inner)),
                false,
            ));
        }
        Ok(None)
    }

    pub(super) fn render(&self, scope: Scope<'_>, out: &mut String) -> Result<(), Fault> {
        let date = match &self.base {
            Base::Now => Date::now(scope.flow),
            Base::Literal(date) => *date,
            Base::Evaluated(inner) => {
                let mut text = String::new();
                inner.render(scope, &mut text)?;
                Date::parse(&text).ok_or(Fault)?
            }
        };
        let date = date.plus_ms(self.shift_ms).ok_or(Fault)?;
        match &self.output {
            Output::Iso => date.push_iso(out),
            Output::Pattern(pattern) => pattern.render(&date.fields(), out),
            Output::EpochMs => out.push_str(&date.unix_ms.to_string()),
            Output::EpochSec => out.push_str(&date.unix_ms.div_euclid(1000).to_string()),
        }
        Ok(())
    }
}

/// The argument of a call at the start of a text, and what follows. It ends at the last `)` that a
/// known suffix follows.
fn argument<'a>(text: &'a str, function: &str) -> Option<(&'a str, &'a str)> {
    let inside = text.strip_prefix(function)?;
    [
        ").plus_ms(",
        ").minus_ms(",
        ").format('",
        ").epoch_ms",
        ").epoch_sec",
    ]
    .into_iter()
    .filter_map(|suffix| inside.find(suffix))
    .min()
    .map(|at| (&inside[..at], &inside[at + 1..]))
}

/// Read what follows a date: a shift, then an output. `None` when it is no form of the language.
fn with_calls(
    rest: &str,
    moves: bool,
    base: impl FnOnce() -> Option<Base>,
    alone: bool,
) -> Option<Option<DateForm>> {
    let (shift, rest) = if moves { shift(rest)? } else { (None, rest) };
    let output = match rest {
        "" if alone || shift.is_some() => Some(Output::Iso),
        "" => return None,
        ".epoch_ms" => Some(Output::EpochMs),
        ".epoch_sec" => Some(Output::EpochSec),
        _ => {
            let pattern = rest.strip_prefix(".format('")?.strip_suffix("')")?;
            Pattern::parse(pattern).map(Output::Pattern)
        }
    };
    let form = || {
        Some(DateForm {
            shift_ms: shift.unwrap_or(Some(0))?,
            output: output?,
            base: base()?,
        })
    };
    Some(form())
}

/// `.plus_ms(N)` or `.minus_ms(N)` at the start; the inner none for an N that is no number.
#[allow(clippy::option_option)]
fn shift(rest: &str) -> Option<(Option<Option<i64>>, &str)> {
    for (call, sign) in [(".plus_ms(", 1), (".minus_ms(", -1)] {
        if let Some(inside) = rest.strip_prefix(call) {
            let (number, rest) = inside.split_once(')')?;
            let shift = number
                .parse::<i64>()
                .ok()
                .and_then(|ms| ms.checked_mul(sign));
            return Some((Some(shift), rest));
        }
    }
    Some((None, rest))
}

/// A moment with the offset it is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) unix_ms: i64,
    pub(super) offset_min: i32,
}

/// A date taken apart, in its own offset.
pub(super) struct Fields {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) milli: i64,
    /// 1 is Monday.
    pub(super) weekday: i64,
    pub(super) day_of_year: i64,
    pub(super) week: i64,
    pub(super) week_year: i64,
    pub(super) offset_min: i32,
}

const DAY_MS: i64 = 86_400_000;
/// The years that four digits can write.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_300_799_999;

impl Date {
    pub(super) fn now(flow: &Flow) -> Self {
        Self::from_unix(flow.moment.unix_s)
    }

    fn from_unix(unix_s: f64) -> Self {
        // A clock before 1970 or past the year 9999 is none; the bounds make the cast exact.
        #[allow(clippy::cast_possible_truncation)]
        let unix_ms = (unix_s * 1000.0).clamp(0.0, 2.5e14).floor() as i64;
        Self {
            unix_ms,
            offset_min: 0,
        }
    }

    fn plus_ms(self, shift: i64) -> Option<Self> {
        let unix_ms = self.unix_ms.checked_add(shift)?;
        (FIRST_MS..=LAST_MS)
            .contains(&unix_ms)
            .then_some(Self { unix_ms, ..self })
    }

    /// Read an ISO-8601 date: from `2026` to `2026-11-22T10:41:30.123+01:00`; without an offset it is
    /// UTC.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.is_ascii() || text.len() > 40 {
            return None;
        }
        let (day_part, time_part) = match text.split_once('T') {
            Some((day, time)) => (day, Some(time)),
            None => (text, None),
        };
        let mut pieces = day_part.split('-');
        let year = number(pieces.next()?, 4..=4)?;
        let month = pieces.next().map_or(Some(1), |text| number(text, 1..=2))?;
        let day = pieces.next().map_or(Some(1), |text| number(text, 1..=2))?;
        if pieces.next().is_some() || !(1..=12).contains(&month) {
            return None;
        }
        if !(1..=month_length(year, month)).contains(&day) {
            return None;
        }
        let (clock_ms, offset_min) = time_part.map_or(Some((0, 0)), parse_time)?;
        let unix_ms =
            days_from_civil(year, month, day) * DAY_MS + clock_ms - i64::from(offset_min) * 60_000;
        Self {
            unix_ms,
            offset_min,
        }
        .plus_ms(0)
    }

    pub(super) fn fields(self) -> Fields {
        let local = self.unix_ms + i64::from(self.offset_min) * 60_000;
        let (days, clock) = (local.div_euclid(DAY_MS), local.rem_euclid(DAY_MS));
        let (year, month, day) = civil_from_days(days);
        let weekday = (days + 3).rem_euclid(7) + 1;
        // ISO weeks: the week belongs to the year that has its Thursday.
        let thursday = days - weekday + 4;
        let (week_year, _, _) = civil_from_days(thursday);
        let week = (thursday - days_from_civil(week_year, 1, 1)) / 7 + 1;
        Fields {
            year,
            month,
            day,
            hour: clock / 3_600_000,
            minute: clock / 60_000 % 60,
            second: clock / 1000 % 60,
            milli: clock % 1000,
            weekday,
            day_of_year: days - days_from_civil(year, 1, 1) + 1,
            week,
            week_year,
            offset_min: self.offset_min,
        }
    }

    /// Append `2026-11-22T10:41:30.123Z`, or with `+01:00` in another offset.
    pub(super) fn push_iso(self, out: &mut String) {
        let at = self.fields();
        out.push_str(&format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}",
            at.year, at.month, at.day, at.hour, at.minute, at.second, at.milli
        ));
        if self.offset_min == 0 {
            out.push('Z');
        } else {
            push_offset(self.offset_min, true, out);
        }
    }
}

/// A time in UTC as `2026-11-22T10:41:30.123+00:00`: the offset in figures, as Otoroshi's headers have
/// it.
pub(crate) fn iso_with_offset(unix_s: f64) -> String {
    let mut out = String::new();
    Date::from_unix(unix_s).push_iso(&mut out);
    out.pop();
    push_offset(0, true, &mut out);
    out
}

/// The same day and time some years later, as ISO-8601 in UTC; 29 February becomes the 28th.
pub(crate) fn iso_years_later(unix_s: f64, years: u16) -> String {
    let now = Date::from_unix(unix_s);
    let at = now.fields();
    let year = (at.year + i64::from(years)).min(9999);
    let day = at.day.min(month_length(year, at.month));
    let clock = now.unix_ms.rem_euclid(DAY_MS);
    let later = Date {
        unix_ms: days_from_civil(year, at.month, day) * DAY_MS + clock,
        offset_min: 0,
    };
    let mut out = String::new();
    later.push_iso(&mut out);
    out
}

/// Append `+01:00`, or `+0100`.
pub(super) fn push_offset(offset_min: i32, colon: bool, out: &mut String) {
    let sign = if offset_min < 0 { '-' } else { '+' };
    let minutes = offset_min.unsigned_abs();
    let colon = if colon { ":" } else { "" };
    out.push_str(&format!(
        "{sign}{:02}{colon}{:02}",
        minutes / 60,
        minutes % 60
    ));
}

fn number(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<i64> {
    if !length.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Milliseconds of the day and the offset in minutes.
fn parse_time(text: &str) -> Option<(i64, i32)> {
    let split = text.find(['Z', '+', '-']);
    let (clock, zone) = match split {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, "Z"),
    };
    let offset_min = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign @ ("+" | "-"), digits) => {
            let digits = digits.replace(':', "");
            let hours = number(digits.get(..2)?, 2..=2)?;
            let minutes = digits
                .get(2..)
                .filter(|rest| !rest.is_empty())
                .map_or(Some(0), |rest| number(rest, 2..=2))?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = i32::try_from(hours * 60 + minutes).ok()?;
            if sign == "-" { -offset } else { offset }
        }
        _ => return None,
    };
    let (whole, fraction) = match clock.split_once(['.', ',']) {
        Some((whole, fraction)) => (whole, fraction),
        None => (clock, "0"),
    };
    let mut pieces = whole.split(':');
    let hour = number(pieces.next()?, 1..=2)?;
    let minute = pieces.next().map_or(Some(0), |text| number(text, 1..=2))?;
    let second = pieces.next().map_or(Some(0), |text| number(text, 1..=2))?;
    if pieces.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    number(fraction, 1..=9)?;
    let milli: i64 = format!("{fraction}00").get(..3)?.parse().ok()?;
    Some((
        ((hour * 60 + minute) * 60 + second) * 1000 + milli,
        offset_min,
    ))
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap
/// day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_and_written() {
        for (text, expected) in [
            ("2026", "2026-01-01T00:00:00.000Z"),
            ("2026-11", "2026-11-01T00:00:00.000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z"),
            ("2026-11-22T10", "2026-11-22T10:00:00.000Z"),
            ("2026-11-22T10:41:30.5Z", "2026-11-22T10:41:30.500Z"),
            (
                "2026-11-22T10:41:30.123456+0130",
                "2026-11-22T10:41:30.123+01:30",
            ),
            (
                "1969-12-31T23:59:59.999-05",
                "1969-12-31T23:59:59.999-05:00",
            ),
            ("0001-01-01", "0001-01-01T00:00:00.000Z"),
        ] {
            let mut out = String::new();
            Date::parse(text).expect(text).push_iso(&mut out);
            assert_eq!(out, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "26",
            "2026-13",
            "2026-00-01",
            "2025-02-29",
            "2026-11-22T",
            "2026-11-22T24:00",
            "2026-11-22T10:41:30.Z",
            "2026-11-22T10:41:30Zx",
            "2026-11-22T10+99",
            "no-header-x",
            "2026-11-22 10:00",
            "0000-01-01",
            "+026-01-01",
            "2026-1-1-1",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn calendars_agree_both_ways() {
        for days in (-719_162..2_932_896).step_by(61) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!((1..=month_length(year, month)).contains(&day));
        }
        assert_eq!(civil_from_days(20_779), (2026, 11, 22));
    }

    #[test]
    fn weeks_belong_to_the_year_of_their_thursday() {
        for (text, week_year, week, weekday) in [
            ("2026-01-01", 2026, 1, 4),
            ("2027-01-01", 2026, 53, 5),
            ("2024-12-30", 2025, 1, 1),
            ("1970-01-01", 1970, 1, 4),
        ] {
            let at = Date::parse(text).expect(text).fields();
            assert_eq!(
                (at.week_year, at.week, at.weekday),
                (week_year, week, weekday)
            );
        }
    }
}
