//! Which client certificates are let in: by serial number, by subject or by issuer.

use serde::Deserialize;

use super::client_certificate::ClientCertificate;
use super::normalised::normalised;
use crate::router::JavaRegex;

/// The lists as configs write them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CertificateRulesSpec {
    serial_numbers: Vec<String>,
    subject_dns: Vec<String>,
    issuer_dns: Vec<String>,
    regex_subject_dns: Vec<String>,
    regex_issuer_dns: Vec<String>,
}

/// The lists ready for use.
#[derive(Debug)]
pub struct CertificateRules {
    serials: Vec<Box<str>>,
    subjects: Vec<DnPattern>,
    issuers: Vec<DnPattern>,
    regex_subjects: Vec<JavaRegex>,
    regex_issuers: Vec<JavaRegex>,
}

impl CertificateRules {
    /// Check the lists.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub fn build(spec: CertificateRulesSpec) -> Result<Self, String> {
        let patterns = |list: &[String]| list.iter().map(|text| DnPattern::new(text)).collect();
        let regexes = |field: &str, list: &[String]| -> Result<Vec<JavaRegex>, String> {
            let compiled = list.iter().enumerate().map(|(at, source)| {
                JavaRegex::new(source).map_err(|error| format!("{field}[{at}]: {error}"))
            });
            compiled.collect()
        };
        Ok(Self {
            serials: spec
                .serial_numbers
                .iter()
                .map(|serial| serial.to_lowercase().into())
                .collect(),
            subjects: patterns(&spec.subject_dns),
            issuers: patterns(&spec.issuer_dns),
            regex_subjects: regexes("regex_subject_dns", &spec.regex_subject_dns)?,
            regex_issuers: regexes("regex_issuer_dns", &spec.regex_issuer_dns)?,
        })
    }

    /// Whether a certificate of the chain is in a list.
    #[must_use]
    pub fn admit(&self, certificate: &ClientCertificate) -> bool {
        certificate.certificates().iter().any(|one| {
            let (subject, issuer) = (normalised(&one.subject), normalised(&one.issuer));
            let in_regexes =
                |list: &[JavaRegex], name: &str| list.iter().any(|it| it.matches(name.as_bytes()));
            self.serials.iter().any(|serial| **serial == *one.serial)
                || self.subjects.iter().any(|it| it.matches(&subject))
                || self.issuers.iter().any(|it| it.matches(&issuer))
                || in_regexes(&self.regex_subjects, &subject)
                || in_regexes(&self.regex_issuers, &issuer)
        })
    }
}

/// A distinguished name in which `*` stands for any text; its parts may be in any order.
#[derive(Debug)]
pub struct DnPattern {
    written: Box<str>,
    normalised: Box<str>,
}

impl DnPattern {
    /// Take a pattern over.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self {
            written: pattern.into(),
            normalised: normalised(pattern).into(),
        }
    }

    /// Whether a normalised name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        has_form(&self.normalised, name) || has_form(&self.written, name)
    }
}

/// Whether the whole text is the pattern, in which `*` stands for any text.
fn has_form(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        let Some(at) = text.find(piece) else {
            return false;
        };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "ab"),
            ("a*", "a"),
            ("*b", "ab"),
            ("a*b", "ab"),
            ("a*b*c", "aXbYc"),
            ("a**c", "abc"),
            ("*b*", "abc"),
            ("a.c", "a.c"),
        ] {
            assert!(has_form(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", "ab"),
            ("a*a", "a"),
            ("ab*ba", "aba"),
            ("*b*b*", "abc"),
            ("a.c", "abc"),
            ("a*b*c", "acb"),
            ("*ab*b", "ab"),
        ] {
            assert!(!has_form(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn parts_of_a_name_may_be_in_any_order() {
        let name = normalised("CN=client, OU=dev, O=me");
        for pattern in [
            "CN=client, OU=dev, O=me",
            "o=me, cn=client, ou=dev",
            "CN=*, OU=dev, O=*",
            "*CN=client*",
        ] {
            assert!(DnPattern::new(pattern).matches(&name), "{pattern}");
        }
        for pattern in ["CN=client", "CN=other, OU=dev, O=me", ""] {
            assert!(!DnPattern::new(pattern).matches(&name), "{pattern}");
        }
    }
}
