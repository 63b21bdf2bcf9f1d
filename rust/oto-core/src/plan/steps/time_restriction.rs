//! Let requests through only at certain times of certain days.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{At, NativeStep, Outcome, StepSettings};
use crate::plan::reply::Reply;

#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    #[serde(default)]
    rules: Vec<RuleSettings>,
    #[serde(default)]
    timezone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RuleSettings {
    time_start: String,
    time_end: String,
    day_start: i8,
    day_end: i8,
}

/// The step.
#[derive(Debug)]
pub(super) struct TimeRestriction {
    rules: Vec<Rule>,
    zone: TimeZone,
}

/// Days from Monday, 1, both ends included; times of day in milliseconds, neither included.
#[derive(Debug)]
struct Rule {
    days: (i8, i8),
    times_ms: (u32, u32),
}

impl StepSettings for Settings {
    type Step = TimeRestriction;

    fn build(self) -> Result<TimeRestriction, String> {
        let zone = match self.timezone.as_deref() {
            None | Some("") => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| {
                format!("timezone: there is no zone {name:?}; write one such as Europe/Paris")
            })?,
        };
        let rules = self.rules.into_iter().enumerate();
        let rules = rules.map(|(at, rule)| rule.build(at));
        Ok(TimeRestriction {
            rules: rules.collect::<Result<_, String>>()?,
            zone,
        })
    }
}

impl RuleSettings {
    fn build(self, at: usize) -> Result<Rule, String> {
        let time = |field: &str, text: &str| {
            time_of_day_ms(text).ok_or_else(|| {
                format!("rules[{at}].{field}: {text:?} is no time; write one such as 08:00:00.000")
            })
        };
        for (field, day) in [("day_start", self.day_start), ("day_end", self.day_end)] {
            if !(1..=7).contains(&day) {
                return Err(format!(
                    "rules[{at}].{field}: {day} is no day; use 1 (Monday) to 7"
                ));
            }
        }
        Ok(Rule {
            days: (self.day_start, self.day_end),
            times_ms: (
                time("time_start", &self.time_start)?,
                time("time_end", &self.time_end)?,
            ),
        })
    }
}

/// `HH:MM[:SS[.mmm]]` in milliseconds.
fn time_of_day_ms(text: &str) -> Option<u32> {
    let digits = |part: &str, count: usize, below: u32| -> Option<u32> {
        let is_number = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = is_number.then(|| part.parse().ok())??;
        (number < below).then_some(number)
    };
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "000"));
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2, 24)?;
    let minute = digits(parts.next()?, 2, 60)?;
    let second = match parts.next() {
        Some(part) => digits(part, 2, 60)?,
        None if fraction == "000" => 0,
        None => return None,
    };
    if parts.next().is_some() {
        return None;
    }
    let thousandths = digits(fraction, 3, 1000)?;
    Some(((hour * 60 + minute) * 60 + second) * 1000 + thousandths)
}

impl NativeStep for TimeRestriction {
    fn run(&self, at: &mut At<'_>) -> Outcome {
        if self.is_open(at.flow.moment.unix_s) {
            return Outcome::Continue;
        }
        Outcome::Answer(Reply {
            status: 403,
            headers: vec![(b"Content-Type".to_vec(), b"application/json".to_vec())],
            body: br#"{"error":"forbidden","error_description":"You cannot access this resource right now"}"#
                .to_vec(),
        })
    }
}

impl TimeRestriction {
    fn is_open(&self, unix_s: f64) -> bool {
        if self.rules.is_empty() {
            return false;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "milliseconds since 1970 fit"
        )]
        let Ok(now) = Timestamp::from_millisecond((unix_s * 1000.0).floor() as i64) else {
            return false;
        };
        let now = self.zone.to_datetime(now);
        let day = now.weekday().to_monday_one_offset();
        let whole = |part: i8| u32::try_from(part).unwrap_or(0);
        let thousandths = u32::try_from(now.millisecond()).unwrap_or(0);
        let time_ms = ((whole(now.hour()) * 60 + whole(now.minute())) * 60 + whole(now.second()))
            * 1000
            + thousandths;
        self.rules.iter().any(|rule| {
            (rule.days.0..=rule.days.1).contains(&day)
                && rule.times_ms.0 < time_ms
                && time_ms < rule.times_ms.1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(json: &str) -> Result<TimeRestriction, String> {
        serde_json::from_str::<Settings>(json)
            .expect("settings")
            .build()
    }

    const WORK: &str = r#"{"rules":[{"time_start":"08:00:00.000","time_end":"20:00:00.000","day_start":1,"day_end":5}],"timezone":"ZONE"}"#;

    #[test]
    fn the_zone_decides_what_time_it_is() {
        // Monday 5 January 2026, 07:30 in London and 08:30 in Paris.
        let at = 1_767_598_200.0;
        for (zone, open) in [("Europe/London", false), ("Europe/Paris", true)] {
            let step = step(&WORK.replace("ZONE", zone)).expect("valid");
            assert_eq!(step.is_open(at), open, "{zone}");
            assert!(!step.is_open(at - 86_400.0), "{zone} on a Sunday");
        }
    }

    #[test]
    fn neither_end_is_inside() {
        let step = step(&WORK.replace("ZONE", "UTC")).expect("valid");
        let eight = 1_767_600_000.0;
        assert!(!step.is_open(eight));
        assert!(step.is_open(eight + 0.001));
        assert!(!step.is_open(eight + 12.0 * 3600.0));
        assert!(step.is_open(eight + 12.0 * 3600.0 - 0.001));
    }

    #[test]
    fn nonsense_is_named() {
        for (from, to, field) in [
            ("08:00:00.000", "8 o'clock", "rules[0].time_start"),
            ("20:00:00.000", "24:00", "rules[0].time_end"),
            ("\"day_end\":5", "\"day_end\":8", "rules[0].day_end"),
            ("ZONE", "Mars/Olympus", "timezone"),
        ] {
            let json = WORK.replace(from, to).replace("ZONE", "UTC");
            let problem = step(&json).expect_err(field);
            assert!(problem.starts_with(field), "{problem}");
        }
        assert!(!step(r#"{"rules":[]}"#).expect("valid").is_open(0.0));
    }
}
