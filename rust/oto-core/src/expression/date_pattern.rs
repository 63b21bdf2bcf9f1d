//! Patterns for dates: the letters of Joda-Time, in English.

use super::date::{Fields, push_offset};

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Debug)]
enum Token {
    Text(String),
    Field(char, usize),
}

const LETTERS: &str = "GCYxwedEyMDdaKhHkmsSzZ";
const TOKENS: usize = 64;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Pattern {
    /// Compile a pattern; none when it has an unknown letter, an open quote or nothing at all.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\'' if letters.peek() == Some(&'\'') => {
                    letters.next();
                    push_text(&mut tokens, '\'');
                }
                '\'' => loop {
                    match letters.next()? {
                        '\'' if letters.peek() == Some(&'\'') => {
                            letters.next();
                            push_text(&mut tokens, '\'');
                        }
                        '\'' => break,
                        quoted => push_text(&mut tokens, quoted),
                    }
                },
                'A'..='Z' | 'a'..='z' => {
                    if !LETTERS.contains(letter) {
                        return None;
                    }
                    let mut count = 1;
                    while letters.next_if_eq(&letter).is_some() {
                        count += 1;
                    }
                    tokens.push(Token::Field(letter, count));
                }
                _ => push_text(&mut tokens, letter),
            }
        }
        (!tokens.is_empty() && tokens.len() <= TOKENS).then_some(Self(tokens))
    }

    pub(super) fn render(&self, at: &Fields, out: &mut String) {
        for token in &self.0 {
            match token {
                Token::Text(text) => out.push_str(text),
                Token::Field(letter, count) => render_field(*letter, (*count).min(32), at, out),
            }
        }
    }
}

fn push_text(tokens: &mut Vec<Token>, letter: char) {
    match tokens.last_mut() {
        Some(Token::Text(text)) => text.push(letter),
        _ => tokens.push(Token::Text(letter.into())),
    }
}

fn render_field(letter: char, count: usize, at: &Fields, out: &mut String) {
    let value = match letter {
        'G' => return out.push_str(if at.year > 0 { "AD" } else { "BC" }),
        'C' => at.year.div_euclid(100),
        'Y' | 'y' if count == 2 => at.year.rem_euclid(100),
        'Y' | 'y' => at.year,
        'x' if count == 2 => at.week_year.rem_euclid(100),
        'x' => at.week_year,
        'w' => at.week,
        'e' => at.weekday,
        'E' => return push_name(&WEEKDAYS, at.weekday, count, out),
        'M' if count >= 3 => return push_name(&MONTHS, at.month, count, out),
        'M' => at.month,
        'D' => at.day_of_year,
        'd' => at.day,
        'a' => return out.push_str(if at.hour < 12 { "AM" } else { "PM" }),
        'K' => at.hour % 12,
        'h' => (at.hour + 11) % 12 + 1,
        'H' => at.hour,
        'k' => (at.hour + 23) % 24 + 1,
        'm' => at.minute,
        's' => at.second,
        'S' => {
            let digits = format!("{:03}{}", at.milli, "0".repeat(count.saturating_sub(3)));
            return out.push_str(digits.get(..count).unwrap_or(&digits));
        }
        'z' if at.offset_min != 0 => return push_offset(at.offset_min, true, out),
        'z' if count >= 4 => return out.push_str("Coordinated Universal Time"),
        'z' => return out.push_str("UTC"),
        // 'Z', the last of LETTERS.
        _ if count >= 3 && at.offset_min == 0 => return out.push_str("UTC"),
        _ => return push_offset(at.offset_min, count >= 2, out),
    };
    out.push_str(&format!("{value:0count$}"));
}

/// Append a name; three letters unless the pattern asks for more.
fn push_name(names: &[&str], number: i64, count: usize, out: &mut String) {
    let name = usize::try_from(number - 1)
        .ok()
        .and_then(|at| names.get(at))
        .copied()
        .unwrap_or("");
    out.push_str(if count >= 4 {
        name
    } else {
        name.get(..3).unwrap_or(name)
    });
}

#[cfg(test)]
mod tests {
    use super::super::date::Date;
    use super::*;

    #[test]
    fn every_letter_is_written() {
        let afternoon = Date::parse("2026-11-02T13:04:05.067+01:30").expect("valid");
        let midnight = Date::parse("0987-01-01T00:00:00Z").expect("valid");
        for (pattern, expected) in [
            ("yyyy-MM-dd", "2026-11-02"),
            ("yy.M.d", "26.11.2"),
            ("YYYY xxxx xx w ww e D DDD", "2026 2026 26 45 45 1 306 306"),
            ("EEE EEEE MMM MMMM", "Mon Monday Nov November"),
            ("G C a", "AD 20 PM"),
            ("K h H k", "1 1 13 13"),
            ("HH:mm:ss.SSS S SS SSSS", "13:04:05.067 0 06 0670"),
            ("Z ZZ ZZZ z", "+0130 +01:30 +01:30 +01:30"),
            ("yyyy-MM-dd'T'HH:mm:ss", "2026-11-02T13:04:05"),
            ("h 'o''clock' ''a''", "1 o'clock 'PM'"),
        ] {
            let mut out = String::new();
            let compiled = Pattern::parse(pattern).expect(pattern);
            compiled.render(&afternoon.fields(), &mut out);
            assert_eq!(out, expected, "{pattern}");
        }
        let mut out = String::new();
        let compiled = Pattern::parse("yyyy a K h H k Z ZZ ZZZ z zzzz").expect("valid");
        compiled.render(&midnight.fields(), &mut out);
        assert_eq!(
            out,
            "0987 AM 0 12 0 24 +0000 +00:00 UTC UTC Coordinated Universal Time"
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "yyyy-bb", "'open", "q"] {
            assert!(Pattern::parse(pattern).is_none(), "{pattern}");
        }
    }
}
