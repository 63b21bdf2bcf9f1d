//! Otoroshi's HMAC scheme: a caller signs the values of some header fields with a shared secret.
//!
//! ```text
//! Authorization: hmac algorithm="hmac-sha256", headers="Date X-Order", signature="<base64>"
//! ```
//!
//! The signed text is the values of the listed fields, in the order in which the *request* has them,
//! joined by one space. Values are not bound to names, which is the scheme's own weakness; RFC 9421
//! (`signature::message`) has none of that.
//!
//! Source: Otoroshi's plugins HMACValidator and HMACCaller. Where a client cannot depend on it this is
//! stricter: a signature that covers no field, or lists one the request does not have, is refused,
//! because it would be the same for every request.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http1::Headers;

/// A signature lists so many fields at most; a longer list is refused.
const LISTED_FIELDS: usize = 64;

/// The hash below the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacAlgorithm {
    /// HMAC-SHA1, only for peers that know nothing better.
    Sha1,
    /// HMAC-SHA256, what a signature without `algorithm` means.
    Sha256,
    /// HMAC-SHA384.
    Sha384,
    /// HMAC-SHA512, what the gateway signs with unless told otherwise.
    Sha512,
}

impl HmacAlgorithm {
    /// The algorithm of that name, in any letter case; the gateway itself writes lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.lower_name()))
    }

    /// Its name as it stands in a header.
    #[must_use]
    pub fn lower_name(self) -> &'static str {
        match self {
            Self::Sha1 => "hmac-sha1",
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }

    fn hash(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn sign(self, secret: &[u8], text: &[u8]) -> String {
        let key = hmac::Key::new(self.hash(), secret);
        STANDARD.encode(hmac::sign(&key, text))
    }
}

/// Find the field that carries the signature: the configured one when the request has it, else one of
/// `Authorization` and `Proxy-Authorization`. Both at once say nothing for certain, so neither counts.
#[must_use]
pub fn credentials<'a>(headers: &'a Headers, configured: Option<&str>) -> Option<&'a [u8]> {
    if let Some(value) = configured.and_then(|name| headers.find(name.as_bytes())) {
        return Some(value);
    }
    match (
        headers.find(b"authorization"),
        headers.find(b"proxy-authorization"),
    ) {
        (Some(value), None) | (None, Some(value)) => Some(value),
        _ => None,
    }
}

/// Whether the request proves that its sender has the secret.
///
/// Every way to fail looks the same from outside, and the signatures are compared in constant time.
#[must_use]
pub fn verify(headers: &Headers, configured: Option<&str>, secret: &[u8]) -> bool {
    let claim = credentials(headers, configured).and_then(Claim::parse);
    claim.is_some_and(|claim| !secret.is_empty() && claim.holds(headers, secret))
}

/// Make the two fields a signed request carries: `Date` in milliseconds, and the value that goes under
/// the name of the credentials.
#[must_use]
pub fn sign_date(algorithm: HmacAlgorithm, secret: &[u8], unix_ms: u64) -> (String, String) {
    let date = unix_ms.to_string();
    let credentials = format!(
        "hmac algorithm=\"{}\", headers=\"Date\", signature=\"{}\"",
        algorithm.lower_name(),
        algorithm.sign(secret, date.as_bytes())
    );
    (date, credentials)
}

/// What a value under `Authorization` claims.
struct Claim<'a> {
    algorithm: HmacAlgorithm,
    listed: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    /// Read a claim. Quotes and the scheme's name may be missing, as in Otoroshi; parameters it does
    /// not know are passed over, one that stands twice is not.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        let text = match text.get(..5) {
            Some(scheme) if scheme.eq_ignore_ascii_case("hmac ") => &text[5..],
            _ => text,
        };
        let (mut algorithm, mut listed, mut signature) = (None, None, None);
        for parameter in text.split(',') {
            let Some((name, value)) = parameter.trim().split_once('=') else {
                continue;
            };
            let slot = match name {
                "algorithm" => &mut algorithm,
                "headers" => &mut listed,
                "signature" => &mut signature,
                _ => continue,
            };
            if slot.replace(value.trim_matches('"')).is_some() {
                return None;
            }
        }
        let listed: Vec<_> = listed?.split_ascii_whitespace().collect();
        if listed.is_empty() || listed.len() > LISTED_FIELDS {
            return None;
        }
        Some(Self {
            algorithm: algorithm.map_or(Some(HmacAlgorithm::Sha256), HmacAlgorithm::named)?,
            listed,
            signature: signature?,
        })
    }

    fn holds(&self, headers: &Headers, secret: &[u8]) -> bool {
        let is_there = |name: &&str| headers.find(name.as_bytes()).is_some();
        if !self.listed.iter().all(is_there) {
            return false;
        }
        let is_listed = |name: &[u8]| {
            let same = |listed: &&str| name.eq_ignore_ascii_case(listed.as_bytes());
            self.listed.iter().any(same)
        };
        let signed = headers.iter().filter(|(name, _, _)| is_listed(name));
        let text = signed.map(|(_, value, _)| value).collect::<Vec<_>>();
        let text = text.join(&b' ');
        let expected = self.algorithm.sign(secret, &text);
        constant_time::verify_slices_are_equal(expected.as_bytes(), self.signature.as_bytes())
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"secret";

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.add(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    fn signed(parameters: &str, signature: &str) -> bool {
        let value = format!("{parameters}signature=\"{signature}\"");
        let fields = [
            ("Date", "1700000000000"),
            ("X-Order", "b"),
            ("Authorization", &value),
        ];
        verify(&headers(&fields), None, SECRET)
    }

    // Computed with Python's hmac: key "secret", over "1700000000000" and "1700000000000 b".
    const SHA256_OF_DATE: &str = "T+LOEv1r7F4GSLI7+/8Vi6X8GLOiFLTCBzFGcUSKleE=";
    const SHA1_OF_BOTH: &str = "p38/57Dm1dMQt4cVOESzmGtt1Nc=";
    const SHA384_OF_BOTH: &str = "+mcDaSCcRjEQN8xK/jFsmzbOsUZdmNA9+Pf0XmIALtj75NqmbJQMHss/YkjmFjiD";
    const SHA512_OF_BOTH: &str =
        "3FjLT0T7tF35KqshIIhb6j6YKuDyE5m+wXSv3CpLypvtEeqZYuDin9dky7hOVxy5w+7DTWrWSCh5G3MJ7meVIQ==";

    #[test]
    fn signatures_of_another_implementation_are_accepted() {
        assert!(signed(
            "hmac algorithm=\"HMAC-SHA256\",headers=\"Date\",",
            SHA256_OF_DATE
        ));
        assert!(
            signed("hmac headers=\"Date\", ", SHA256_OF_DATE),
            "SHA-256 is meant"
        );
        assert!(
            signed("headers=Date,", SHA256_OF_DATE),
            "scheme and quotes may be missing"
        );
        let both = "headers=\"Date X-Order\", ";
        for (name, signature) in [
            ("hmac-sha1", SHA1_OF_BOTH),
            ("HMAC-SHA384", SHA384_OF_BOTH),
            ("hmac-sha512", SHA512_OF_BOTH),
        ] {
            assert!(signed(
                &format!("hmac algorithm=\"{name}\", {both}"),
                signature
            ));
        }
        let turned = "hmac algorithm=\"hmac-sha1\", headers=\"x-order date\", ";
        assert!(
            signed(turned, SHA1_OF_BOTH),
            "the request's order counts, not the list's"
        );
    }

    #[test]
    fn whatever_is_wrong_is_refused() {
        let good = "hmac headers=\"Date\", ";
        assert!(signed(good, SHA256_OF_DATE));
        for parameters in [
            "hmac ",
            "hmac headers=\"\", ",
            "hmac headers=\"X-Order\", ",
            "hmac headers=\"Date X-Order\", ",
            "hmac headers=\"Date Absent\", ",
            "hmac headers=\"Date\", headers=\"Date\", ",
            "hmac algorithm=\"none\", headers=\"Date\", ",
            "hmac algorithm=\"hmac-sha512\", headers=\"Date\", ",
            "Basic ",
        ] {
            assert!(!signed(parameters, SHA256_OF_DATE), "{parameters}");
        }
        for signature in [
            "",
            "AAAA",
            &SHA256_OF_DATE.to_lowercase(),
            &SHA256_OF_DATE[1..],
        ] {
            assert!(!signed(good, signature), "{signature}");
        }
        let many = vec!["Date"; LISTED_FIELDS + 1].join(" ");
        assert!(!signed(
            &format!("hmac headers=\"{many}\", "),
            SHA256_OF_DATE
        ));
    }

    #[test]
    fn an_empty_secret_proves_nothing() {
        let (date, credentials) = sign_date(HmacAlgorithm::Sha256, b"", 1);
        let fields = [("Date", &*date), ("Authorization", &*credentials)];
        assert!(!verify(&headers(&fields), None, b""));
    }

    #[test]
    fn a_field_that_stands_twice_is_signed_twice() {
        let value = format!("hmac headers=\"Date\", signature=\"{SHA256_OF_DATE}\"");
        let once = [("Date", "1700000000000"), ("Authorization", &*value)];
        assert!(verify(&headers(&once), None, SECRET));
        let twice = [once[0], ("date", "1"), once[1]];
        assert!(!verify(&headers(&twice), None, SECRET));
    }

    #[test]
    fn the_field_of_the_credentials_is_one_and_only_one() {
        let (date, credentials) = sign_date(HmacAlgorithm::Sha512, SECRET, 1_700_000_000_000);
        let date = ("Date", &*date);
        let under = |names: &[&'static str], configured| {
            let mut fields = vec![date];
            fields.extend(names.iter().map(|name| (*name, &*credentials)));
            verify(&headers(&fields), configured, SECRET)
        };
        assert!(under(&["Authorization"], None));
        assert!(under(&["Proxy-Authorization"], None));
        assert!(!under(&["Authorization", "Proxy-Authorization"], None));
        assert!(!under(&["X-Mac"], None));
        assert!(under(
            &["X-Mac", "Authorization", "Proxy-Authorization"],
            Some("x-mac")
        ));
        assert!(under(&["Authorization"], Some("x-mac")));
        assert!(!under(&[], Some("x-mac")));
    }

    #[test]
    fn what_the_gateway_signs_reads_as_otoroshi_writes_it() {
        let (date, credentials) = sign_date(HmacAlgorithm::Sha256, SECRET, 1_700_000_000_000);
        assert_eq!(date, "1700000000000");
        let expected = format!(
            "hmac algorithm=\"hmac-sha256\", headers=\"Date\", signature=\"{SHA256_OF_DATE}\""
        );
        assert_eq!(credentials, expected);
    }
}
