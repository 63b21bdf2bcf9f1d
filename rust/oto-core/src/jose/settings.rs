//! Otoroshi's `AlgoSettings` JSON: where the key of a token comes from (entities.md §4.1).
//!
//! [`AlgoSettings::read`] takes the JSON, [`AlgoSettings::prepare`] makes everything ready that can be
//! made ready beforehand: an [`Algo`]. At request time an `Algo` answers with a key, looks one up in
//! the table of certificates, or names the key set that has to be fetched.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Algorithms, Family};
use super::encoding;
use super::error::JoseError;
use super::jws::Header;
use super::key_sets::{Found, KeySets};
use super::keys::{SigningKey, VerifyingKey};
use super::material::bad;
use crate::tls::Certificates;

/// The settings as Otoroshi writes them.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum AlgoSettings {
    /// A shared secret.
    #[serde(rename = "HSAlgoSettings")]
    Hs {
        /// 256, 384 or 512.
        size: u16,
        /// The secret.
        secret: String,
        /// Whether the secret is written in base64.
        #[serde(default)]
        base64: bool,
    },
    /// An RSA key pair (RSASSA-PKCS1-v1_5).
    #[serde(rename = "RSAlgoSettings", rename_all = "camelCase")]
    Rs {
        /// 256, 384 or 512.
        size: u16,
        /// To verify with.
        #[serde(default)]
        public_key: Option<String>,
        /// To sign with.
        #[serde(default)]
        private_key: Option<String>,
    },
    /// A key pair on a NIST curve.
    #[serde(rename = "ESAlgoSettings", rename_all = "camelCase")]
    Es {
        /// 256, 384 or 512.
        size: u16,
        /// To verify with.
        #[serde(default)]
        public_key: Option<String>,
        /// To sign with.
        #[serde(default)]
        private_key: Option<String>,
    },
    /// A key set at a URL; only to verify.
    #[serde(rename = "JWKSAlgoSettings")]
    Jwks(JwksSettings),
    /// The RSA key of a certificate.
    #[serde(rename = "RSAKPAlgoSettings", rename_all = "camelCase")]
    RsaPair {
        /// 256, 384 or 512.
        size: u16,
        /// Id of the certificate.
        cert_id: String,
    },
    /// The EC key of a certificate.
    #[serde(rename = "ESKPAlgoSettings", rename_all = "camelCase")]
    EsPair {
        /// 256, 384 or 512.
        size: u16,
        /// Id of the certificate.
        cert_id: String,
    },
    /// The key of the certificate that the token's `kid` names; only to verify.
    #[serde(rename = "KidAlgoSettings", rename_all = "camelCase")]
    Kid {
        /// Whether only certificates that may be shown count.
        #[serde(default)]
        only_exposed_certs: bool,
    },
}

/// A key set at a URL.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct JwksSettings {
    /// Where it is.
    pub url: String,
    /// How long its keys are believed, in milliseconds.
    #[serde(default = "an_hour")]
    pub ttl: u64,
    /// The kind of its keys: `RSA` or `EC`. Other keys of the set do not count.
    #[serde(default = "rsa")]
    pub kty: String,
    /// How it is fetched: `timeout`, `headers`, `proxy`, `mtlsConfig`; the engine does not look.
    #[serde(flatten)]
    pub call: Map<String, Value>,
}

fn an_hour() -> u64 {
    3_600_000
}

fn rsa() -> String {
    "RSA".to_owned()
}

/// Secrets stay out of what is printed.
impl std::fmt::Debug for AlgoSettings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Hs { .. } => "HSAlgoSettings",
            Self::Rs { .. } => "RSAlgoSettings",
            Self::Es { .. } => "ESAlgoSettings",
            Self::Jwks(_) => "JWKSAlgoSettings",
            Self::RsaPair { .. } => "RSAKPAlgoSettings",
            Self::EsPair { .. } => "ESKPAlgoSettings",
            Self::Kid { .. } => "KidAlgoSettings",
        })
    }
}

impl AlgoSettings {
    /// Read the JSON.
    ///
    /// # Errors
    /// Field, problem and fix.
    pub fn read(json: &Value) -> Result<Self, String> {
        // The deserializer's own words may quote what it read: say nothing of the values.
        if !json.get("type").is_some_and(Value::is_string) {
            return Err("type: missing; use HSAlgoSettings, RSAlgoSettings, ESAlgoSettings, JWKSAlgoSettings, RSAKPAlgoSettings, ESKPAlgoSettings or KidAlgoSettings".to_owned());
        }
        Self::deserialize(json).map_err(|error| {
            let text = error.to_string();
            if text.starts_with("missing field") || text.starts_with("unknown variant") {
                return text;
            }
            "a field has another type; size is a number, base64 and onlyExposedCerts are true or \
             false, the others are text"
                .to_owned()
        })
    }

    /// The texts that may hold expressions, for whoever evaluates them before [`Self::prepare`].
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Hs { secret, .. } => vec![secret],
            Self::Rs {
                public_key,
                private_key,
                ..
            }
            | Self::Es {
                public_key,
                private_key,
                ..
            } => public_key.iter_mut().chain(private_key).collect(),
            Self::Jwks(settings) => vec![&mut settings.url],
            Self::RsaPair { cert_id, .. } | Self::EsPair { cert_id, .. } => vec![cert_id],
            Self::Kid { .. } => Vec::new(),
        }
    }

    /// Whether a text has to be evaluated for each request: it begins with `${`.
    #[must_use]
    pub fn has_expressions(&self) -> bool {
        let mut copy = self.clone();
        copy.texts_mut().iter().any(|text| text.starts_with("${"))
    }

    /// Make keys ready.
    ///
    /// # Errors
    /// A size that is none, or a key that cannot be used: field, problem and fix.
    pub fn prepare(&self) -> Result<Algo, JoseError> {
        match self {
            Self::Hs {
                size,
                secret,
                base64,
            } => {
                let algorithm = Algorithm::hs(*size).ok_or_else(no_size)?;
                let secret = if *base64 {
                    encoding::decode_leniently(secret)
                        .ok_or_else(|| bad("secret", "not base64, as base64 = true says it is"))?
                } else {
                    secret.clone().into_bytes()
                };
                let allowed = Algorithms::only(algorithm);
                Ok(Algo::Fixed(Fixed {
                    algorithm,
                    verifying: Some(VerifyingKey::from_secret(&secret, allowed)?.into()),
                    signing: Some(SigningKey::from_secret(&secret, algorithm)?.into()),
                }))
            }
            Self::Rs {
                size,
                public_key,
                private_key,
            } => {
                let algorithm = Algorithm::rs(*size).ok_or_else(no_size)?;
                pair(algorithm, public_key.as_deref(), private_key.as_deref())
            }
            Self::Es {
                size,
                public_key,
                private_key,
            } => {
                let algorithm = Algorithm::es(*size).ok_or_else(no_size)?;
                pair(algorithm, public_key.as_deref(), private_key.as_deref())
            }
            Self::Jwks(settings) => {
                let family = match settings.kty.as_str() {
                    "RSA" => Family::Rsa,
                    "EC" => Family::Ec,
                    "OKP" => Family::Ed,
                    _ => return Err(bad("kty", "unknown key type; use RSA, EC or OKP")),
                };
                if settings.url.is_empty() {
                    return Err(bad("url", "missing; give the address of the key set"));
                }
                let mut request = settings.call.clone();
                request.insert("url".to_owned(), settings.url.as_str().into());
                Ok(Algo::Set(SetAt {
                    url: settings.url.as_str().into(),
                    request: Value::Object(request).to_string().into(),
                    ttl_s: settings.ttl as f64 / 1000.0,
                    algorithms: Algorithms::of_family(family),
                }))
            }
            Self::RsaPair { size, cert_id } => Ok(Algo::Certificate(
                Algorithm::rs(*size).ok_or_else(no_size)?,
                cert_id.as_str().into(),
            )),
            Self::EsPair { size, cert_id } => Ok(Algo::Certificate(
                Algorithm::es(*size).ok_or_else(no_size)?,
                cert_id.as_str().into(),
            )),
            Self::Kid { only_exposed_certs } => Ok(Algo::Kid(*only_exposed_certs)),
        }
    }
}

fn no_size() -> JoseError {
    bad("size", "unknown; use 256, 384 or 512")
}

/// A pair of which one half may be missing; a private key stands in for its public one.
fn pair(
    algorithm: Algorithm,
    public: Option<&str>,
    private: Option<&str>,
) -> Result<Algo, JoseError> {
    let given = |text: Option<&str>| text.map(str::trim).is_some_and(|text| !text.is_empty());
    let allowed = Algorithms::only(algorithm);
    let signing = match private.filter(|text| given(Some(text))) {
        Some(text) => Some(SigningKey::from_pem(text, algorithm)?),
        None => None,
    };
    let verifying = match public.filter(|text| given(Some(text))) {
        Some(text) => Some(VerifyingKey::from_pem(text, allowed)?),
        None => match signing.as_ref().and_then(SigningKey::public) {
            Some(public) => Some(VerifyingKey::from_public(public, allowed)?),
            None => None,
        },
    };
    if signing.is_none() && verifying.is_none() {
        return Err(bad("publicKey", "missing; give a public or a private key"));
    }
    Ok(Algo::Fixed(Fixed {
        algorithm,
        verifying: verifying.map(Arc::new),
        signing: signing.map(Arc::new),
    }))
}

/// Settings made ready.
#[derive(Clone, Debug)]
pub enum Algo {
    /// Keys that are in the settings themselves.
    Fixed(Fixed),
    /// The key pair of the certificate of that id.
    Certificate(Algorithm, Box<str>),
    /// The key of the certificate that `kid` names; whether only exposed ones count.
    Kid(bool),
    /// A key of the set at a URL.
    Set(SetAt),
}

/// Keys ready for use.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The one algorithm.
    pub algorithm: Algorithm,
    /// To verify with.
    pub verifying: Option<Arc<VerifyingKey>>,
    /// To sign with.
    pub signing: Option<Arc<SigningKey>>,
}

/// Where a key set is.
#[derive(Clone, Debug)]
pub struct SetAt {
    /// Its address.
    pub url: Arc<str>,
    /// Its settings as JSON, for whoever fetches it.
    pub request: Arc<str>,
    /// How long it is believed, in seconds.
    pub ttl_s: f64,
    /// What its keys may be used with.
    pub algorithms: Algorithms,
}

/// The key of a token, or what stands in the way.
#[derive(Debug)]
pub enum Choice {
    /// This one.
    Key(Arc<VerifyingKey>),
    /// There is none: Otoroshi's `error.bad.input.algorithm.name`.
    None,
    /// A key set has to be fetched first; its settings as JSON.
    Fetch(Arc<str>),
}

/// What key look-ups need of the world.
#[derive(Clone, Copy)]
pub struct Keyring<'a> {
    /// Certificate entities.
    pub certificates: &'a Certificates,
    /// Key sets that were fetched.
    pub sets: &'a KeySets,
    /// The driver's clock, in seconds.
    pub mono_s: f64,
}

impl Algo {
    /// The key for a token with this header.
    #[must_use]
    pub fn verifying(&self, header: &Header, ring: Keyring<'_>) -> Choice {
        let key = match self {
            Self::Fixed(fixed) => fixed.verifying.clone(),
            Self::Certificate(_, id) => ring
                .certificates
                .get(id)
                .filter(|certificate| !certificate.is_revoked)
                .and_then(|certificate| certificate.verifying_key()),
            Self::Kid(only_exposed) => header
                .kid()
                .and_then(|kid| ring.certificates.get(kid))
                .filter(|certificate| certificate.is_exposed || !only_exposed)
                .filter(|certificate| !certificate.is_revoked)
                .and_then(|certificate| certificate.verifying_key())
                .filter(|key| key.fits(header.algorithm)),
            Self::Set(set) => {
                if !set.algorithms.has(header.algorithm) {
                    return Choice::None;
                }
                return match ring.sets.find(set, header, ring.mono_s) {
                    Found::Key(key) => Choice::Key(key),
                    Found::None => Choice::None,
                    Found::Fetch => Choice::Fetch(Arc::clone(&set.request)),
                };
            }
        };
        key.map_or(Choice::None, Choice::Key)
    }

    /// The algorithms that a token may have; the header decides among those of its key.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        match self {
            Self::Fixed(fixed) => Algorithms::only(fixed.algorithm),
            Self::Certificate(algorithm, _) => Algorithms::only(*algorithm),
            Self::Kid(_) => Algorithms::of_family(Family::Rsa)
                .or(Algorithms::of_family(Family::Ec))
                .or(Algorithms::of_family(Family::Ed)),
            Self::Set(set) => set.algorithms,
        }
    }

    /// The key to sign with; none for settings that only verify, or without the private half.
    #[must_use]
    pub fn signing(&self, certificates: &Certificates) -> Option<Arc<SigningKey>> {
        match self {
            Self::Fixed(fixed) => fixed.signing.clone(),
            Self::Certificate(algorithm, id) => {
                let private = certificates.get(id)?.private_key()?;
                let key = SigningKey::from_private(private, *algorithm).ok()?;
                Some(Arc::new(key.with_kid(&**id)))
            }
            Self::Kid(_) | Self::Set(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::{Jws, Rules, Verifier};

    fn algo(json: Value) -> Algo {
        let settings = AlgoSettings::read(&json).expect("settings");
        settings.prepare().expect("keys")
    }

    fn choice(algo: &Algo, token: &str) -> Choice {
        let jws = Jws::parse(token).expect("a token");
        let ring = Keyring {
            certificates: &Certificates::default(),
            sets: &KeySets::default(),
            mono_s: 0.0,
        };
        algo.verifying(jws.header(), ring)
    }

    #[test]
    fn a_shared_secret_signs_and_verifies_with_its_size_only() {
        for (secret, base64) in [("secret", false), ("c2VjcmV0", true), ("c2VjcmV0\n", true)] {
            let algo = algo(
                json!({"type": "HSAlgoSettings", "size": 512, "secret": secret, "base64": base64}),
            );
            let key = algo.signing(&Certificates::default()).expect("a key");
            let token = key.sign(&Map::new(), &Map::new()).expect("signed");
            let Choice::Key(key) = choice(&algo, &token) else {
                panic!("no key")
            };
            assert_eq!(algo.algorithms(), Algorithms::only(Algorithm::Hs512));
            let verifier = Verifier {
                algorithms: algo.algorithms(),
                rules: Rules::default(),
            };
            assert!(verifier.verify(&token, &*key, 0.0).is_ok());
            let plain = VerifyingKey::from_secret(b"secret", Algorithms::ALL).expect("a key");
            assert!(verifier.verify(&token, &plain, 0.0).is_ok());
        }
    }

    #[test]
    fn settings_that_cannot_be_used_say_why_and_never_the_secret() {
        let refused = |json: Value| -> String {
            match AlgoSettings::read(&json) {
                Err(problem) => problem,
                Ok(settings) => settings.prepare().expect_err("refused").to_string(),
            }
        };
        for (json, word) in [
            (json!({}), "type"),
            (json!({"type": "Odd"}), "Odd"),
            (json!({"type": "HSAlgoSettings", "size": 256}), "secret"),
            (
                json!({"type": "HSAlgoSettings", "size": 1, "secret": "hush"}),
                "size",
            ),
            (
                json!({"type": "HSAlgoSettings", "size": 256, "secret": ""}),
                "secret",
            ),
            (
                json!({"type": "HSAlgoSettings", "size": 256, "secret": "hush!", "base64": true}),
                "base64",
            ),
            (
                json!({"type": "HSAlgoSettings", "size": 256, "secret": ["hush"]}),
                "another type",
            ),
            (json!({"type": "RSAlgoSettings", "size": 256}), "publicKey"),
            (
                json!({"type": "RSAlgoSettings", "size": 256, "publicKey": "hush"}),
                "publicKey",
            ),
            (
                json!({"type": "ESAlgoSettings", "size": 256, "privateKey": "hush"}),
                "privateKey",
            ),
            (json!({"type": "JWKSAlgoSettings", "url": ""}), "url"),
            (
                json!({"type": "JWKSAlgoSettings", "url": "u", "kty": "oct"}),
                "kty",
            ),
        ] {
            let problem = refused(json.clone());
            assert!(problem.contains(word), "{json}: {problem}");
            assert!(!problem.contains("hush"), "{problem}");
        }
        let settings = AlgoSettings::read(
            &json!({"type": "HSAlgoSettings", "size": 256, "secret": "${env.SECRET}"}),
        );
        assert!(settings.expect("settings").has_expressions());
    }
}
