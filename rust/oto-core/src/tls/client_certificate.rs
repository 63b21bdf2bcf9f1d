//! What a client's certificate says.

use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::distinguished_name::{common_name, text_of};

/// A certificate that a client proved to own in its handshake, with the chain it sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain in DER, the client's own first.
    pub chain: Vec<Vec<u8>>,
    /// The subject, as `CN=a, OU=b`.
    pub subject: String,
    /// The issuer, as `CN=a, OU=b`.
    pub issuer: String,
    /// The subject's first common name.
    pub common_name: Option<String>,
    /// The serial number in hexadecimal, lower case, without leading zeros.
    pub serial: String,
    /// DNS names, addresses and mail addresses of the subject alternative name.
    pub alternative_names: Vec<String>,
    /// Valid from, in Unix seconds.
    pub not_before_s: i64,
    /// Valid until, in Unix seconds.
    pub not_after_s: i64,
    /// Whether a trusted authority vouches for it. Without strict validation an unknown chain is
    /// taken too, as Otoroshi does, and then this is false.
    pub is_trusted: bool,
}

impl ClientCertificate {
    /// Read a chain as it came in a handshake; none when its first certificate cannot be read.
    #[must_use]
    pub fn read(chain: Vec<Vec<u8>>, is_trusted: bool) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(chain.first()?).ok()?;
        let alternative_names = certificate
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|extension| {
                let names = extension.value.general_names.iter();
                names.filter_map(name_text).collect()
            })
            .unwrap_or_default();
        let serial = certificate.tbs_certificate.serial.to_str_radix(16);
        Some(Self {
            subject: text_of(certificate.subject()),
            issuer: text_of(certificate.issuer()),
            common_name: common_name(certificate.subject()),
            serial,
            alternative_names,
            not_before_s: certificate.validity().not_before.timestamp(),
            not_after_s: certificate.validity().not_after.timestamp(),
            is_trusted,
            chain,
        })
    }

    /// Each certificate of the chain on its own, the client's first; one that cannot be read is left
    /// out.
    #[must_use]
    pub fn certificates(&self) -> Vec<Self> {
        let chain = self.chain.iter();
        chain
            .filter_map(|der| Self::read(vec![der.clone()], self.is_trusted))
            .collect()
    }
}

/// A name as text; none for kinds that no certificate of a client or server needs.
pub(super) fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                return Some(std::net::Ipv4Addr::from(v4).to_string());
            }
            let v6 = <[u8; 16]>::try_from(*bytes).ok()?;
            Some(std::net::Ipv6Addr::from(v6).to_string())
        }
        _ => None,
    }
}
