//! Where credentials stand in a request: query parameters and cookies, read and taken out.

use std::borrow::Cow;

/// A text of a query without its escapes; none when it is no UTF-8 then.
#[must_use]
pub fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    decoded(text, true)
}

/// A text of a path without its escapes; none when it is no UTF-8 then.
pub(super) fn percent_decoded_path(text: &str) -> Option<Cow<'_, str>> {
    decoded(text, false)
}

fn decoded(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let escaped = (*first == b'%')
            .then(|| {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
            })
            .flatten();
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None if *first == b'+' && plus_is_space => bytes.push(b' '),
            None => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn params(query: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn is_named(written: &str, name: &str) -> bool {
    percent_decoded(written).is_some_and(|written| *written == *name)
}

/// The value of a query parameter, the first or the last of that name; none when it is empty.
#[must_use]
pub fn query_value<'a>(query: &'a str, name: &str, last: bool) -> Option<Cow<'a, str>> {
    let is_wanted = |(written, _): &(&str, &str)| is_named(written, name);
    let (_, value) = if last {
        params(query).rev().find(is_wanted)
    } else {
        params(query).find(is_wanted)
    }?;
    percent_decoded(value).filter(|value| !value.is_empty())
}

/// The values of a query's parameters of a name, as they are written.
pub(super) fn written_values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    params(query)
        .filter(move |(written, _)| is_named(written, name))
        .map(|(_, value)| value)
}

/// A query without the parameters of a name; none when nothing is left.
#[must_use]
pub fn without_param(query: &str, name: &str) -> Option<String> {
    let kept: Vec<_> = query
        .split('&')
        .filter(|pair| !is_named(pair.split_once('=').map_or(*pair, |(name, _)| name), name))
        .collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

fn cookies(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

fn named_cookie<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// The value of a cookie in a `Cookie` field; none when it is empty.
#[must_use]
pub fn cookie<'a>(field: &'a [u8], name: &str) -> Option<&'a [u8]> {
    cookies(field)
        .find_map(|pair| named_cookie(pair, name))
        .filter(|value| !value.is_empty())
}

/// A `Cookie` field without the cookies of a name; none when nothing is left.
#[must_use]
pub fn without_cookie(field: &[u8], name: &str) -> Option<Vec<u8>> {
    let kept: Vec<_> = cookies(field)
        .filter(|pair| !pair.is_empty() && named_cookie(pair, name).is_none())
        .collect();
    (!kept.is_empty()).then(|| kept.join(&b"; "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_whatever_their_escapes() {
        for (query, first, last) in [
            ("a=1&x-k=2&x-k=3", Some("2"), Some("3")),
            ("x%2Dk=a%20b+c", Some("a b c"), Some("a b c")),
            ("x-k", None, None),
            ("x-k=", None, None),
            ("y=1", None, None),
            ("x-k=%", Some("%"), Some("%")),
            ("x-k=%+1", Some("% 1"), Some("% 1")),
            ("x-k=%ff", None, None),
            ("", None, None),
        ] {
            assert_eq!(
                query_value(query, "x-k", false).as_deref(),
                first,
                "{query}"
            );
            assert_eq!(query_value(query, "x-k", true).as_deref(), last, "{query}");
        }
    }

    #[test]
    fn every_parameter_of_the_name_goes() {
        assert_eq!(
            without_param("a=1&k=2&%6b=3&b", "k").as_deref(),
            Some("a=1&b")
        );
        assert_eq!(without_param("k=2", "k"), None);
        assert_eq!(without_param("kk=2", "k").as_deref(), Some("kk=2"));
    }

    #[test]
    fn cookies_are_read_and_taken_out() {
        let field = b"a=1; k=x=y;kk=3 ; k=z";
        assert_eq!(cookie(field, "k"), Some(&b"x=y"[..]));
        assert_eq!(cookie(field, "kk"), Some(&b"3"[..]));
        assert_eq!(cookie(field, "z"), None);
        assert_eq!(cookie(b"k=", "k"), None);
        assert_eq!(
            without_cookie(field, "k").as_deref(),
            Some(&b"a=1; kk=3"[..])
        );
        assert_eq!(without_cookie(b"k=1;", "k"), None);
    }
}
