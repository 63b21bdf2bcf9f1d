//! Regular expressions as route declarations write them: Java's syntax, whole-text matching, and an
//! engine whose time is linear in the text.
//!
//! The engine is the `regex` crate. What it lacks of Java's syntax (look-around, back-references,
//! possessive and atomic groups, a few escapes) is refused with its name, so that a route is never
//! accepted with another meaning than the one written. Classes such as `\d` and `\w` are ASCII, as
//! in Java; an expression that needs Unicode classes gets them.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// A compiled expression together with its source.
#[derive(Clone)]
pub struct JavaRegex {
    source: Box<str>,
    regex: Regex,
}

/// Why an expression was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegexError {
    /// A construct that no linear-time engine can run, or that means something else here.
    Unsupported(&'static str),
    /// The expression is not well formed; the text says where.
    Syntax(String),
    /// The compiled form would take more than the limit.
    TooLarge,
}

impl fmt::Display for RegexError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => write!(out, "{what} cannot be used here"),
            Self::Syntax(why) => write!(out, "it is not a valid regular expression: {why}"),
            Self::TooLarge => write!(out, "the regular expression is too large"),
        }
    }
}

impl JavaRegex {
    /// Compile `source`.
    ///
    /// # Errors
    /// What of it cannot be run, or is wrong.
    pub fn new(source: &str) -> Result<Self, RegexError> {
        let whole = format!(r"\A(?:{})\z", translate(source)?);
        let regex = build(&whole, false)
            .or_else(|_| build(&whole, true))
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => RegexError::TooLarge,
                error => RegexError::Syntax(last_line(&error.to_string())),
            })?;
        Ok(Self {
            source: source.into(),
            regex,
        })
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// Compile an expression that is looked for anywhere in a text.
///
/// # Errors
/// As [`JavaRegex::new`].
pub(crate) fn search(source: &str) -> Result<regex::Regex, RegexError> {
    let translated = translate(source)?;
    regex::RegexBuilder::new(&translated)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => RegexError::TooLarge,
            error => RegexError::Syntax(last_line(&error.to_string())),
        })
}

impl fmt::Debug for JavaRegex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "JavaRegex({:?})", self.source)
    }
}

fn build(whole: &str, unicode: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(whole)
        .unicode(unicode)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .build()
}

/// Carry `\Q…\E` over and refuse what the engine lacks or would read differently.
fn translate(source: &str) -> Result<String, RegexError> {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let mut class_depth = 0usize;
    let mut brace_open = false;
    let mut after_quantifier = false;
    while let Some(letter) = rest.chars().next() {
        let quantifier = match letter {
            '\\' => {
                let (text, tail) = escape(rest)?;
                out.push_str(&text);
                rest = tail;
                after_quantifier = false;
                continue;
            }
            _ if class_depth > 0 => {
                class_depth = match letter {
                    '[' => class_depth + 1,
                    ']' => class_depth - 1,
                    _ => class_depth,
                };
                false
            }
            '[' => {
                class_depth = 1;
                false
            }
            '(' => {
                refuse_group(rest)?;
                false
            }
            '+' if after_quantifier => {
                return Err(RegexError::Unsupported(
                    "a possessive quantifier (such as `a++`)",
                ));
            }
            '{' => {
                brace_open = true;
                false
            }
            '}' => std::mem::take(&mut brace_open),
            '*' | '+' | '?' => !after_quantifier,
            _ => false,
        };
        after_quantifier = quantifier;
        out.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    Ok(out)
}

/// The translation of the escape at the start of `rest`, and what follows it.
fn escape(rest: &str) -> Result<(String, &str), RegexError> {
    let after = &rest[1..];
    let Some(letter) = after.chars().next() else {
        return Ok(("\\".into(), after));
    };
    let tail = &after[letter.len_utf8()..];
    match letter {
        '1'..='9' | 'k' => Err(RegexError::Unsupported("a back-reference (such as `\\1`)")),
        'G' | 'R' | 'X' | 'Z' | 'h' | 'H' | 'V' | 'N' | 'c' | 'e' | '0' => {
            Err(RegexError::Unsupported(
                "one of the escapes \\G \\R \\X \\Z \\h \\H \\V \\N \\c \\e \\0",
            ))
        }
        'Q' => {
            let (quoted, tail) = tail.split_once("\\E").unwrap_or((tail, ""));
            Ok((regex::escape(quoted), tail))
        }
        // The braces of `\p{…}` and `\x{…}` are no counted repetition.
        'p' | 'P' | 'x' if tail.starts_with('{') => {
            let end = tail.find('}').map_or(tail.len(), |end| end + 1);
            Ok((format!("\\{letter}{}", &tail[..end]), &tail[end..]))
        }
        _ => Ok((format!("\\{letter}"), tail)),
    }
}

fn refuse_group(rest: &str) -> Result<(), RegexError> {
    const REFUSED: [(&str, &str); 5] = [
        ("(?=", "a look-ahead (`(?=`)"),
        ("(?!", "a negative look-ahead (`(?!`)"),
        ("(?<=", "a look-behind (`(?<=`)"),
        ("(?<!", "a negative look-behind (`(?<!`)"),
        ("(?>", "an atomic group (`(?>`)"),
    ];
    match REFUSED.iter().find(|(start, _)| rest.starts_with(start)) {
        Some((_, what)) => Err(RegexError::Unsupported(what)),
        None => Ok(()),
    }
}

/// The engine draws its errors over several lines; the last one says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().next_back().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// Bound on a compiled expression, and on the cache its search may fill: room for a few Unicode
/// classes, not for counted repetitions of counted repetitions.
const COMPILED_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_text_must_match() {
        for (source, text, expected) in [
            ("[0-9]+", "12", true),
            ("[0-9]+", "12a", false),
            ("a|b", "ab", false),
            ("a|b", "b", true),
            ("(?i)abc", "ABC", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b\E", "axb", false),
            (r"\d+", "\u{0661}", false),
            (r"\p{L}+", "\u{e9}", true),
            ("[a+]+", "a+a", true),
            ("a{2}", "aa", true),
            (r"\++", "++", true),
            ("a+?", "aa", true),
            ("", "", true),
            ("", "a", false),
        ] {
            let regex = JavaRegex::new(source);
            let found = regex.map(|regex| regex.matches(text.as_bytes()));
            assert_eq!(found.ok(), Some(expected), "{source} on {text}");
        }
    }

    #[test]
    fn what_the_engine_lacks_is_named() {
        for (source, part) in [
            ("(?=a)b", "look-ahead"),
            ("a(?!b)", "negative look-ahead"),
            ("(?<=a)b", "look-behind"),
            ("(?<!a)b", "negative look-behind"),
            ("(?>a+)b", "atomic"),
            (r"(a)\1", "back-reference"),
            (r"(?<x>a)\k<x>", "back-reference"),
            ("a++", "possessive"),
            ("a{1,2}+", "possessive"),
            (r"a\Z", r"\Z"),
            ("(", "unclosed group"),
            ("[z-a]", "invalid character class range"),
            (r"(\w{500}){500}", "too large"),
        ] {
            let error = JavaRegex::new(source).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.contains(part), "{source}: {error}");
        }
    }
}
