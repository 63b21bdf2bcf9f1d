//! The settings of a verifier as Otoroshi writes them, and the keys they lead to.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::{Algorithm, Component, Key, Policy, component_item};
use crate::jose::{self, Algorithms, VerifyingKey};
use crate::tls::Certificates;

/// The settings of the plugin HttpSignatureVerifyRequest.
#[derive(Debug, Deserialize)]
pub struct VerifierSettings {
    keys: Vec<KeySettings>,
    required_components: Vec<String>,
    allowed_algorithms: Vec<String>,
    require_keyid: bool,
    max_age_seconds: Option<i64>,
    clock_skew_seconds: i64,
    signature_label: Option<String>,
    mandatory: bool,
}

#[derive(Deserialize)]
struct KeySettings {
    kind: String,
    #[serde(default)]
    keyid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    secret_or_pem: Option<String>,
    #[serde(default)]
    cert_id: Option<String>,
}

/// No secret is ever shown.
impl std::fmt::Debug for KeySettings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "KeySettings({}, {:?})", self.kind, self.keyid)
    }
}

/// A verifier whose keys are ready, but for those that certificates have.
#[derive(Debug)]
pub struct Verifier {
    /// What signatures must be like.
    pub policy: Policy,
    keys: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    keyid: Option<String>,
    algorithm: Option<Algorithm>,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    Inline(Arc<VerifyingKey>),
    Certificate(String),
}

impl Verifier {
    /// Check the settings.
    ///
    /// # Errors
    /// Field, problem and fix; never a secret.
    pub fn build(settings: VerifierSettings) -> Result<Self, String> {
        let allowed = settings.allowed_algorithms.iter().enumerate();
        let allowed = allowed
            .map(|(at, name)| algorithm(&format!("allowed_algorithms[{at}]"), name))
            .collect::<Result<_, _>>()?;
        let required = settings.required_components.iter().enumerate();
        let required = required
            .map(|(at, text)| {
                component_item(text)
                    .and_then(|item| Component::read(&item))
                    .map_err(|problem| format!("required_components[{at}]: {problem}"))
            })
            .collect::<Result<_, _>>()?;
        let keys = settings.keys.into_iter().enumerate();
        Ok(Self {
            policy: Policy {
                required,
                allowed,
                require_keyid: settings.require_keyid,
                max_age_s: settings.max_age_seconds,
                skew_s: settings.clock_skew_seconds,
                label: settings.signature_label.filter(|label| !label.is_empty()),
                mandatory: settings.mandatory,
            },
            keys: keys
                .map(|(at, key)| {
                    key.build()
                        .map_err(|problem| format!("keys[{at}].{problem}"))
                })
                .collect::<Result<_, _>>()?,
        })
    }

    /// The keys, those of certificates among them; a certificate that is gone or revoked has none.
    #[must_use]
    pub fn keys(&self, certificates: &Certificates) -> Vec<Key> {
        let keys = self.keys.iter().filter_map(|source| {
            let key = match &source.origin {
                Origin::Inline(key) => Arc::clone(key),
                Origin::Certificate(id) => {
                    let certificate = certificates.get(id)?;
                    certificate
                        .verifying_key()
                        .filter(|_| !certificate.is_revoked)?
                }
            };
            Some(Key {
                keyid: source.keyid.clone(),
                algorithm: source.algorithm,
                key,
            })
        });
        keys.collect()
    }
}

impl KeySettings {
    fn build(self) -> Result<Source, String> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let alg = given(self.alg);
        let algorithm = alg.map(|name| algorithm("alg", &name)).transpose()?;
        let origin = match self.kind.as_str() {
            "inline" => {
                let text = given(self.secret_or_pem)
                    .ok_or("secret_or_pem: missing; give a secret or a key in PEM")?;
                Origin::Inline(Arc::new(inline(&text)?))
            }
            "cert" => Origin::Certificate(
                given(self.cert_id).ok_or("cert_id: missing; give the id of a certificate")?,
            ),
            other => {
                return Err(format!(
                    "kind: {other:?} cannot be used; use inline or cert"
                ));
            }
        };
        Ok(Source {
            keyid: given(self.keyid),
            algorithm,
            origin,
        })
    }
}

fn algorithm(field: &str, name: &str) -> Result<Algorithm, String> {
    Algorithm::named(name).ok_or_else(|| {
        let known: Vec<_> = super::ALGORITHMS.iter().map(|known| known.name).collect();
        format!(
            "{field}: {name:?} is unknown; use one of {}",
            known.join(", ")
        )
    })
}

/// A key that stands in the settings: PEM, or a secret as [`secret_bytes`] reads it.
fn inline(text: &str) -> Result<VerifyingKey, String> {
    let of = |error: jose::JoseError| format!("secret_or_pem: {error}");
    if text.trim_start().starts_with("-----BEGIN ") {
        return VerifyingKey::from_pem(text, Algorithms::ALL).map_err(of);
    }
    let secret = secret_bytes(text)?;
    VerifyingKey::from_secret(&secret, Algorithms::only(jose::Algorithm::Hs256)).map_err(of)
}

/// The bytes of a secret: text, or what follows `base64:`, `base64url:` or `hex:`.
///
/// # Errors
/// The prefix promises an encoding and the rest is none.
fn secret_bytes(text: &str) -> Result<Vec<u8>, String> {
    let decoded = if let Some(rest) = text.strip_prefix("base64:") {
        STANDARD.decode(rest).ok()
    } else if let Some(rest) = text.strip_prefix("base64url:") {
        let padded = URL_SAFE.decode(rest);
        URL_SAFE_NO_PAD.decode(rest).or(padded).ok()
    } else if let Some(rest) = text.strip_prefix("hex:") {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
        let pairs = rest.as_bytes().chunks(2);
        pairs
            .map(|pair| match pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            })
            .collect()
    } else {
        Some(text.as_bytes().to_vec())
    };
    decoded.ok_or_else(|| {
        "secret_or_pem: not in the encoding its prefix names; correct it or leave the prefix out"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_in_every_encoding() {
        for text in [
            "a secret",
            "base64:YSBzZWNyZXQ=",
            "base64url:YSBzZWNyZXQ",
            "hex:6120736563726574",
        ] {
            assert_eq!(secret_bytes(text).expect(text), b"a secret");
        }
        for text in ["base64:?", "base64url:?", "hex:6", "hex:xx", "hex:\u{e9}"] {
            let problem = secret_bytes(text).expect_err(text);
            assert!(problem.starts_with("secret_or_pem: ") && !problem.contains('?'));
        }
    }
}
