//! The settings of a verifier as Otoroshi writes them, and the keys they lead to.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use super::{Algorithm, Component, Key, Policy, component_item};
use crate::jose::{self, Algorithms, KeySets, SetAt, VerifyingKey};
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

/// Where a key is.
#[derive(Deserialize)]
pub(super) struct KeySettings {
    pub(super) kind: String,
    #[serde(default)]
    keyid: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    pub(super) secret_or_pem: Option<String>,
    #[serde(default)]
    pub(super) cert_id: Option<String>,
    #[serde(default)]
    url: Option<String>,
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
    Set(SetAt),
}

/// How long a key set is believed, and how long fetching it may take. Source: Otoroshi.
const SET_LIFE_S: f64 = 600.0;
const SET_TIMEOUT_MS: u64 = 10_000;

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

    /// The keys, those of certificates and of the key sets that were fetched among them; a certificate
    /// that is gone or revoked has none. A key of a set is called by its `kid`; a `keyid` in the
    /// settings leaves only that one of them.
    #[must_use]
    pub fn keys(&self, certificates: &Certificates, sets: &KeySets, mono_s: f64) -> Vec<Key> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for source in &self.keys {
            let mut add = |keyid: Option<String>, key: &Arc<VerifyingKey>| {
                keys.push(Key {
                    keyid,
                    algorithm: source.algorithm,
                    key: Arc::clone(key),
                });
            };
            match &source.origin {
                Origin::Inline(key) => add(source.keyid.clone(), key),
                Origin::Certificate(id) => {
                    let certificate = certificates.get(id).filter(|it| !it.is_revoked);
                    if let Some(key) = certificate.and_then(|it| it.verifying_key()) {
                        add(source.keyid.clone(), &key);
                    }
                }
                Origin::Set(at) => {
                    let set = sets.whole(at, mono_s);
                    for key in set.iter().flat_map(|set| set.iter()) {
                        let kid = key.kid().map(str::to_owned);
                        if source.keyid.is_none() || source.keyid == kid {
                            add(kid, key);
                        }
                    }
                }
            }
        }
        keys
    }

    /// The settings, as JSON, of the key sets that have to be fetched before a signature by one of
    /// these keys can be checked.
    #[must_use]
    pub fn due(&self, keyids: &[String], sets: &KeySets, mono_s: f64) -> Vec<Arc<str>> {
        // A key that stands in the settings is looked for nowhere else.
        let own: Vec<&String> = self
            .keys
            .iter()
            .filter(|source| !matches!(source.origin, Origin::Set(_)))
            .filter_map(|source| source.keyid.as_ref())
            .collect();
        let mut due: Vec<Arc<str>> = Vec::new();
        for source in &self.keys {
            let Origin::Set(at) = &source.origin else {
                continue;
            };
            let unknown: Vec<&str> = keyids
                .iter()
                .filter(|keyid| !own.contains(keyid))
                .filter(|keyid| source.keyid.as_ref().is_none_or(|only| only == *keyid))
                .map(String::as_str)
                .collect();
            let is_due = !unknown.is_empty() && sets.is_due(at, &unknown, mono_s);
            if is_due && !due.contains(&at.request) {
                due.push(Arc::clone(&at.request));
            }
        }
        due
    }
}

impl KeySettings {
    fn build(self) -> Result<Source, String> {
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
            "jwks" => {
                let url = given(self.url)
                    .filter(|url| url.starts_with("https://") || url.starts_with("http://"))
                    .ok_or("url: missing; give an address that begins with https:// or http://")?;
                let request = json!({"url": url, "timeout": SET_TIMEOUT_MS});
                Origin::Set(SetAt {
                    url: url.into(),
                    request: request.to_string().into(),
                    ttl_s: SET_LIFE_S,
                    algorithms: Algorithms::ALL,
                })
            }
            other => {
                return Err(format!(
                    "kind: {other:?} cannot be used; use inline, cert or jwks"
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

/// A text that is there and says something.
pub(super) fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

pub(super) fn algorithm(field: &str, name: &str) -> Result<Algorithm, String> {
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
    if is_pem(text) {
        return VerifyingKey::from_pem(text, Algorithms::ALL).map_err(of);
    }
    let secret = secret_bytes(text)?;
    VerifyingKey::from_secret(&secret, Algorithms::only(jose::Algorithm::Hs256)).map_err(of)
}

pub(super) fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ")
}

/// The bytes of a secret: text, or what follows `base64:`, `base64url:` or `hex:`.
///
/// # Errors
/// The prefix promises an encoding and the rest is none.
pub(super) fn secret_bytes(text: &str) -> Result<Vec<u8>, String> {
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

    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"OKP","crv":"Ed25519","kid":"b",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn verifier(keys: &serde_json::Value) -> Verifier {
        let settings = json!({
            "keys": keys, "required_components": [], "allowed_algorithms": ["ed25519"],
            "require_keyid": true, "clock_skew_seconds": 0, "mandatory": true,
        });
        Verifier::build(serde_json::from_value(settings).expect("settings")).expect("a verifier")
    }

    #[test]
    fn keys_come_from_sets_by_the_name_they_have_there() {
        let sets = KeySets::default();
        let certificates = Certificates::default();
        let named = |verifier: &Verifier, now: f64| {
            let keys = verifier.keys(&certificates, &sets, now);
            let names = keys.into_iter().map(|key| key.keyid.expect("a name"));
            names.collect::<Vec<_>>()
        };
        let due = |verifier: &Verifier, kid: &str, now: f64| {
            verifier.due(&[kid.to_owned()], &sets, now).len()
        };
        let all = verifier(&json!([
            {"kind": "jwks", "url": "https://a"}, {"kind": "jwks", "url": "https://a"},
            {"kind": "inline", "keyid": "own", "secret_or_pem": "s"},
        ]));
        assert_eq!(
            due(&all, "own", 0.0),
            0,
            "what the settings have is not fetched"
        );
        assert_eq!(due(&all, "a", 0.0), 1, "one address, one call");
        assert_eq!(named(&all, 0.0), ["own"]);
        let request = all.due(&["a".to_owned()], &sets, 0.0).remove(0);
        let _ = sets.put(&request, SET.as_bytes(), 0.0).expect("a set");
        assert_eq!(named(&all, 1.0), ["a", "b", "a", "b", "own"]);
        let one = verifier(&json!([{"kind": "jwks", "url": "https://a", "keyid": "b"}]));
        assert_eq!(named(&one, 1.0), ["b"]);
        assert_eq!((due(&one, "c", 11.0), due(&all, "c", 11.0)), (0, 1));
        assert_eq!((due(&all, "c", 9.0), due(&all, "a", 599.0)), (0, 0));
        assert_eq!(due(&one, "b", 600.0), 1, "an old set is fetched again");
        sets.fail(&request, 600.0);
        assert_eq!(
            named(&one, 1199.0),
            ["b"],
            "and believed until that succeeds"
        );
        assert!(named(&one, 1200.0).is_empty(), "but not for ever");
    }

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
