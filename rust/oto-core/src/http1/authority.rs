//! Hosts: in absolute request targets and in `Host` (RFC 9110 §4.2, RFC 9112 §3.2).

use super::canonical::TargetError;
use super::head_error::HeadError;

/// Split `http://authority/path` into authority and the rest; origin form has no authority.
pub(super) fn split_absolute(target: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    if target.first() == Some(&b'/') {
        return Ok((&[], target));
    }
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme)
    });
    let Some(scheme) = scheme else {
        return Err(HeadError::Target(TargetError::NotAbsolute));
    };
    let rest = &target[scheme.len()..];
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(rest.len());
    if end == 0 {
        return Err(HeadError::Host);
    }
    Ok(rest.split_at(end))
}

/// The length of the name in `name[:port]`, when both are valid (RFC 9110 §4.2, no userinfo).
pub(super) fn domain_length(host: &[u8]) -> Option<usize> {
    let (name_len, port) = if host.first() == Some(&b'[') {
        let end = memchr::memchr(b']', host)?;
        let inside = &host[1..end];
        let address = std::str::from_utf8(inside).ok()?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        (end + 1, &host[end + 1..])
    } else {
        let end = memchr::memchr(b':', host).unwrap_or(host.len());
        let valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if end == 0 || end > 253 || !host[..end].iter().all(valid) {
            return None;
        }
        (end, &host[end..])
    };
    match port {
        b"" => Some(name_len),
        [b':', digits @ ..] => {
            let valid = digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && (digits.is_empty() || std::str::from_utf8(digits).ok()?.parse::<u16>().is_ok());
            valid.then_some(name_len)
        }
        _ => None,
    }
}
