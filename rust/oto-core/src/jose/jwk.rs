//! JSON Web Keys, sets of them and thumbprints (RFC 7517, RFC 7518 section 6, RFC 7638, RFC 8037).

use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rsa::KeyPairComponents;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Algorithms};
use super::encoding;
use super::error::JoseError;
use super::jws::{Header, KeyChoice};
use super::keys::{SigningKey, VerifyingKey};
use super::material::{Curve, Private, Public, bad, without_zeros};

/// Longest key set that is read, in bytes.
pub const MAX_SET_BYTES: usize = 512 * 1024;
/// Most keys that a set may have.
pub const MAX_SET_KEYS: usize = 256;

/// A key to verify with, for the algorithms that the key, its `alg` and `allowed` have. `kid` comes
/// along.
///
/// # Errors
/// The member that is missing or wrong; a key that is not for signatures (`use`, `key_ops`).
pub fn verifying_key(
    jwk: &Map<String, Value>,
    allowed: Algorithms,
) -> Result<VerifyingKey, JoseError> {
    let allowed = allowed.and(purpose(jwk, "verify")?);
    let key = if text(jwk, "kty")? == "oct" {
        VerifyingKey::from_secret(&bytes(jwk, "k")?, allowed)?
    } else {
        VerifyingKey::from_public(public(jwk)?, allowed)?
    };
    Ok(match jwk.get("kid").and_then(Value::as_str) {
        Some(kid) => key.with_kid(kid),
        None => key,
    })
}

/// A key to sign with; the key must fit the algorithm. `kid` comes along.
///
/// # Errors
/// The member that is missing or wrong.
pub fn signing_key(
    jwk: &Map<String, Value>,
    algorithm: Algorithm,
) -> Result<SigningKey, JoseError> {
    if !purpose(jwk, "sign")?.has(algorithm) {
        return Err(JoseError::KeyMismatch(algorithm));
    }
    let key = if text(jwk, "kty")? == "oct" {
        SigningKey::from_secret(&bytes(jwk, "k")?, algorithm)?
    } else {
        SigningKey::from_private(Arc::new(private(jwk)?), algorithm)?
    };
    Ok(match jwk.get("kid").and_then(Value::as_str) {
        Some(kid) => key.with_kid(kid),
        None => key,
    })
}

/// The public numbers of a JWK.
///
/// # Errors
/// The member that is missing or wrong.
pub fn public(jwk: &Map<String, Value>) -> Result<Public, JoseError> {
    match text(jwk, "kty")? {
        "RSA" => Ok(Public::Rsa {
            n: number(jwk, "n")?,
            e: number(jwk, "e")?,
        }),
        "EC" => {
            let curve = Curve::named(text(jwk, "crv")?)
                .ok_or_else(|| bad("crv", "unknown curve; use P-256, P-384 or P-521"))?;
            let mut point = vec![4];
            for name in ["x", "y"] {
                point.extend(sized(jwk, name, curve.size())?);
            }
            Ok(Public::Ec { curve, point })
        }
        "OKP" if text(jwk, "crv")? == "Ed25519" => Ok(Public::Ed(sized(jwk, "x", 32)?)),
        "OKP" => Err(bad("crv", "unknown curve; use Ed25519")),
        _ => Err(bad("kty", "unknown key type; use RSA, EC, OKP or oct")),
    }
}

/// The private key of a JWK; RSA needs its primes (`p`, `q`, `dp`, `dq`, `qi`).
///
/// # Errors
/// The member that is missing or wrong.
pub fn private(jwk: &Map<String, Value>) -> Result<Private, JoseError> {
    let invalid = |_| bad("key", "the numbers make no valid private key");
    match public(jwk)? {
        Public::Rsa { n, e } => {
            let components = KeyPairComponents {
                public_key: RsaPublicKeyComponents { n, e },
                d: bytes(jwk, "d")?,
                p: bytes(jwk, "p")?,
                q: bytes(jwk, "q")?,
                dP: bytes(jwk, "dp")?,
                dQ: bytes(jwk, "dq")?,
                qInv: bytes(jwk, "qi")?,
            };
            let pair = RsaKeyPair::from_components(&components).map_err(invalid)?;
            Ok(Private::Rsa(Box::new(pair)))
        }
        Public::Ec { curve, point } => {
            let secret = sized(jwk, "d", curve.size())?;
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &secret, &point)
                    .map_err(invalid)?;
            Ok(Private::Ec(curve, Box::new(pair)))
        }
        Public::Ed(point) => {
            let secret = sized(jwk, "d", 32)?;
            let pair =
                Ed25519KeyPair::from_seed_and_public_key(&secret, &point).map_err(invalid)?;
            Ok(Private::Ed(Box::new(pair)))
        }
    }
}

/// The JWK of a public key: its required members only, to which a caller adds `kid`, `use`, `alg`.
#[must_use]
pub fn of_public(public: &Public) -> Map<String, Value> {
    let members: Vec<(&str, String)> = match public {
        Public::Rsa { n, e } => vec![
            ("kty", "RSA".to_owned()),
            ("n", encoding::encode(n)),
            ("e", encoding::encode(e)),
        ],
        Public::Ec { curve, point } => {
            let (x, y) = point
                .get(1..)
                .unwrap_or_default()
                .split_at(curve.size().min(point.len().saturating_sub(1)));
            vec![
                ("kty", "EC".to_owned()),
                ("crv", curve.name().to_owned()),
                ("x", encoding::encode(x)),
                ("y", encoding::encode(y)),
            ]
        }
        Public::Ed(point) => vec![
            ("kty", "OKP".to_owned()),
            ("crv", "Ed25519".to_owned()),
            ("x", encoding::encode(point)),
        ],
    };
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// The SHA-256 thumbprint of a key (RFC 7638), base64url.
#[must_use]
pub fn thumbprint(public: &Public) -> String {
    // A Map is ordered by name, and no member needs an escape: this is the canonical form.
    let canonical = Value::Object(of_public(public)).to_string();
    encoding::encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
}

/// Public keys by id.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<VerifyingKey>>,
}

impl KeySet {
    /// Read a JWK set. Keys that cannot be used here (another purpose, kind or curve, too short, no
    /// `kid`) are left out, as RFC 7517 section 5 asks; so are shared secrets, which have no place
    /// where everybody reads.
    ///
    /// # Errors
    /// No JSON object with a `keys` list, too long, or too many keys.
    pub fn parse(json: &[u8]) -> Result<Self, JoseError> {
        if json.len() > MAX_SET_BYTES {
            return Err(bad("keys", "the key set is longer than 524288 bytes"));
        }
        let set = encoding::object(json, "the key set is no JSON object")?;
        let Some(Value::Array(listed)) = set.get("keys") else {
            return Err(bad("keys", "the key set has no list of keys"));
        };
        if listed.len() > MAX_SET_KEYS {
            return Err(bad("keys", "the key set has more than 256 keys"));
        }
        let keys = listed
            .iter()
            .filter_map(Value::as_object)
            .filter(|jwk| jwk.get("kty").and_then(Value::as_str) != Some("oct"))
            .filter_map(|jwk| verifying_key(jwk, Algorithms::ALL).ok())
            .filter(|key| key.kid().is_some())
            .map(Arc::new)
            .collect();
        Ok(Self { keys })
    }

    /// The key of that id which fits the algorithm.
    #[must_use]
    pub fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&Arc<VerifyingKey>> {
        self.keys
            .iter()
            .find(|key| key.kid() == Some(kid) && key.fits(algorithm))
    }

    /// The usable keys, in the set's order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<VerifyingKey>> {
        self.keys.iter()
    }

    /// Number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl KeyChoice for KeySet {
    fn choose(&self, header: &Header) -> Result<&VerifyingKey, JoseError> {
        header
            .kid()
            .and_then(|kid| self.find(kid, header.algorithm))
            .map(|key| &**key)
            .ok_or(JoseError::NoKey)
    }
}

/// What `use`, `key_ops` and `alg` leave of the algorithms.
fn purpose(jwk: &Map<String, Value>, operation: &str) -> Result<Algorithms, JoseError> {
    if jwk.get("use").is_some_and(|value| value != "sig") {
        return Err(bad("use", "the key is not for signatures"));
    }
    if let Some(operations) = jwk.get("key_ops") {
        let listed = operations.as_array().is_some_and(|list| {
            // A private key that signs may be asked for its public half.
            list.iter().any(|item| item == operation || item == "sign")
        });
        if !listed {
            return Err(bad("key_ops", "the key is not for signatures"));
        }
    }
    match jwk.get("alg") {
        None => Ok(Algorithms::ALL),
        Some(name) => name
            .as_str()
            .and_then(Algorithm::named)
            .map(Algorithms::only)
            .ok_or_else(|| bad("alg", "no signature algorithm that is known here")),
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Result<&'a str, JoseError> {
    jwk.get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| bad(name, "missing or no text"))
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JoseError> {
    encoding::decode(text(jwk, name)?, "").map_err(|_| bad(name, "not base64url without padding"))
}

/// A number without the leading zeros that some writers leave.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, JoseError> {
    bytes(jwk, name).map(|number| without_zeros(&number).to_vec())
}

fn sized(jwk: &Map<String, Value>, name: &str, size: usize) -> Result<Vec<u8>, JoseError> {
    let bytes = bytes(jwk, name)?;
    if bytes.len() != size {
        return Err(JoseError::BadKey(format!(
            "{name}: {} bytes; the curve has {size}",
            bytes.len()
        )));
    }
    Ok(bytes)
}
