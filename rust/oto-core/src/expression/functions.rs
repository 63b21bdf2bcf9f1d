//! `.replace('a','b')` and `.replaceAll('re','b')` behind a value's name.

use regex::Regex;

use crate::router::java_regex;

/// What is done to a value before it is written.
#[derive(Debug)]
pub(super) enum Change {
    /// Every occurrence of a text becomes another.
    Replace(Box<str>, Box<str>),
    /// Every match of an expression becomes a text, in which `$1` is a group.
    ReplaceAll(Regex, Box<str>),
}

impl Change {
    /// Split a call off the end of an expression.
    ///
    /// # Errors
    /// The expression or the replacement is none that this gateway can run.
    pub(super) fn split(text: &str) -> Result<Option<(&str, Self)>, String> {
        if let Some((name, from, to)) = call(text, ".replace('") {
            return Ok(Some((name, Self::Replace(from.into(), to.into()))));
        }
        let Some((name, pattern, to)) = call(text, ".replaceAll('") else {
            return Ok(None);
        };
        let regex = java_regex::search(pattern)
            .map_err(|error| format!("replaceAll('{pattern}', …): {error}"))?;
        Ok(Some((
            name,
            Self::ReplaceAll(regex, replacement(to)?.into()),
        )))
    }

    /// Do it; none when the text would get longer than `most` bytes.
    pub(super) fn apply(&self, value: &str, most: usize) -> Option<String> {
        let mut out = String::with_capacity(value.len());
        let mut copied = 0;
        match self {
            Self::Replace(from, to) => {
                for (at, found) in value.match_indices(&**from) {
                    out.push_str(value.get(copied..at)?);
                    out.push_str(to);
                    copied = at + found.len();
                    if out.len() > most {
                        return None;
                    }
                }
            }
            Self::ReplaceAll(regex, to) => {
                let groups = to.matches('$').count();
                for captures in regex.captures_iter(value) {
                    let found = captures.get(0)?;
                    out.push_str(value.get(copied..found.start())?);
                    let added = groups.saturating_mul(found.len()).saturating_add(to.len());
                    if out.len().saturating_add(added) > most {
                        return None;
                    }
                    captures.expand(to, &mut out);
                    copied = found.end();
                }
            }
        }
        out.push_str(value.get(copied..)?);
        (out.len() <= most).then_some(out)
    }
}

/// `NAME.function('a','b')`, with or without a space behind the comma.
fn call<'a>(text: &'a str, function: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (name, arguments) = text.strip_suffix("')")?.rsplit_once(function)?;
    let (first, second) = arguments
        .rsplit_once("', '")
        .or_else(|| arguments.rsplit_once("','"))?;
    Some((name, first, second))
}

/// Java's replacement text in the notation of the `regex` crate.
fn replacement(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let broken = || {
        format!("the replacement '{text}' ends in \\ or has a $ without a group; write \\$ for a $")
    };
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next().ok_or_else(broken)? {
                '$' => out.push_str("$$"),
                escaped => out.push(escaped),
            },
            '$' => {
                let group: String = match letters.next() {
                    Some('{') => letters.by_ref().take_while(|next| *next != '}').collect(),
                    Some(digit) if digit.is_ascii_digit() => digit.to_string(),
                    _ => return Err(broken()),
                };
                out.push_str("${");
                out.push_str(&group);
                out.push('}');
            }
            _ => out.push(letter),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_split_off_and_applied() {
        for (text, value, expected) in [
            ("f.replace('a','b')", "banana", "bbnbnb"),
            ("f.replace('a', 'b')", "banana", "bbnbnb"),
            ("f.replaceAll('[an]+','-')", "banana", "b-"),
            ("f.replaceAll('(b)(a)','$2$1\\$')", "banana", "ab$nana"),
            ("f.replaceAll('(?<x>b)','<${x}>')", "banana", "<b>anana"),
        ] {
            let (name, change) = Change::split(text).expect("valid").expect("a call");
            let changed = change.apply(value, expected.len() + 2 * value.len());
            assert_eq!((name, changed.as_deref()), ("f", Some(expected)), "{text}");
            assert_eq!(change.apply(value, expected.len() - 1), None, "{text}");
        }
        assert!(Change::split("f.replace(a,b)").expect("valid").is_none());
        let error = Change::split("f.replaceAll('(?=a)','b')").expect_err("look-ahead");
        assert!(error.contains("look-ahead"), "{error}");
        assert!(Change::split("f.replaceAll('a','$')").is_err());
    }
}
