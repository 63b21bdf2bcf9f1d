//! Distinguished names as text, in the order and spelling that Otoroshi compares them in.

use std::fmt::Write as _;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The attributes that have a short name (RFC 4514 and those of X.509 tools).
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SURNAME"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "T"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.46", "DNQ"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
];

/// A name as `CN=a, OU=b, O=c`: the most specific part first.
pub(super) fn text_of(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| rdn.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(", ")
}

/// The value of the first `CN`.
pub(super) fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name()
        .next()
        .and_then(|value| value.as_str().ok())
        .map(str::to_owned)
}

fn attribute(pair: &AttributeTypeAndValue<'_>) -> String {
    let oid = pair.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid);
    let name = short.map_or(oid.as_str(), |(_, short)| short);
    let value = pair.as_str().map_or_else(
        |_| {
            let mut text = String::from("#");
            for byte in pair.as_slice() {
                // Never fails: a string takes all.
                let _ = write!(text, "{byte:02x}");
            }
            text
        },
        escaped,
    );
    format!("{name}={value}")
}

/// A value with what has a meaning in a name escaped (RFC 4514 section 2.4).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (at, char) in value.char_indices() {
        let is_edge_space = char == ' ' && (at == 0 || at + 1 == value.len());
        let is_leading_hash = char == '#' && at == 0;
        if matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=')
            || is_edge_space
            || is_leading_hash
        {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// The issuer of a certificate, in DER as the certificate has it.
#[must_use]
pub fn issuer_of(der: &[u8]) -> Option<&[u8]> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(certificate.tbs_certificate.issuer.as_raw())
}
