//! `Content-Digest`: what a signature that covers it says of the body (RFC 9530 §2).

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::component::bytes_of;
use crate::http1::Headers;
use crate::signature::structured;

/// Check every digest of a body that is known here; at least one must be.
///
/// # Errors
/// In words for the client.
pub fn check(headers: &Headers, body: &[u8]) -> Result<(), String> {
    let lines: Vec<&[u8]> = headers.find_all(b"content-digest").collect();
    if lines.is_empty() {
        return Err("signature covers content-digest but Content-Digest header is missing".into());
    }
    let failed = |problem: &str| format!("content-digest verification failed: {problem}");
    let members = structured::dictionary(&lines.join(&b", "[..]))
        .map_err(|problem| failed(&problem.to_string()))?;
    let mut known = 0;
    for (name, member) in &members {
        let algorithm = match name.as_str() {
            "sha-256" => &digest::SHA256,
            "sha-512" => &digest::SHA512,
            _ => continue,
        };
        known += 1;
        let made = digest::digest(algorithm, body);
        let told = bytes_of(member).unwrap_or_default();
        if constant_time::verify_slices_are_equal(made.as_ref(), told).is_err() {
            return Err(failed(&format!("{name} is another one")));
        }
    }
    if known == 0 {
        return Err(failed("it has neither sha-256 nor sha-512"));
    }
    Ok(())
}

/// Write the digest of a body, by `sha-256` or `sha-512`; none for another algorithm.
#[must_use]
pub fn write(algorithm: &str, body: &[u8]) -> Option<String> {
    let by = match algorithm {
        "sha-256" => &digest::SHA256,
        "sha-512" => &digest::SHA512,
        _ => return None,
    };
    let made = STANDARD.encode(digest::digest(by, body));
    Some(format!("{algorithm}=:{made}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_digest_must_be_the_bodys() {
        // RFC 9530 §D.1 and RFC 9421 §B.2, of {"hello": "world"}.
        const BODY: &[u8] = b"{\"hello\": \"world\"}";
        const GOOD_256: &str = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        const GOOD_512: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
        let judge = |value: &str, body: &[u8]| {
            let mut headers = Headers::default();
            headers.add(b"Content-Digest", value.as_bytes());
            check(&headers, body)
        };
        assert_eq!(judge(GOOD_256, BODY), Ok(()));
        assert_eq!(judge(GOOD_512, BODY), Ok(()));
        assert_eq!(write("sha-256", BODY).as_deref(), Some(GOOD_256));
        assert_eq!(write("sha-512", BODY).as_deref(), Some(GOOD_512));
        assert_eq!(write("md5", BODY), None);
        assert_eq!(
            judge(&format!("{GOOD_256}, {GOOD_512}, md5=:AA==:"), BODY),
            Ok(())
        );
        for value in [
            "",
            "md5=:AA==:",
            "sha-256=1",
            "sha-256=:AA==:",
            "sha-256",
            "?",
        ] {
            assert!(judge(value, BODY).is_err(), "{value}");
        }
        assert!(judge(GOOD_256, b"").is_err());
        assert!(judge(&format!("{GOOD_256}, sha-512=:AA==:"), BODY).is_err());
        let missing = check(&Headers::default(), BODY).expect_err("missing");
        assert!(missing.contains("header is missing"));
    }
}
