//! The compact JWS (RFC 7515 section 7.1): read once, checked with a key, its claims read once.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Algorithms};
use super::encoding;
use super::error::JoseError;
use super::keys::VerifyingKey;
use super::rules::Rules;

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Longest signature, in bytes: RSA with 8192 bits.
const MAX_SIGNATURE_BYTES: usize = 1024;

/// The protected header of a token whose algorithm is known.
#[derive(Debug, PartialEq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// Every member as it came.
    pub members: Map<String, Value>,
}

impl Header {
    /// The id of the key.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.members.get("kid").and_then(Value::as_str)
    }

    fn parse(encoded: &str) -> Result<Arc<Self>, JoseError> {
        if let Some((_, header)) = USUAL.iter().find(|(text, _)| *text == encoded) {
            return Ok(Arc::clone(header));
        }
        let bytes = encoding::decode(encoded, "the header is not base64url")?;
        let members = encoding::object(&bytes, "the header is no JSON object")?;
        let algorithm = members
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::named)
            .ok_or(JoseError::UnknownAlgorithm)?;
        // No extension is understood here, so one that must be understood is refused (RFC 7515
        // section 4.1.11); `b64` alone would change what is signed (RFC 7797).
        if members.contains_key("crit") || members.contains_key("b64") {
            return Err(JoseError::Critical);
        }
        for name in ["kid", "typ", "cty"] {
            if members.get(name).is_some_and(|value| !value.is_string()) {
                return Err(JoseError::Malformed("kid, typ and cty must be text"));
            }
        }
        Ok(Arc::new(Self { algorithm, members }))
    }
}

/// Headers that most tokens have, read beforehand: `alg` and `typ` in either order, or `alg` alone.
static USUAL: LazyLock<Vec<(String, Arc<Header>)>> = LazyLock::new(|| {
    let mut usual = Vec::new();
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        for (text, typ) in [
            (format!(r#"{{"alg":"{name}","typ":"JWT"}}"#), true),
            (format!(r#"{{"typ":"JWT","alg":"{name}"}}"#), true),
            (format!(r#"{{"alg":"{name}"}}"#), false),
        ] {
            let mut members = Map::new();
            members.insert("alg".to_owned(), name.into());
            if typ {
                members.insert("typ".to_owned(), "JWT".into());
            }
            let header = Header { algorithm, members };
            usual.push((encoding::encode(text.as_bytes()), Arc::new(header)));
        }
    }
    usual
});

/// A token taken apart; nothing of it is trusted yet.
#[derive(Debug)]
pub struct Jws<'t> {
    header: Arc<Header>,
    signed: &'t str,
    payload: &'t str,
    signature: &'t str,
}

impl<'t> Jws<'t> {
    /// Take a compact token apart and read its header.
    ///
    /// # Errors
    /// Too long, not three parts of base64url, no JSON object as header, an unknown `alg` (`none`
    /// among them), `crit`, or a member named twice.
    pub fn parse(token: &'t str) -> Result<Self, JoseError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JoseError::TooLong);
        }
        let parts = JoseError::Malformed("not three parts");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(|| parts.clone())?;
        let (header, payload) = signed.split_once('.').ok_or_else(|| parts.clone())?;
        if payload.contains('.') || header.is_empty() {
            return Err(parts);
        }
        Ok(Self {
            header: Header::parse(header)?,
            signed,
            payload,
            signature,
        })
    }

    /// The header, not trusted before the signature is checked.
    #[must_use]
    pub fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// The claims without any check, to find out which key the token asks for. Never decide on them.
    ///
    /// # Errors
    /// [`JoseError::Malformed`].
    pub fn unverified_claims(&self) -> Result<Map<String, Value>, JoseError> {
        let payload = encoding::decode(self.payload, "the payload is not base64url")?;
        encoding::object(&payload, "the payload is no JSON object")
    }

    /// Check the signature, not the claims: times and the rest are up to the caller.
    ///
    /// # Errors
    /// As [`Jws::payload`], or a payload that is no JSON object.
    pub fn verified(&self, key: &VerifyingKey) -> Result<Verified, JoseError> {
        let payload = self.payload(key)?;
        let claims = encoding::object(&payload, "the payload is no JSON object")?;
        Ok(Verified {
            header: Arc::clone(&self.header),
            claims: Arc::new(Value::Object(claims)),
        })
    }

    /// Check the signature with a key that fits the header's algorithm; the payload's bytes.
    ///
    /// # Errors
    /// [`JoseError::KeyMismatch`], [`JoseError::BadSignature`] or [`JoseError::Malformed`].
    pub fn payload(&self, key: &VerifyingKey) -> Result<Vec<u8>, JoseError> {
        if self.signature.len() > MAX_SIGNATURE_BYTES * 4 / 3 + 2 {
            return Err(JoseError::Malformed("the signature is too long"));
        }
        let mut buffer = [0_u8; MAX_SIGNATURE_BYTES + 2];
        let length = encoding::decode_into(
            self.signature,
            &mut buffer,
            "the signature is not base64url",
        )?;
        let signature = buffer.get(..length).unwrap_or_default();
        key.verify_repeated(self.header.algorithm, self.signed.as_bytes(), signature)?;
        encoding::decode(self.payload, "the payload is not base64url")
    }
}

/// A token whose signature, times and claims were checked.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Its header.
    pub header: Arc<Header>,
    /// Its claims, an object.
    pub claims: Arc<Value>,
}

/// Where a verifier finds the key of a token.
pub trait KeyChoice {
    /// The key that a header asks for.
    ///
    /// # Errors
    /// [`JoseError::NoKey`] when there is none.
    fn choose(&self, header: &Header) -> Result<&VerifyingKey, JoseError>;
}

impl KeyChoice for VerifyingKey {
    fn choose(&self, _header: &Header) -> Result<&VerifyingKey, JoseError> {
        Ok(self)
    }
}

/// Which tokens are accepted: the algorithms, and the rules for claims.
#[derive(Debug)]
pub struct Verifier {
    /// The allow-list.
    pub algorithms: Algorithms,
    /// What claims must be.
    pub rules: Rules,
}

impl Verifier {
    /// Check a token in full at a moment, in Unix seconds.
    ///
    /// # Errors
    /// The first reason to refuse it.
    ///
    /// Cost: one pass over the token, one JSON read of its claims.
    pub fn verify(
        &self,
        token: &str,
        keys: &impl KeyChoice,
        unix_s: f64,
    ) -> Result<Verified, JoseError> {
        let jws = Jws::parse(token)?;
        let key = keys.choose(jws.header())?;
        self.verify_with(&jws, key, unix_s)
    }

    /// Check a token that is taken apart already, with one key.
    ///
    /// # Errors
    /// The first reason to refuse it.
    pub fn verify_with(
        &self,
        jws: &Jws<'_>,
        key: &VerifyingKey,
        unix_s: f64,
    ) -> Result<Verified, JoseError> {
        let algorithm = jws.header.algorithm;
        if !self.algorithms.has(algorithm) {
            return Err(JoseError::AlgorithmNotAllowed(algorithm));
        }
        let verified = jws.verified(key)?;
        if let Value::Object(claims) = &*verified.claims {
            self.rules.check(claims, unix_s)?;
        }
        Ok(verified)
    }
}
