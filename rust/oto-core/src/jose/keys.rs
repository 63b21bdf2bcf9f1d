//! Keys ready for use: everything that can be prepared once is.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaParameters, RsaPublicKeyComponents,
};
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Algorithms, Family};
use super::encoding;
use super::error::JoseError;
use super::material::{Curve, Private, Public, bad};
use super::seen::KeyNumber;

/// Least and most bits of an RSA modulus (RFC 7518 section 3.3; more is a way to burn CPU).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A key that verifies signatures. It knows which algorithms it may be used with: an HMAC secret is
/// never a public key and the other way round, so the two cannot be confused.
#[derive(Debug)]
pub struct VerifyingKey {
    number: KeyNumber,
    kid: Option<Box<str>>,
    public: Option<Public>,
    /// One entry an algorithm that is allowed.
    prepared: Vec<(Algorithm, Prepared)>,
}

enum Prepared {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Hmac(_) => "Hmac",
            Self::Public(_) => "Public",
        })
    }
}

impl VerifyingKey {
    /// A shared secret for some of the HMAC algorithms.
    ///
    /// # Errors
    /// An empty secret, or no HMAC algorithm among `allowed`.
    pub fn from_secret(secret: &[u8], allowed: Algorithms) -> Result<Self, JoseError> {
        if secret.is_empty() {
            return Err(bad("secret", "empty; give the shared secret"));
        }
        let prepared = allowed
            .iter()
            .filter_map(|algorithm| {
                let digest = hmac_digest(algorithm)?;
                Some((
                    algorithm,
                    Prepared::Hmac(Box::new(hmac::Key::new(digest, secret))),
                ))
            })
            .collect();
        Self::of(None, prepared)
    }

    /// A public key, PEM or bare base64 (see [`Public::read`]), for the algorithms that both it and
    /// `allowed` have.
    ///
    /// # Errors
    /// What is wrong with the text, or no algorithm left.
    pub fn from_pem(text: &str, allowed: Algorithms) -> Result<Self, JoseError> {
        Self::from_public(Public::read(text, "publicKey")?, allowed)
    }

    /// A public key's numbers, for the algorithms that both it and `allowed` have.
    ///
    /// # Errors
    /// Numbers that make no key, or no algorithm left.
    pub fn from_public(public: Public, allowed: Algorithms) -> Result<Self, JoseError> {
        let prepared = public
            .algorithms()
            .and(allowed)
            .iter()
            .map(|algorithm| Ok((algorithm, Prepared::Public(parse(&public, algorithm)?))))
            .collect::<Result<_, JoseError>>()?;
        Self::of(Some(public), prepared)
    }

    fn of(public: Option<Public>, prepared: Vec<(Algorithm, Prepared)>) -> Result<Self, JoseError> {
        if prepared.is_empty() {
            return Err(bad(
                "key",
                "fits none of the allowed algorithms; give a key of the algorithm's kind",
            ));
        }
        Ok(Self {
            number: KeyNumber::next(),
            kid: None,
            public,
            prepared,
        })
    }

    /// The same key under an id.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<Box<str>>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The public numbers; none for a secret.
    #[must_use]
    pub fn public(&self) -> Option<&Public> {
        self.public.as_ref()
    }

    /// The algorithms it verifies.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.prepared.iter().map(|(item, _)| *item).collect()
    }

    /// Whether it can be used with an algorithm.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.prepared.iter().any(|(item, _)| *item == algorithm)
    }

    /// Check a signature. HMACs are compared in constant time.
    ///
    /// # Errors
    /// [`JoseError::KeyMismatch`] or [`JoseError::BadSignature`].
    pub fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), JoseError> {
        let prepared = self.prepared.iter().find(|(item, _)| *item == algorithm);
        let checked = match prepared {
            None => return Err(JoseError::KeyMismatch(algorithm)),
            Some((_, Prepared::Hmac(key))) => hmac::verify(key, message, signature),
            Some((_, Prepared::Public(key))) => key.verify_sig(message, signature),
        };
        checked.map_err(|_| JoseError::BadSignature)
    }

    /// As [`VerifyingKey::verify`], for what comes again and again: a good signature by a private key
    /// is remembered, and costs a SHA-256 of the message the next time.
    ///
    /// # Errors
    /// As [`VerifyingKey::verify`].
    pub fn verify_repeated(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), JoseError> {
        if self.public.is_none() {
            return self.verify(algorithm, message, signature);
        }
        let mark = self.number.mark(algorithm as u8, message, signature);
        if !mark.is_known() {
            self.verify(algorithm, message, signature)?;
            mark.remember();
        }
        Ok(())
    }
}

fn hmac_digest(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    Some(match algorithm {
        Algorithm::Hs256 => hmac::HMAC_SHA256,
        Algorithm::Hs384 => hmac::HMAC_SHA384,
        Algorithm::Hs512 => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// Odd, at least 3, and short: with 1 anything is its own signature, and a long one burns CPU.
fn is_exponent(e: &[u8]) -> bool {
    let number = e
        .iter()
        .try_fold(0_u64, |number, byte| {
            number.checked_mul(256)?.checked_add(u64::from(*byte))
        })
        .unwrap_or(0);
    number % 2 == 1 && (3..1 << 33).contains(&number)
}

fn parse(public: &Public, algorithm: Algorithm) -> Result<ParsedPublicKey, JoseError> {
    let parsed = match public {
        Public::Rsa { n, e } => {
            let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
            if !RSA_BITS.contains(&bits) {
                return Err(JoseError::BadKey(format!(
                    "key: an RSA key of {bits} bits; use 2048 to 8192"
                )));
            }
            if !is_exponent(e) {
                return Err(bad("e", "no RSA exponent; use an odd number such as 65537"));
            }
            let parameters = rsa_parameters(algorithm).ok_or(JoseError::KeyMismatch(algorithm))?;
            RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)
        }
        Public::Ec { curve, point } => match curve {
            Curve::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            Curve::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
            Curve::P521 => ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point),
        },
        Public::Ed(bytes) => ParsedPublicKey::new(&ED25519, bytes),
    };
    parsed.map_err(|_| bad("key", "the numbers make no valid public key"))
}

/// A key that signs with one algorithm.
#[derive(Debug)]
pub struct SigningKey {
    algorithm: Algorithm,
    kid: Option<Box<str>>,
    secret: Secret,
    random: SystemRandom,
}

enum Secret {
    Hmac(Box<hmac::Key>),
    Private(Arc<Private>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret")
    }
}

impl SigningKey {
    /// Sign with a shared secret.
    ///
    /// # Errors
    /// An empty secret, or an algorithm that takes no secret.
    pub fn from_secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, JoseError> {
        let digest = hmac_digest(algorithm).ok_or(JoseError::KeyMismatch(algorithm))?;
        if secret.is_empty() {
            return Err(bad("secret", "empty; give the shared secret"));
        }
        Ok(Self::of(
            algorithm,
            Secret::Hmac(Box::new(hmac::Key::new(digest, secret))),
        ))
    }

    /// Sign with a private key, PEM or bare base64 (see [`Private::read`]).
    ///
    /// # Errors
    /// What is wrong with the text, or a key that does not fit the algorithm.
    pub fn from_pem(text: &str, algorithm: Algorithm) -> Result<Self, JoseError> {
        Self::from_private(Arc::new(Private::read(text, "privateKey")?), algorithm)
    }

    /// Sign with a private key.
    ///
    /// # Errors
    /// [`JoseError::KeyMismatch`].
    pub fn from_private(private: Arc<Private>, algorithm: Algorithm) -> Result<Self, JoseError> {
        let fits = match &*private {
            Private::Rsa(_) => algorithm.family() == Family::Rsa,
            Private::Ec(curve, _) => algorithm == curve.algorithm(),
            Private::Ed(_) => algorithm == Algorithm::EdDsa,
        };
        if !fits {
            return Err(JoseError::KeyMismatch(algorithm));
        }
        Ok(Self::of(algorithm, Secret::Private(private)))
    }

    fn of(algorithm: Algorithm, secret: Secret) -> Self {
        Self {
            algorithm,
            kid: None,
            secret,
            random: SystemRandom::new(),
        }
    }

    /// The same key under an id, which goes into the header of what it signs.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<Box<str>>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// What it signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The public key that belongs to it; none for a secret.
    #[must_use]
    pub fn public(&self) -> Option<Public> {
        match &self.secret {
            Secret::Hmac(_) => None,
            Secret::Private(private) => private.public(),
        }
    }

    /// A compact JWS of claims. The header is `alg`, `typ` (`JWT`) and `kid` when the key has one,
    /// then `extra`, which may replace `typ` and `kid` and never `alg`.
    ///
    /// # Errors
    /// [`JoseError::BadSignature`] when the library cannot sign, which no input can bring about.
    pub fn sign(
        &self,
        extra: &Map<String, Value>,
        claims: &Map<String, Value>,
    ) -> Result<String, JoseError> {
        let mut header = Map::new();
        header.insert("typ".to_owned(), "JWT".into());
        if let Some(kid) = self.kid() {
            header.insert("kid".to_owned(), kid.into());
        }
        header.extend(
            extra
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        header.insert("alg".to_owned(), self.algorithm.name().into());
        let payload = serde_json::to_vec(claims).map_err(|_| JoseError::Malformed("claims"))?;
        self.sign_payload(&header, &payload)
    }

    /// A compact JWS of any bytes under a header as it is; `alg` is the key's.
    ///
    /// # Errors
    /// [`JoseError::AlgorithmNotAllowed`] for a header that names another algorithm.
    pub fn sign_payload(
        &self,
        header: &Map<String, Value>,
        payload: &[u8],
    ) -> Result<String, JoseError> {
        if header.get("alg").and_then(Value::as_str) != Some(self.algorithm.name()) {
            return Err(JoseError::AlgorithmNotAllowed(self.algorithm));
        }
        let header = serde_json::to_vec(header).map_err(|_| JoseError::Malformed("header"))?;
        let mut token = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 96);
        encoding::encode_to(&header, &mut token);
        token.push('.');
        encoding::encode_to(payload, &mut token);
        let signature = self.sign_bytes(token.as_bytes())?;
        token.push('.');
        encoding::encode_to(&signature, &mut token);
        Ok(token)
    }

    /// The bare signature of a message.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        match &self.secret {
            Secret::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Secret::Private(private) => self.sign_with(private, message),
        }
    }

    fn sign_with(&self, private: &Private, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        let failed = |_| JoseError::BadSignature;
        match private {
            Private::Rsa(pair) => {
                let encoding =
                    rsa_encoding(self.algorithm).ok_or(JoseError::KeyMismatch(self.algorithm))?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &self.random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Private::Ec(_, pair) => pair
                .sign(&self.random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(failed),
            Private::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &RSA_PSS_SHA256,
        Algorithm::Ps384 => &RSA_PSS_SHA384,
        Algorithm::Ps512 => &RSA_PSS_SHA512,
        _ => return None,
    })
}
