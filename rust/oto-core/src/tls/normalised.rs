//! Names and chains of client certificates in the spelling that Otoroshi compares and sends.

use serde_json::{Value, json};

use super::client_certificate::ClientCertificate;

/// A distinguished name as Otoroshi compares it: its parts sorted by attribute, `sn` read as
/// `surname`, joined by `, `.
///
/// Parts are cut at commas that are not escaped; the attribute is lower-cased to be sorted and
/// written in upper case, the value stays as it is.
#[must_use]
pub fn normalised(name: &str) -> String {
    let mut parts: Vec<(String, &str)> = cut(name)
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            let attribute = match attribute.trim().to_lowercase().as_str() {
                "sn" => "surname".to_owned(),
                other => other.to_owned(),
            };
            (attribute, value.trim())
        })
        .collect();
    parts.sort_by(|one, other| other.0.cmp(&one.0));
    let written = parts
        .iter()
        .map(|(attribute, value)| format!("{}={value}", attribute.to_uppercase()));
    written.collect::<Vec<_>>().join(", ")
}

/// The parts of a name, trimmed.
fn cut(name: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (at, byte) in name.bytes().enumerate() {
        if byte == b',' && !is_escaped {
            parts.push(name[start..at].trim());
            start = at + 1;
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    parts.push(name[start..].trim());
    parts
}

/// The chain as Otoroshi tells backends of it: times in milliseconds, names normalised.
#[must_use]
pub fn chain_json(certificate: &ClientCertificate) -> Value {
    let chain = certificate.certificates();
    let chain = chain.iter().map(|one| {
        json!({
            "subjectDN": normalised(&one.subject),
            "issuerDN": normalised(&one.issuer),
            "notAfter": one.not_after_s.saturating_mul(1000),
            "notBefore": one.not_before_s.saturating_mul(1000),
            "serialNumber": one.serial,
            "subjectCN": one.common_name,
            "issuerCN": common_name_of(&one.issuer),
        })
    });
    Value::Array(chain.collect())
}

/// The `CN` of a name, if it has one.
#[must_use]
pub fn common_name_of(name: &str) -> Option<&str> {
    cut(name)
        .into_iter()
        .find_map(|part| part.strip_prefix("CN="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_whatever_their_order() {
        let sorted = "SURNAME=x, OU=b c, O=d, CN=a";
        for name in [
            "CN=a, OU=b c, O=d, SN=x",
            "o=d,sn=x,  ou = b c ,cn=a",
            sorted,
        ] {
            assert_eq!(normalised(name), sorted);
        }
        assert_eq!(normalised("CN=a\\, b, O=c"), "O=c, CN=a\\, b");
        assert_eq!(normalised("CN=a\\\\, O=c"), "O=c, CN=a\\\\");
        assert_eq!(normalised(" ,"), "");
        assert_eq!(
            normalised("OU=2, OU=1"),
            "OU=2, OU=1",
            "equal attributes keep their order"
        );
    }

    #[test]
    fn the_common_name_is_found() {
        assert_eq!(common_name_of("O=c, CN=a\\, b"), Some("a\\, b"));
        assert_eq!(common_name_of("O=c"), None);
    }
}
